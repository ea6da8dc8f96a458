#include "operator/pods/pod_template_merge.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/manifest/pod_template_check.h"

namespace elephas {

namespace {

using nlohmann::json;
using std::string_view_literals::operator""sv;

// By what the entries of a list are told apart.
struct ListKey {
  std::string_view field, key;
  bool whole;  // an entry of the template takes the place of ours instead of being merged into it
};
constexpr std::array kListKeys{
    ListKey{"containers", "name", false},      ListKey{"initContainers", "name", false},
    ListKey{"volumes", "name", true},          ListKey{"env", "name", true},
    ListKey{"imagePullSecrets", "name", true}, ListKey{"volumeMounts", "mountPath", true},
    ListKey{"ports", "containerPort", false},  ListKey{"volumeDevices", "devicePath", true},
    ListKey{"resourceClaims", "name", true},   ListKey{"schedulingGates", "name", true},
};
// Lists that grow; every other one is replaced.
constexpr std::array kAppended{"tolerations"sv,       "topologySpreadConstraints"sv,
                               "hostAliases"sv,       "envFrom"sv,
                               "readinessGates"sv,    "sysctls"sv,
                               "supplementalGroups"sv};
// Mappings of which one member excludes another, so that a mixture would be refused.
constexpr std::array kReplaced{"readinessProbe"sv, "livenessProbe"sv, "startupProbe"sv,
                               "lifecycle"sv};
template <std::size_t count>
bool IsOneOf(std::string_view name, const std::array<std::string_view, count>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const ListKey* FindListKey(std::string_view field) {
  const auto* found = std::find_if(kListKeys.begin(), kListKeys.end(),
                                   [&](const ListKey& key) { return key.field == field; });
  return found == kListKeys.end() ? nullptr : found;
}

std::string KeyOf(const json& entry, std::string_view key) {
  if (!entry.is_object()) return "";
  const auto found = entry.find(key);
  if (found == entry.end()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

json Merge(json base, const json& overlay);

json MergeList(json base, const json& overlay, const ListKey& by) {
  for (const json& entry : overlay) {
    const std::string key = KeyOf(entry, by.key);
    const auto ours = std::find_if(base.begin(), base.end(), [&](const json& candidate) {
      return !key.empty() && KeyOf(candidate, by.key) == key;
    });
    if (ours == base.end()) {
      base.push_back(entry);
    } else {
      *ours = by.whole ? entry : Merge(*ours, entry);
    }
  }
  return base;
}

json MergeField(std::string_view name, json base, const json& overlay) {
  if (overlay.is_object() && base.is_object() && !IsOneOf(name, kReplaced)) {
    return Merge(std::move(base), overlay);
  }
  if (overlay.is_array() && base.is_array()) {
    if (const ListKey* key = FindListKey(name)) return MergeList(std::move(base), overlay, *key);
    if (IsOneOf(name, kAppended)) {
      base.insert(base.end(), overlay.begin(), overlay.end());
      return base;
    }
  }
  return overlay;
}

// null takes a field away, as in a strategic merge patch.
json Merge(json base, const json& overlay) {
  for (const auto& [name, value] : overlay.items()) {
    if (value.is_null()) {
      base.erase(name);
    } else if (base.contains(name)) {
      base[name] = MergeField(name, std::move(base[name]), value);
    } else {
      base[name] = value;
    }
  }
  return base;
}

// A lone container without a name is ours.
void NameContainer(json& pod_template, std::string_view container) {
  const json::json_pointer at("/spec/containers");
  if (!pod_template.contains(at)) return;
  for (json& entry : pod_template.at(at)) {
    if (!entry.contains("name")) entry["name"] = container;
  }
}

}  // namespace

Result<json> MergePodTemplate(json pod, const json& overlay, std::string_view container) {
  if (overlay.is_null()) return pod;
  if (!overlay.is_object()) return Invalid("must be a mapping with metadata and spec");
  json checked = overlay;
  // The parser has checked the templates of a job; this is for whoever calls without one.
  const auto problems = manifest::CheckPodTemplate(checked, container);
  if (!problems.empty()) {
    const manifest::TemplateProblem& first = problems.front();
    return Invalid(first.path.empty() ? first.message : first.path + ": " + first.message);
  }
  NameContainer(checked, container);
  return Merge(std::move(pod), checked);
}

}  // namespace elephas
