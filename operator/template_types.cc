#include "operator/template_types.h"

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "common/job_spec_yaml.h"
#include "common/utf8.h"
#include "operator/json_at.h"

namespace elephas {

namespace {

using nlohmann::json;

enum class Type : std::uint8_t { kText, kInteger, kBoolean, kMapping, kList, kListOfMappings };

// What a member must be where it is there; of the entries of a list, one member that is told apart
// by.
struct Member {
  std::string_view name;
  Type type;
  std::string_view key = {};
  Type key_type = Type::kText;
};

constexpr std::array kPodMembers{
    Member{"containers", Type::kListOfMappings, "name"},
    Member{"initContainers", Type::kListOfMappings, "name"},
    Member{"volumes", Type::kListOfMappings, "name"},
    Member{"imagePullSecrets", Type::kListOfMappings, "name"},
    Member{"resourceClaims", Type::kListOfMappings, "name"},
    Member{"schedulingGates", Type::kListOfMappings, "name"},
    Member{"tolerations", Type::kListOfMappings},
    Member{"topologySpreadConstraints", Type::kListOfMappings},
    Member{"hostAliases", Type::kListOfMappings},
    Member{"readinessGates", Type::kListOfMappings},
    Member{"securityContext", Type::kMapping},
    Member{"affinity", Type::kMapping},
    Member{"nodeSelector", Type::kMapping},
    Member{"dnsConfig", Type::kMapping},
    Member{"hostNetwork", Type::kBoolean},
    Member{"dnsPolicy", Type::kText},
    Member{"priorityClassName", Type::kText},
    Member{"serviceAccountName", Type::kText},
    Member{"terminationGracePeriodSeconds", Type::kInteger},
};
constexpr std::array kContainerMembers{
    Member{"name", Type::kText},
    Member{"image", Type::kText},
    Member{"command", Type::kList},
    Member{"env", Type::kListOfMappings, "name"},
    Member{"envFrom", Type::kListOfMappings},
    Member{"volumeMounts", Type::kListOfMappings, "mountPath"},
    Member{"volumeDevices", Type::kListOfMappings, "devicePath"},
    Member{"ports", Type::kListOfMappings, "containerPort", Type::kInteger},
    Member{"resources", Type::kMapping},
    Member{"securityContext", Type::kMapping},
    Member{"readinessProbe", Type::kMapping},
    Member{"livenessProbe", Type::kMapping},
    Member{"startupProbe", Type::kMapping},
    Member{"lifecycle", Type::kMapping},
};

std::string_view Word(Type type) {
  switch (type) {
    case Type::kText:
      return "text";
    case Type::kInteger:
      return "an integer";
    case Type::kBoolean:
      return "true or false";
    case Type::kMapping:
      return "a mapping";
    case Type::kList:
    case Type::kListOfMappings:
      return "a list";
  }
  return "something else";
}

bool Is(const json& value, Type type) {
  switch (type) {
    case Type::kText:
      return value.is_string();
    case Type::kInteger:
      return value.is_number_integer();
    case Type::kBoolean:
      return value.is_boolean();
    case Type::kMapping:
      return value.is_object();
    case Type::kList:
    case Type::kListOfMappings:
      return value.is_array();
  }
  return false;
}

std::string Describe(const json& value) {
  if (value.is_null()) return "nothing";
  if (value.is_array()) return "a list";
  if (value.is_object()) return "a mapping";
  const std::string text = manifest::Printable(TextIn(value, JsonText(value)));
  return value.is_string() ? "the text '" + text + "'" : text;
}

Status Check(const json& value, Type type, const std::string& path) {
  if (Is(value, type)) return OkStatus();
  std::string message = path;
  message.append(": must be ").append(Word(type)).append(", not ").append(Describe(value));
  return Invalid(std::move(message));
}

// null stands for a member that is left out.
Status CheckMember(const json& mapping, const Member& member, const std::string& path) {
  const json& value = MemberOf(mapping, member.name);
  if (value.is_null()) return OkStatus();
  const std::string at = manifest::JoinPath(path, member.name);
  ELEPHAS_RETURN_IF_ERROR(Check(value, member.type, at));
  if (member.type != Type::kListOfMappings) return OkStatus();
  for (std::size_t i = 0; i < value.size(); ++i) {
    std::string entry = at;
    entry.append("[").append(std::to_string(i)).append("]");
    ELEPHAS_RETURN_IF_ERROR(Check(value[i], Type::kMapping, entry));
    const json& key = MemberOf(value[i], member.key);
    if (member.key.empty() || key.is_null()) continue;
    ELEPHAS_RETURN_IF_ERROR(Check(key, member.key_type, manifest::JoinPath(entry, member.key)));
  }
  return OkStatus();
}

Status CheckMembers(const json& mapping, std::span<const Member> members, const std::string& path) {
  for (const Member& member : members) ELEPHAS_RETURN_IF_ERROR(CheckMember(mapping, member, path));
  return OkStatus();
}

Status CheckContainer(const json& container, const std::string& path) {
  ELEPHAS_RETURN_IF_ERROR(CheckMembers(container, kContainerMembers, path));
  const json& mounts = MemberOf(container, "volumeMounts");
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    ELEPHAS_RETURN_IF_ERROR(CheckMember(
        mounts[i], {"name", Type::kText}, path + ".volumeMounts[" + std::to_string(i) + "]"));
  }
  for (const char* part : {"limits", "requests"}) {
    ELEPHAS_RETURN_IF_ERROR(CheckMember(MemberOf(container, "resources"), {part, Type::kMapping},
                                        path + ".resources"));
  }
  return OkStatus();
}

void DropNulls(json& mapping, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (mapping.is_object() && mapping.contains(name) && mapping[name].is_null()) {
      mapping.erase(name);
    }
  }
}

}  // namespace

Status CheckTemplateTypes(const json& pod_template) {
  if (!pod_template.is_object()) return Invalid("must be a mapping with metadata and spec");
  const json& spec = MemberOf(pod_template, "spec");
  if (spec.is_null()) return OkStatus();
  ELEPHAS_RETURN_IF_ERROR(Check(spec, Type::kMapping, "spec"));
  ELEPHAS_RETURN_IF_ERROR(CheckMembers(spec, kPodMembers, "spec"));
  for (const char* list : {"containers", "initContainers"}) {
    const json& containers = MemberOf(spec, list);
    for (std::size_t i = 0; i < containers.size(); ++i) {
      std::string path = "spec.";
      path.append(list).append("[").append(std::to_string(i)).append("]");
      ELEPHAS_RETURN_IF_ERROR(CheckContainer(containers[i], path));
    }
  }
  const json& context = MemberOf(spec, "securityContext");
  for (const char* list : {"sysctls", "supplementalGroups"}) {
    ELEPHAS_RETURN_IF_ERROR(CheckMember(context, {list, Type::kList}, "spec.securityContext"));
  }
  return OkStatus();
}

void DropEmptyParts(json& pod_template) {
  DropNulls(pod_template, {"metadata", "spec"});
  if (!MemberOf(pod_template, "metadata").is_null()) {
    DropNulls(pod_template["metadata"], {"labels", "annotations"});
  }
  if (MemberOf(pod_template, "spec").is_null()) return;
  json& spec = pod_template["spec"];
  DropNulls(spec, {"containers", "initContainers", "volumes"});
  if (!spec.contains("containers")) return;
  for (json& container : spec["containers"]) {
    DropNulls(container, {"name", "image", "env", "volumeMounts", "ports", "resources"});
    if (!container.contains("resources")) continue;
    DropNulls(container["resources"], {"limits", "requests"});
  }
}

}  // namespace elephas
