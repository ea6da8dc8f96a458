#include "operator/crd/crd_template.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>

#include "common/manifest/pod_template_check.h"
#include "common/manifest/pod_template_schema.h"

namespace elephas {

namespace {

using manifest::PodField;
using manifest::PodType;
using nlohmann::ordered_json;
using Kind = PodField::Kind;
using Shape = PodField::Shape;

// Types whose fields are written out: what people write in templates. Two whole templates would be
// three times as large as a definition may be.
constexpr std::array<std::string_view, 16> kWrittenOut{
    "Capabilities",
    "Container",
    "ContainerPort",
    "EmptyDirVolumeSource",
    "EnvVar",
    "LocalObjectReference",
    "ObjectMeta",
    "PersistentVolumeClaimVolumeSource",
    "PodSecurityContext",
    "PodSpec",
    "PodTemplateSpec",
    "ResourceRequirements",
    "SecurityContext",
    "Toleration",
    "Volume",
    "VolumeMount",
};
// Below these nothing is, although the types are in the list: seldom used, or a second copy.
constexpr std::array<std::string_view, 2> kNotBelow{"spec.initContainers[]", "spec.resources"};

bool IsWrittenOut(const PodType& type, std::string_view pattern) {
  const bool below = std::any_of(kNotBelow.begin(), kNotBelow.end(), [&](std::string_view above) {
    return pattern == above || pattern.starts_with(std::string(above) + ".");
  });
  return !below &&
         std::find(kWrittenOut.begin(), kWrittenOut.end(), type.name) != kWrittenOut.end();
}

// Of a template's metadata, what a template may set, and what people set by mistake: a rule refuses
// it even where the client does not ask the API server to be strict.
constexpr std::array<std::string_view, 5> kMetadata{"annotations", "creationTimestamp", "labels",
                                                    "name", "namespace"};

std::string Join(std::string_view before, std::string_view name) {
  std::string path(before);
  if (!path.empty()) path += '.';
  return path.append(name);
}

// "['a', 'b']" in CEL.
template <std::size_t count>
std::string CelList(const std::array<std::string_view, count>& words) {
  std::string list = "[";
  for (const std::string_view word : words) {
    if (list.size() > 1) list += ", ";
    list.append("'").append(word).append("'");
  }
  return list + "]";
}

// "!has(self.a) && !has(self.b)", and the names in words.
template <std::size_t count>
std::string HasNone(const std::array<std::string_view, count>& names) {
  std::string rule;
  for (const std::string_view name : names) {
    if (!rule.empty()) rule += " && ";
    rule.append("!has(self.").append(name).append(")");
  }
  return rule;
}
template <std::size_t count>
std::string TheOperators(const std::array<std::string_view, count>& names) {
  std::string message;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) message += i + 1 == count ? " and " : ", ";
    message.append(names[i]);
  }
  return message + " are the operator's to set; leave them out";
}

ordered_json CelRule(std::string rule, std::string message) {
  return {{"rule", std::move(rule)}, {"message", std::move(message)}};
}

class TemplateSchema {
 public:
  explicit TemplateSchema(std::string_view container) : container_(container) {}

  ordered_json Make() {
    ordered_json schema = Object(manifest::PodTemplateType(), "");
    schema["minProperties"] = 1;
    AddRules(schema);
    return schema;
  }

 private:
  // `pattern`: the path as manifest::NullTakesAway() takes it.
  ordered_json Object(const PodType& type, const std::string& pattern) {
    ordered_json schema{{"type", "object"}};
    if (!IsWrittenOut(type, pattern)) {
      schema["x-kubernetes-preserve-unknown-fields"] = true;
      if (type.name == "Container") {
        schema["required"] = {"name"};
        schema["properties"] = {{"name", {{"type", "string"}}}};
      }
      return schema;
    }
    ordered_json required = ordered_json::array(), properties = ordered_json::object();
    for (const PodField& field : type.fields) {
      if (type.name == "ObjectMeta" && !IsMetadata(field.name)) continue;
      const std::string path = Join(pattern, field.name);
      properties[field.name] = Field(field, path);
      if (manifest::NullTakesAway(path)) properties[field.name]["nullable"] = true;
      if (field.required && path != "spec.containers" && path != "spec.containers[].name") {
        required.push_back(field.name);
      }
    }
    if (!required.empty()) schema["required"] = std::move(required);
    schema["properties"] = std::move(properties);
    return schema;
  }

  static bool IsMetadata(std::string_view name) {
    return std::find(kMetadata.begin(), kMetadata.end(), name) != kMetadata.end();
  }

