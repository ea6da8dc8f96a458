#include "common/job_spec_yaml.h"

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

namespace elephas::manifest {

namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{8} << 20;
constexpr std::size_t kMaxNodes = 500'000;
constexpr std::size_t kMaxDepth = 128;
// What all aliases together may stand for: a few kilobytes of nested aliases can mean terabytes.
constexpr std::uint64_t kMaxAliasedNodes = 100'000;
constexpr std::uint64_t kMaxAliasedBytes = std::uint64_t{16} << 20;

bool IsUtf8(std::string_view text) {
  const auto continuation = [&](std::size_t i) {
    return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
  };
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const int length = lead < 0x80                   ? 1
                       : lead >= 0xC2 && lead < 0xE0 ? 2
                       : (lead & 0xF0U) == 0xE0U     ? 3
                       : lead >= 0xF0 && lead < 0xF5 ? 4
                                                     : 0;
    if (length == 0) return false;
    for (int k = 1; k < length; ++k) {
      if (!continuation(i + static_cast<std::size_t>(k))) return false;
    }
    // Overlong forms, surrogates and what lies beyond U+10FFFF.
    const auto second = length > 2 ? static_cast<unsigned char>(text[i + 1]) : 0U;
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
        (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
      return false;
    }
    i += static_cast<std::size_t>(length);
  }
  return true;
}

// yaml-cpp writes the escapes \N and \_ (U+0085 and U+00A0) as one byte, which is no UTF-8.
// Whatever else it gives is, as the text that it read was.
std::string MendEscapes(const std::string& text) {
  std::string mended;
  mended.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead == 0x85 || lead == 0xA0) mended += '\xC2';
    const std::size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    mended.append(text, i, length);
    i += length;
  }
  return mended;
}

int LineAt(std::string_view text, std::size_t offset) {
  return 1 +
         static_cast<int>(std::count(text.begin(), text.begin() + static_cast<long>(offset), '\n'));
}

std::optional<unsigned> Hex4(std::string_view text, std::size_t at) {
  if (at + 4 > text.size()) return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + 4, value, 16);
  if (error != std::errc() || end != text.data() + at + 4) return std::nullopt;
  return value;
}

// JSON writes characters beyond U+FFFF as two \u escapes, which YAML does not know; one \U escape
// means the same there. `json` must be valid JSON, where backslashes occur in strings only.
std::string JoinSurrogates(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (json[i] != '\\' || i + 1 >= json.size()) {
      out += json[i];
      continue;
    }
    const auto high = json[i + 1] == 'u' ? Hex4(json, i + 2) : std::nullopt;
    const auto low = high && json.substr(i + 6, 2) == "\\u" ? Hex4(json, i + 8) : std::nullopt;
    if (low && *high >= 0xD800 && *high < 0xDC00 && *low >= 0xDC00 && *low < 0xE000) {
      char escape[16];
      std::snprintf(escape, sizeof escape, "\\U%08x",
                    0x10000 + ((*high - 0xD800) << 10U) + (*low - 0xDC00));
      out += escape;
      i += 11;
    } else {
      out += json.substr(i, 2);
      ++i;
    }
  }
  return out;
}

bool LooksLikeJson(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (text[first] == '{' || text[first] == '[') &&
         nlohmann::json::accept(text);
}

// Thrown inside the handlers below to leave yaml-cpp; caught in ReadYaml.
struct Refusal {
  int line;
  std::string message;
};

