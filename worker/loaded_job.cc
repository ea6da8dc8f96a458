#include "worker/loaded_job.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <utility>

#include "common/base/log.h"
#include "common/protocol/partitioning.h"
#include "worker/keras/weights/weight.h"
#include "worker/keras_file/keras_file.h"
#include "worker/keras_file/modern_config.h"
#include "worker/outputs.h"

namespace elephas {

namespace {

using nlohmann::json;

Result<keras_file::ModelFile> ReadModel(const JobSpec& spec, const std::string& base) {
  if (spec.model.inline_config) {
    const json& config = *spec.model.inline_config;
    const json version = config.is_object() ? config.value("keras_version", json()) : json();
    ELEPHAS_RETURN_IF_ERROR(
        keras_file::CheckMeanings(config, version).Annotate("spec.model.inline"));
    return keras_file::ModelFile{keras_file::ModernConfig(config), {}, false};
  }
  if (!spec.model.uri) return Invalid("spec.model: only uri and inline can be read here");
  ELEPHAS_ASSIGN_OR_RETURN(const std::string path, ResolveUri(*spec.model.uri, base));
  return keras_file::ReadModelFile(path);
}

// The servers take no NaN; here it still has a name.
Status CheckFinite(const ModelLayout& layout, std::span<const float> arena) {
  for (const WeightLayout& weight : layout.weights) {
    const auto values = arena.subspan(static_cast<std::size_t>(weight.offset),
                                      static_cast<std::size_t>(weight.size));
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      return Invalid("weight '" + weight.name + "' holds a NaN or an infinity");
    }
  }
  return OkStatus();
}

// The weights in the model's own file; none when nothing of them is wanted.
Result<std::optional<keras_file::SavedWeights>> ReadModelWeights(
    const LoadedJob& job, const keras_file::ModelFile& file) {
  const bool resumes = job.optimizer && job.spec.compile.is_null();
  if (!file.has_weights || (job.spec.model.weights_uri && !resumes)) {
    return std::optional<keras_file::SavedWeights>();
  }
  ELEPHAS_ASSIGN_OR_RETURN(const std::string path, ResolveUri(*job.spec.model.uri, job.base));
  ELEPHAS_ASSIGN_OR_RETURN(
      keras_file::SavedWeights weights,
      keras_file::ReadWeightsFile(path, keras_file::MaxWeightsBytes(job.layout.total_elements)));
  return std::optional<keras_file::SavedWeights>(std::move(weights));
}

Status LoadWeights(LoadedJob& job, const std::optional<keras_file::SavedWeights>& weights) {
  const at::Tensor arena = job.model->parameters();
  const std::span<float> floats(arena.data_ptr<float>(), static_cast<std::size_t>(arena.numel()));
  if (job.spec.model.weights_uri) {
    ELEPHAS_ASSIGN_OR_RETURN(const std::string path,
                             ResolveUri(*job.spec.model.weights_uri, job.base));
    if (path.ends_with(".safetensors")) {
      ELEPHAS_RETURN_IF_ERROR(ReadModelSafetensors(path, job.layout, floats));
    } else {
      ELEPHAS_ASSIGN_OR_RETURN(const keras_file::SavedWeights others,
                               keras_file::ReadWeightsFile(
                                   path, keras_file::MaxWeightsBytes(job.layout.total_elements)));
      ELEPHAS_RETURN_IF_ERROR(others.Assign(job.tree, job.layout, floats).Annotate(path));
    }
    ELEPHAS_RETURN_IF_ERROR(CheckFinite(job.layout, floats).Annotate(path));
  } else if (weights) {
    ELEPHAS_RETURN_IF_ERROR(
        weights->Assign(job.tree, job.layout, floats).Annotate(*job.spec.model.uri));
    ELEPHAS_RETURN_IF_ERROR(CheckFinite(job.layout, floats).Annotate(*job.spec.model.uri));
  }
  job.initial_parameters.assign(floats.begin(), floats.end());
  return OkStatus();
}

// With a compile of its own the manifest starts anew; without one training resumes where the file's
// stopped, moments and step count included.
Status LoadOptimizerState(LoadedJob& job, const std::optional<keras_file::SavedWeights>& weights) {
  if (!job.optimizer || !job.spec.compile.is_null() || !weights || !weights->has_optimizer()) {
    return OkStatus();
  }
  Result<keras_file::OptimizerState> saved =
      weights->ReadOptimizer(job.tree, job.layout, *job.optimizer);
  if (saved.status().code() == Code::kNotFound) {
    // Keras warns in the same case, and goes on.
    LogWarning("the optimizer starts anew",
               {{"path", *job.spec.model.uri}, {"reason", saved.status().message()}});
    return OkStatus();
  }
  if (!saved.ok()) return saved.status().Annotate(*job.spec.model.uri);
  OptimizerState state;
  state.iterations = saved->iterations;
  // Somebody may have set it since the optimizer was made: the variable counts, not the config.
  const auto configured = static_cast<float>(job.optimizer->LearningRate(0));
  if (saved->learning_rate && *saved->learning_rate != configured) {
    ELEPHAS_ASSIGN_OR_RETURN(job.optimizer,
                             WithLearningRate(*job.optimizer, *saved->learning_rate));
    job.layout.optimizer = job.optimizer->Config();
  }
  for (const std::vector<float>& slot : saved->slots) {
    state.slots.insert(state.slots.end(), slot.begin(), slot.end());
  }
  job.initial_state = std::move(state);
  return OkStatus();
}

Status LoadModelState(LoadedJob& job, const keras_file::ModelFile& file) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::optional<keras_file::SavedWeights> weights,
                           ReadModelWeights(job, file));
  ELEPHAS_RETURN_IF_ERROR(LoadWeights(job, weights));
  return LoadOptimizerState(job, weights);
}

