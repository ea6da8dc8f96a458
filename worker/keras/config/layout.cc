#include "worker/keras/config/layout.h"

#include <numeric>
#include <vector>

namespace elephas::keras {

at::Tensor ToChannelsFirst(const at::Tensor& x, bool channels_last) {
  return channels_last ? x.movedim(-1, 1) : x;
}

at::Tensor FromChannelsFirst(const at::Tensor& x, bool channels_last) {
  return channels_last ? x.movedim(1, -1) : x;
}

at::Tensor ConvolutionKernel(const at::Tensor& kernel) {
  std::vector<std::int64_t> axes(static_cast<std::size_t>(kernel.dim()));
  axes[0] = kernel.dim() - 1;
  axes[1] = kernel.dim() - 2;
  std::iota(axes.begin() + 2, axes.end(), 0);
  return kernel.permute(axes);
}

at::Tensor DepthwiseKernel(const at::Tensor& kernel) {
  // [spatial…, in, multiplier] -> [in * multiplier, spatial…] -> [in * multiplier, 1, spatial…]
  return kernel.flatten(-2, -1).movedim(-1, 0).unsqueeze(1);
}

}  // namespace elephas::keras