// Builds the tree from yaml-cpp's events, so that nothing is expanded or recursed into before its
// size is known.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::string_view file, int source, bool with_lines, std::string where,
              std::vector<ManifestProblem>* problems)
      : file_(file),
        source_(source),
        with_lines_(with_lines),
        where_(std::move(where)),
        problems_(*problems) {}

  NodePtr TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override { anchors_.clear(); }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    AddScalar(mark, "", true, anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // yaml-cpp says "?" for plain scalars and "!" for quoted ones.
    if (tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:str") RefuseTag(mark, tag);
    AddScalar(mark, value, tag == "?", anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    if (tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:seq") RefuseTag(mark, tag);
    Open(Node::Kind::kSequence, mark, anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    if (tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:map") RefuseTag(mark, tag);
    Open(Node::Kind::kMapping, mark, anchor);
  }
  void OnMapEnd() override { Close(); }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Refusal{mark.line + 1, "an alias inside its own anchor"};
    aliased_nodes_ += found->second.nodes;
    aliased_bytes_ += found->second.bytes;
    if (aliased_nodes_ > kMaxAliasedNodes || aliased_bytes_ > kMaxAliasedBytes) {
      throw Refusal{mark.line + 1, "aliases stand for more than a manifest may hold"};
    }
    Add(found->second, mark, 0);
  }

 private:
  struct Sized {
    NodePtr node;
    std::uint64_t nodes = 1, bytes = 0;  // aliases below it expanded
  };
  struct Frame {
    std::shared_ptr<Node> node;
    YAML::anchor_t anchor = 0;
    std::uint64_t nodes = 1, bytes = 0;
    bool has_key = false, skip = false;  // skip: the key was refused, its value is dropped
    std::string key;
    Place key_place;
    std::map<std::string, int, std::less<>> key_lines;
  };

  [[nodiscard]] Place At(const YAML::Mark& mark) const {
    return {source_, with_lines_ ? mark.line + 1 : 0};
  }

  void Report(Place place, std::string path, std::string message) {
    problems_.push_back({std::string(file_), place.line, std::move(path), std::move(message)});
  }

  [[noreturn]] static void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    throw Refusal{mark.line + 1,
                  "the tag " + Printable(tag) + " is not supported; write the value without a tag"};
  }

  // The path of what is being added to the innermost frame.
  [[nodiscard]] std::string Path() const {
    std::string path = where_;
    for (const Frame& frame : stack_) {
      if (frame.node->kind == Node::Kind::kMapping) {
        if (frame.has_key) path = JoinPath(path, frame.key);
      } else {
        path += "[" + std::to_string(frame.node->items.size()) + "]";
      }
    }
    return path;
  }

  void AddScalar(const YAML::Mark& mark, const std::string& text, bool plain,
                 YAML::anchor_t anchor) {
    auto node = std::make_shared<Node>();
    node->kind = Node::Kind::kScalar;
    node->place = At(mark);
    node->text = MendEscapes(text);
    node->plain = plain;
    CountNode(mark);
    Add({std::move(node), 1, text.size()}, mark, anchor);
  }

  void Open(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (stack_.size() >= kMaxDepth) {
      throw Refusal{mark.line + 1, "nested deeper than " + std::to_string(kMaxDepth) + " levels"};
    }
    CountNode(mark);
    Frame frame;
    frame.node = std::make_shared<Node>();
    frame.node->kind = kind;
    frame.node->place = At(mark);
    frame.anchor = anchor;
    stack_.push_back(std::move(frame));
  }

  void Close() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    YAML::Mark mark;
    mark.line = frame.node->place.line - 1;
    Add({std::move(frame.node), frame.nodes, frame.bytes}, mark, frame.anchor);
  }

  void CountNode(const YAML::Mark& mark) {
    if (++nodes_ > kMaxNodes) {
      throw Refusal{mark.line + 1, "more than " + std::to_string(kMaxNodes) + " values"};
    }
  }

  void Add(const Sized& child, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = child;
    if (stack_.empty()) {
      root_ = child.node;
      return;
    }
    Frame& frame = stack_.back();
    frame.nodes += child.nodes;
    frame.bytes += child.bytes;
    if (frame.node->kind == Node::Kind::kSequence) {
      frame.node->items.push_back(child.node);
    } else if (!frame.has_key) {
      TakeKey(frame, *child.node, At(mark));
    } else {
      if (!frame.skip) frame.node->entries.push_back({frame.key, frame.key_place, child.node});
      frame.has_key = frame.skip = false;
    }
  }

  void TakeKey(Frame& frame, const Node& key, Place place) {
    const std::string path = Path();
    frame.has_key = true;
    frame.skip = true;
    frame.key_place = place;
    frame.key = key.kind == Node::Kind::kScalar ? key.text : "?";
    if (key.kind != Node::Kind::kScalar || (key.plain && key.text.empty())) {
      Report(place, path, "a key must be text");
    } else if (key.plain && key.text == "<<") {
      Report(place, path, "merge keys (<<) are not supported; write the fields out");
    } else if (const auto [it, fresh] = frame.key_lines.emplace(key.text, place.line); !fresh) {
      Report(place, JoinPath(path, key.text),
             "is given twice" + (place.line > 0
                                     ? "; the first is on line " + std::to_string(it->second)
                                     : std::string()));
    } else {
      frame.skip = false;
    }
  }

  std::string_view file_;
  int source_;
  bool with_lines_;
  std::string where_;
  std::vector<ManifestProblem>& problems_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Sized> anchors_;
  NodePtr root_;
  std::size_t nodes_ = 0;
  std::uint64_t aliased_nodes_ = 0, aliased_bytes_ = 0;
};

bool IsEmptyDocument(const NodePtr& node) {
  return node == nullptr ||
         (node->kind == Node::Kind::kScalar && node->plain && node->text.empty());
}

NodePtr ReadDocuments(const std::string& text, std::string_view file, int source, bool with_lines,
                      const std::string& where, std::vector<ManifestProblem>* problems) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  NodePtr root;
  TreeBuilder builder(file, source, with_lines, where, problems);
  while (parser.HandleNextDocument(builder)) {
    NodePtr document = builder.TakeRoot();
    if (IsEmptyDocument(document)) continue;
    if (root != nullptr) {
      throw Refusal{document->place.line, "holds several documents; one job per manifest"};
    }
    root = std::move(document);
  }
  if (root == nullptr) throw Refusal{with_lines ? 1 : 0, "is empty"};
  return root;
}

