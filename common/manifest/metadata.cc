#include "common/manifest/metadata.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/base/ascii.h"
#include "common/manifest/fields.h"
#include "common/yaml/scalar.h"

namespace elephas::manifest {

namespace {

using nlohmann::json;

constexpr std::size_t kLongestName = 63;  // of a label's value and of a key behind its prefix
constexpr std::size_t kRandomLength = 5;  // what a cluster puts behind generateName

// Letters, digits, '-', '_' and '.', with a letter or digit at both ends.
bool IsName(std::string_view name) {
  const auto inner = [](char c) {
    return IsLetter(c) || IsDigit(c) || c == '-' || c == '_' || c == '.';
  };
  const auto outer = [](char c) { return IsLetter(c) || IsDigit(c); };
  return !name.empty() && outer(name.front()) && outer(name.back()) &&
         std::all_of(name.begin(), name.end(), inner);
}

bool IsDnsName(std::string_view name) { return HasForm(name, TextForm::kDnsSubdomain); }

void Name(Checked& checked) {
  constexpr std::string_view kPrefix = "metadata.generateName";
  if (checked.IsWrong("metadata.name") || checked.IsWrong(kPrefix)) return;
  const json& name = checked.Get("metadata.name");
  const json& prefix = checked.Get(kPrefix);
  if (name.is_null() && prefix.is_null()) checked.Report("metadata.name", "is required");
  if (!prefix.is_string()) return;
  // What the cluster appends begins with a letter or digit, so a '-' may end the prefix.
  std::string name_like = prefix.get<std::string>();
  const bool makes_a_name = IsDnsName(name_like + "x");
  if (name_like.size() > 1 && name_like.back() == '-') {
    name_like.replace(name_like.size() - 2, 2, "a");
  }
  if (!makes_a_name || !IsDnsName(name_like)) {
    checked.Report(kPrefix,
                   "must be lower-case letters, digits, '-' and '.', beginning with a letter or "
                   "digit, not '" +
                       Printable(prefix.get_ref<const std::string&>()) + "'");
  } else if (name.is_null() &&
             prefix.get_ref<const std::string&>().size() + kRandomLength > kMaxNameLength) {
    checked.Report(kPrefix, "must have at most " + std::to_string(kMaxNameLength - kRandomLength) +
                                " characters, so that the names of its pods fit");
  }
}

void Labels(Checked& checked) {
  const json& labels = checked.Get("metadata.labels");
  if (!labels.is_object()) return;
  for (const auto& [key, value] : labels.items()) {
    const std::string path = JoinPath("metadata.labels", key);
    if (const auto problem = QualifiedNameProblem(key); !problem.empty()) {
      checked.Report(path, "is no key of a label: " + std::string(problem));
    }
    if (const auto problem = LabelValueProblem(value.get_ref<const std::string&>());
        !problem.empty()) {
      checked.Report(path, "'" + Printable(value.get_ref<const std::string&>()) +
                               "' is no value of a label: " + std::string(problem));
    }
  }
}

void Annotations(Checked& checked) {
  const json& annotations = checked.Get("metadata.annotations");
  if (!annotations.is_object()) return;
  std::size_t bytes = 0;
  for (const auto& [key, value] : annotations.items()) {
    bytes += key.size() + value.get_ref<const std::string&>().size();
    std::string lower = key;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (const auto problem = QualifiedNameProblem(lower); !problem.empty()) {
      checked.Report(JoinPath("metadata.annotations", key),
                     "is no key of an annotation: " + std::string(problem));
    }
  }
  if (bytes > kMaxAnnotationBytes) {
    checked.Report("metadata.annotations", "have " + std::to_string(bytes) +
                                               " bytes together; Kubernetes takes " +
                                               std::to_string(kMaxAnnotationBytes));
  }
}

// "2026-11-30T12:00:00Z"
bool IsTime(const json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kShape.size() || !IsTimestamp(text)) return false;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == 'd' ? !IsDigit(text[i]) : kShape[i] != text[i]) return false;
  }
  return true;
}

enum class MemberType : std::uint8_t { kText, kInteger, kTruth, kTime, kMapping };

// Null says nothing; it fits everything.
bool Fits(const json& value, MemberType type) {
  if (value.is_null()) return true;
  switch (type) {
    case MemberType::kText:
      return value.is_string();
    case MemberType::kInteger:
      return value.is_number_integer();
    case MemberType::kTruth:
      return value.is_boolean();
    case MemberType::kTime:
      return IsTime(value);
    case MemberType::kMapping:
      return value.is_object();
  }
  return false;
}

std::string_view Demand(MemberType type) {
  switch (type) {
    case MemberType::kText:
      return "must be text; put it in quotes";
    case MemberType::kInteger:
      return "must be an integer";
    case MemberType::kTruth:
      return "must be true or false";
    case MemberType::kTime:
      return "must be a time like 2026-11-30T12:00:00Z";
    case MemberType::kMapping:
      break;
  }
  return "must be a mapping";
}

struct Member {
  std::string_view name;
  MemberType type = MemberType::kText;
  bool required = false;  // and not empty
};

