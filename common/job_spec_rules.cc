#include "common/job_spec_rules.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "common/job_spec_fields.h"
#include "common/job_spec_metadata.h"
#include "common/job_spec_status.h"
#include "common/optimizer.h"

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
constexpr std::array<std::string_view, 5> kDataEndings{".npz", ".npy", ".csv", ".libsvm", ".svm"};
constexpr std::array<std::string_view, 2> kLibsvmEndings{".libsvm", ".svm"};

// RFC 1123: letters, digits and '-', beginning and ending with a letter or digit.
bool IsDnsLabel(std::string_view label) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
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

void Identity(Checked& checked) {
  const std::string version = TextOf(checked, "apiVersion"), kind = TextOf(checked, "kind");
  if (!version.empty() && version != kApiVersion) {
    checked.Report("apiVersion",
                   "must be " + std::string(kApiVersion) + ", not '" + Printable(version) + "'");
  }
  if (!kind.empty() && kind != kKind) {
    checked.Report("kind", "must be " + std::string(kKind) + ", not '" + Printable(kind) + "'");
  }
}

void Names(Checked& checked) {
  const std::string name = TextOf(checked, "metadata.name");
  if (!name.empty() && !IsDnsSubdomain(name)) {
    checked.Report("metadata.name",
                   "must be lower-case letters, digits, '-' and '.', beginning and ending with a "
                   "letter or digit, not '" +
                       Printable(name) + "'");
  } else if (name.size() > kMaxNameLength) {
    checked.Report("metadata.name", "must have at most " + std::to_string(kMaxNameLength) +
                                        " characters, so that the names of its pods fit");
  }
  const std::string name_space = TextOf(checked, "metadata.namespace");
  if (!name_space.empty() && !IsDnsLabel(name_space)) {
    checked.Report("metadata.namespace",
                   "must be lower-case letters, digits and '-', beginning and ending with a letter "
                   "or digit, not '" +
                       Printable(name_space) + "'");
  }
}

void OneModelSource(Checked& checked) {
  if (checked.IsWrong("spec.model")) return;
  std::string given;
  int count = 0;
  for (const std::string_view source : {"uri", "inline", "configMapRef"}) {
    if (!Given(checked, JoinPath("spec.model", source))) continue;
    given += (++count > 1 ? " and " : "") + std::string(source);
  }
  if (count == 0) checked.Report("spec.model", "needs one of uri, inline, configMapRef");
  if (count > 1) {
    checked.Report("spec.model", "takes only one of uri, inline, configMapRef; this has " + given);
  }
}

void KnownFileEndings(Checked& checked) {
  const std::string model = TextOf(checked, "spec.model.uri");
  if (!model.empty() && !EndsWithOneOf(model, kModelEndings)) {
    checked.Report("spec.model.uri",
                   "must end in .keras, .h5 or .json, not '" + Printable(model) + "'");
  } else if (model.ends_with(".weights.h5")) {
    checked.Report(
        "spec.model.uri",
        "holds weights without a model; name it under spec.model.weights.uri and give the "
        "model as .json or inline");
  }
  const std::string weights = TextOf(checked, "spec.model.weights.uri");
  if (!weights.empty() && !EndsWithOneOf(weights, kWeightsEndings)) {
    checked.Report("spec.model.weights.uri",
                   "must end in .weights.h5 or .safetensors, not '" + Printable(weights) + "'");
  }
  const std::string data = TextOf(checked, "spec.data.uri");
  if (!data.empty() && !EndsWithOneOf(data, kDataEndings)) {
    checked.Report("spec.data.uri",
                   "must end in .npz, .npy, .csv, .libsvm or .svm, not '" + Printable(data) + "'");
  }
}

void DataFitsTask(Checked& checked) {
  const std::string task = TextOf(checked, "spec.task"), uri = TextOf(checked, "spec.data.uri");
  if (task.empty() || uri.empty() || checked.IsWrong("spec.data")) return;
  const bool needs_labels = task != "predict";
  if (uri.ends_with(".npy") && needs_labels) {
    checked.Report("spec.data.uri", "a .npy file has no labels, so it cannot be used to " + task +
                                        "; save features and labels in one .npz");
  } else if (uri.ends_with(".csv") && needs_labels && !Given(checked, "spec.data.labels")) {
    checked.Report("spec.data.labels", "is required to " + task + " with a .csv file");
  }
  const bool nameless = uri.ends_with(".npy") || EndsWithOneOf(uri, kLibsvmEndings);
  for (const std::string_view path : {"spec.data.features", "spec.data.labels"}) {
    if (nameless && Given(checked, path)) {
      checked.Report(path, "has no meaning for " + Printable(uri) + ", where nothing has a name");
    }
  }
}

void FrequencyFitsMode(Checked& checked) {
  const std::string mode = TextOf(checked, "spec.mode");
  if (TextOf(checked, "spec.frequency") == "fit" && !mode.empty() && mode != "synchronous") {
    checked.Report(
        "spec.frequency",
        "'fit' averages once at the end, which only spec.mode: synchronous does, not " + mode);
  }
}

void TransportFits(Checked& checked) {
  if (TextOf(checked, "spec.transport") != "nccl") return;
  const std::string mode = TextOf(checked, "spec.mode");
  if (!mode.empty() && mode != "synchronous") {
    checked.Report("spec.transport", "'nccl' works with spec.mode: synchronous only, not " + mode);
  }
  if (TextOf(checked, "spec.workers.device") == "cpu") {
    checked.Report("spec.transport", "'nccl' needs GPUs, but spec.workers.device is cpu");
  }
  const json& servers = checked.Get("spec.parameterServers.replicas");
  if (servers.is_number() && servers > 1) {
    checked.Report("spec.transport",
                   "'nccl' works with one parameter server only, not " + servers.dump());
  }
}