// What the callbacks watch must be there, or they would do nothing in silence.
Status CheckMonitors(const JobSpec& spec, const keras::CompiledLoss& loss) {
  std::vector<std::string> names = loss.MetricNames();
  if (spec.fit.validation_split > 0) {
    for (const std::string& name : loss.MetricNames()) names.push_back("val_" + name);
  }
  const auto check = [&](std::string_view callback, const MonitorSpec& watched) -> Status {
    if (std::ranges::find(names, watched.monitor) != names.end()) return OkStatus();
    std::string known;
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
    return Invalid("spec.fit." + std::string(callback) + ".monitor: there is no '" +
                   watched.monitor + "'; this job has " + known);
  };
  const auto& fit = spec.fit;
  if (fit.early_stopping) {
    ELEPHAS_RETURN_IF_ERROR(check("earlyStopping", *fit.early_stopping));
  }
  if (fit.reduce_lr) ELEPHAS_RETURN_IF_ERROR(check("reduceLROnPlateau", *fit.reduce_lr));
  if (fit.model_checkpoint) {
    ELEPHAS_RETURN_IF_ERROR(check("modelCheckpoint", *fit.model_checkpoint));
  }
  return OkStatus();
}

Status Compile(LoadedJob& job, const keras_file::ModelFile& file) {
  job.compile = job.spec.compile.is_null() ? file.compile : job.spec.compile;
  if (job.compile.is_null()) job.compile = json::object();
  if (job.spec.task != TaskKind::kPredict) {
    ELEPHAS_ASSIGN_OR_RETURN(job.loss, keras::CompiledLoss::FromConfig(job.compile, *job.model));
  }
  if (job.spec.task == TaskKind::kTrain) {
    const json optimizer = job.compile.contains("optimizer") ? job.compile["optimizer"] : json();
    ELEPHAS_ASSIGN_OR_RETURN(job.optimizer, Optimizer::FromConfig(optimizer));
    job.layout.optimizer = job.optimizer->Config();
    job.layout.slot_names = job.optimizer->SlotNames();
    if (job.spec.fit.has_callbacks()) {
      ELEPHAS_RETURN_IF_ERROR(CheckMonitors(job.spec, *job.loss));
      job.layout.larger_is_better = job.loss->LargerIsBetter();
    }
  }
  return OkStatus();
}

