// What holds for every dataset that a reader accepts.
#pragma once

#include <cmath>

#include "fuzz/fuzz_check.h"
#include "worker/data/dataset.h"

namespace elephas {

inline void FuzzCheckArray(const Array& array) {
  FuzzCheck(array.rows() > 0 && array.row_elements() > 0, "an array without elements");
  const std::int64_t elements = array.rows() * array.row_elements();
  std::int64_t seen = 0;
  for (std::int64_t i = 0; i < elements; ++i) {
    if (array.type == ElementType::kFloat32) {
      FuzzCheck(std::isfinite(array.floats()[i]), "a value that is not finite");
    } else {
      seen |= array.ints()[i];
    }
  }
  // Keeps the reads of integers: the compiler cannot know that this never happens.
  FuzzCheck(seen != 0 || elements != 0, "no elements");
}

inline void FuzzCheckDataset(const Result<Dataset>& dataset) {
  if (!dataset.ok()) {
    FuzzCheckRefusal(dataset.status());
    return;
  }
  FuzzCheck(!dataset->features.empty(), "a dataset without features");
  for (const Array& array : dataset->features) FuzzCheckArray(array);
  for (const Array& array : dataset->labels) FuzzCheckArray(array);
  if (!dataset->text) return;
  FuzzCheck(static_cast<std::size_t>(dataset->rows) == dataset->lines.size(), "rows and lines");
  for (const Array& array : dataset->features) {
    FuzzCheck(array.rows() == dataset->rows, "features of another length");
  }
  for (const Array& array : dataset->labels) {
    FuzzCheck(array.rows() == dataset->rows, "labels of another length");
  }
}

}  // namespace elephas
