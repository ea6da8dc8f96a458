// The job's dataset in memory: arrays of rows, checked on load. No LibTorch here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/memory_budget.h"
#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/protocol/partitioning.h"

namespace elephas {

enum class ElementType : std::uint8_t { kFloat32, kInt64 };

// Rows of equal shape, row-major. float64 and half become float32; every integer and bool type
// becomes int64 and keeps being integer (embeddings and sparse labels need that; the model casts
// where Keras does). Owns or maps its bytes.
class Array {
 public:
  std::string name;
  ElementType type = ElementType::kFloat32;
  std::vector<std::int64_t> shape;  // [rows, …]
  [[nodiscard]] std::int64_t rows() const { return shape.empty() ? 0 : shape[0]; }
  [[nodiscard]] std::int64_t row_elements() const;  // product of shape[1..]
  [[nodiscard]] const float* floats() const;        // precondition: kFloat32
  [[nodiscard]] const std::int64_t* ints() const;   // precondition: kInt64

  // `owner` keeps `data` alive.
  Array() = default;
  Array(std::string name, ElementType type, std::vector<std::int64_t> shape,
        std::shared_ptr<const void> owner, const void* data);

 private:
  std::shared_ptr<const void> owner_;
  const void* data_ = nullptr;
};

// Immutable; share freely between threads.
struct Dataset {
  std::string path;
  // In model input order when the manifest gives a list; else in file order. `feature_keys` and
  // `label_keys` hold the model input (output) names when the manifest gives a map, else are empty.
  std::vector<Array> features, labels;
  std::vector<std::string> feature_keys, label_keys;
  // One for all outputs, or as the labels; float32, not negative. Empty: every row weighs 1.
  std::vector<Array> sample_weights;
  std::vector<std::string> sample_weight_keys;
  std::int64_t rows = 0;
  // Where a row comes from, for messages: "digits.csv:18" or "digits.npz, row 17".
  [[nodiscard]] std::string RowName(std::int64_t row) const;
  bool text = false;                // csv, libsvm: rows are lines
  std::vector<std::int64_t> lines;  // for text: line number of each row
};

// What the model knows and some formats need.
struct DatasetHints {
  std::int64_t libsvm_width = 0;  // features per row; 0: the largest index seen
  bool need_labels = true;        // train and evaluate; predict takes files without labels
  // What reading may take; LoadDataset takes FreeMemory() in place of no limit.
  MemoryBudget memory = {};
};

// Reads `path` (absolute) by its extension: .npz, .npy, .csv, .libsvm (also .svm). Errors name file
// and line or row: missing file, unreadable format, a bad cell, ragged rows, a column that is not
// there, an empty file, arrays of different length, NaN or infinity in features, labels or sample
// weights, an empty label cell, a negative sample weight; data that would take more memory than
// there is, before it is taken.
Result<Dataset> LoadDataset(const std::string& path, const JobSpec::Data& data,
                            const DatasetHints& hints);

}  // namespace elephas
