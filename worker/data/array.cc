#include <cassert>
#include <utility>

#include "worker/data/dataset.h"

namespace elephas {

Array::Array(std::string array_name, ElementType element_type,
             std::vector<std::int64_t> array_shape, std::shared_ptr<const void> owner,
             const void* data)
    : name(std::move(array_name)),
      type(element_type),
      shape(std::move(array_shape)),
      owner_(std::move(owner)),
      data_(data) {}

std::int64_t Array::row_elements() const {
  std::int64_t product = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) product *= shape[i];
  return product;
}

const float* Array::floats() const {
  assert(type == ElementType::kFloat32);
  return static_cast<const float*>(data_);
}

const std::int64_t* Array::ints() const {
  assert(type == ElementType::kInt64);
  return static_cast<const std::int64_t*>(data_);
}

}  // namespace elephas
