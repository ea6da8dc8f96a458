// Layers that make masks, and those that encode integers.
#include <array>

#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

constexpr std::int64_t kMaxTokens = std::int64_t{1} << 31;

// LibTorch checks that every index lies inside the table, but says neither where nor which.
template <typename Lookup>
Tensor LookUp(const Layer& layer, const Tensor& index, std::int64_t count, Lookup lookup) {
  try {
    return lookup(index);
  } catch (const c10::Error&) {
    const Tensor outside = index.masked_select((index < 0).logical_or(index >= count));
    if (outside.numel() == 0) throw;
    TORCH_CHECK(false, "layer '", layer.identity.name, "' (", layer.identity.class_name,
                ") got the index ", outside[0].item<std::int64_t>(), "; it takes 0 to ", count - 1);
  }
}

class Embedding final : public UnaryLayer {
 public:
  explicit Embedding(ConfigReader& c)
      : tokens_(c.Int("input_dim", std::nullopt, 1, kMaxTokens)),
        width_(c.Int("output_dim", std::nullopt, 1, kMaxTokens)),
        mask_zero_(c.Bool("mask_zero", false)) {
    options_ = {ReadInitializer(c, "embeddings_initializer", "uniform"), true,
                ReadRegularizer(c, "embeddings_regularizer"),
                ReadConstraint(c, "embeddings_constraint")};
    c.Require("lora_rank", nullptr);
    c.Require("quantization_config", nullptr);
    c.Ignore({"lora_alpha", "input_length"});
  }
  Status BuildFor(const Shape&, WeightMaker& weights) override {
    ELEPHAS_ASSIGN_OR_RETURN(table_, weights.Add("embeddings", {tokens_, width_}, options_));
    return OkStatus();
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    Shape output = input;
    output.push_back(width_);
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    return LookUp(*this, x.to(at::kLong), tokens_,
                  [this](const Tensor& index) { return at::embedding(table_->tensor, index); });
  }
  std::vector<IndexLimit> IndexLimits(std::size_t) const override {
    return {{identity.name, identity.class_name, tokens_}};
  }
  Values Run(const Call&, std::span<const Value> inputs, Step& step) override {
    Value out{Compute(inputs[0].tensor, step), {}};
    if (mask_zero_) out.mask = inputs[0].tensor != 0;
    return {std::move(out)};
  }
  bool TakesIntegers() const override { return true; }

 private:
  std::int64_t tokens_, width_;
  bool mask_zero_;
  WeightOptions options_;
  Weight* table_ = nullptr;
};

class Masking final : public UnaryLayer {
 public:
  explicit Masking(ConfigReader& c) : value_(c.Number("mask_value", 0.0)) {}
  Tensor Compute(const Tensor& x, Step&) override { return x * Kept(x, true).to(x.scalar_type()); }
  Values Run(const Call&, std::span<const Value> inputs, Step& step) override {
    const Tensor& x = inputs[0].tensor;
    return {{Compute(x, step), Kept(x, false)}};
  }

 private:
  [[nodiscard]] Tensor Kept(const Tensor& x, bool keep_axis) const {
    return (x != value_).any(-1, keep_axis);
  }
  double value_;
};

class CategoryEncoding final : public UnaryLayer {
 public:
  explicit CategoryEncoding(ConfigReader& c)
      : tokens_(c.Int("num_tokens", std::nullopt, 1, kMaxTokens)),
        mode_(c.Choice("output_mode", "multi_hot", {"multi_hot", "binary", "one_hot", "count"})) {
    c.Require("sparse", false);
  }
  Result<Shape> OutputShape(const Shape& input) const override {
    Shape output = input;
    const bool keeps = mode_ == "one_hot" && (input.back() != 1 || input.size() == 1);
    if (!keeps) output.pop_back();
    output.push_back(tokens_);
    return output;
  }
  Tensor Compute(const Tensor& x, Step&) override {
    const Tensor index = x.to(at::kLong);
    const bool squeeze = mode_ == "one_hot" && index.dim() > 1 && index.size(-1) == 1;
    const Tensor hot =
        LookUp(*this, squeeze ? index.squeeze(-1) : index, tokens_,
               [this](const Tensor& values) { return at::one_hot(values, tokens_); });
    if (mode_ == "one_hot") return hot.to(at::kFloat);
    return (mode_ == "count" ? hot.sum(-2) : std::get<0>(hot.max(-2))).to(at::kFloat);
  }
  std::vector<IndexLimit> IndexLimits(std::size_t) const override {
    return {{identity.name, identity.class_name, tokens_}};
  }
  bool TakesIntegers() const override { return true; }

 private:
  std::int64_t tokens_;
  std::string mode_;
};

constexpr std::array<LayerEntry, 3> kTokenLayers{{
    {"Embedding", MakeLayer<Embedding>},
    {"Masking", MakeLayer<Masking>},
    {"CategoryEncoding", MakeLayer<CategoryEncoding>},
}};

}  // namespace

std::span<const LayerEntry> TokenLayers() { return kTokenLayers; }

}  // namespace elephas::keras
