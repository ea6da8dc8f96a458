// Keras' model and weight files, read and written without Python.
//
//   .keras        zip of config.json, metadata.json and model.weights.h5 (Keras 3)
//   .h5, .hdf5    legacy whole model (Keras 2 and 3), or legacy weights
//   .weights.h5   weights alone, of Keras 3 or legacy
//   .json         the model without weights, as model.to_json() prints it
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/model_layout.h"
#include "worker/keras_file/layer_order.h"
#include "worker/keras_file/model_tree.h"
#include "worker/keras_file/saved_weights.h"

namespace elephas::keras_file {

struct ModelFile {
  nlohmann::json config;     // {"class_name", "config", …}, as model.to_json() of Keras 3 prints
  nlohmann::json compile;    // the words of keras.Model.compile; null: not compiled
  bool has_weights = false;  // ReadWeightsFile takes the same path; false for .json
};

// Everything but the weights: how large those may be is only known once the model is built. By the
// extension. kNotFound; kInvalid names the file and what is wrong: not such a file,
// truncated, hostile (hdf5_reader.h, zip_reader.h; members of the archive whose names climb out).
Result<ModelFile> ReadModelFile(const std::string& path);

// How many bytes of weights and optimizer state a model of this size can have, generously: what
// claims to inflate to more is refused before it takes the memory.
std::uint64_t MaxWeightsBytes(std::int64_t elements);

// The weights of any of these files but .json, `max_bytes` at most; errors as above.
Result<SavedWeights> ReadWeightsFile(const std::string& path, std::uint64_t max_bytes);

// What a model file is written from. All references outlive the call.
struct ModelToSave {
  const nlohmann::json& config;   // as in ModelFile
  const nlohmann::json& compile;  // as in ModelFile
  const Object& tree;             // OrderedTree in layer_order.h
  const ModelLayout& layout;
  std::span<const float> parameters;  // the whole arena
  // The optimizer's state; null for none. One slot per SlotNames(), each over the trainable part.
  const Optimizer* optimizer = nullptr;
  std::int64_t iterations = 0;
  std::vector<std::span<const float>> slots;
};

// Writes .keras or, for a path that ends in .h5 or .hdf5, the legacy whole model, such that
// keras.models.load_model opens it. Whole or not at all (atomic_file.h).
Status WriteModelFile(const std::string& path, const ModelToSave& model);

}  // namespace elephas::keras_file
