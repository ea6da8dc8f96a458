// Weights and optimizer state as a file holds them, and their way into a model's flat arena.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/model_layout.h"
#include "worker/keras_file/hdf5_reader.h"
#include "worker/keras_file/model_tree.h"
#include "worker/keras_file/variable_store.h"

namespace elephas::keras_file {

// Layouts of HDF5 files: Keras 3's groups by layer, and the legacy one with layer_names and
// weight_names.
class SavedWeights {
 public:
  // kInvalid when `contents` is neither. `keras2`: it is of an archive that Keras 2 wrote.
  static Result<SavedWeights> FromHdf5(Hdf5Contents contents, bool keras2 = false);

  // Sets every variable of the model; `tree` (ordered as OrderLikeKeras says) tells where each
  // lies, `layout` where it goes in `arena`. Seed generators and other state that the model does
  // not have is left out, as Keras does. kInvalid names the layer, the weight and both shapes; then
  // `arena` is half-written.
  Status Assign(const Object& tree, const ModelLayout& layout, std::span<float> arena) const;

  [[nodiscard]] bool has_optimizer() const;
  // kInvalid when the state is not one of `optimizer` for this model; the message tells counts or
  // shapes. kNotFound when there is none, or one of a Keras 2 optimizer, which Keras 3 does not
  // take over either.
  Result<OptimizerState> ReadOptimizer(const Object& tree, const ModelLayout& layout,
                                       const Optimizer& optimizer) const;

 private:
  SavedWeights(Hdf5Contents contents, bool legacy, bool keras2, std::string root);
  Status AssignKeras3(const Object& tree, const ModelLayout& layout, std::span<float> arena) const;
  Status AssignLegacy(const Object& tree, const ModelLayout& layout, std::span<float> arena) const;
  [[nodiscard]] std::vector<std::string> OptimizerPaths() const;

  Hdf5Contents contents_;
  bool legacy_;
  bool keras2_;
  std::string root_;  // of the legacy layers: "model_weights" or ""
};

}  // namespace elephas::keras_file