template <typename Integer>
bool ParseWhole(std::string_view text, Integer* value, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, base);
  return error == std::errc() && end == text.data() + text.size();
}

bool AllDigits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// digits [. digits] [e [sign] digits], with digits on at least one side of the point.
bool LooksLikeFloat(std::string_view text) {
  const auto exponent = text.find_first_of("eE");
  if (exponent != std::string_view::npos) {
    std::string_view power = text.substr(exponent + 1);
    if (!power.empty() && (power[0] == '+' || power[0] == '-')) power.remove_prefix(1);
    if (!AllDigits(power)) return false;
    text = text.substr(0, exponent);
  }
  const auto point = text.find('.');
  if (point == std::string_view::npos) return AllDigits(text);
  const std::string_view before = text.substr(0, point), after = text.substr(point + 1);
  return (before.empty() || AllDigits(before)) && (after.empty() || AllDigits(after)) &&
         !(before.empty() && after.empty());
}

std::optional<nlohmann::json> NumberValue(std::string_view text, bool* is_number) {
  *is_number = true;
  std::string_view digits = text;
  const bool negative = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  if (digits == ".inf" || digits == ".Inf" || digits == ".INF" || digits == ".nan" ||
      digits == ".NaN" || digits == ".NAN") {
    return std::nullopt;
  }
  if (digits.starts_with("0x") || digits.starts_with("0o")) {
    std::uint64_t value = 0;
    if (digits == text && ParseWhole(digits.substr(2), &value, digits[1] == 'x' ? 16 : 8)) {
      return nlohmann::json(value);
    }
  }
  // 010 is ten in YAML 1.2 and eight in YAML 1.1: neither is guessed, it stays text.
  const bool leading_zero =
      digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9';
  if (AllDigits(digits) && !leading_zero) {
    std::int64_t whole = 0;
    std::uint64_t large = 0;
    const std::string_view with_sign = text[0] == '+' ? digits : text;
    if (ParseWhole(with_sign, &whole)) return nlohmann::json(whole);
    if (!negative && ParseWhole(digits, &large)) return nlohmann::json(large);
    return std::nullopt;
  }
  if (LooksLikeFloat(digits) && !leading_zero) {
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    // A number too small to tell from zero is out of range for from_chars too; zero is what it
    // means.
    if (error == std::errc::result_out_of_range && digits.find("e-") == std::string_view::npos &&
        digits.find("E-") == std::string_view::npos) {
      return std::nullopt;
    }
    if (error == std::errc::result_out_of_range) value = 0;
    return nlohmann::json(negative ? -value : value);
  }
  *is_number = false;
  return std::nullopt;
}

}  // namespace

