// The one place that knows how Keras' memory layouts differ from LibTorch's.
//
// Weights stay in Keras' layout in the arena, because files and the parameter server speak Keras,
// and activations stay in Keras' data_format. What LibTorch's kernels want is made here as views:
//
//            Keras                          LibTorch
//   data     [N, spatial…, C]  or           [N, C, spatial…]; channels-last data is then in
//            [N, C, spatial…]               the channels_last format, which kernels take as it is
//   kernel   [spatial…, in / groups, out]   [out, in / groups, spatial…]
//   transposed convolution's kernel
//            [spatial…, out, in]            [in, out, spatial…]
//   depthwise kernel
//            [spatial…, in, multiplier]     [in * multiplier, 1, spatial…]
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "worker/keras/config/shape.h"

namespace elephas::keras {

// [N, C, spatial…] view of data in Keras' format, and back.
at::Tensor ToChannelsFirst(const at::Tensor& x, bool channels_last);
at::Tensor FromChannelsFirst(const at::Tensor& x, bool channels_last);

// Convolution kernels, ordinary and transposed alike: reverses the axes' roles as the table says.
at::Tensor ConvolutionKernel(const at::Tensor& kernel);
at::Tensor DepthwiseKernel(const at::Tensor& kernel);

// Index of the channel axis and of the first spatial axis.
inline std::size_t ChannelAxis(std::size_t rank, bool channels_last) {
  return channels_last ? rank - 1 : 1;
}
inline std::size_t SpatialAxis(bool channels_last) { return channels_last ? 1 : 2; }

}  // namespace elephas::keras
