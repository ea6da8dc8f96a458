#include "cli/terminal/yaml_output.h"

#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>

#include "common/base/utf8.h"
#include "common/yaml/yaml_tree.h"

namespace elephas::cli {

namespace {

using nlohmann::json;

// Would it be read back as text without quotes?
bool IsPlainText(const std::string& text) {
  if (text.empty() || text.find_first_of("\n\r\t") != std::string::npos) return false;
  manifest::Node scalar;
  scalar.text = text;
  scalar.plain = true;
  const auto read = manifest::ScalarValue(scalar);
  // Older readers know more words for true and false.
  static constexpr std::string_view kWords[] = {"y",  "Y",  "n",  "N",  "yes", "Yes", "YES", "no",
                                                "No", "NO", "on", "On", "ON",  "off", "Off", "OFF"};
  for (const std::string_view word : kWords) {
    if (text == word) return false;
  }
  // "12:30" is a number to them, "2026-03-01T12:00:00Z" a time.
  const bool digits = text.find_first_not_of("0123456789:._-+TZ") == std::string::npos;
  return read && read->is_string() && !digits;
}

void Emit(YAML::Emitter& out, const json& value) {
  if (value.is_object()) {
    if (value.empty()) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key;
      Emit(out, json(key));
      out << YAML::Value;
      Emit(out, item);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    if (value.empty()) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const json& item : value) Emit(out, item);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (!IsPlainText(text)) out << YAML::DoubleQuoted;
    out << text;
  } else if (value.is_null()) {
    out << YAML::LowerNull << YAML::Null;
  } else {
    out << JsonText(value);
  }
}

}  // namespace

std::string YamlOf(const json& value) {
  YAML::Emitter out;
  Emit(out, value);
  return std::string(out.c_str(), out.size()) + "\n";
}

}  // namespace elephas::cli