  ordered_json Field(const PodField& field, const std::string& path) {
    switch (field.shape) {
      case Shape::kList:
        return {{"type", "array"}, {"items", Value(field, path + "[]")}};
      case Shape::kMap: {
        ordered_json values = Value(field, path + ".{}");
        if (manifest::NullTakesAway(path + ".{}")) values["nullable"] = true;
        return {{"type", "object"}, {"additionalProperties", std::move(values)}};
      }
      case Shape::kOne:
        break;
    }
    return Value(field, path);
  }

  ordered_json Value(const PodField& field, const std::string& path) {
    switch (field.kind) {
      case Kind::kBoolean:
        return {{"type", "boolean"}};
      case Kind::kInt32:
        // The API server does not hold a number against its format.
        return {{"type", "integer"}, {"maximum", std::numeric_limits<std::int32_t>::max()}};
      case Kind::kInt64:
        return {{"type", "integer"}};
      case Kind::kQuantity:
        return {{"x-kubernetes-int-or-string", true}, {"pattern", manifest::kQuantityPattern}};
      case Kind::kIntOrText:
        return {{"x-kubernetes-int-or-string", true}};
      case Kind::kObject:
        return Object(*field.type, path);
      case Kind::kText:
        break;
    }
    ordered_json schema{{"type", "string"}};
    if (!field.words.empty()) schema["pattern"] = OneOf(field.words);
    return schema;
  }

  // A line, where an enumeration is one for each word. An empty word is one that was left out.
  static std::string OneOf(const std::vector<std::string>& words) {
    std::string pattern;
    for (const std::string& word : words) {
      if (word.empty()) continue;
      pattern.append(pattern.empty() ? "^(" : "|").append(word);
    }
    return pattern + ")?$";
  }

  // What common/manifest/pod_template_check.cc says of what is ours.
  void AddRules(ordered_json& schema) const {
    ordered_json& metadata = schema["properties"]["metadata"];
    metadata["x-kubernetes-validations"] = {
        CelRule("!has(self.creationTimestamp) && !has(self.name) && !has(self.namespace)",
                "a template has labels and annotations; the rest is the operator's to set")};
    for (const char* map : {"labels", "annotations"}) {
      ordered_json& entries = metadata["properties"][map];
      entries["maxProperties"] = manifest::kMaxLabels;
      entries["x-kubernetes-validations"] = {
          CelRule("self.all(k, !k.startsWith('" + std::string(manifest::kOurLabelPrefix) +
                      "') && !(k in " + CelList(manifest::kOurLabels) + "))",
                  "elephas.dev/ and app.kubernetes.io/ are the operator's to set; leave them out")};
    }
    ordered_json& value = metadata["properties"]["labels"]["additionalProperties"];
    value["maxLength"] = manifest::kMaxLabelValue;
    value["pattern"] = manifest::kLabelValuePattern;

    ordered_json& spec = schema["properties"]["spec"];
    spec["x-kubernetes-validations"] = {
        CelRule(HasNone(manifest::kOursInSpec), TheOperators(manifest::kOursInSpec))};
    ordered_json& volumes = spec["properties"]["volumes"];
    volumes["maxItems"] = manifest::kMaxVolumes;
    volumes["x-kubernetes-validations"] = {
        CelRule("self.all(v, !(v.name in " + CelList(manifest::kOurVolumes) + "))",
                "elephas-job and elephas-model are the operator's; take other names")};
    AddContainerRules(spec["properties"]["containers"]);
  }

  void AddContainerRules(ordered_json& containers) const {
    containers["maxItems"] = manifest::kMaxContainers;
    containers["x-kubernetes-validations"] = {
        CelRule("self.size() < 2 || self.all(c, has(c.name))",
                "name is required where there are several containers; ours is '" +
                    std::string(container_) + "'")};
    ordered_json& container = containers["items"];
    ordered_json& properties = container["properties"];
    properties["env"]["maxItems"] = manifest::kMaxVariables;
    properties["volumeMounts"]["maxItems"] = manifest::kMaxMounts;
    // In CEL: is this container not ours?
    const std::string other =
        "(has(self.name) && self.name != '" + std::string(container_) + "') || ";
    container["x-kubernetes-validations"] = {
        CelRule(other + "(" + HasNone(manifest::kOursInContainer) + ")",
                TheOperators(manifest::kOursInContainer)),
        CelRule(other + "!has(self.env) || self.env.all(e, !(e.name in " +
                    CelList(manifest::kOurVariables) + "))",
                "the variable POD_NAME is the operator's to set; leave it out"),
        CelRule(other + "!has(self.volumeMounts) || self.volumeMounts.all(m, !(m.mountPath in " +
                    CelList(manifest::kOurMounts) + "))",
                "/etc/elephas and /etc/elephas-model are the operator's; take other paths")};
  }

  std::string_view container_;
};

}  // namespace

ordered_json PodTemplateSchema(std::string_view container) {
  return TemplateSchema(container).Make();
}

}  // namespace elephas
