// Padding, cropping and upsampling of the spatial axes.
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "worker/keras/config/layout.h"
#include "worker/keras/functions/window.h"
#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

struct Edge {
  std::int64_t before = 0, after = 0;
};

// An integer for all edges; for one axis [before, after]; for several a list with an integer or
// [before, after] for each.
template <std::size_t rank>
std::array<Edge, rank> ReadEdges(ConfigReader& c, const char* name, std::int64_t fallback) {
  std::array<Edge, rank> edges;
  edges.fill({fallback, fallback});
  const json& option = c.Any(name);
  const auto is_size = [](const json& v) {
    return v.is_number_integer() && v >= 0 && v <= kMaxWindow;
  };
  const auto is_pair = [&](const json& v) {
    return v.is_array() && v.size() == 2 && is_size(v[0]) && is_size(v[1]);
  };
  if (option.is_null()) return edges;
  if (is_size(option)) {
    edges.fill({option.get<std::int64_t>(), option.get<std::int64_t>()});
  } else if (rank == 1 && is_pair(option)) {
    edges[0] = {option[0].get<std::int64_t>(), option[1].get<std::int64_t>()};
  } else if (option.is_array() && option.size() == rank) {
    for (std::size_t i = 0; i < rank; ++i) {
      if (is_size(option[i])) {
        edges[i] = {option[i].get<std::int64_t>(), option[i].get<std::int64_t>()};
      } else if (is_pair(option[i])) {
        edges[i] = {option[i][0].get<std::int64_t>(), option[i][1].get<std::int64_t>()};
      } else {
        c.Fail("'" + std::string(name) + "' must hold sizes");
      }
    }
  } else {
    c.Fail("'" + std::string(name) + "' must be a size or have one entry for each axis");
  }
  return edges;
}

Status CheckRank(const Shape& input, std::size_t rank) {
  if (input.size() == rank + 2) return OkStatus();
  return Invalid("needs an input of rank " + std::to_string(rank + 2) + ", not " + ToString(input));
}

// Adds `sign` times the edges: +1 pads with zeros, -1 crops.
template <std::size_t rank, int sign>
class Edges final : public UnaryLayer {
 public:
  explicit Edges(ConfigReader& c)
      : edges_(ReadEdges<rank>(c, sign > 0 ? "padding" : "cropping",
                               sign > 0 ? 1 : (rank == 1 ? 1 : 0))),
        channels_last_(ReadChannelsLast(c)) {}
  Result<Shape> OutputShape(const Shape& input) const override {
    ELEPHAS_RETURN_IF_ERROR(CheckRank(input, rank));
    Shape output = input;
    for (std::size_t i = 0; i < rank; ++i) {
      std::int64_t& length = output[SpatialAxis(channels_last_) + i];
      if (length == kUnknown) continue;
      length += sign * (edges_[i].before + edges_[i].after);
      if (length <= 0) return Invalid("crops more than there is of " + ToString(input));
    }
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    std::vector<std::int64_t> pads;  // last axis first; negative ones cut
    if (channels_last_) pads = {0, 0};
    for (std::size_t i = rank; i-- > 0;) {
      pads.push_back(sign * edges_[i].before);
      pads.push_back(sign * edges_[i].after);
    }
    return at::constant_pad_nd(x, pads);
  }
  bool TakesIntegers() const override { return true; }

 private:
  std::array<Edge, rank> edges_;
  bool channels_last_;
};

// What a pixel at a distance of x counts for.
using Kernel = double (*)(double x);

// Keys' cubic with a = -0.5; LibTorch's own has -0.75.
double Cubic(double x) {
  if (x >= 2.0) return 0.0;
  if (x >= 1.0) return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0;
  return (1.5 * x - 2.5) * x * x + 1.0;
}

template <int radius>
double Lanczos(double x) {
  if (x > radius) return 0.0;
  if (x <= 1e-3) return 1.0;
  const double angle = std::numbers::pi * x;
  return radius * std::sin(angle) * std::sin(angle / radius) / (angle * angle);
}