constexpr std::array kClusterFields{
    Member{"uid"},
    Member{"resourceVersion"},
    Member{"selfLink"},
    Member{"generation", MemberType::kInteger},
    Member{"deletionGracePeriodSeconds", MemberType::kInteger},
    Member{"creationTimestamp", MemberType::kTime},
    Member{"deletionTimestamp", MemberType::kTime},
};
constexpr std::array kOwner{
    Member{"apiVersion", MemberType::kText, true}, Member{"kind", MemberType::kText, true},
    Member{"name", MemberType::kText, true},       Member{"uid", MemberType::kText, true},
    Member{"controller", MemberType::kTruth},      Member{"blockOwnerDeletion", MemberType::kTruth},
};
constexpr std::array kManager{
    Member{"manager"},     Member{"operation"},
    Member{"apiVersion"},  Member{"time", MemberType::kTime},
    Member{"fieldsType"},  Member{"fieldsV1", MemberType::kMapping},
    Member{"subresource"},
};

void ClusterFields(Checked& checked) {
  for (const Member& field : kClusterFields) {
    const std::string path = JoinPath("metadata", field.name);
    const json& value = checked.Get(path);
    if (!Fits(value, field.type)) checked.Report(path, std::string(Demand(field.type)));
  }
  const json& generation = checked.Get("metadata.generation");
  if (generation.is_number_integer() && generation < 0) {
    checked.Report("metadata.generation", "must be at least 0");
  }
}

void Finalizers(Checked& checked) {
  const json& finalizers = checked.Get("metadata.finalizers");
  if (!finalizers.is_null() && !finalizers.is_array()) {
    checked.Report("metadata.finalizers", "must be a list");
  }
  if (!finalizers.is_array()) return;
  bool orphans = false, foreground = false;
  for (const json& finalizer : finalizers) {
    const bool text = finalizer.is_string();
    const std::string name = text ? finalizer.get<std::string>() : "";
    orphans = orphans || name == "orphan";
    foreground = foreground || name == "foregroundDeletion";
    const auto problem = QualifiedNameProblem(name);
    if (!text || !problem.empty()) {
      checked.Report("metadata.finalizers",
                     "'" + Printable(text ? name : finalizer.dump()) +
                         "' is no finalizer: " + std::string(text ? problem : "it must be text"));
    }
  }
  if (orphans && foreground) {
    checked.Report("metadata.finalizers", "takes only one of orphan and foregroundDeletion");
  }
}

// A list of mappings that have these members and no others.
template <std::size_t count>
void ListOf(Checked& checked, std::string_view path, const std::array<Member, count>& members) {
  const json& list = checked.Get(path);
  if (!list.is_null() && !list.is_array()) checked.Report(path, "must be a list");
  if (!list.is_array()) return;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string at = std::string(path) + "[" + std::to_string(i) + "]";
    if (!list[i].is_object()) {
      checked.Report(at, "must be a mapping");
      continue;
    }
    for (const Member& member : members) {
      const auto found = list[i].find(member.name);
      const bool given = found != list[i].end();
      if (given && !Fits(*found, member.type)) {
        checked.Report(JoinPath(at, member.name), std::string(Demand(member.type)));
      } else if (member.required && (!given || found->is_null() || *found == "")) {
        checked.Report(JoinPath(at, member.name), "is required");
      }
    }
    for (const auto& [key, value] : list[i].items()) {
      if (std::none_of(members.begin(), members.end(),
                       [&key = key](const Member& member) { return member.name == key; })) {
        checked.Report(JoinPath(at, key), "unknown field");
      }
    }
  }
}

void OneController(Checked& checked) {
  const json& owners = checked.Get("metadata.ownerReferences");
  if (!owners.is_array()) return;
  const auto controls = [](const json& owner) {
    return owner.is_object() && owner.contains("controller") && owner["controller"] == true;
  };
  if (std::count_if(owners.begin(), owners.end(), controls) > 1) {
    checked.Report("metadata.ownerReferences", "takes only one owner with controller: true");
  }
}

}  // namespace

std::string_view QualifiedNameProblem(std::string_view key) {
  if (const auto slash = key.find('/'); slash != std::string_view::npos) {
    if (!IsDnsName(key.substr(0, slash))) {
      return "before the '/' there must be a DNS name of at most 253 lower-case letters, digits, "
             "'-' and '.'";
    }
    key.remove_prefix(slash + 1);
  }
  if (key.empty() || key.size() > kLongestName) return "a name has 1 to 63 characters";
  if (!IsName(key)) {
    return "a name has letters, digits, '-', '_' and '.', with a letter or digit at both ends";
  }
  return {};
}

std::string_view LabelValueProblem(std::string_view value) {
  if (value.size() > kLongestName) return "it may have 63 characters";
  if (!value.empty() && !IsName(value)) {
    return "it has letters, digits, '-', '_' and '.', with a letter or digit at both ends";
  }
  return {};
}

void CheckMetadata(Checked& checked) {
  Name(checked);
  Labels(checked);
  Annotations(checked);
  ClusterFields(checked);
  Finalizers(checked);
  ListOf(checked, "metadata.ownerReferences", kOwner);
  OneController(checked);
  ListOf(checked, "metadata.managedFields", kManager);
}

}  // namespace elephas::manifest
