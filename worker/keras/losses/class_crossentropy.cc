#include "worker/keras/losses/class_crossentropy.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>

#include "worker/keras/losses/loss.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr auto kLeast = static_cast<float>(kEpsilon);
constexpr auto kMost = static_cast<float>(1.0 - kEpsilon);

// A NaN stays one.
float Surprise(float probability) { return -std::log(std::clamp(probability, kLeast, kMost)); }

// What is clipped has no gradient.
bool IsInside(float probability) { return probability >= kLeast && probability <= kMost; }

struct Rows {
  explicit Rows(const Tensor& probabilities)
      : values(probabilities.const_data_ptr<float>()),
        count(probabilities.size(0)),
        classes(probabilities.size(1)) {}
  [[nodiscard]] std::span<const float> operator[](std::int64_t row) const {
    return {values + row * classes, static_cast<std::size_t>(classes)};
  }
  const float* values;
  std::int64_t count, classes;
};

float Sum(std::span<const float> row) { return std::accumulate(row.begin(), row.end(), 0.0F); }

class Sparse : public torch::autograd::Function<Sparse> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& given,
                        const Tensor& given_classes) {
    const Tensor probabilities = given.contiguous();
    const Tensor classes = given_classes.contiguous();
    context->save_for_backward({probabilities, classes});
    const Rows rows(probabilities);
    const auto* own = classes.const_data_ptr<std::int64_t>();
    Tensor losses = at::empty({rows.count}, probabilities.options());
    auto* out = losses.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < rows.count; ++i) {
      TORCH_CHECK(own[i] >= 0 && own[i] < rows.classes, "label ", own[i],
                  " is not a class index from 0 to ", rows.classes - 1);
      out[i] = Surprise(rows[i][static_cast<std::size_t>(own[i])] / Sum(rows[i]));
    }
    return losses;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Rows rows(saved[0]);
    const auto* own = saved[1].const_data_ptr<std::int64_t>();
    const Tensor of_losses = gradients[0].contiguous();
    const auto* gradient = of_losses.const_data_ptr<float>();
    Tensor result = at::zeros_like(saved[0]);
    auto* out = result.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < rows.count; ++i, out += rows.classes) {
      const float sum = Sum(rows[i]);
      const float chosen = rows[i][static_cast<std::size_t>(own[i])];
      if (!IsInside(chosen / sum)) continue;
      std::fill_n(out, rows.classes, gradient[i] / sum);
      out[own[i]] -= gradient[i] / chosen;
    }
    return {result, Tensor()};
  }
};

class Dense : public torch::autograd::Function<Dense> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& given,
                        const Tensor& given_targets) {
    const Tensor probabilities = given.contiguous();
    const Tensor targets = given_targets.contiguous();
    context->save_for_backward({probabilities, targets});
    const Rows rows(probabilities);
    const Rows weights(targets);
    Tensor losses = at::empty({rows.count}, probabilities.options());
    auto* out = losses.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < rows.count; ++i) {
      const float sum = Sum(rows[i]);
      float loss = 0;
      for (std::size_t k = 0; k < rows[i].size(); ++k) {
        // Most targets are 0, and the logarithm is what costs.
        if (const float weight = weights[i][k]; weight != 0.0F) {
          loss += weight * Surprise(rows[i][k] / sum);
        }
      }
      out[i] = loss;
    }
    return losses;
  }

  // With r = p / sum and h = d loss / d r: d loss / d p = (h - sum over the row of h * r) / sum.
  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Rows rows(saved[0]);
    const Rows weights(saved[1]);
    const Tensor of_losses = gradients[0].contiguous();
    const auto* gradient = of_losses.const_data_ptr<float>();
    Tensor result = at::empty_like(saved[0]);
    auto* out = result.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < rows.count; ++i, out += rows.classes) {
      const float sum = Sum(rows[i]);
      float inside = 0;
      for (std::size_t k = 0; k < rows[i].size(); ++k) {
        if (IsInside(rows[i][k] / sum)) inside += weights[i][k];
      }
      std::fill_n(out, rows.classes, gradient[i] * inside / sum);
      for (std::size_t k = 0; k < rows[i].size(); ++k) {
        if (!IsInside(rows[i][k] / sum)) continue;
        out[k] -= gradient[i] * weights[i][k] / rows[i][k];
      }
    }
    return {result, Tensor()};
  }
};

}  // namespace

Tensor SparseCrossentropy(const Tensor& probabilities, const Tensor& classes) {
  return Sparse::apply(probabilities, classes);
}

Tensor DenseCrossentropy(const Tensor& probabilities, const Tensor& targets) {
  TORCH_CHECK(probabilities.sizes() == targets.sizes(), "labels of shape ", targets.sizes(),
              " for an output of shape ", probabilities.sizes());
  return Dense::apply(probabilities, targets);
}

}  // namespace elephas::keras