struct Constrained {
  const keras::WeightGroup* owner = nullptr;
  const keras::Weight* weight = nullptr;  // null when there is none
};

// The first weight below `group` that is constrained.
Constrained FindConstrained(const keras::WeightGroup& group) {
  for (const keras::Weight* weight : group.weights) {
    if (weight->trainable && weight->constraint) return {&group, weight};
  }
  for (const auto& child : group.children) {
    const Constrained found = FindConstrained(*child);
    if (found.weight != nullptr) return found;
  }
  return {};
}

// The step of synchronous batch is the server's, which knows vectors and no weights to project.
// That workers project what they pull is not the same: the server would go on from what is not
// projected.
Status CheckConstraints(const JobSpec& spec, const keras::Model& model) {
  if (spec.task != TaskKind::kTrain || spec.mode != Mode::kSynchronous ||
      spec.frequency != Frequency::kBatch) {
    return OkStatus();
  }
  const auto [owner, weight] = FindConstrained(model.weight_tree());
  if (weight == nullptr) return OkStatus();
  return Invalid("layer '" + owner->name + "' (" + owner->class_name + "): weight '" +
                 weight->path +
                 "' has a constraint, which mode synchronous does not apply with frequency batch; "
                 "set spec.frequency to epoch or fit, or remove the constraint");
}

Status LoadData(LoadedJob& job) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::string path, ResolveUri(job.spec.data.uri, job.base));
  DatasetHints hints;
  hints.need_labels = job.spec.task != TaskKind::kPredict;
  if (job.model->inputs().size() == 1) {
    hints.libsvm_width = 1;
    for (const std::int64_t extent : job.model->inputs()[0].shape) {
      hints.libsvm_width = extent < 0 ? 0 : hints.libsvm_width * extent;
    }
  }
  ELEPHAS_ASSIGN_OR_RETURN(job.dataset, LoadDataset(path, job.spec.data, hints));
  ELEPHAS_ASSIGN_OR_RETURN(job.data, BindData(job.dataset, *job.model, hints.need_labels));
  if (job.loss) {
    const Status labels = job.loss->CheckLabels(
        job.data.labels, [&job](std::int64_t row) { return job.dataset.RowName(row); });
    if (!labels.ok()) return labels.Annotate(path);
  }
  if (job.spec.task == TaskKind::kTrain && !job.spec.fit.class_weight.empty()) {
    const std::int64_t training = TrainingExamples(job.dataset.rows, job.spec.fit.validation_split);
    ELEPHAS_RETURN_IF_ERROR(
        WeighClasses(job.spec.fit.class_weight, *job.model, training, job.data));
  }
  job.layout.examples = job.dataset.rows;
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<LoadedJob>> LoadJob(JobSpec spec, std::string base, std::uint64_t seed,
                                           c10::Device device) {
  auto job = std::make_unique<LoadedJob>();
  job->spec = std::move(spec);
  job->base = std::move(base);
  job->seed = seed;
  ELEPHAS_ASSIGN_OR_RETURN(const keras_file::ModelFile file, ReadModel(job->spec, job->base));
  job->config = file.config;
  auto model = keras::Model::FromConfig(file.config, seed);
  if (!model.ok()) {
    const std::optional<std::string>& uri = job->spec.model.uri;
    return model.status().Annotate(uri ? "spec.model.uri: " + *uri : "spec.model.inline");
  }
  job->model = *std::move(model);
  ELEPHAS_RETURN_IF_ERROR(CheckConstraints(job->spec, *job->model));
  job->layout = job->model->layout();
  job->tree = keras_file::OrderedTree(job->model->weight_tree(), file.config);
  ELEPHAS_RETURN_IF_ERROR(Compile(*job, file));
  ELEPHAS_RETURN_IF_ERROR(LoadModelState(*job, file));
  ELEPHAS_RETURN_IF_ERROR(LoadData(*job));
  // Weights are read and drawn on the host, so they are the same wherever they go.
  if (!device.is_cpu()) job->model->To(device);
  return job;
}

}  // namespace elephas
