#include "common/manifest/rules.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ascii.h"
#include "common/manifest/compile_rules.h"
#include "common/manifest/data_formats.h"
#include "common/manifest/fields.h"
#include "common/manifest/metadata.h"
#include "common/manifest/status.h"

namespace elephas::manifest {

namespace {

using nlohmann::json;

// The text of a field; "" when it was left out or is wrong.
std::string TextOf(const Checked& checked, std::string_view path) {
  const json& value = checked.Get(path);
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool Given(const Checked& checked, std::string_view path) { return !checked.Get(path).is_null(); }

template <std::size_t count>
bool EndsWithOneOf(std::string_view text, const std::array<std::string_view, count>& endings) {
  return std::any_of(endings.begin(), endings.end(), [&](std::string_view ending) {
    return text.size() > ending.size() && text.ends_with(ending);
  });
}

constexpr std::array<std::string_view, 3> kModelEndings{".keras", ".h5", ".json"};
constexpr std::array<std::string_view, 2> kWeightsEndings{".weights.h5", ".safetensors"};

// RFC 1123: letters, digits and '-', beginning and ending with a letter or digit.
bool IsDnsLabel(std::string_view label) {
  const auto alphanumeric = [](char c) { return IsLower(c) || IsDigit(c); };
  return !label.empty() && label.size() <= 63 && alphanumeric(label.front()) &&
         alphanumeric(label.back()) && std::all_of(label.begin(), label.end(), [&](char c) {
           return alphanumeric(c) || c == '-';
         });
}

bool IsDnsSubdomain(std::string_view name) {
  while (true) {
    const auto dot = name.find('.');
    if (!IsDnsLabel(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

void Identity(Checked& checked, const Rule& /*rule*/) {
  const std::string version = TextOf(checked, "apiVersion"), kind = TextOf(checked, "kind");
  if (!version.empty() && version != kApiVersion) {
    checked.Report("apiVersion",
                   "must be " + std::string(kApiVersion) + ", not '" + Printable(version) + "'");
  }
  if (!kind.empty() && kind != kKind) {
    checked.Report("kind", "must be " + std::string(kKind) + ", not '" + Printable(kind) + "'");
  }
}

void Names(Checked& checked, const Rule& /*rule*/) {
  const std::string name = TextOf(checked, "metadata.name");
  if (!name.empty() && !IsDnsSubdomain(name)) {
    checked.Report("metadata.name",
                   "must be lower-case letters, digits, '-' and '.', beginning and ending with a "
                   "letter or digit, not '" +
                       Printable(name) + "'");
  }
  const std::string name_space = TextOf(checked, "metadata.namespace");
  if (!name_space.empty() && !IsDnsLabel(name_space)) {
    checked.Report("metadata.namespace",
                   "must be lower-case letters, digits and '-', beginning and ending with a letter "
                   "or digit, not '" +
                       Printable(name_space) + "'");
  }
}

void NameFits(Checked& checked, const Rule& rule) {
  const std::string name = TextOf(checked, rule.path);
  if (IsDnsSubdomain(name) && name.size() > kMaxNameLength) {
    checked.Report(rule.path, rule.message);
  }
}

std::vector<Rule> IdentityRules() {
  return {
      {"identity", RuleHome::kServer, "", "apiVersion", "", "", Identity},
      {"names", RuleHome::kServer, "", "metadata.name", "", "", Names},
      {"name-fits", RuleHome::kDefinition, "", "metadata.name",
       "self.metadata.name.size() <= " + std::to_string(kMaxNameLength),
       "must have at most " + std::to_string(kMaxNameLength) +
           " characters, so that the names of its pods fit",
       NameFits},
  };
}

// --- spec.model ---------------------------------------------------------------------------------

void OneModelSource(Checked& checked, const Rule& rule) {
  if (checked.IsWrong("spec.model")) return;
  std::string given;
  int count = 0;
  for (const std::string_view source : {"uri", "inline", "configMapRef"}) {
    if (!Given(checked, JoinPath("spec.model", source))) continue;
    if (++count > 1) given += " and ";
    given += source;
  }
  if (count == 0) checked.Report(rule.path, "needs one of uri, inline, configMapRef");
  if (count > 1) {
    checked.Report(rule.path, "takes only one of uri, inline, configMapRef; this has " + given);
  }
}

// Adds to the rule's message what the field holds.
void ReportText(Checked& checked, const Rule& rule) {
  checked.Report(rule.path, rule.message + ", not '" + Printable(TextOf(checked, rule.path)) + "'");
}

void ModelEnding(Checked& checked, const Rule& rule) {
  const std::string uri = TextOf(checked, rule.path);
  if (!uri.empty() && !EndsWithOneOf(uri, kModelEndings)) ReportText(checked, rule);
}

void ModelIsNotWeights(Checked& checked, const Rule& rule) {
  const std::string uri = TextOf(checked, rule.path);
  constexpr std::string_view kEnding = ".weights.h5";
  if (uri.ends_with(kEnding)) checked.Report(rule.path, rule.message);
}

void WeightsEnding(Checked& checked, const Rule& rule) {
  const std::string uri = TextOf(checked, rule.path);
  if (!uri.empty() && !EndsWithOneOf(uri, kWeightsEndings)) ReportText(checked, rule);
}

std::vector<Rule> ModelRules() {
  return {
      {"one-model", RuleHome::kDefinition, "spec.model", "spec.model",
       "[has(self.uri), has(self.inline), has(self.configMapRef)].filter(x, x).size() == 1",
       "needs exactly one of uri, inline, configMapRef", OneModelSource},
      {"model-ending", RuleHome::kDefinition, "spec.model.uri", "spec.model.uri",
       "self.matches('.[.](keras|h5|json)$')", "must end in .keras, .h5 or .json", ModelEnding},
      {"model-is-not-weights", RuleHome::kDefinition, "spec.model.uri", "spec.model.uri",
       "!self.endsWith('.weights.h5')",
       "holds weights without a model; name it under spec.model.weights.uri and give the model as "
       ".json or inline",
       ModelIsNotWeights},
      {"weights-ending", RuleHome::kDefinition, "spec.model.weights.uri", "spec.model.weights.uri",
       "self.matches('.[.](weights[.]h5|safetensors)$')", "must end in .weights.h5 or .safetensors",
       WeightsEnding},
  };
}

// --- spec.data ----------------------------------------------------------------------------------

void DataEnding(Checked& checked, const Rule& rule) {
  const std::string uri = TextOf(checked, rule.path);
  if (!uri.empty() && DataFormatOf(uri) == nullptr) ReportText(checked, rule);
}

bool AnyFormat(const DataFormat& /*format*/) { return true; }
bool HasNoLabels(const DataFormat& format) { return !format.has_labels; }
bool HasNoNames(const DataFormat& format) { return !format.has_names; }
bool NeedsLabels(const DataFormat& format) { return format.labels_are_chosen; }

void FileHasLabels(Checked& checked, const Rule& rule) {
  const std::string task = TextOf(checked, "spec.task");
  const DataFormat* format = DataFormatOf(TextOf(checked, rule.path));
  if (task.empty() || task == "predict" || format == nullptr || format->has_labels) return;
  std::string why = "a ";
  why.append(format->ending).append(" file has no labels, so it cannot be used to ").append(task);
  checked.Report(rule.path, why.append("; save features and labels in one .npz"));
}

void LabelsAreChosen(Checked& checked, const Rule& rule) {
  const std::string task = TextOf(checked, "spec.task");
  const DataFormat* format = DataFormatOf(TextOf(checked, "spec.data.uri"));
  if (task.empty() || task == "predict" || checked.IsWrong("spec.data") || format == nullptr ||
      !format->labels_are_chosen || Given(checked, rule.path)) {
    return;
  }
  std::string demand = "is required to ";
  checked.Report(rule.path,
                 demand.append(task).append(" with a ").append(format->ending).append(" file"));
}

void NamesHaveMeaning(Checked& checked, const Rule& rule) {
  const std::string uri = TextOf(checked, "spec.data.uri");
  const DataFormat* format = DataFormatOf(uri);
  if (format == nullptr || format->has_names || !Given(checked, rule.path) ||
      checked.IsWrong("spec.data.uri")) {
    return;
  }
  checked.Report(rule.path, "has no meaning for " + Printable(uri) + ", where nothing has a name");
}

void SampleWeightsHaveLabels(Checked& checked, const Rule& rule) {
  if (Given(checked, rule.path) && TextOf(checked, "spec.task") == "predict") {
    checked.Report(rule.path, rule.message);
  }
}

// In CEL: the file called `uri` has none of the endings.
std::string NoneOf(std::string_view uri, FormatTest wanted) {
  std::string cel;
  for (const std::string_view ending : EndingsOf(wanted, true)) {
    cel.append(cel.empty() ? "!" : " && !").append(uri).append(".endsWith('");
    cel.append(ending).append("')");
  }
  return cel;
}

// In the policy, a name list's variable and the checks of one name in it.
std::string GoodName(std::string_view name) {
  std::string cel = "type(NAME) == string && NAME.size() > 0 && NAME.size() <= ";
  cel += std::to_string(kMaxTextLength) + " && !NAME.matches('[\\\\x00-\\\\x1f\\\\x7f]')";
  for (auto at = cel.find("NAME"); at != std::string::npos; at = cel.find("NAME")) {
    cel.replace(at, 4, name);
  }
  return cel;
}

// Comparing each with each is the only way in CEL, which bounds what a rule may cost; the operator
// sees to longer lists.
constexpr std::size_t kMostCompared = 300;

void AddNameRules(const std::string& field, std::vector<Rule>& rules) {
  const std::string path = "spec.data." + field, value = "variables." + field;
  const std::string many = ".size() > " + std::to_string(kMostVisited) + " || ";
  std::string shape = value + " == null || (type(" + value + ") == string ? " + GoodName(value);
  shape += " : type(" + value + ") == list ? " + value + many;
  shape += value + ".all(n, " + GoodName("n") + ") : type(" + value + ") == map && (" + value;
  shape += many + value + ".all(k, " + GoodName(value + "[k]") + ")))";
  rules.push_back({"names-of-" + field, RuleHome::kPolicy, "", path, std::move(shape),
                   "must be a name, a list of names or a mapping of names: texts of 1 to 4096 "
                   "characters, none of them a control character"});
  std::string distinct = "type(" + value + ") != list || " + value + ".size() > ";
  distinct += std::to_string(kMostCompared) + " || " + value + ".all(n, " + value;
  distinct += ".exists_one(m, m == n))";
  rules.push_back({"distinct-" + field, RuleHome::kPolicy, "", path, std::move(distinct),
                   "must not name anything twice"});
  rules.push_back({"meaning-of-" + field, RuleHome::kPolicy, "", path,
                   "!variables.nameless || !variables." + field + "Given",
                   "has no meaning for a " + EndingsInWords(HasNoNames, false) +
                       " file, where nothing has a name",
                   NamesHaveMeaning});
}

constexpr std::string_view kNameFields[] = {"features", "labels", "sampleWeights"};

std::vector<Rule> DataRules() {
  std::vector<Rule> rules{
      {"data-ending", RuleHome::kDefinition, "spec.data.uri", "spec.data.uri",
       "self.matches('.[.](" + EndingsPattern(AnyFormat) + ")$')",
       "must end in " + EndingsInWords(AnyFormat, true), DataEnding},
      {"npy-only-predicts", RuleHome::kDefinition, "spec", "spec.data.uri",
       "self.task == 'predict' || " + NoneOf("self.data.uri", HasNoLabels),
       "a " + EndingsInWords(HasNoLabels, true) +
           " file has no labels, so it can only be used to predict; save features and labels in "
           "one .npz",
       FileHasLabels},
  };
  for (const std::string_view field : kNameFields) AddNameRules(std::string(field), rules);
  rules.push_back(
      {"csv-needs-labels", RuleHome::kPolicy, "", "spec.data.labels",
       "object.spec.task == 'predict' || " + NoneOf("object.spec.data.uri", NeedsLabels) +
           " || variables.labelsGiven",
       "is required to train or evaluate with a " + EndingsInWords(NeedsLabels, true) + " file",
       LabelsAreChosen});
  rules.push_back({"sample-weights-have-labels", RuleHome::kPolicy, "", "spec.data.sampleWeights",
                   "object.spec.task != 'predict' || !variables.sampleWeightsGiven",
                   "has no meaning for spec.task: predict", SampleWeightsHaveLabels});
  return rules;
}

// --- spec.fit -----------------------------------------------------------------------------------

void ClassesAreIndices(Checked& checked, const Rule& rule) {
  const json& classes = checked.Get(rule.path);
  if (!classes.is_object()) return;
  std::size_t wrong = 0;
  for (const auto& [index, weight] : classes.items()) {
    const bool digits = !index.empty() && index.size() <= 9 &&
                        (index == "0" || index.front() != '0') &&
                        std::ranges::all_of(index, IsDigit);
    if (digits || ++wrong > kMostReports) continue;
    checked.Report(rule.path, "'" + Printable(index) + "' is not a class index (0, 1, …)");
  }
  if (wrong > kMostReports) {
    checked.Report(rule.path, "and " + std::to_string(wrong - kMostReports) + " more like these");
  }
}

void OneKindOfWeights(Checked& checked, const Rule& rule) {
  if (Given(checked, rule.path) && Given(checked, "spec.data.sampleWeights")) {
    checked.Report(rule.path, rule.message);
  }
}

std::vector<Rule> WeightRules() {
  return {
      {"classes-are-indices", RuleHome::kPolicy, "", "spec.fit.classWeight",
       "!has(object.spec.fit.classWeight) || object.spec.fit.classWeight.size() > " +
           std::to_string(kMostVisited) +
           " || object.spec.fit.classWeight.all(k, k.size() <= 9 && "
           "k.matches('^(0|[1-9][0-9]*)$'))",
       "must have class indices (0, 1, …) as keys", ClassesAreIndices},
      {"one-kind-of-weights", RuleHome::kPolicy, "", "spec.fit.classWeight",
       "!has(object.spec.fit.classWeight) || !variables.sampleWeightsGiven",
       "cannot be used together with spec.data.sampleWeights, as in Keras", OneKindOfWeights},
  };
}

void CallbackWithNccl(Checked& checked, const Rule& rule) {
  if (Given(checked, rule.path) && TextOf(checked, "spec.transport") == "nccl") {
    checked.Report(rule.path, rule.message);
  }
}

void CallbackWithoutEpochs(Checked& checked, const Rule& rule) {
  if (Given(checked, rule.path) && TextOf(checked, "spec.frequency") == "fit") {
    checked.Report(rule.path, rule.message);
  }
}

// Whether the metric exists is only known when the model is built; whether there is validation at
// all is known here.
void MonitorIsMeasured(Checked& checked, const Rule& rule) {
  const json& split = checked.Get("spec.fit.validationSplit");
  const std::string monitor = TextOf(checked, rule.path);
  if (!monitor.starts_with("val_") || !split.is_number() || split.get<double>() > 0) return;
  checked.Report(rule.path, "'" + Printable(monitor) + "' " + rule.message);
}

std::vector<Rule> CallbackRules() {
  std::vector<Rule> rules;
  for (const std::string name : {"earlyStopping", "reduceLROnPlateau", "modelCheckpoint"}) {
    const std::string path = "spec.fit." + name, absent = "!has(self.fit." + name + ")";
    rules.push_back({"nccl-without-" + name, RuleHome::kDefinition, "spec", path,
                     "self.transport != 'nccl' || " + absent,
                     "is not supported with spec.transport: nccl; auto takes rest for it",
                     CallbackWithNccl});
    rules.push_back({"fit-without-" + name, RuleHome::kDefinition, "spec", path,
                     "self.frequency != 'fit' || " + absent,
                     "looks at the model after each epoch; with spec.frequency: fit there is one "
                     "only after the last",
                     CallbackWithoutEpochs});
    std::string measured = absent + " || !self.fit." + name;
    measured += ".monitor.startsWith('val_') || self.fit.validationSplit > 0.0";
    rules.push_back({name + "-is-measured", RuleHome::kDefinition, "spec", path + ".monitor",
                     std::move(measured),
                     "needs validation: set spec.fit.validationSplit, or monitor a value of the "
                     "training rows such as 'loss'",
                     MonitorIsMeasured});
  }
  return rules;
}

// --- spec.frequency, spec.transport, spec.output ----------------------------------------------

void FrequencyFitsMode(Checked& checked, const Rule& rule) {
  const std::string mode = TextOf(checked, "spec.mode");
  if (TextOf(checked, rule.path) != "fit" || mode.empty() || mode == "synchronous") return;
  checked.Report(rule.path, rule.message + ", not " + mode);
}

void NcclIsSynchronous(Checked& checked, const Rule& rule) {
  const std::string mode = TextOf(checked, "spec.mode");
  if (TextOf(checked, rule.path) != "nccl" || mode.empty() || mode == "synchronous") return;
  checked.Report(rule.path, rule.message + ", not " + mode);
}

void NcclNeedsGpus(Checked& checked, const Rule& rule) {
  if (TextOf(checked, rule.path) != "nccl") return;
  if (TextOf(checked, "spec.workers.device") == "cpu") checked.Report(rule.path, rule.message);
}

void NcclHasOneServer(Checked& checked, const Rule& rule) {
  const json& servers = checked.Get("spec.parameterServers.replicas");
  if (TextOf(checked, rule.path) != "nccl" || !servers.is_number() || servers <= 1) return;
  checked.Report(rule.path, rule.message + ", not " + servers.dump());
}

void OutputFitsTask(Checked& checked, const Rule& rule) {
  const std::string uri = TextOf(checked, rule.path), task = TextOf(checked, "spec.task");
  if (task.empty() || task == "train" || !NamesModelFile(uri)) return;
  checked.Report(rule.path,
                 "names a model's file, but spec.task: " + task + " writes none; name a folder");
}

std::vector<Rule> ExchangeRules() {
  return {
      {"fit-is-synchronous", RuleHome::kDefinition, "spec", "spec.frequency",
       "self.frequency != 'fit' || self.mode == 'synchronous'",
       "'fit' averages once at the end, which only spec.mode: synchronous does", FrequencyFitsMode},
      {"nccl-is-synchronous", RuleHome::kDefinition, "spec", "spec.transport",
       "self.transport != 'nccl' || self.mode == 'synchronous'",
       "'nccl' works with spec.mode: synchronous only", NcclIsSynchronous},
      {"nccl-needs-gpus", RuleHome::kDefinition, "spec", "spec.transport",
       "self.transport != 'nccl' || self.workers.device != 'cpu'",
       "'nccl' needs GPUs, but spec.workers.device is cpu", NcclNeedsGpus},
      {"nccl-has-one-server", RuleHome::kDefinition, "spec", "spec.transport",
       "self.transport != 'nccl' || self.parameterServers.replicas == 1",
       "'nccl' works with one parameter server only", NcclHasOneServer},
      {"output-fits-task", RuleHome::kDefinition, "spec", "spec.output.uri",
       "self.task == 'train' || !self.output.uri.matches('[.](keras|h5)$')",
       "names a model's file, but only spec.task: train writes one; name a folder", OutputFitsTask},
  };
}

// Each with the field itself, as it is read.
std::vector<Rule> UriRules() {
  std::vector<Rule> rules;
  for (const FieldInfo& field : ManifestFields()) {
    if (field.type != FieldType::kUri) continue;
    const std::string path(field.path);
    rules.push_back({"scheme-of-" + path, RuleHome::kDefinition, path, path,
                     "!self.matches('^[A-Za-z0-9+.-]+://') || "
                     "self.matches('^file://(localhost)?/')",
                     "must be a path or file:///path; other schemes are not supported"});
    rules.push_back({"escapes-of-" + path, RuleHome::kDefinition, path, path,
                     "!self.startsWith('file://') || "
                     "self.matches('^([^%]|%0[1-9A-Fa-f]|%[1-9A-Fa-f][0-9A-Fa-f])*$')",
                     "has a '%' without two hexadecimal digits, or with 00"});
  }
  // ClusterProblems() says the same: a local run takes such a path.
  for (const char* const path : {"spec.output.uri", "spec.checkpoint.uri"}) {
    rules.push_back({"stays-below-" + std::string(path), RuleHome::kDefinition, path, path,
                     "self.matches('^(/|[A-Za-z0-9+.-]+://)') || "
                     "!self.matches('(^|/)[.][.](/|$)')",
                     "must not have '..' in it: on a cluster it starts at /data, and stays on the "
                     "volume there"});
  }
  return rules;
}

std::vector<Rule> AllRules() {
  std::vector<Rule> all;
  for (auto* const group : {IdentityRules, ModelRules, DataRules, ExchangeRules, CompileRules,
                            CallbackRules, WeightRules, UriRules}) {
    std::ranges::move(group(), std::back_inserter(all));
  }
  return all;
}

std::vector<PolicyVariable> AllVariables() {
  std::vector<PolicyVariable> variables{
      {"nameless", "object.spec.data.uri.matches('[.](" + EndingsPattern(HasNoNames) + ")$')"}};
  for (const std::string_view name : kNameFields) {
    const std::string field(name), value = "variables." + field;
    variables.push_back({field, "object.spec.data.?" + field + ".orValue(null)"});
    std::string given = "type(" + value + ") == string || ((type(" + value + ") == list || type(";
    given += value + ") == map) && " + value + ".size() > 0)";
    variables.push_back({field + "Given", std::move(given)});
  }
  std::ranges::move(CompileVariables(), std::back_inserter(variables));
  return variables;
}

}  // namespace

std::span<const Rule> ManifestRules() {
  static const std::vector<Rule> kRules = AllRules();
  return kRules;
}

std::span<const PolicyVariable> PolicyVariables() {
  static const std::vector<PolicyVariable> kVariables = AllVariables();
  return kVariables;
}

void CheckRules(Checked& checked) {
  // Kubernetes' own rules of metadata, and the shape of a status: schemas of the API server's, no CEL.
  CheckMetadata(checked);
  CheckStatus(checked);
  for (const Rule& rule : ManifestRules()) {
    if (rule.check != nullptr) rule.check(checked, rule);
  }
}

}  // namespace elephas::manifest