std::string JoinPath(std::string_view parent, std::string_view key) {
  std::string path(parent);
  if (!path.empty()) path += '.';
  return path + Printable(key);
}

std::string Printable(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string out;
  for (const char c : text) {
    if (out.size() >= kLongest && (static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
      return out + "…";
    }
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  return out;
}

YamlText ReadYaml(std::string_view text, std::string_view file, int source, bool with_lines,
                  const std::string& where) {
  YamlText result;
  const auto fail = [&](int line, std::string message) {
    result.problems.push_back(
        {std::string(file), with_lines ? line : 0, where, std::move(message)});
    result.root = nullptr;
    return result;
  };
  if (text.size() > kMaxTextBytes) {
    return fail(0, "is larger than " + std::to_string(kMaxTextBytes >> 20U) + " MiB");
  }
  if (!IsUtf8(text)) return fail(0, "is not UTF-8 text");
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    return fail(LineAt(text, nul), "holds a NUL character");
  }
  try {
    const std::string yaml = LooksLikeJson(text) ? JoinSurrogates(text) : std::string(text);
    result.root = ReadDocuments(yaml, file, source, with_lines, where, &result.problems);
    return result;
  } catch (const Refusal& refusal) {
    return fail(refusal.line, refusal.message);
  } catch (const YAML::DeepRecursion& error) {
    return fail(error.mark.line + 1, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
  } catch (const YAML::Exception& error) {
    return fail(error.mark.is_null() ? 0 : error.mark.line + 1,
                "is not valid YAML: " + Printable(error.msg));
  } catch (const std::exception& error) {
    return fail(0, "cannot be read: " + Printable(error.what()));
  }
}

std::optional<nlohmann::json> ScalarValue(const Node& scalar) {
  const std::string& text = scalar.text;
  if (!scalar.plain) return nlohmann::json(text);
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return nlohmann::json(nullptr);
  }
  if (text == "true" || text == "True" || text == "TRUE") return nlohmann::json(true);
  if (text == "false" || text == "False" || text == "FALSE") return nlohmann::json(false);
  bool is_number = false;
  auto number = NumberValue(text, &is_number);
  if (is_number) return number;
  return nlohmann::json(text);
}

NodePtr WithValueAt(const NodePtr& root, const std::vector<std::string>& path, const NodePtr& value,
                    Place place, std::string* problem) {
  if (path.empty()) return value;
  auto copy = std::make_shared<Node>();
  if (root != nullptr && root->kind == Node::Kind::kMapping) {
    *copy = *root;
  } else if (!IsEmptyDocument(root)) {
    *problem = "is not a mapping, so it has no field '" + Printable(path.front()) + "'";
    return nullptr;
  } else {
    copy->kind = Node::Kind::kMapping;
    copy->place = place;
  }
  const std::vector<std::string> rest(path.begin() + 1, path.end());
  auto entry = std::find_if(copy->entries.begin(), copy->entries.end(),
                            [&](const Entry& e) { return e.key == path.front(); });
  NodePtr child = WithValueAt(entry == copy->entries.end() ? nullptr : entry->value, rest, value,
                              place, problem);
  if (child == nullptr) return nullptr;
  if (entry == copy->entries.end()) {
    copy->entries.push_back({path.front(), place, std::move(child)});
  } else {
    entry->value = std::move(child);
    if (rest.empty()) entry->place = place;
  }
  return copy;
}

}  // namespace elephas::manifest
