#include "common/manifest/check.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "common/manifest/fields.h"
#include "common/manifest/pod_template_check.h"
#include "common/manifest/suggest.h"

namespace elephas::manifest {

namespace {

using nlohmann::json;

bool IsNull(const NodePtr& node) {
  return node == nullptr || (node->kind == Node::Kind::kScalar && node->plain && [&] {
           const auto value = ScalarValue(*node);
           return value.has_value() && value->is_null();
         }());
}

// "a list", "the text 'abc'", "3.5": what stands where something else should.
std::string Describe(const Node& node) {
  if (node.kind == Node::Kind::kSequence) return "a list";
  if (node.kind == Node::Kind::kMapping) return "a mapping";
  const auto value = ScalarValue(node);
  if (value.has_value() && value->is_string()) return "the text " + Quoted(node.text);
  if (value.has_value() && value->is_boolean() && value->dump() != node.text) {
    return Printable(node.text) + ", which is YAML for " + value->dump();
  }
  return node.text.empty() ? "nothing" : Printable(node.text);
}

std::string NumberText(double value) {
  return std::abs(value) < 1e15 && value == std::floor(value)
             ? std::to_string(static_cast<std::int64_t>(value))
             : json(value).dump();
}

// Of UTF-8 text, as a cluster counts them.
std::size_t CharacterCount(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string RangeText(const FieldInfo& field) {
  if (std::isinf(field.maximum)) return "must be at least " + NumberText(field.minimum);
  return "must be at least " + NumberText(field.minimum) +
         (field.below_maximum ? " and less than " : " and at most ") + NumberText(field.maximum);
}

class Checker {
 public:
  Checked Run(const Node& root) {
    if (root.kind != Node::Kind::kMapping) {
      Fail(root.place, "",
           "must be a mapping with apiVersion, kind, metadata and spec, not " + Describe(root));
      return std::move(checked_);
    }
    checked_.places[""] = root.place;
    checked_.document = Section("", &root, root.place);
    return std::move(checked_);
  }

 private:
  void Fail(Place place, std::string_view path, std::string message) {
    checked_.Add({place, std::string(path), std::move(message)});
  }

  // `node` null: nobody wrote the section; defaults and required fields below it still count.
  json Section(std::string_view path, const Node* node, Place place) {
    json out = json::object();
    if (node != nullptr && node->kind != Node::Kind::kMapping) {
      Fail(place, path, "must be a mapping, not " + Describe(*node));
      return out;
    }
    std::map<std::string_view, const Entry*> written;
    if (node != nullptr) {
      for (const Entry& entry : node->entries) {
        // A key with a dot is no path.
        if (entry.key.find('.') != std::string::npos ||
            FindField(JoinPath(path, entry.key)) == nullptr) {
          UnknownField(path, entry);
        } else {
          written[entry.key] = &entry;
          checked_.places[JoinPath(path, entry.key)] = entry.place;
        }
      }
    }
    for (const FieldInfo& field : ManifestFields()) {
      if (ParentPath(field.path) != path) continue;
      const auto found = written.find(LastPart(field.path));
      const Entry* entry = found == written.end() ? nullptr : found->second;
      json value = Field(field, entry != nullptr && !IsNull(entry->value) ? entry : nullptr,
                         entry != nullptr ? entry->place : place);
      if (!value.is_null()) out[std::string(LastPart(field.path))] = std::move(value);
    }
    return out;
  }

  json Field(const FieldInfo& field, const Entry* entry, Place place) {
    if (field.type == FieldType::kSection) {
      if (entry == nullptr && !field.required) return nullptr;
      return Section(field.path, entry == nullptr ? nullptr : entry->value.get(), place);
    }
    if (entry == nullptr) {
      if (field.required) Fail(place, field.path, "is required");
      return field.default_json.empty() ? json(nullptr) : json::parse(field.default_json);
    }
    return Leaf(field, *entry);
  }

  void UnknownField(std::string_view section, const Entry& entry) {
    // Looking for what was meant costs more than all else here.
    if (checked_.problems.size() >= kMaxProblems) {
      ++checked_.untold;
      return;
    }
    std::vector<std::string_view> siblings, elsewhere;
    for (const FieldInfo& field : ManifestFields()) {
      if (ParentPath(field.path) == section) {
        siblings.push_back(LastPart(field.path));
      } else if (WordDistance(LastPart(field.path), entry.key) == 0) {
        elsewhere.push_back(field.path);
      }
    }
    std::string message = "unknown field";
    const auto near = Nearest(entry.key, siblings);
    // The same name elsewhere is a better guess than a sibling that only looks similar.
    if (!elsewhere.empty() && !(near && WordDistance(*near, entry.key) == 0)) {
      message += "; did you mean " + std::string(elsewhere.front()) + "?";
    } else if (near) {
      message += "; did you mean '" + std::string(*near) + "'?";
    }
    Fail(entry.place, JoinPath(section, entry.key), std::move(message));
  }

  json Leaf(const FieldInfo& field, const Entry& entry) {
    const Node& node = *entry.value;
    switch (field.type) {
      case FieldType::kText:
      case FieldType::kUri:
        return Text(field, entry);
      case FieldType::kInteger:
      case FieldType::kNumber:
        return Number(field, entry);
      case FieldType::kBoolean:
        return Boolean(field, entry);
      case FieldType::kWord:
        return OneWord(field, entry);
      case FieldType::kNames:
        return Names(field, entry);
      case FieldType::kTextMap:
        return TextMap(field, entry);
      case FieldType::kWeights:
        return Weights(field, entry);
      case FieldType::kObject:
        if (node.kind != Node::Kind::kMapping) {
          Fail(entry.place, field.path, "must be a mapping, not " + Describe(node));
          return nullptr;
        }
        if (node.entries.empty()) {
          Fail(entry.place, field.path, "is empty");
          return nullptr;
        }
        return Anything(field.path, node);
      case FieldType::kPodTemplate:
        return PodTemplate(field, entry);
      case FieldType::kAny:
        return Anything(field.path, node);
      case FieldType::kSection:
        break;
    }
    return nullptr;
  }

  json PodTemplate(const FieldInfo& field, const Entry& entry) {
    if (entry.value->kind != Node::Kind::kMapping) {
      Fail(entry.place, field.path, "must be a mapping, not " + Describe(*entry.value));
      return nullptr;
    }
    const std::size_t before = checked_.problems.size();
    json out = Anything(field.path, *entry.value);
    if (checked_.problems.size() > before) return nullptr;
    const bool workers = field.path == "spec.workers.template";
    for (TemplateProblem& problem :
         CheckPodTemplate(out, workers ? names::kWorker : names::kParamserver)) {
      std::string path(field.path);
      if (!problem.path.empty()) path.append(".").append(problem.path);
      checked_.problems.push_back(
          {PlaceOf(entry, problem.steps), std::move(path), std::move(problem.message)});
    }
    if (out.empty()) Fail(entry.place, field.path, "is empty");
    return out;
  }

  // The place of what stands at the end of the steps, or of the last of them that was written.
  static Place PlaceOf(const Entry& from, const std::vector<std::string>& steps) {
    Place place = from.place;
    const Node* node = from.value.get();
    for (const std::string& step : steps) {
      if (node->kind == Node::Kind::kSequence) {
        std::size_t index = 0;
        const char* end = step.data() + step.size();
        if (std::from_chars(step.data(), end, index).ptr != end || index >= node->items.size()) {
          break;
        }
        node = node->items[index].get();
        place = node->place;
        continue;
      }
      const auto entry = std::find_if(node->entries.begin(), node->entries.end(),
                                      [&](const Entry& each) { return each.key == step; });
      if (entry == node->entries.end()) break;
      place = entry->place;
      node = entry->value.get();
    }
    return place;
  }

  json Text(const FieldInfo& field, const Entry& entry) {
    const Node& node = *entry.value;
    if (field.may_be_empty && node.kind == Node::Kind::kScalar && !node.plain &&
        node.text.empty()) {
      return nullptr;
    }
    auto text = TextAt(field.path, *entry.value, entry.place);
    if (!text) return nullptr;
    if (field.type == FieldType::kUri) {
      if (const auto resolved = ResolveUri(*text, "/"); !resolved.ok()) {
        Fail(entry.place, field.path, resolved.status().message());
        return nullptr;
      }
    }
    if (!HasForm(*text, field.form)) {
      Fail(entry.place, field.path, std::string(FormWords(field.form)) + ", not " + Quoted(*text));
      return nullptr;
    }
    return *std::move(text);
  }

  std::optional<std::string> TextAt(std::string_view path, const Node& node, Place place) {
    const auto value = node.kind == Node::Kind::kScalar ? ScalarValue(node) : std::nullopt;
    const bool control = std::any_of(node.text.begin(), node.text.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
    if (!value || !value->is_string()) {
      const bool scalar = node.kind == Node::Kind::kScalar;
      Fail(place, path,
           "must be text, not " + Describe(node) +
               (scalar && !node.text.empty() ? "; put it in quotes" : ""));
    } else if (node.text.empty()) {
      Fail(place, path, "must not be empty");
    } else if (CharacterCount(node.text) > kMaxTextLength) {
      Fail(place, path, "must have at most " + std::to_string(kMaxTextLength) + " characters");
    } else if (control) {
      Fail(place, path, "must not hold control characters");
    } else {
      return node.text;
    }
    return std::nullopt;
  }

  json Number(const FieldInfo& field, const Entry& entry) {
    const Node& node = *entry.value;
    const bool integer = field.type == FieldType::kInteger;
    const auto value = node.kind == Node::Kind::kScalar ? ScalarValue(node) : std::nullopt;
    if (!value || !(integer ? value->is_number_integer() : value->is_number())) {
      Node unquoted = node;
      unquoted.plain = true;
      const auto meant = value && value->is_string() && !node.plain ? ScalarValue(unquoted) : value;
      const bool only_quotes = meant && value && value->is_string() &&
                               (integer ? meant->is_number_integer() : meant->is_number());
      Fail(entry.place, field.path,
           std::string(integer ? "must be an integer, not " : "must be a number, not ") +
               Describe(node) + (only_quotes ? "; write it without quotes" : ""));
      return nullptr;
    }
    const double number = value->get<double>();
    if (number < field.minimum || number > field.maximum ||
        (field.below_maximum && number >= field.maximum)) {
      Fail(entry.place, field.path,
           number < field.minimum && !field.below_maximum
               ? "must be at least " + NumberText(field.minimum)
               : RangeText(field));
      return nullptr;
    }
    return integer ? *value : json(number);
  }

  json Boolean(const FieldInfo& field, const Entry& entry) {
    const Node& node = *entry.value;
    const auto value = node.kind == Node::Kind::kScalar ? ScalarValue(node) : std::nullopt;
    if (value && value->is_boolean()) return *value;
    Fail(entry.place, field.path, "must be true or false, not " + Describe(node));
    return nullptr;
  }

  json OneWord(const FieldInfo& field, const Entry& entry) {
    const Node& node = *entry.value;
    const bool scalar = node.kind == Node::Kind::kScalar;
    if (scalar &&
        std::find(field.words.begin(), field.words.end(), node.text) != field.words.end()) {
      return node.text;
    }
    std::string message = "must be one of ";
    for (const std::string_view word : field.words) {
      if (word != field.words.front()) message += ", ";
      message += word;
    }
    message += ", not " + (scalar ? Quoted(node.text) : Describe(node));
    if (const auto near = scalar ? Nearest(node.text, field.words) : std::nullopt) {
      message += "; did you mean '" + std::string(*near) + "'?";
    }
    Fail(entry.place, field.path, std::move(message));
    return nullptr;
  }

  // null for an empty list or mapping: nothing was named.
  json Names(const FieldInfo& field, const Entry& entry) {
    const Node& node = *entry.value;
    json out;
    std::set<std::string> seen;
    switch (node.kind) {
      case Node::Kind::kScalar:
        if (auto name = TextAt(field.path, node, entry.place)) out.push_back(*std::move(name));
        break;
      case Node::Kind::kSequence:
        for (std::size_t i = 0; i < node.items.size(); ++i) {
          const Node& item = *node.items[i];
          const std::string path = std::string(field.path) + "[" + std::to_string(i) + "]";
          auto name = TextAt(path, item, item.place);
          if (name && !seen.insert(*name).second)
            Fail(item.place, path, "names " + Quoted(*name) + " twice");
          if (name) out.push_back(*std::move(name));
        }
        break;
      case Node::Kind::kMapping:
        for (const Entry& item : node.entries) {
          if (auto name = TextAt(JoinPath(field.path, item.key), *item.value, item.place)) {
            out[item.key] = *std::move(name);
          }
        }
        break;
    }
    return out;
  }

  json TextMap(const FieldInfo& field, const Entry& entry) {
    if (entry.value->kind != Node::Kind::kMapping) {
      Fail(entry.place, field.path, "must be a mapping, not " + Describe(*entry.value));
      return nullptr;
    }
    json out = json::object();
    for (const Entry& item : entry.value->entries) {
      const Node& node = *item.value;
      const auto value = node.kind == Node::Kind::kScalar ? ScalarValue(node) : std::nullopt;
      checked_.places.emplace(JoinPath(field.path, item.key), item.place);
      if (value && (value->is_string() || value->is_null())) {
        out[item.key] = value->is_null() ? "" : node.text;
      } else {
        Fail(item.place, JoinPath(field.path, item.key),
             "must be text, not " + Describe(node) + "; put it in quotes");
      }
    }
    return out;
  }

  // Which keys are class indices is a rule of its own. A null counts as left out, as on a cluster.
  json Weights(const FieldInfo& field, const Entry& entry) {
    if (entry.value->kind != Node::Kind::kMapping) {
      Fail(entry.place, field.path, "must be a mapping, not " + Describe(*entry.value));
      return nullptr;
    }
    json out = json::object();
    std::size_t wrong = 0;
    for (const Entry& item : entry.value->entries) {
      if (IsNull(item.value)) continue;
      const Node& node = *item.value;
      const auto value = node.kind == Node::Kind::kScalar ? ScalarValue(node) : std::nullopt;
      const bool weighs = value && value->is_number() && value->get<double>() >= 0;
      if (!weighs && ++wrong <= kMostReports) {
        Fail(item.place, JoinPath(field.path, item.key), "must be a number that is not negative");
      }
      out[item.key] = weighs ? *value : json(0);
    }
    if (wrong > kMostReports) {
      Fail(entry.place, field.path,
           "and " + std::to_string(wrong - kMostReports) + " more like these");
    }
    if (out.empty()) Fail(entry.place, field.path, "is empty");
    if (out.size() > kMaxWeights) {
      Fail(entry.place, field.path,
           "must have at most " + std::to_string(kMaxWeights) + " entries");
    }
    return wrong > 0 || out.empty() ? json(nullptr) : out;
  }

  // A place below a field; its text is made only for what is wrong there.
  struct Step {
    const Step* above = nullptr;
    std::string_view key = {};
    std::size_t index = 0;  // where there is no key
    [[nodiscard]] std::string Path(std::string_view field) const {
      if (above == nullptr) return std::string(field);
      std::string path = above->Path(field);
      if (key.data() != nullptr) return JoinPath(path, key);
      path += "[" + std::to_string(index) + "]";
      return path;
    }
  };

  json Anything(std::string_view field, const Node& node) { return Anything(field, Step(), node); }

  json Anything(std::string_view field, const Step& step, const Node& node) {
    switch (node.kind) {
      case Node::Kind::kScalar: {
        auto value = ScalarValue(node);
        if (!value) {
          Fail(node.place, step.Path(field),
               Printable(node.text) + " is not a number that JSON can hold");
          return nullptr;
        }
        return *std::move(value);
      }
      case Node::Kind::kSequence: {
        json out = json::array();
        out.get_ref<json::array_t&>().reserve(node.items.size());
        for (const NodePtr& item : node.items) {
          out.push_back(Anything(field, {&step, {}, out.size()}, *item));
        }
        return out;
      }
      case Node::Kind::kMapping:
        break;
    }
    json out = json::object();
    for (const Entry& entry : node.entries) {
      out[entry.key] = Anything(field, {&step, entry.key}, *entry.value);
    }
    return out;
  }

  Checked checked_;
};

// At most about `most` bytes, in whole characters.
std::string Bounded(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
  text.resize(most);
  return text + "…";
}

bool IsBelow(std::string_view path, std::string_view ancestor) {
  return ancestor.empty() || (path.starts_with(ancestor) &&
                              (path.size() == ancestor.size() || path[ancestor.size()] == '.' ||
                               path[ancestor.size()] == '['));
}

}  // namespace

const json& Checked::Get(std::string_view path) const {
  static const json kNull;
  const json* value = &document;
  while (!path.empty()) {
    const auto dot = path.find('.');
    if (!value->is_object()) return kNull;
    const auto found = value->find(path.substr(0, dot));
    if (found == value->end()) return kNull;
    value = &*found;
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return *value;
}

bool Checked::IsWrong(std::string_view path) const {
  return std::any_of(problems.begin(), problems.end(), [&](const LocatedProblem& problem) {
    return IsBelow(problem.path, path) || IsBelow(path, problem.path);
  });
}

void Checked::Add(LocatedProblem problem) {
  // A path is as long as the keys on it; the message may quote what was written.
  constexpr std::size_t kLongestPath = 512, kLongestMessage = 1024;
  if (problems.size() < kMaxProblems) {
    problem.path = Bounded(std::move(problem.path), kLongestPath);
    problem.message = Bounded(std::move(problem.message), kLongestMessage);
    problems.push_back(std::move(problem));
  } else {
    ++untold;
  }
}

void Checked::Report(std::string_view path, std::string message) {
  std::string_view at = path;
  while (!at.empty() && !places.contains(at)) at = ParentPath(at);
  Add({places[std::string(at)], std::string(path), std::move(message)});
}

Checked CheckFields(const Node& root) { return Checker().Run(root); }

}  // namespace elephas::manifest
