// A task's rows as batches of tensors: shuffled by the task's own order, cast to what the model's
// inputs want, gathered into memory that the batches are views of.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/partitioning.h"
#include "worker/data/dataset.h"
#include "worker/keras/model.h"

namespace elephas {

// The dataset's arrays in the model's order, checked against its inputs. Views; the dataset must
// outlive it. Immutable; share freely between threads.
struct ModelData {
  std::vector<at::Tensor> features;  // one per model input, [rows, …] in the input's shape
  std::vector<at::Tensor> labels;    // one per model output, or empty
  // One per model output, undefined where its rows are not weighted; or empty.
  std::vector<at::Tensor> sample_weights;
};

// kInvalid names the input or output and both shapes when the dataset does not fit the model.
Result<ModelData> BindData(const Dataset& dataset, const keras::Model& model, bool need_labels);

// Sample weights from the classes of the only output's labels, for the first `training_rows` rows;
// the others, which validate, weigh 1. kInvalid for several outputs, for a class that the model
// does not have, and for labels that are no classes.
Status WeighClasses(const std::map<std::int64_t, double>& class_weight, const keras::Model& model,
                    std::int64_t training_rows, ModelData& data);

struct Batch {
  std::vector<at::Tensor> features, labels, sample_weights;
  std::int64_t examples = 0;
};

// Calls function(array) for each array of a Batch or of ModelData that is there.
template <typename Arrays, typename Function>
void ForEachArray(const Arrays& arrays, Function&& function) {
  for (const auto* group : {&arrays.features, &arrays.labels, &arrays.sample_weights}) {
    for (const at::Tensor& array : *group) {
      if (array.defined()) function(array);
    }
  }
}
// Calls function(array, counterpart) for the same and what stands in its place in `to`, which gets
// as many places; those of arrays that are not there stay as they are.
template <typename From, typename To, typename Function>
void MapArrays(const From& from, To& to, Function&& function) {
  const auto group = [&](const std::vector<at::Tensor>& source, std::vector<at::Tensor>& target) {
    target.resize(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
      if (source[i].defined()) function(source[i], target[i]);
    }
  };
  group(from.features, to.features);
  group(from.labels, to.labels);
  group(from.sample_weights, to.sample_weights);
}

// Not thread-safe; may be made on one thread and used on another.
class Batches {
 public:
  // Rows `rows` of the data in `order` (offsets from rows.first; empty: as they stand).
  Batches(const ModelData& data, Range rows, std::vector<std::int64_t> order,
          std::int64_t batch_size);

  [[nodiscard]] const Range& rows() const { return rows_; }
  // Offsets from rows().first; empty: the rows as they stand.
  [[nodiscard]] const std::vector<std::int64_t>& order() const { return order_; }
  [[nodiscard]] std::int64_t batch_size() const { return batch_size_; }
  // Tells apart what was made at different times, at whatever address; copies have the same.
  [[nodiscard]] std::uint64_t id() const { return id_; }

  // Gathers all rows now, when they are few enough to hold twice; a later At() is then a view.
  void Prefetch();
  // Batch `index` of one pass over the rows.
  [[nodiscard]] Batch At(std::int64_t index) const;

 private:
  [[nodiscard]] at::Tensor Rows(const at::Tensor& source, const Range& range) const;

  std::uint64_t id_;
  const ModelData* data_;  // never null
  Range rows_;
  std::vector<std::int64_t> order_;
  std::int64_t batch_size_;
  ModelData gathered_;  // empty until Prefetch()
};

}  // namespace elephas
