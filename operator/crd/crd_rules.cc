// What the API server refuses by itself, in CEL: the table of common/manifest/rules.h, which the
// parser of the command line checks too, and what keeps fields from changing.
#include <string>
#include <string_view>

#include "common/manifest/fields.h"
#include "common/manifest/rules.h"
#include "operator/crd/crd.h"

namespace elephas {

namespace {

using manifest::FieldInfo;
using manifest::FieldType;
using manifest::Mutability;
using manifest::Rule;
using manifest::RuleHome;
using nlohmann::ordered_json;

ordered_json ToJson(const Rule& rule) {
  ordered_json out{{"rule", rule.cel}, {"message", rule.message}};
  if (rule.section.empty()) {  // the object's own metadata has no place in its schema
    out["message"] = rule.path + " " + rule.message;
  } else if (rule.section != rule.path) {
    out["fieldPath"] = rule.path.substr(rule.section.size());
  }
  return out;
}

bool IsBelow(std::string_view path, std::string_view section) {
  return path.size() > section.size() && path.starts_with(section) && path[section.size()] == '.';
}

// Is nothing of the section ever to change? Then one rule serves all of it.
bool WhollyImmutable(std::string_view section) {
  for (const FieldInfo& field : manifest::ManifestFields()) {
    if (IsBelow(field.path, section) && field.mutability != Mutability::kImmutable) return false;
  }
  return true;
}

// Always there on a cluster, because the API server fills it in or insists on it.
bool AlwaysThere(const FieldInfo& field) { return field.required || !field.default_json.empty(); }

std::string Unchanging(const FieldInfo& field) {
  return std::string(field.path) +
         " cannot be changed; delete the job and create it anew with the other value";
}

std::string WhileSuspended(const FieldInfo& field) {
  return std::string(field.path) +
         " can be changed only while the job is suspended; set spec.runPolicy.suspend: true first";
}

// has(old) == has(new), and equal when there; rules on the field itself do not see it come and go.
std::string SameInParent(const FieldInfo& field) {
  const std::string name(manifest::LastPart(field.path));
  const std::string self = "self." + name, old = "oldSelf." + name;
  return "has(" + self + ") == has(" + old + ") && (!has(" + self + ") || " + self + " == " + old +
         ")";
}

// Rules at `section` that keep its fields (or itself) as they are.
void AddTransitions(std::string_view section, ordered_json& rules) {
  for (const FieldInfo& field : manifest::ManifestFields()) {
    if (!field.path.starts_with("spec.")) continue;
    const bool whole = field.type == FieldType::kSection;
    if (whole && !WhollyImmutable(field.path)) continue;
    const std::string_view parent = manifest::ParentPath(field.path);
    // Covered by a rule of the section above.
    if (parent != "spec" && WhollyImmutable(parent)) continue;
    if (field.mutability == Mutability::kMutable) continue;
    if (field.mutability == Mutability::kWhileSuspended) {
      if (section != "spec") continue;
      const std::string at = std::string(field.path).substr(std::string_view("spec.").size());
      const std::string self = "self." + at, old = "oldSelf." + at;
      rules.push_back({{"rule", "oldSelf.runPolicy.suspend || (has(" + self + ") == has(" + old +
                                    ") && (!has(" + self + ") || " + self + " == " + old + "))"},
                       {"message", WhileSuspended(field)}});
    } else if (AlwaysThere(field)) {
      if (field.path != section) continue;
      rules.push_back({{"rule", "self == oldSelf"}, {"message", Unchanging(field)}});
    } else if (parent == section) {
      rules.push_back({{"rule", SameInParent(field)}, {"message", Unchanging(field)}});
    }
  }
}

// Does the definition keep the field as it is written? Then its rules see no more of it than how
// many keys it has.
bool IsHidden(const FieldInfo& field) {
  return field.type == FieldType::kAny || field.type == FieldType::kObject ||
         field.type == FieldType::kNames;
}

// "object.spec.?compile.?loss.orValue(null)"
std::string ValueIn(std::string_view object, std::string_view path) {
  std::string value(object);
  value += ".spec";
  for (path.remove_prefix(std::string_view("spec.").size()); !path.empty();) {
    const auto dot = path.find('.');
    value.append(".?").append(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return value + ".orValue(null)";
}

// Keeps the hidden fields as they are, in the policy.
void AddHiddenTransitions(ordered_json& validations) {
  for (const FieldInfo& field : manifest::ManifestFields()) {
    if (!field.path.starts_with("spec.") || !IsHidden(field)) continue;
    if (field.mutability == Mutability::kMutable) continue;
    std::string same = ValueIn("object", field.path);
    same += " == " + ValueIn("variables.old", field.path);
    const bool pausable = field.mutability == Mutability::kWhileSuspended;
    if (pausable) same.insert(0, "variables.old.spec.runPolicy.suspend || ");
    validations.push_back({{"expression", std::move(same)},
                           {"message", pausable ? WhileSuspended(field) : Unchanging(field)}});
  }
}

}  // namespace

ordered_json CrdRules(std::string_view path) {
  ordered_json rules = ordered_json::array();
  for (const Rule& rule : manifest::ManifestRules()) {
    if (rule.home == RuleHome::kDefinition && rule.section == path) rules.push_back(ToJson(rule));
  }
  AddTransitions(path, rules);
  return rules.empty() ? ordered_json() : rules;
}

ordered_json PolicyRules() {
  ordered_json variables = ordered_json::array(), validations = ordered_json::array();
  variables.push_back({{"name", "old"}, {"expression", "oldObject == null ? object : oldObject"}});
  for (const manifest::PolicyVariable& variable : manifest::PolicyVariables()) {
    variables.push_back({{"name", variable.name}, {"expression", variable.cel}});
  }
  // First, because the first that does not hold is what people are told.
  AddHiddenTransitions(validations);
  for (const Rule& rule : manifest::ManifestRules()) {
    if (rule.home != RuleHome::kPolicy) continue;
    validations.push_back({{"expression", rule.cel}, {"message", rule.path + " " + rule.message}});
  }
  // An object that an older version let in can still be labelled, finished and deleted.
  ordered_json conditions = ordered_json::array();
  conditions.push_back({{"name", "spec-is-new"},
                        {"expression", "oldObject == null || object.spec != oldObject.spec"}});
  return {{"matchConditions", std::move(conditions)},
          {"variables", std::move(variables)},
          {"validations", std::move(validations)}};
}

}  // namespace elephas
