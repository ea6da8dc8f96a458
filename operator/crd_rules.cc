// What the API server refuses by itself, in CEL. The parser of the command line refuses the same;
// what CEL cannot see (Keras' own words, kept as written) the operator refuses with InvalidSpec.
#include <string>
#include <string_view>

#include "common/job_spec_fields.h"
#include "operator/crd.h"

namespace elephas {

namespace {

using manifest::FieldInfo;
using manifest::FieldType;
using manifest::Mutability;
using nlohmann::ordered_json;

struct Rule {
  std::string_view section;
  std::string_view rule;
  std::string_view message;
  std::string_view field = {};  // below the section, where the message belongs
};

// common/job_volumes.cc: relative paths where results go.
constexpr std::string_view kStaysBelow =
    "self.matches('^(/|[A-Za-z0-9+.-]+://)') || !self.matches('(^|/)[.][.](/|$)')";
constexpr std::string_view kStaysBelowMessage =
    "must not have '..' in it: on a cluster it starts at /data, and stays on the volume there";

// In reading order; the same promises as common/job_spec_rules.cc.
constexpr Rule kRules[] = {
    {"", "self.metadata.name.size() <= 46",
     "metadata.name must have at most 46 characters, so that the names of its pods fit"},
    {"spec", "self.frequency != 'fit' || self.mode == 'synchronous'",
     "'fit' averages once at the end, which only spec.mode: synchronous does", ".frequency"},
    {"spec", "self.transport != 'nccl' || self.mode == 'synchronous'",
     "'nccl' works with spec.mode: synchronous only", ".transport"},
    {"spec", "self.transport != 'nccl' || self.workers.device != 'cpu'",
     "'nccl' needs GPUs, but spec.workers.device is cpu", ".transport"},
    {"spec", "self.transport != 'nccl' || self.parameterServers.replicas == 1",
     "'nccl' works with one parameter server only", ".transport"},
    {"spec", "self.task == 'predict' || !self.data.uri.endsWith('.npy')",
     "a .npy file has no labels, so it can only be used to predict; save features and labels in "
     "one "
     ".npz",
     ".data.uri"},
    {"spec.model",
     "[has(self.uri), has(self.inline), has(self.configMapRef)].filter(x, x).size() == 1",
     "needs exactly one of uri, inline, configMapRef"},
    {"spec.model.uri", "self.matches('.[.](keras|h5|json)$')", "must end in .keras, .h5 or .json"},
    {"spec.model.uri", "!self.endsWith('.weights.h5')",
     "holds weights without a model; name it under spec.model.weights.uri and give the model as "
     ".json or inline"},
    {"spec.model.weights.uri", "self.matches('.[.](weights[.]h5|safetensors)$')",
     "must end in .weights.h5 or .safetensors"},
    {"spec.data.uri", "self.matches('.[.](npz|npy|csv|libsvm|svm)$')",
     "must end in .npz, .npy, .csv, .libsvm or .svm"},
    {"spec.output.uri", kStaysBelow, kStaysBelowMessage},
    {"spec.checkpoint.uri", kStaysBelow, kStaysBelowMessage},
};

constexpr Rule kUriRule{
    "", "!self.matches('^[A-Za-z0-9+.-]+://') || self.matches('^file://(localhost)?/')",
    "must be a path or file:///path; other schemes are not supported"};

ordered_json ToJson(const Rule& rule) {
  ordered_json out{{"rule", rule.rule}, {"message", rule.message}};
  if (!rule.field.empty()) out["fieldPath"] = rule.field;
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
                       {"message", std::string(field.path) +
                                       " can be changed only while the job is suspended; set "
                                       "spec.runPolicy.suspend: true first"}});
    } else if (AlwaysThere(field)) {
      if (field.path != section) continue;
      rules.push_back({{"rule", "self == oldSelf"}, {"message", Unchanging(field)}});
    } else if (parent == section) {
      rules.push_back({{"rule", SameInParent(field)}, {"message", Unchanging(field)}});
    }
  }
}

}  // namespace

ordered_json CrdRules(std::string_view path) {
  ordered_json rules = ordered_json::array();
  for (const Rule& rule : kRules) {
    if (rule.section == path) rules.push_back(ToJson(rule));
  }
  const FieldInfo* field = manifest::FindField(path);
  if (field != nullptr && field->type == FieldType::kUri) rules.push_back(ToJson(kUriRule));
  AddTransitions(path, rules);
  return rules.empty() ? ordered_json() : rules;
}

}  // namespace elephas
