#include "operator/crd/crd.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "common/base/names.h"
#include "common/manifest/fields.h"
#include "operator/crd/crd_template.h"

namespace elephas {

namespace {

using manifest::FieldInfo;
using manifest::FieldType;
using manifest::Mutability;
using manifest::Scope;
using nlohmann::ordered_json;

bool IsChild(const FieldInfo& field, std::string_view section) {
  return manifest::ParentPath(field.path) == section && field.path != section;
}

bool InsistsOn(const FieldInfo& field);

// Does leaving the section out mean its defaults, rather than an error?
bool HasDefaults(std::string_view section) {
  bool any = false;
  for (const FieldInfo& field : manifest::ManifestFields()) {
    if (!IsChild(field, section)) continue;
    if (InsistsOn(field)) return false;
    any = any || !field.default_json.empty();
  }
  return any;
}

bool InsistsOn(const FieldInfo& field) {
  if (!field.required) return false;
  return field.type != FieldType::kSection || !HasDefaults(field.path);
}

std::string Description(const FieldInfo& field) {
  std::string text(field.doc);
  if (!field.default_json.empty()) {
    text += " Default: " + std::string(field.default_json) + ".";
  } else if (!field.default_doc.empty()) {
    text += " Default: " + std::string(field.default_doc) + ".";
  }
  switch (field.mutability) {
    case Mutability::kMutable:
      text += " Can be changed at any time.";
      break;
    case Mutability::kWhileSuspended:
      text += " Can be changed while the job is suspended.";
      break;
    case Mutability::kImmutable:
      if (field.type != FieldType::kSection) text += " Cannot be changed.";
      break;
  }
  if (field.scope == Scope::kNoEffect) text += " No effect.";
  return text;
}

ordered_json Number(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15
             ? ordered_json(static_cast<std::int64_t>(value))
             : ordered_json(value);
}

void AddBounds(const FieldInfo& field, ordered_json& schema) {
  if (!std::isinf(field.minimum)) schema["minimum"] = Number(field.minimum);
  if (std::isinf(field.maximum)) return;
  schema["maximum"] = Number(field.maximum);
  if (field.below_maximum) schema["exclusiveMaximum"] = true;
}

ordered_json Section(std::string_view path);

void AddText(const FieldInfo& field, ordered_json& schema) {
  const bool free = field.form == manifest::TextForm::kFree;
  schema["type"] = "string";
  schema["minLength"] = 1;
  schema["maxLength"] = free ? manifest::kMaxTextLength : manifest::kMaxFormLength;
  schema["pattern"] = free ? R"(^[^\x00-\x1f\x7f]*$)" : manifest::FormPattern(field.form);
}

// What the field's type says.
void AddType(const FieldInfo& field, ordered_json& schema) {
  switch (field.type) {
    case FieldType::kSection: {
      schema.update(Section(field.path));
      if (field.required && HasDefaults(field.path)) schema["default"] = ordered_json::object();
      break;
    }
    case FieldType::kText:
    case FieldType::kUri:
      AddText(field, schema);
      break;
    case FieldType::kInteger:
      schema["type"] = "integer";
      schema["format"] = "int64";
      AddBounds(field, schema);
      break;
    case FieldType::kNumber:
      schema["type"] = "number";
      AddBounds(field, schema);
      break;
    case FieldType::kBoolean:
      schema["type"] = "boolean";
      break;
    case FieldType::kWord:
      schema["type"] = "string";
      schema["enum"] = ordered_json::array();
      for (const std::string_view word : field.words) schema["enum"].push_back(word);
      break;
    case FieldType::kObject:
      schema["type"] = "object";
      schema["minProperties"] = 1;
      schema["x-kubernetes-preserve-unknown-fields"] = true;
      break;
    case FieldType::kWeights:
      schema["type"] = "object";
      schema["minProperties"] = 1;
      schema["maxProperties"] = manifest::kMaxWeights;
      schema["additionalProperties"] = {{"type", "number"}, {"minimum", 0}};
      break;
    case FieldType::kPodTemplate:
      schema.update(PodTemplateSchema(field.path == "spec.workers.template" ? names::kWorker
                                                                            : names::kParamserver));
      break;
    case FieldType::kTextMap:
      schema["type"] = "object";
      schema["additionalProperties"] = {{"type", "string"}};
      break;
    case FieldType::kNames:  // text, a list, or a mapping: no structural schema says "one of these"
    case FieldType::kAny:
      schema["x-kubernetes-preserve-unknown-fields"] = true;
      break;
  }
}

ordered_json Schema(const FieldInfo& field) {
  ordered_json schema;
  schema["description"] = Description(field);
  AddType(field, schema);
  if (!field.default_json.empty()) schema["default"] = ordered_json::parse(field.default_json);
  if (ordered_json rules = CrdRules(field.path); !rules.is_null()) {
    schema["x-kubernetes-validations"] = std::move(rules);
  }
  return schema;
}

// "type", "required" and "properties" of a section.
ordered_json Section(std::string_view path) {
  ordered_json schema{{"type", "object"}};
  ordered_json required = ordered_json::array(), properties = ordered_json::object();
  for (const FieldInfo& field : manifest::ManifestFields()) {
    if (!IsChild(field, path)) continue;
    const std::string name(manifest::LastPart(field.path));
    if (InsistsOn(field)) required.push_back(name);
    properties[name] = Schema(field);
  }
  if (!required.empty()) schema["required"] = std::move(required);
  schema["properties"] = std::move(properties);
  return schema;
}

ordered_json Typed(std::string_view type, std::string_view description,
                   std::string_view format = {}) {
  ordered_json schema{{"description", description}, {"type", type}};
  if (!format.empty()) schema["format"] = format;
  return schema;
}

ordered_json Text(std::string_view description) { return Typed("string", description); }
ordered_json Count(std::string_view description) { return Typed("integer", description, "int64"); }
ordered_json Time(std::string_view description) {
  return Typed("string", description, "date-time");
}
ordered_json Object(std::string_view description, ordered_json properties) {
  return {{"description", description}, {"type", "object"}, {"properties", std::move(properties)}};
}

ordered_json Condition() {
  ordered_json condition = Object("One aspect of the job's state.", {});
  condition["required"] = {"type", "status", "lastTransitionTime", "reason", "message"};
  ordered_json status = Text("Whether it is so.");
  status["enum"] = {"True", "False", "Unknown"};
  condition["properties"] = {
      {"type", Text("Created, Running, Succeeded, Failed, Suspended or Stalled.")},
      {"status", std::move(status)},
      {"observedGeneration", Count("The generation of the job that this is about.")},
      {"lastTransitionTime", Time("When the status changed last.")},
      {"reason", Text("Why, in one word for programs.")},
      {"message", Text("Why, and what to do about it, for people.")},
  };
  return condition;
}

ordered_json StatusSchema() {
  ordered_json conditions{
      {"description", "What is to be known about the job; Succeeded and Failed are final."},
      {"type", "array"},
      {"items", Condition()},
      {"x-kubernetes-list-type", "map"},
      {"x-kubernetes-list-map-keys", {"type"}}};
  ordered_json metrics{{"description", "The newest values of the job's metrics, by name."},
                       {"type", "object"},
                       {"additionalProperties", {{"type", "number"}}}};
  ordered_json outputs{{"description", "The files that the job has written."},
                       {"type", "array"},
                       {"items", {{"type", "string"}}},
                       {"x-kubernetes-list-type", "atomic"}};
  ordered_json warnings{
      {"description", "What a person should know although the job goes on."},
      {"type", "array"},
      {"items", Object("One of them.", {{"reason", Text("What it is, in one word for programs.")},
                                        {"message", Text("What to do about it, for people.")}})},
      {"x-kubernetes-list-type", "atomic"}};
  return Object(
      "Written by the operator.",
      {{"observedGeneration", Count("The generation of the job that the status is about.")},
       {"state", Text("The conditions in one word, for people: Pending, Starting, Running, "
                      "Suspended, Succeeded or Failed. Programs read the conditions.")},
       {"conditions", std::move(conditions)},
       {"startTime", Time("When the job started, or was resumed last.")},
       {"completionTime", Time("When the job succeeded or failed.")},
       {"estimatedCompletionTime", Time("When the job will be done at its present pace.")},
       {"epoch", Count("Epochs that are done.")},
       {"epochs", Count("Epochs that there are to do; 0 where the task has none.")},
       {"progress", Count("How much is done, in percent.")},
       {"loss", Typed("number", "The newest loss.")},
       {"metrics", std::move(metrics)},
       {"examplesPerSecond", Typed("number", "Examples per second of late, all workers together.")},
       {"warnings", std::move(warnings)},
       {"transport", Object("By which way training is exchanged.",
                            {{"now", Text("nccl, between the workers; or rest, by the parameter "
                                          "server.")},
                             {"reason", Text("Why it is not nccl.")}})},
       {"workers", Object("The workers' pods.",
                          {{"replicas", Count("Pods that there are.")},
                           {"active", Count("Pods that are starting or running.")},
                           {"ready", Count("Pods that are running.")},
                           {"failed", Count("Pods that have died and are kept for their logs.")},
                           {"summary", Text("Ready of wanted.")}})},
       {"parameterServers",
        Object("The parameter servers' pods.", {{"replicas", Count("Pods that there are.")},
                                                {"ready", Count("Pods that answer.")}})},
       {"restarts", Count("Deaths that count for spec.runPolicy.backoffLimit.")},
       {"selector", Text("Selects the workers' pods, for the scale subresource.")},
       {"model", Text("Where the results are.")},
       {"outputs", std::move(outputs)}});
}

ordered_json Column(std::string_view name, std::string_view type, std::string_view path,
                    std::string_view description, int priority = 0) {
  ordered_json column{
      {"name", name}, {"type", type}, {"jsonPath", path}, {"description", description}};
  if (priority != 0) column["priority"] = priority;
  return column;
}

ordered_json Columns() {
  return {
      Column("STATE", "string", ".status.state", "The conditions in one word"),
      Column("EPOCH", "integer", ".status.epoch", "Epochs that are done"),
      Column("PROGRESS", "integer", ".status.progress", "Percent of the work that is done"),
      Column("LOSS", "number", ".status.loss", "The newest loss"),
      Column("WORKERS", "string", ".status.workers.summary", "Ready of wanted"),
      Column("AGE", "date", ".metadata.creationTimestamp", "Since the job was created"),
      Column("TASK", "string", ".spec.task", "What is done with the model", 1),
      Column("MODE", "string", ".spec.mode", "How updates meet", 1),
      Column("REASON", "string", ".status.conditions[?(@.type==\"Running\")].reason",
             "Why the job is running, or is not", 1),
      Column("TRANSPORT", "string", ".status.transport.now", "By which way training is exchanged",
             1),
      Column("RESTARTS", "integer", ".status.restarts", "Deaths that count for backoffLimit", 1),
  };
}

}  // namespace

ordered_json MakeCrd() {
  ordered_json root{
      {"description", "A Keras model to train, evaluate or predict with, on several workers."},
      {"type", "object"},
      {"required", {"spec"}},
      {"properties",
       {{"apiVersion", Text("The version of this manifest's format: elephas.dev/v1alpha1.")},
        {"kind", Text("What the manifest describes: ElephasJob.")},
        {"metadata", {{"type", "object"}}},
        {"spec", Schema(*manifest::FindField("spec"))},
        {"status", StatusSchema()}}},
      {"x-kubernetes-validations", CrdRules("")}};
  ordered_json selectable = ordered_json::array();
  for (const char* path : {".spec.task", ".spec.mode", ".status.state"}) {
    selectable.push_back({{"jsonPath", path}});
  }
  const ordered_json version{{"name", "v1alpha1"},
                             {"served", true},
                             {"storage", true},
                             {"additionalPrinterColumns", Columns()},
                             {"selectableFields", std::move(selectable)},
                             {"subresources",
                              {{"status", ordered_json::object()},
                               {"scale",
                                {{"specReplicasPath", ".spec.workers.replicas"},
                                 {"statusReplicasPath", ".status.workers.replicas"},
                                 {"labelSelectorPath", ".status.selector"}}}}},
                             {"schema", {{"openAPIV3Schema", std::move(root)}}}};
  return {{"apiVersion", "apiextensions.k8s.io/v1"},
          {"kind", "CustomResourceDefinition"},
          {"metadata", {{"name", "elephasjobs.elephas.dev"}}},
          {"spec",
           {{"group", "elephas.dev"},
            {"names",
             {{"kind", manifest::kKind},
              {"listKind", "ElephasJobList"},
              {"plural", "elephasjobs"},
              {"singular", "elephasjob"},
              {"shortNames", {"ej"}},
              {"categories", {"all", "elephas"}}}},
            {"scope", "Namespaced"},
            {"versions", ordered_json::array({version})}}}};
}

}  // namespace elephas
