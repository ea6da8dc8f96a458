#include "operator/crd/yaml_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace elephas {

namespace {

using nlohmann::ordered_json;

// Words that YAML 1.1 or 1.2 reads as something else than text, in lower case.
constexpr std::array<std::string_view, 10> kNotText{"true", "false", "null", "yes", "no",
                                                    "on",   "off",   "y",    "n",   "nan"};

bool IsPlain(const std::string& text) {
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text.front())) == 0) return false;
  const bool safe = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.' || c == '/';
  });
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return safe && std::find(kNotText.begin(), kNotText.end(), lower) == kNotText.end();
}

std::string PlainOrQuoted(const std::string& text) {
  return IsPlain(text) ? text : ordered_json(text).dump();
}

std::string Scalar(const ordered_json& value) {
  return value.is_string() ? PlainOrQuoted(value.get_ref<const std::string&>()) : value.dump();
}

bool IsBlock(const ordered_json& value) { return value.is_structured() && !value.empty(); }

// "{a: 1, b: c}" or "[a, b]" for what holds no structures; "" where that would be no line to read.
std::string OnOneLine(const ordered_json& value, std::size_t indent) {
  constexpr std::size_t kLineWidth = 100;
  std::string line;
  for (const auto& [key, entry] : value.items()) {
    if (IsBlock(entry)) return "";
    if (!line.empty()) line += ", ";
    if (value.is_object()) line.append(PlainOrQuoted(key)).append(": ");
    line += Scalar(entry);
    if (indent + line.size() > kLineWidth) return "";
  }
  return value.is_object() ? "{" + line + "}" : "[" + line + "]";
}

void Write(const ordered_json& value, const std::string& indent, std::string& out);

// `first`: what stands before the first line instead of the indent ("- ").
void WriteObject(const ordered_json& value, const std::string& indent, bool first,
                 std::string& out) {
  for (const auto& [key, entry] : value.items()) {
    if (!first) out += indent;
    first = false;
    out += PlainOrQuoted(key) + ":";
    if (!IsBlock(entry)) {
      out += " " + Scalar(entry) + "\n";
    } else if (const std::string line = OnOneLine(entry, indent.size() + key.size());
               !line.empty()) {
      out += " " + line + "\n";
    } else {
      out += "\n";
      Write(entry, entry.is_array() ? indent : indent + "  ", out);
    }
  }
}

void Write(const ordered_json& value, const std::string& indent, std::string& out) {
  if (value.is_object()) return WriteObject(value, indent, false, out);
  for (const ordered_json& entry : value) {
    out += indent + "- ";
    if (entry.is_object() && !entry.empty()) {
      WriteObject(entry, indent + "  ", true, out);
    } else if (IsBlock(entry)) {
      out += "\n";
      Write(entry, indent + "  ", out);
    } else {
      out += Scalar(entry) + "\n";
    }
  }
}

}  // namespace

std::string YamlText(const ordered_json& value) {
  std::string out;
  if (IsBlock(value)) {
    Write(value, "", out);
  } else {
    out = Scalar(value) + "\n";
  }
  return out;
}

}  // namespace elephas
