#include "common/yaml/yaml_tree.h"

#include <yaml.h>

#include <algorithm>
#include <array>
#include <memory>

#include "common/yaml/json_tree.h"
#include "common/yaml/scalar.h"
#include "common/yaml/tree_builder.h"

namespace elephas::manifest {

namespace {

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

int LineAt(std::string_view text, std::size_t offset) {
  return 1 + static_cast<int>(std::count(text.begin(),
                                         text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

std::string_view LineOf(std::string_view text, std::size_t index) {
  while (index-- > 0) text.remove_prefix(std::min(text.size(), text.find('\n') + 1));
  return text.substr(0, text.find('\n'));
}

std::string_view Text(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

bool IsEmptyDocument(const NodePtr& node) {
  return node == nullptr || (node->kind == Node::Kind::kScalar && node->plain &&
                             Resolve(node->text).kind == Resolved::Kind::kNull);
}

// One document may hold something.
void KeepOne(NodePtr document, NodePtr* kept) {
  if (IsEmptyDocument(document)) return;
  if (*kept != nullptr) {
    throw Refusal{document->place.line, "holds several documents; one job per manifest"};
  }
  *kept = std::move(document);
}

// Does a scalar fit the tag that it carries? A tag of the core schema is a promise; what is tagged
// otherwise is text.
bool FitsTag(std::string_view text, std::string_view type) {
  const Resolved value = Resolve(text);
  if (type == "null") return value.kind == Resolved::Kind::kNull;
  if (type == "bool") return value.kind == Resolved::Kind::kBoolean;
  if (type == "int") return value.kind == Resolved::Kind::kInteger;
  if (type == "timestamp") return IsTimestamp(text);
  if (type == "float") {
    return value.kind == Resolved::Kind::kFloat ||
           (value.kind == Resolved::Kind::kInteger && !value.integer.is_number_unsigned());
  }
  return true;
}

// libyaml has learnt two things since kubectl's reader was made of it: the escape \/, and question
// marks inside texts without quotes between [] or {}. `source` is a scalar as it is written, with
// its anchor and tag.
void RefuseNewEscapes(std::string_view source, int line) {
  source.remove_prefix(std::min(source.find('"'), source.size()));
  for (std::size_t i = 0; i + 1 < source.size(); ++i) {
    if (source[i] != '\\') continue;
    if (source[++i] == '/') throw Refusal{line, "is not valid YAML: \\/ is an escape of JSON only"};
  }
}

ScalarText ReadScalar(const yaml_event_t& event, int line) {
  const auto& scalar = event.data.scalar;
  ScalarText out;
  out.text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
  std::string_view tag = Text(scalar.tag);
  out.plain = scalar.plain_implicit != 0 && tag.empty();  // a tag without a name means text
  out.merge = out.text == "<<" && (out.plain || tag == "tag:yaml.org,2002:merge");
  if (!tag.starts_with(kTagPrefix)) return out;
  tag.remove_prefix(kTagPrefix.size());
  if (!FitsTag(out.text, tag)) {
    std::string message = "'" + Printable(out.text);
    message += "' does not fit its tag !!";
    message += tag;
    throw Refusal{line, std::move(message)};
  }
  if (tag == "binary") {
    auto bytes = FromBase64(out.text);
    if (!bytes) throw Refusal{line, "a !!binary value is not base64"};
    if (!IsUtf8(*bytes))
      throw Refusal{line, "a !!binary value is not UTF-8 text, as JSON needs it"};
    out.text = *std::move(bytes);
  }
  if (const Resolved value = Resolve(out.text);
      tag == "float" && value.kind == Resolved::Kind::kInteger) {
    out.text = nlohmann::json(value.integer.get<double>()).dump();
  }
  out.plain = tag == "null" || tag == "bool" || tag == "int" || tag == "float";
  return out;
}

// One of the texts between lines of "---".
class DocumentReader {
 public:
  // `lines_before` it in the whole text.
  DocumentReader(std::string_view text, int lines_before, TreeBuilder* builder)
      : text_(text), lines_before_(lines_before), builder_(*builder) {
    if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
    // Nothing has no address, and libyaml insists on one.
    const char* const begin = text.empty() ? "" : text.data();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(begin),
                                 text.size());
  }
  ~DocumentReader() { yaml_parser_delete(&parser_); }
  DocumentReader(const DocumentReader&) = delete;
  DocumentReader& operator=(const DocumentReader&) = delete;

  // Null when there is nothing in it.
  NodePtr Read() {
    for (;;) {
      yaml_event_t event;
      if (yaml_parser_parse(&parser_, &event) == 0) Fail();
      const std::unique_ptr<yaml_event_t, decltype(&yaml_event_delete)> owner(&event,
                                                                              &yaml_event_delete);
      if (event.type == YAML_STREAM_END_EVENT) return std::move(root_);
      Take(event);
    }
  }

 private:
  void Take(const yaml_event_t& event) {
    const int line = static_cast<int>(event.start_mark.line) + 1 + lines_before_;
    const auto name = [](const yaml_char_t* anchor) { return std::string(Text(anchor)); };
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        builder_.StartDocument();
        break;
      case YAML_DOCUMENT_END_EVENT:
        KeepOne(builder_.TakeRoot(), &root_);
        break;
      case YAML_SCALAR_EVENT:
        RefuseWhatIsNew(event, line);
        builder_.Scalar(line, ReadScalar(event, line), name(event.data.scalar.anchor));
        break;
      case YAML_ALIAS_EVENT:
        builder_.Alias(line, name(event.data.alias.anchor));
        break;
      case YAML_SEQUENCE_START_EVENT:
        EnterFlow(event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
        builder_.Open(Node::Kind::kSequence, line, name(event.data.sequence_start.anchor));
        break;
      case YAML_MAPPING_START_EVENT:
        EnterFlow(event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
        builder_.Open(Node::Kind::kMapping, line, name(event.data.mapping_start.anchor));
        break;
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        if (flow_depth_ > 0) --flow_depth_;
        builder_.Close();
        break;
      default:
        break;
    }
  }

  // What is inside [] or {} is so, too.
  void EnterFlow(bool flow) {
    if (flow || flow_depth_ > 0) ++flow_depth_;
  }

  void RefuseWhatIsNew(const yaml_event_t& event, int line) {
    const auto& scalar = event.data.scalar;
    if (scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE) {
      RefuseNewEscapes(SourceOf(event), line);
    } else if (scalar.style == YAML_PLAIN_SCALAR_STYLE && flow_depth_ > 0 &&
               Text(scalar.value).find('?') != std::string_view::npos) {
      throw Refusal{line, "is not valid YAML: a text with ? between [] or {} needs quotes"};
    }
  }

  // The text of an event. Called in the order of the text: libyaml counts in characters.
  std::string_view SourceOf(const yaml_event_t& event) {
    const std::size_t begin = Seek(event.start_mark.index);
    return text_.substr(begin, Seek(event.end_mark.index) - begin);
  }

  std::size_t Seek(std::size_t character) {
    if (character < character_) offset_ = character_ = 0;
    for (; character_ < character && offset_ < text_.size(); ++character_) {
      do ++offset_;
      while (offset_ < text_.size() &&
             (static_cast<unsigned char>(text_[offset_]) & 0xC0U) == 0x80U);
    }
    return offset_;
  }

  [[noreturn]] void Fail() const {
    if (parser_.error == YAML_MEMORY_ERROR) throw std::bad_alloc();
    const bool reading = parser_.error == YAML_READER_ERROR;
    const std::size_t index =
        reading ? static_cast<std::size_t>(
                      LineAt(text_, std::min(parser_.problem_offset, text_.size())) - 1)
                : parser_.problem_mark.line;
    std::string message = "is not valid YAML: ";
    message += parser_.problem == nullptr ? "unknown problem" : parser_.problem;
    const std::string_view line = LineOf(text_, index);
    if (line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos) {
      message += "; a tab cannot indent";
    }
    throw Refusal{static_cast<int>(index) + 1 + lines_before_, std::move(message)};
  }

  std::string_view text_;
  int lines_before_;
  TreeBuilder& builder_;
  yaml_parser_t parser_{};
  NodePtr root_;
  int flow_depth_ = 0;
  std::size_t offset_ = 0, character_ = 0;  // the same place, in bytes and in characters
};

// kubectl cuts the text at lines that begin with "---" before it reads any of it as YAML, and ends
// the last line. `line` is how many come before the text.
void ReadDocuments(std::string_view text, int line, TreeBuilder& builder, NodePtr* root) {
  std::size_t begin = 0;
  int first_line = line;
  const auto read = [&](std::size_t end) {
    const std::string_view document = text.substr(begin, end - begin);
    if (document.empty() || document.ends_with('\n')) {
      KeepOne(DocumentReader(document, first_line, &builder).Read(), root);
    } else {
      const std::string ended = std::string(document) + "\n";
      KeepOne(DocumentReader(ended, first_line, &builder).Read(), root);
    }
  };
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view whole = text.substr(at, end - at);
    if (whole.starts_with("---")) {
      const auto rest = whole.find_first_not_of(" \t\r\v\f", 3);
      if (rest != std::string_view::npos && whole[rest] != '#') {
        throw Refusal{line + 1, "a line of --- holds nothing else; kubectl refuses it"};
      }
      // The mark before the first document stays with it.
      if (at > begin) {
        read(at);
        begin = std::min(end + 1, text.size());
        first_line = line + 1;
      }
    }
    at = end + 1;
  }
  read(text.size());
}

// What begins like a JSON object is read as one, and what follows it as YAML. What turns out to be
// none is YAML from its beginning.
NodePtr ReadText(std::string_view text, std::string_view file, int source, bool with_lines,
                 const std::string& where, YamlText* result) {
  const auto first = text.find_first_not_of(" \t\r\n\v\f");
  if (first != std::string_view::npos && text[first] == '{') {
    TreeBuilder builder(file, source, with_lines, where, result);
    const std::size_t end = BuildFromJsonText(text, builder);
    if (end > 0) {
      NodePtr root = builder.TakeRoot();
      const std::size_t rest = std::min(text.find_first_not_of(" \t\r", end), text.size());
      const std::size_t begin = rest + (text.substr(rest).starts_with('\n') ? 1 : 0);
      if (begin < text.size()) {
        ReadDocuments(text.substr(begin), LineAt(text, begin) - 1, builder, &root);
      }
      return root;
    }
    *result = {};
  }
  NodePtr root;
  TreeBuilder builder(file, source, with_lines, where, result);
  ReadDocuments(text, 0, builder, &root);
  return root;
}

// A reading that ended as it should, or what ended it.
template <typename Reading>
YamlText Guarded(std::string_view file, bool with_lines, const std::string& where,
                 const Reading& reading) {
  YamlText result;
  const auto fail = [&](int line, std::string message) {
    result.problems.push_back(
        {std::string(file), with_lines ? line : 0, where, std::move(message)});
    result.root = nullptr;
  };
  try {
    result.root = reading(&result);
    if (result.root == nullptr) fail(1, "is empty");
  } catch (const Refusal& refusal) {
    fail(refusal.line, refusal.message);
  } catch (const std::exception& error) {
    fail(0, "cannot be read: " + Printable(error.what()));
  }
  return result;
}

// What Go's encoder writes for a string.
std::size_t JsonBytesOf(std::string_view text) {
  std::size_t bytes = 2 + text.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f') {
      bytes += 1;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == '>' || c == '&') {
      bytes += 5;
    } else if (const auto rest = text.substr(i, 3);
               rest == "\xE2\x80\xA8" || rest == "\xE2\x80\xA9") {
      bytes += 3;
    }
  }
  return bytes;
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
  return Guarded(file, with_lines, where, [&](YamlText* result) {
    if (text.size() > kMaxTextBytes) {
      throw Refusal{0, "is larger than " + std::to_string(kMaxTextBytes >> 20U) + " MiB"};
    }
    if (!IsUtf8(text)) throw Refusal{0, "is not UTF-8 text"};
    if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
      throw Refusal{LineAt(text, nul), "holds a NUL character"};
    }
    return ReadText(text, file, source, with_lines, where, result);
  });
}

YamlText ReadJson(const nlohmann::json& document, std::string_view file) {
  return Guarded(file, false, "", [&](YamlText* result) {
    TreeBuilder builder(file, 0, false, "", result);
    BuildFromJson(document, builder);
    return builder.TakeRoot();
  });
}

std::optional<nlohmann::json> ScalarValue(const Node& scalar) {
  if (!scalar.plain) return nlohmann::json(scalar.text);
  const Resolved value = Resolve(scalar.text);
  switch (value.kind) {
    case Resolved::Kind::kNull:
      return nlohmann::json(nullptr);
    case Resolved::Kind::kBoolean:
      return nlohmann::json(value.boolean);
    case Resolved::Kind::kInteger:
      return SentInteger(value.integer);
    case Resolved::Kind::kFloat:
      return SentNumber(value.number);
    case Resolved::Kind::kText:
      break;
  }
  return nlohmann::json(scalar.text);
}

Result<nlohmann::json> JsonOf(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kScalar: {
      auto value = ScalarValue(node);
      if (!value)
        return Invalid("'" + Printable(node.text) + "' is not a number that JSON can hold");
      return *std::move(value);
    }
    case Node::Kind::kSequence: {
      nlohmann::json list = nlohmann::json::array();
      for (const NodePtr& item : node.items) {
        ELEPHAS_ASSIGN_OR_RETURN(nlohmann::json value, JsonOf(*item));
        list.push_back(std::move(value));
      }
      return list;
    }
    case Node::Kind::kMapping: {
      nlohmann::json object = nlohmann::json::object();
      for (const Entry& entry : node.entries) {
        ELEPHAS_ASSIGN_OR_RETURN(object[entry.key], JsonOf(*entry.value));
      }
      return object;
    }
  }
  return Internal("a node of unknown kind");
}

std::size_t JsonBytes(const Node& node) {
  std::size_t bytes = 0;
  switch (node.kind) {
    case Node::Kind::kScalar: {
      const auto value = ScalarValue(node);
      if (!value) return 0;
      return value->is_string() ? JsonBytesOf(node.text) : value->dump().size();
    }
    case Node::Kind::kSequence:
      for (const NodePtr& item : node.items) bytes += JsonBytes(*item) + 1;
      return 1 + std::max<std::size_t>(bytes, 1);
    case Node::Kind::kMapping:
      for (const Entry& entry : node.entries) {
        bytes += JsonBytesOf(entry.key) + 1 + JsonBytes(*entry.value) + 1;
      }
      return 1 + std::max<std::size_t>(bytes, 1);
  }
  return bytes;
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
