// Pools over whole feature maps.
#include <array>
#include <numeric>

#include "worker/keras/config/layout.h"
#include "worker/keras/functions/window.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

template <std::size_t rank, bool is_max>
class GlobalPool final : public UnaryLayer {
 public:
  explicit GlobalPool(ConfigReader& c)
      : channels_last_(ReadChannelsLast(c)), keepdims_(c.Bool("keepdims", false)) {
    axes_.resize(rank);
    std::iota(axes_.begin(), axes_.end(), static_cast<std::int64_t>(SpatialAxis(channels_last_)));
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    if (input.size() != rank + 2) {
      return Invalid("needs an input of rank " + std::to_string(rank + 2) + ", not " +
                     ToString(input));
    }
    const std::int64_t channels = input[ChannelAxis(input.size(), channels_last_)];
    if (!keepdims_) return Shape{input[0], channels};
    Shape output(rank + 2, 1);
    output[0] = input[0];
    output[ChannelAxis(output.size(), channels_last_)] = channels;
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    return is_max ? at::amax(x, axes_, keepdims_) : x.mean(axes_, keepdims_);
  }
  Values Run(const Call& call, std::span<const Value> inputs, Step& step) override {
    // The 1-D average alone looks at a mask: the mean of the steps that it keeps.
    const Tensor& mask = inputs[0].mask;
    if (is_max || rank != 1 || !mask.defined()) return UnaryLayer::Run(call, inputs, step);
    const Tensor& x = inputs[0].tensor;
    const Tensor kept = mask.to(x.scalar_type()).unsqueeze(channels_last_ ? 2 : 1);
    return {{(x * kept).sum(axes_, keepdims_) / kept.sum(axes_, keepdims_), {}}};
  }

 private:
  bool channels_last_, keepdims_;
  Shape axes_;
};

constexpr std::array<LayerEntry, 6> kGlobalPoolingLayers{{
    {"GlobalAveragePooling1D", MakeLayer<GlobalPool<1, false>>},
    {"GlobalAveragePooling2D", MakeLayer<GlobalPool<2, false>>},
    {"GlobalAveragePooling3D", MakeLayer<GlobalPool<3, false>>},
    {"GlobalMaxPooling1D", MakeLayer<GlobalPool<1, true>>},
    {"GlobalMaxPooling2D", MakeLayer<GlobalPool<2, true>>},
    {"GlobalMaxPooling3D", MakeLayer<GlobalPool<3, true>>},
}};

}  // namespace

std::span<const LayerEntry> GlobalPoolingLayers() { return kGlobalPoolingLayers; }

}  // namespace elephas::keras
