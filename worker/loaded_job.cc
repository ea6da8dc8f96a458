#include "worker/loaded_job.h"

#include <algorithm>
#include <span>
#include <utility>

#include "worker/keras/weight.h"
#include "worker/keras_file/keras_file.h"
#include "worker/outputs.h"

namespace elephas {

namespace {

using nlohmann::json;

Result<keras_file::ModelFile> ReadModel(const JobSpec& spec, const std::string& base) {
  if (spec.model.inline_config) return keras_file::ModelFile{*spec.model.inline_config, {}, {}};
  if (!spec.model.uri) return Invalid("spec.model: only uri and inline can be read here");
  ELEPHAS_ASSIGN_OR_RETURN(const std::string path, ResolveUri(*spec.model.uri, base));
  return keras_file::ReadModelFile(path);
}

Status LoadWeights(LoadedJob& job, const keras_file::ModelFile& file) {
  const at::Tensor arena = job.model->parameters();
  const std::span<float> floats(arena.data_ptr<float>(), static_cast<std::size_t>(arena.numel()));
  if (job.spec.model.weights_uri) {
    ELEPHAS_ASSIGN_OR_RETURN(const std::string path,
                             ResolveUri(*job.spec.model.weights_uri, job.base));
    if (path.ends_with(".safetensors")) {
      ELEPHAS_RETURN_IF_ERROR(ReadModelSafetensors(path, job.layout, floats));
    } else {
      ELEPHAS_ASSIGN_OR_RETURN(const keras_file::SavedWeights weights,
                               keras_file::ReadWeightsFile(path));
      ELEPHAS_RETURN_IF_ERROR(weights.Assign(job.tree, job.layout, floats).Annotate(path));
    }
  } else if (file.weights) {
    ELEPHAS_RETURN_IF_ERROR(
        file.weights->Assign(job.tree, job.layout, floats).Annotate(*job.spec.model.uri));
  }
  job.initial_parameters.assign(floats.begin(), floats.end());
  return OkStatus();
}

// With a compile of its own the manifest starts anew; without one training resumes where the file's
// stopped, moments and step count included.
Status LoadOptimizerState(LoadedJob& job, const keras_file::ModelFile& file) {
  if (!job.optimizer || !job.spec.compile.is_null() || !file.weights ||
      !file.weights->has_optimizer()) {
    return OkStatus();
  }
  Result<keras_file::OptimizerState> saved =
      file.weights->ReadOptimizer(job.tree, job.layout, *job.optimizer);
  if (saved.status().code() == Code::kNotFound) return OkStatus();
  if (!saved.ok()) return saved.status().Annotate(*job.spec.model.uri);
  OptimizerState state;
  state.iterations = saved->iterations;
  for (const std::vector<float>& slot : saved->slots) {
    state.slots.insert(state.slots.end(), slot.begin(), slot.end());
  }
  job.initial_state = std::move(state);
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
  }
  return OkStatus();
}

Status CheckDevice(const JobSpec& spec) {
  if (spec.workers.device == Device::kCuda) {
    return Invalid("spec.workers.device is cuda, but this worker can only use the CPU");
  }
  if (spec.transport == Transport::kNccl) {
    return Invalid("spec.transport is nccl, but this worker can only exchange by rest");
  }
  return OkStatus();
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
    const Status labels = job.loss->CheckLabels(job.data.labels);
    if (!labels.ok()) return labels.Annotate(path);
  }
  job.layout.examples = job.dataset.rows;
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<LoadedJob>> LoadJob(JobSpec spec, std::string base, std::uint64_t seed) {
  auto job = std::make_unique<LoadedJob>();
  job->spec = std::move(spec);
  job->base = std::move(base);
  job->seed = seed;
  ELEPHAS_RETURN_IF_ERROR(CheckDevice(job->spec));
  ELEPHAS_ASSIGN_OR_RETURN(const keras_file::ModelFile file, ReadModel(job->spec, job->base));
  job->config = file.config;
  ELEPHAS_ASSIGN_OR_RETURN(job->model, keras::Model::FromConfig(file.config, seed));
  job->layout = job->model->layout();
  job->tree = keras_file::OrderedTree(job->model->weight_tree(), file.config);
  ELEPHAS_RETURN_IF_ERROR(Compile(*job, file));
  ELEPHAS_RETURN_IF_ERROR(LoadWeights(*job, file));
  ELEPHAS_RETURN_IF_ERROR(LoadOptimizerState(*job, file));
  ELEPHAS_RETURN_IF_ERROR(LoadData(*job));
  return job;
}

}  // namespace elephas