// [length, length * factor]: each output as a weighted mean of inputs, pixels being areas.
Tensor ResizeMatrix(std::int64_t length, std::int64_t factor, Kernel kernel,
                    const at::TensorOptions& options) {
  const std::int64_t outputs = length * factor;
  std::vector<float> weights(static_cast<std::size_t>(length * outputs));
  for (std::int64_t o = 0; o < outputs; ++o) {
    const double center = (static_cast<double>(o) + 0.5) / static_cast<double>(factor) - 0.5;
    double total = 0.0;
    for (std::int64_t i = 0; i < length; ++i)
      total += kernel(std::abs(center - static_cast<double>(i)));
    for (std::int64_t i = 0; i < length; ++i) {
      weights[static_cast<std::size_t>(i * outputs + o)] =
          static_cast<float>(kernel(std::abs(center - static_cast<double>(i))) / total);
    }
  }
  return at::tensor(weights, at::kFloat).view({length, outputs}).to(options.device());
}

struct Interpolation {
  std::string_view name;
  Kernel kernel;  // null: LibTorch has it
};
constexpr std::array<Interpolation, 5> kInterpolations{{
    {"nearest", nullptr},
    {"bilinear", nullptr},
    {"bicubic", Cubic},
    {"lanczos3", Lanczos<3>},
    {"lanczos5", Lanczos<5>},
}};

template <std::size_t rank>
class UpSampling final : public UnaryLayer {
 public:
  explicit UpSampling(ConfigReader& c)
      : size_(c.Ints("size", rank, 2, 1, kMaxWindow)), channels_last_(ReadChannelsLast(c)) {
    if constexpr (rank == 2) {
      const std::string name = c.Choice("interpolation", "nearest",
                                        {"nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"});
      for (const Interpolation& entry : kInterpolations) {
        if (entry.name == name) interpolation_ = entry;
      }
    }
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    ELEPHAS_RETURN_IF_ERROR(CheckRank(input, rank));
    Shape output = input;
    for (std::size_t i = 0; i < rank; ++i) {
      std::int64_t& length = output[SpatialAxis(channels_last_) + i];
      if (length == kUnknown) continue;
      if (__builtin_mul_overflow(length, size_[i], &length)) return Invalid("is too large");
    }
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    const Tensor first = ToChannelsFirst(x, channels_last_);
    Shape sizes;
    for (std::size_t i = 0; i < rank; ++i) {
      sizes.push_back(first.size(static_cast<std::int64_t>(i) + 2) * size_[i]);
    }
    Tensor y;
    if constexpr (rank == 1) {
      y = at::upsample_nearest1d(first, sizes);
    } else if constexpr (rank == 2) {
      if (interpolation_.kernel != nullptr) {
        const auto matrix = [&](std::size_t axis) {
          return ResizeMatrix(first.size(static_cast<std::int64_t>(axis) + 2), size_[axis],
                              interpolation_.kernel, first.options());
        };
        y = at::matmul(at::matmul(matrix(0).t(), first), matrix(1));
      } else {
        y = interpolation_.name == "bilinear"
                ? at::upsample_bilinear2d(first, sizes, /*align_corners=*/false)
                : at::upsample_nearest2d(first, sizes);
      }
    } else {
      y = at::upsample_nearest3d(first, sizes);
    }
    return FromChannelsFirst(y, channels_last_);
  }

 private:
  Shape size_;
  bool channels_last_;
  Interpolation interpolation_ = kInterpolations[0];
};

constexpr std::array<LayerEntry, 9> kResizingLayers{{
    {"ZeroPadding1D", MakeLayer<Edges<1, 1>>},
    {"ZeroPadding2D", MakeLayer<Edges<2, 1>>},
    {"ZeroPadding3D", MakeLayer<Edges<3, 1>>},
    {"Cropping1D", MakeLayer<Edges<1, -1>>},
    {"Cropping2D", MakeLayer<Edges<2, -1>>},
    {"Cropping3D", MakeLayer<Edges<3, -1>>},
    {"UpSampling1D", MakeLayer<UpSampling<1>>},
    {"UpSampling2D", MakeLayer<UpSampling<2>>},
    {"UpSampling3D", MakeLayer<UpSampling<3>>},
}};

}  // namespace

std::span<const LayerEntry> ResizingLayers() { return kResizingLayers; }

}  // namespace elephas::keras
