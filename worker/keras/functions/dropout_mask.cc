#include "worker/keras/functions/dropout_mask.h"

#include <cstdint>
#include <span>

#include "worker/keras/functions/keep_mask.h"

namespace elephas::keras {

at::Tensor DropoutMask(const Shape& sizes, const at::TensorOptions& options, double rate) {
  if (rate >= 1.0) return at::zeros(sizes, options);
  const double keep = 1.0 - rate;
  at::Tensor mask = at::empty(sizes, options);
  if (!mask.is_cpu()) return mask.bernoulli_(keep).div_(keep);
  const auto seed = at::empty({}, at::kLong).random_().item<std::int64_t>();
  FillKeepMask({mask.mutable_data_ptr<float>(), static_cast<std::size_t>(mask.numel())}, keep,
               static_cast<float>(1.0 / keep), static_cast<std::uint64_t>(seed));
  return mask;
}

}  // namespace elephas::keras
