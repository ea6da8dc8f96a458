#include "operator/pod_template_merge.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/names.h"
#include "common/utf8.h"
#include "operator/json_at.h"
#include "operator/template_types.h"

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
// What the job's working depends on.
constexpr std::array kOursInSpec{"restartPolicy"sv, "hostname"sv, "subdomain"sv};
constexpr std::array kOursInContainer{"args"sv, "terminationMessagePath"sv, "stdin"sv, "tty"sv};
constexpr std::array kOursInEnv{"POD_NAME"sv};
constexpr std::array kOurVolumes{"elephas-job"sv, "elephas-model"sv};

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
  const json& value = MemberOf(entry, key);
  return value.is_null() ? "" : TextIn(value, JsonText(value));
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

Status Ours(const std::string& path) {
  return Invalid(path + ": is the operator's to set; leave it out");
}

Status CheckMetadata(const json& metadata) {
  if (!metadata.is_object()) return Invalid("metadata: must be a mapping");
  for (const auto& [name, value] : metadata.items()) {
    if (value.is_null()) continue;
    if (name != "labels" && name != "annotations") return Ours("metadata." + name);
    if (!value.is_object()) return Invalid("metadata." + name + ": must be a mapping");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) return Invalid("metadata." + name + "." + key + ": must be text");
      if (key.starts_with("elephas.dev/") || key == names::kAppInstance ||
          key == names::kAppComponent || key == names::kAppManagedBy || key == names::kAppName) {
        return Ours("metadata." + name + "." + key);
      }
    }
  }
  return OkStatus();
}

Status CheckContainer(const json& container, const std::string& path) {
  for (const std::string_view name : kOursInContainer) {
    if (container.contains(name)) return Ours(path + "." + std::string(name));
  }
  if (const auto env = container.find("env"); env != container.end() && env->is_array()) {
    for (const json& entry : *env) {
      const std::string name = KeyOf(entry, "name");
      if (IsOneOf(name, kOursInEnv)) return Ours(path + ".env " + name);
    }
  }
  if (const auto mounts = container.find("volumeMounts");
      mounts != container.end() && mounts->is_array()) {
    for (const json& mount : *mounts) {
      const std::string at = KeyOf(mount, "mountPath");
      if (at == names::kSecretFolder || at == names::kModelFolder) {
        return Ours(path + ".volumeMounts " + at);
      }
    }
  }
  return OkStatus();
}

// A lone container without a name is ours.
Status NameContainers(json& containers, std::string_view container) {
  if (!containers.is_array()) return Invalid("spec.containers: must be a list");
  for (std::size_t i = 0; i < containers.size(); ++i) {
    json& entry = containers[i];
    const std::string path = "spec.containers[" + std::to_string(i) + "]";
    if (!entry.is_object()) return Invalid(path + ": must be a mapping");
    if (!entry.contains("name")) {
      if (containers.size() > 1) {
        return Invalid(path + ".name: is required where there are several containers; ours is '" +
                       std::string(container) + "'");
      }
      entry["name"] = container;
    }
    if (entry["name"] == container) ELEPHAS_RETURN_IF_ERROR(CheckContainer(entry, path));
  }
  return OkStatus();
}

Status CheckSpec(const json& spec) {
  if (!spec.is_object()) return Invalid("spec: must be a mapping");
  for (const std::string_view name : kOursInSpec) {
    if (spec.contains(name)) return Ours("spec." + std::string(name));
  }
  if (const auto volumes = spec.find("volumes"); volumes != spec.end() && volumes->is_array()) {
    for (const json& volume : *volumes) {
      const std::string name = KeyOf(volume, "name");
      if (IsOneOf(name, kOurVolumes)) return Ours("spec.volumes " + name);
    }
  }
  return OkStatus();
}

}  // namespace

Result<json> MergePodTemplate(json pod, const json& overlay, std::string_view container) {
  if (overlay.is_null()) return pod;
  ELEPHAS_RETURN_IF_ERROR(CheckTemplateTypes(overlay));
  json checked = overlay;
  DropEmptyParts(checked);
  for (auto& [name, value] : checked.items()) {
    if (value.is_null()) continue;
    if (name == "metadata") {
      ELEPHAS_RETURN_IF_ERROR(CheckMetadata(value));
    } else if (name == "spec") {
      ELEPHAS_RETURN_IF_ERROR(CheckSpec(value));
      if (value.contains("containers")) {
        ELEPHAS_RETURN_IF_ERROR(NameContainers(value["containers"], container));
      }
    } else {
      return Invalid(name + ": unknown field; a pod template has metadata and spec");
    }
  }
  if (checked.contains("metadata") && checked["metadata"].is_object()) {
    checked["metadata"].erase("creationTimestamp");  // null, in what kubectl prints
  }
  return Merge(std::move(pod), checked);
}

}  // namespace elephas