// Keras needs a loss to train or evaluate. A file may carry one inside, which is seen later.
void CompileHasLoss(Checked& checked) {
  const std::string task = TextOf(checked, "spec.task");
  if (task.empty() || task == "predict" || checked.IsWrong("spec.compile")) return;
  const json& model = checked.Get("spec.model.inline");
  if (Given(checked, "spec.compile")) {
    if (!Given(checked, "spec.compile.loss")) {
      checked.Report("spec.compile.loss", "is required to " + task);
    }
  } else if (model.is_object() &&
             (!model.contains("compile_config") || !model["compile_config"].is_object())) {
    checked.Report("spec.compile", "is required to " + task +
                                       ": the inline model holds no compile_config with a loss");
  }
}

// A mistake in the optimizer is seen before anything runs.
void OptimizerIsKnown(Checked& checked) {
  const json& config = checked.Get("spec.compile.optimizer");
  if (config.is_null() || TextOf(checked, "spec.task") != "train" ||
      checked.IsWrong("spec.compile.optimizer")) {
    return;
  }
  const auto optimizer = Optimizer::FromConfig(config);
  if (!optimizer.ok()) checked.Report("spec.compile.optimizer", optimizer.status().message());
}

constexpr std::array<std::string_view, 3> kCallbacks{
    "spec.fit.earlyStopping", "spec.fit.reduceLROnPlateau", "spec.fit.modelCheckpoint"};

// Whether the metric exists is only known when the model is built; whether there is validation at
// all is known here.
void CallbacksHaveWhatTheyWatch(Checked& checked) {
  const json& split = checked.Get("spec.fit.validationSplit");
  const bool validates = split.is_number() && split.get<double>() > 0;
  for (const std::string_view callback : kCallbacks) {
    if (!Given(checked, callback) || checked.IsWrong(callback)) continue;
    if (TextOf(checked, "spec.transport") == "nccl") {
      checked.Report(callback,
                     "is not supported with spec.transport: nccl; auto takes rest for it");
      continue;
    }
    if (TextOf(checked, "spec.frequency") == "fit") {
      checked.Report(callback,
                     "looks at the model after each epoch; with spec.frequency: fit there is one "
                     "only after the last");
      continue;
    }
    const std::string path = JoinPath(callback, "monitor");
    const std::string monitor = TextOf(checked, path);
    if (monitor.starts_with("val_") && !validates && !checked.IsWrong("spec.fit.validationSplit")) {
      checked.Report(path, "'" + Printable(monitor) +
                               "' needs validation: set spec.fit.validationSplit, or monitor a "
                               "value of the training rows such as 'loss'");
    }
  }
}

void RateCanBeReduced(Checked& checked) {
  const json& config = checked.Get("spec.compile.optimizer");
  if (!Given(checked, "spec.fit.reduceLROnPlateau") || config.is_null()) return;
  const auto optimizer = Optimizer::FromConfig(config);
  if (optimizer.ok() && (*optimizer)->HasSchedule()) {
    checked.Report("spec.fit.reduceLROnPlateau",
                   "needs a learning rate that is a number; spec.compile.optimizer has a schedule");
  }
}

void WeightsAreWeights(Checked& checked) {
  constexpr std::string_view kSamples = "spec.data.sampleWeights";
  constexpr std::string_view kClasses = "spec.fit.classWeight";
  const std::string task = TextOf(checked, "spec.task"), uri = TextOf(checked, "spec.data.uri");
  if (Given(checked, kSamples)) {
    if (task == "predict") checked.Report(kSamples, "has no meaning for spec.task: predict");
    if (uri.ends_with(".npy") || EndsWithOneOf(uri, kLibsvmEndings)) {
      checked.Report(kSamples,
                     "has no meaning for " + Printable(uri) + ", where nothing has a name");
    }
  }
  const json& classes = checked.Get(kClasses);
  if (!classes.is_object() || checked.IsWrong(kClasses)) return;
  if (Given(checked, kSamples)) {
    checked.Report(kClasses, "cannot be used together with spec.data.sampleWeights, as in Keras");
  }
  for (const auto& [index, weight] : classes.items()) {
    const bool digits = !index.empty() && index.size() <= 9 &&
                        std::all_of(index.begin(), index.end(),
                                    [](unsigned char c) { return c >= '0' && c <= '9'; });
    if (!digits) {
      checked.Report(kClasses, "'" + Printable(index) + "' is not a class index (0, 1, …)");
    } else if (!weight.is_number() || !(weight.get<double>() >= 0)) {
      checked.Report(JoinPath(kClasses, index), "must be a number that is not negative");
    }
  }
}

void OutputFitsTask(Checked& checked) {
  const std::string uri = TextOf(checked, "spec.output.uri"), task = TextOf(checked, "spec.task");
  if (task.empty() || task == "train" || !NamesModelFile(uri)) return;
  checked.Report("spec.output.uri",
                 "names a model's file, but spec.task: " + task + " writes none; name a folder");
}

// In reading order; each states one promise of the manifest.
constexpr void (*kRules[])(Checked&) = {
    Identity,         CheckMetadata,     CheckStatus,      Names,
    OneModelSource,   KnownFileEndings,  DataFitsTask,     FrequencyFitsMode,
    TransportFits,    CompileHasLoss,    OptimizerIsKnown, CallbacksHaveWhatTheyWatch,
    RateCanBeReduced, WeightsAreWeights, OutputFitsTask,
};

}  // namespace

void CheckRules(Checked& checked) {
  for (const auto rule : kRules) rule(checked);
}

}  // namespace elephas::manifest
