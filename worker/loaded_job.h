// Everything a worker holds of its job: the model, how it is compiled, and the data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/job_spec.h"
#include "common/model_layout.h"
#include "common/optimizer.h"
#include "common/result.h"
#include "worker/batches.h"
#include "worker/data/dataset.h"
#include "worker/keras/compile.h"
#include "worker/keras/model.h"

namespace elephas {

struct LoadedJob {
  JobSpec spec;
  std::string base;  // folder that URIs without a scheme are relative to
  std::uint64_t seed = 0;
  std::unique_ptr<keras::Model> model;
  std::unique_ptr<keras::CompiledLoss> loss;   // null for predict
  std::unique_ptr<const Optimizer> optimizer;  // null but for train
  Dataset dataset;
  ModelData data;  // views of `dataset`
  ModelLayout layout;
  std::vector<float> initial_parameters;  // of the whole arena
};

// Builds the model (weights drawn from `seed`, or read from where the manifest says), reads and
// checks the data. Errors name the file, line, field or layer.
Result<std::unique_ptr<LoadedJob>> LoadJob(JobSpec spec, std::string base, std::uint64_t seed);

}  // namespace elephas
