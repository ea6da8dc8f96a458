#include "worker/loaded_job.h"

#include <algorithm>
#include <span>
#include <utility>

#include "common/atomic_file.h"
#include "worker/outputs.h"

namespace elephas {

namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxModelJson = std::uint64_t{256} << 20;

Result<json> ReadModelConfig(const JobSpec& spec, const std::string& base) {
  if (spec.model.inline_config) return *spec.model.inline_config;
  if (!spec.model.uri) return Invalid("spec.model: only uri and inline can be read here");
  ELEPHAS_ASSIGN_OR_RETURN(const std::string path, ResolveUri(*spec.model.uri, base));
  if (!path.ends_with(".json")) {
    return Invalid(path + ": only Keras JSON (.json) can be read as a model");
  }
  ELEPHAS_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(path, kMaxModelJson));
  json config = json::parse(text, nullptr, false);
  if (config.is_discarded()) return Invalid(path + ": is not JSON");
  return config;
}

Status LoadWeights(LoadedJob& job) {
  const at::Tensor arena = job.model->parameters();
  const std::span<float> floats(arena.data_ptr<float>(), static_cast<std::size_t>(arena.numel()));
  if (job.spec.model.weights_uri) {
    ELEPHAS_ASSIGN_OR_RETURN(const std::string path,
                             ResolveUri(*job.spec.model.weights_uri, job.base));
    if (!path.ends_with(".safetensors")) {
      return Invalid(path + ": only .safetensors can be read as weights");
    }
    ELEPHAS_RETURN_IF_ERROR(ReadModelSafetensors(path, job.layout, floats));
  }
  job.initial_parameters.assign(floats.begin(), floats.end());
  return OkStatus();
}

Status Compile(LoadedJob& job) {
  const json compile = job.spec.compile.is_null() ? json::object() : job.spec.compile;
  if (job.spec.task != TaskKind::kPredict) {
    ELEPHAS_ASSIGN_OR_RETURN(job.loss, keras::CompiledLoss::FromConfig(compile, *job.model));
  }
  if (job.spec.task == TaskKind::kTrain) {
    const json optimizer = compile.contains("optimizer") ? compile["optimizer"] : json();
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
  ELEPHAS_ASSIGN_OR_RETURN(const json config, ReadModelConfig(job->spec, job->base));
  ELEPHAS_ASSIGN_OR_RETURN(job->model, keras::Model::FromConfig(config, seed));
  job->layout = job->model->layout();
  ELEPHAS_RETURN_IF_ERROR(Compile(*job));
  ELEPHAS_RETURN_IF_ERROR(LoadWeights(*job));
  ELEPHAS_RETURN_IF_ERROR(LoadData(*job));
  return job;
}

}  // namespace elephas
