// Everything a worker holds of its job: the model, how it is compiled, and the data.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/model_layout.h"
#include "worker/data/dataset.h"
#include "worker/keras/compile.h"
#include "worker/keras/model.h"
#include "worker/keras_file/model_tree.h"
#include "worker/train/batches.h"
#include "worker/train/trainer.h"

namespace elephas {

struct LoadedJob {
  JobSpec spec;
  std::string base;  // folder that URIs without a scheme are relative to
  std::uint64_t seed = 0;
  nlohmann::json config;   // what model.to_json() prints
  nlohmann::json compile;  // the manifest's, or else the model file's; an object
  std::unique_ptr<keras::Model> model;
  keras_file::Object tree;                     // the model's weights as Keras' files order them
  std::unique_ptr<keras::CompiledLoss> loss;   // null for predict
  std::unique_ptr<const Optimizer> optimizer;  // null but for train
  Dataset dataset;
  ModelData data;  // views of `dataset`
  ModelLayout layout;
  std::vector<float> initial_parameters;  // of the whole arena
  // Of a model file that was saved in the middle of training: it goes on where it stopped.
  std::optional<OptimizerState> initial_state;
};

// Builds the model on `device` (weights drawn from `seed`, or read from where the manifest says),
// reads and checks the data. Errors name the file, line, field or layer.
Result<std::unique_ptr<LoadedJob>> LoadJob(JobSpec spec, std::string base, std::uint64_t seed,
                                           c10::Device device);

}  // namespace elephas
