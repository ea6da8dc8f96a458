#include "common/manifest/pod_template_check.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "common/base/ascii.h"
#include "common/manifest/fields.h"
#include "common/manifest/pod_template_schema.h"
#include "common/manifest/suggest.h"
#include "common/storage/mounted_path.h"
#include "common/yaml/yaml_tree.h"

namespace elephas::manifest {

namespace {

using nlohmann::json;
using Kind = PodField::Kind;
using Shape = PodField::Shape;

// A list of ten thousand wrong entries is one mistake.
constexpr std::size_t kMaxProblems = 50;
constexpr char kOurs[] = "is the operator's to set; leave it out";

// What of our pods may be taken away without breaking the job, and has no value that means the
// same.
constexpr std::array<std::string_view, kPlacesWhereNullTakesAway> kRemovable{
    "spec.imagePullSecrets",
    "spec.priorityClassName",
    "spec.securityContext",
    "spec.securityContext.fsGroup",
    "spec.securityContext.runAsGroup",
    "spec.securityContext.runAsUser",
    "spec.securityContext.seccompProfile",
    "spec.tolerations",
    "spec.containers[].livenessProbe",
    "spec.containers[].readinessProbe",
    "spec.containers[].resources",
    "spec.containers[].resources.requests",
    "spec.containers[].resources.requests.{}",
    "spec.containers[].securityContext",
    "spec.containers[].securityContext.capabilities",
};

template <std::size_t count>
bool IsOneOf(std::string_view name, const std::array<std::string_view, count>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Letters, digits, '-', '_' and '.', beginning and ending with a letter or digit.
bool IsLabelText(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabelValue && IsAlphanumeric(text.front()) &&
         IsAlphanumeric(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
           return IsAlphanumeric(c) || c == '-' || c == '_' || c == '.';
         });
}

// A name, or a domain, a slash and a name.
bool IsLabelKey(std::string_view key) {
  const auto slash = key.find('/');
  if (slash == std::string_view::npos) return IsLabelText(key);
  return HasForm(key.substr(0, slash), TextForm::kDnsSubdomain) &&
         IsLabelText(key.substr(slash + 1));
}

// Takes "12", "12.", "12.5" or ".5" off the front.
bool TakeDecimal(std::string_view& text) {
  const auto take_digits = [&] {
    std::size_t count = 0;
    while (count < text.size() && IsDigit(text[count])) ++count;
    text.remove_prefix(count);
    return count > 0;
  };
  const bool whole = take_digits();
  if (!text.starts_with('.')) return whole;
  const std::string_view before = text;
  text.remove_prefix(1);
  if (take_digits() || whole) return true;
  text = before;
  return false;
}

void TakeSign(std::string_view& text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
}

// kQuantityPattern.
bool IsQuantity(std::string_view text) {
  constexpr std::string_view kBinary = "KMGTPE", kDecimal = "numkMGTPE";
  TakeSign(text);
  if (!TakeDecimal(text)) return false;
  if (text.empty()) return true;
  if (text.size() == 2 && text[1] == 'i') return kBinary.find(text[0]) != kBinary.npos;
  if (text.size() == 1) return kDecimal.find(text[0]) != kDecimal.npos;
  if (text[0] != 'e' && text[0] != 'E') return false;
  text.remove_prefix(1);
  TakeSign(text);
  return TakeDecimal(text) && text.empty();
}

// "a list", "the text 'abc'", "3.5": what stands where something else should.
std::string Describe(const json& value) {
  if (value.is_array()) return "a list";
  if (value.is_object()) return "a mapping";
  if (value.is_null()) return "nothing";
  if (value.is_string()) return "the text " + Quoted(value.get_ref<const std::string&>());
  return value.dump();
}

bool IsInteger(const json& value, std::int64_t minimum, std::int64_t maximum) {
  if (value.is_number_unsigned()) {
    return value.get<std::uint64_t>() <= static_cast<std::uint64_t>(maximum);
  }
  return value.is_number_integer() && value.get<std::int64_t>() >= minimum &&
         value.get<std::int64_t>() <= maximum;
}

// Why `value` is not one of the kind; nullopt when it is. Not for kObject.
std::optional<std::string> WhyNot(const PodField& field, const json& value) {
  const auto text = value.is_string() ? value.get_ref<const std::string&>() : std::string();
  switch (field.kind) {
    case Kind::kBoolean:
      if (value.is_boolean()) return std::nullopt;
      return "must be true or false, not " + Describe(value);
    case Kind::kInt32:
    case Kind::kInt64: {
      using Int32 = std::numeric_limits<std::int32_t>;
      using Int64 = std::numeric_limits<std::int64_t>;
      const bool small = field.kind == Kind::kInt32;
      if (!value.is_number_integer()) return "must be an integer, not " + Describe(value);
      if (IsInteger(value, small ? Int32::min() : Int64::min(),
                    small ? Int32::max() : Int64::max())) {
        return std::nullopt;
      }
      return "must be an integer of " + std::string(small ? "32" : "64") + " bits, not " +
             Describe(value);
    }
    case Kind::kQuantity:
      if (value.is_number_integer() || (value.is_string() && IsQuantity(text))) return std::nullopt;
      return "must be an amount such as 2, 500m or 1Gi, not " + Describe(value) +
             (value.is_number() ? "; put it in quotes" : "");
    case Kind::kIntOrText:
      if (value.is_number_integer() || value.is_string()) return std::nullopt;
      return "must be an integer or text, not " + Describe(value);
    case Kind::kText:
    case Kind::kObject:
      break;
  }
  if (value.is_string()) return std::nullopt;
  return "must be text, not " + Describe(value) +
         (value.is_primitive() && !value.is_null() ? "; put it in quotes" : "");
}

std::string WordsText(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (word.empty()) continue;
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

class TemplateCheck {
 public:
  explicit TemplateCheck(std::string_view container) : container_(container) {}

  std::vector<TemplateProblem> Run(json& pod_template) {
    Object(PodTemplateType(), pod_template);
    Metadata(pod_template);
    Spec(pod_template);
    return std::move(problems_);
  }

 private:
  struct Step {
    std::string key;
    Shape shape;  // kOne: a field; kList: an index; kMap: a key of a mapping from text
  };
  // A step that is taken back at the end of the scope.
  class At {
   public:
    At(TemplateCheck& check, std::string_view key, Shape shape = Shape::kOne) : check_(check) {
      check_.steps_.push_back({std::string(key), shape});
    }
    At(TemplateCheck& check, std::size_t index) : At(check, std::to_string(index), Shape::kList) {}
    At(const At&) = delete;
    At& operator=(const At&) = delete;
    ~At() { check_.steps_.pop_back(); }

   private:
    TemplateCheck& check_;
  };

  void Fail(std::string message) {
    if (problems_.size() > kMaxProblems) return;
    TemplateProblem problem;
    for (const Step& step : steps_) {
      problem.steps.push_back(step.key);
      if (step.shape == Shape::kList) {
        problem.path.append("[").append(step.key).append("]");
      } else {
        problem.path = JoinPath(problem.path, step.key);
      }
    }
    const bool last = problems_.size() == kMaxProblems;
    problem.message = last ? "and more is wrong with this template" : std::move(message);
    problems_.push_back(std::move(problem));
  }
  void FailAt(std::string_view key, std::string message) {
    const At at(*this, key);
    Fail(std::move(message));
  }

  // Where we are, as NullTakesAway() takes it.
  [[nodiscard]] std::string Pattern() const {
    std::string pattern;
    for (const Step& step : steps_) {
      if (step.shape == Shape::kList) {
        pattern += "[]";
        continue;
      }
      if (!pattern.empty()) pattern += '.';
      pattern += step.shape == Shape::kMap ? "{}" : step.key;
    }
    return pattern;
  }

  // --- Kubernetes' types ---

  void Object(const PodType& type, json& object) {
    if (!object.is_object()) return Fail("must be a mapping, not " + Describe(object));
    for (auto entry = object.begin(); entry != object.end();) {
      const PodField* field = type.Find(entry.key());
      const At at(*this, entry.key());
      if (field == nullptr) {
        Fail(UnknownField(type, entry.key()));
      } else if (entry->is_null()) {
        if (!NullTakesAway(Pattern())) {
          entry = object.erase(entry);
          continue;
        }
      } else {
        Field(*field, *entry);
      }
      ++entry;
    }
    for (const PodField& field : type.fields) {
      if (field.required && !object.contains(field.name) && IsNeeded(type, field)) {
        FailAt(field.name, "is required");
      }
    }
  }

  // Ours is there already, and a lone container without a name is ours.
  [[nodiscard]] bool IsNeeded(const PodType& type, const PodField& field) const {
    if (type.name == "PodSpec") return field.name != "containers";
    return type.name != "Container" || field.name != "name" ||
           steps_[steps_.size() - 2].key != "containers";
  }

  void Field(const PodField& field, json& value) {
    switch (field.shape) {
      case Shape::kOne:
        return Value(field, value);
      case Shape::kList:
        if (!value.is_array()) return Fail("must be a list, not " + Describe(value));
        for (std::size_t i = 0; i < value.size(); ++i) {
          const At at(*this, i);
          Value(field, value[i]);
        }
        return;
      case Shape::kMap:
        if (!value.is_object()) return Fail("must be a mapping, not " + Describe(value));
        for (auto entry = value.begin(); entry != value.end();) {
          const At at(*this, entry.key(), Shape::kMap);
          if (!entry->is_null()) {
            Value(field, *entry);
          } else if (!NullTakesAway(Pattern())) {
            entry = value.erase(entry);
            continue;
          }
          ++entry;
        }
    }
  }

  void Value(const PodField& field, json& value) {
    if (field.kind == Kind::kObject) return Object(*field.type, value);
    if (auto why = WhyNot(field, value)) return Fail(*std::move(why));
    if (field.words.empty()) return;
    // An empty word is one that was left out.
    const auto& word = value.get_ref<const std::string&>();
    if (word.empty() ||
        std::find(field.words.begin(), field.words.end(), word) != field.words.end()) {
      return;
    }
    std::string message = "must be one of " + WordsText(field.words) + ", not " + Quoted(word);
    const std::vector<std::string_view> words(field.words.begin(), field.words.end());
    if (const auto near = Nearest(word, words)) {
      message.append("; did you mean '").append(*near).append("'?");
    }
    Fail(std::move(message));
  }

  // The nearest name, or the same name one level below: fields of a container stand in the spec,
  // and those of the spec in the template, when the indentation is wrong.
  [[nodiscard]] std::string UnknownField(const PodType& type, const std::string& name) const {
    std::vector<std::string_view> siblings;
    std::string below;
    for (const PodField& field : type.fields) {
      siblings.push_back(field.name);
      if (below.empty() && field.kind == Kind::kObject && field.type->Find(name) != nullptr &&
          (field.name == "spec" || field.name == "containers")) {
        below = field.name + (field.shape == Shape::kList ? "[]." : ".") + name;
      }
    }
    if (!below.empty()) return "unknown field; did you mean " + below + "?";
    const auto near = Nearest(name, siblings);
    if (!near) return "unknown field";
    return "unknown field; did you mean '" + std::string(*near) + "'?";
  }

  // --- what is ours ---

  // The member, if it is of the type; its type has been checked otherwise.
  static const json* Member(const json& object, std::string_view name, json::value_t type) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(name);
    return found == object.end() || found->type() != type ? nullptr : &*found;
  }
  static std::string_view TextOf(const json& object, std::string_view name) {
    const json* text = Member(object, name, json::value_t::string);
    return text == nullptr ? std::string_view() : text->get_ref<const std::string&>();
  }

  void Metadata(const json& pod_template) {
    const json* metadata = Member(pod_template, "metadata", json::value_t::object);
    if (metadata == nullptr) return;
    const At at(*this, "metadata");
    for (const auto& [name, value] : metadata->items()) {
      const At field(*this, name);
      if (name == "labels" || name == "annotations") {
        Labels(name == "labels", value);
      } else if (PodTemplateType().Find("metadata")->type->Find(name) != nullptr) {
        Fail(kOurs);
      }
    }
  }

  void Labels(bool labels, const json& map) {
    if (!map.is_object()) return;
    AtMost(kMaxLabels, map);
    for (const auto& [key, value] : map.items()) {
      const At at(*this, key, Shape::kMap);
      if (key.starts_with(kOurLabelPrefix) || IsOneOf(key, kOurLabels)) {
        Fail(kOurs);
      } else if (!IsLabelKey(key)) {
        Fail(
            "is no key that Kubernetes takes: letters, digits, '-', '_' and '.', at most 63, "
            "after a domain and '/' if you like");
      } else if (labels && value.is_string()) {
        const auto& text = value.get_ref<const std::string&>();
        if (!text.empty() && !IsLabelText(text)) {
          Fail(
              "must be letters, digits, '-', '_' and '.', at most 63, beginning and ending with "
              "a letter or digit, not " +
              Quoted(text));
        }
      }
    }
  }

  void Spec(const json& pod_template) {
    const json* spec = Member(pod_template, "spec", json::value_t::object);
    if (spec == nullptr) return;
    const At at(*this, "spec");
    for (const std::string_view name : kOursInSpec) {
      if (spec->contains(name)) FailAt(name, kOurs);
    }
    Each(*spec, "volumes", kMaxVolumes, [&](const json& volume) {
      if (IsOneOf(TextOf(volume, "name"), kOurVolumes)) FailAt("name", TakeAnother(volume, "name"));
    });
    const json* containers = Member(*spec, "containers", json::value_t::array);
    const bool lone = containers != nullptr && containers->size() == 1;
    Each(*spec, "containers", kMaxContainers, [&](const json& container) {
      if (!container.is_object()) return;
      const bool named = container.contains("name");
      if (!named && !lone) {
        FailAt("name", "is required where there are several containers; ours is '" +
                           std::string(container_) + "'");
      }
      if (TextOf(container, "name") == container_ || (!named && lone)) Container(container);
    });
  }

  void Container(const json& container) {
    for (const std::string_view name : kOursInContainer) {
      if (container.contains(name)) FailAt(name, kOurs);
    }
    Each(container, "env", kMaxVariables, [&](const json& variable) {
      if (IsOneOf(TextOf(variable, "name"), kOurVariables)) {
        FailAt("name", TakeAnother(variable, "name"));
      }
    });
    Each(container, "volumeMounts", kMaxMounts, [&](const json& mount) {
      if (IsOneOf(NormalPath(TextOf(mount, "mountPath")), kOurMounts)) {
        FailAt("mountPath", TakeAnother(mount, "mountPath"));
      }
    });
  }

  static std::string TakeAnother(const json& entry, std::string_view name) {
    return Quoted(TextOf(entry, name)) + " is the operator's; take another";
  }

  template <typename Check>
  void Each(const json& object, std::string_view name, std::size_t most, const Check& check) {
    const json* list = Member(object, name, json::value_t::array);
    if (list == nullptr) return;
    const At at(*this, name);
    AtMost(most, *list);
    for (std::size_t i = 0; i < list->size(); ++i) {
      const At entry(*this, i);
      check((*list)[i]);
    }
  }

  void AtMost(std::size_t most, const json& entries) {
    if (entries.size() <= most) return;
    Fail("must have at most " + std::to_string(most) + " entries, not " +
         std::to_string(entries.size()));
  }

  std::string_view container_;
  std::vector<Step> steps_;
  std::vector<TemplateProblem> problems_;
};

}  // namespace

bool NullTakesAway(std::string_view pattern) { return IsOneOf(pattern, kRemovable); }

std::vector<TemplateProblem> CheckPodTemplate(json& pod_template, std::string_view container) {
  return TemplateCheck(container).Run(pod_template);
}

}  // namespace elephas::manifest
