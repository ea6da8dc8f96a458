// Attention and MultiHeadAttention.
#include <array>
#include <cmath>
#include <limits>

#include "worker/keras/graph/layer_table.h"

namespace elephas::keras {

namespace {

using at::Tensor;

constexpr std::int64_t kMaxHeads = 1 << 20;

// [1, T, S]: position t may look at s <= t.
Tensor CausalMask(std::int64_t queries, std::int64_t values, const Tensor& like) {
  return at::ones({1, queries, values}, like.options().dtype(at::kBool)).tril();
}

Tensor And(const Tensor& a, const Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? at::logical_and(a, b) : a;
}

Tensor Dropped(const Tensor& x, double rate, bool training) {
  return training && rate > 0.0 ? at::dropout(x, rate, true) : x;
}

class Attention : public Layer {
 public:
  explicit Attention(ConfigReader& c) : Attention(c, "dot") {}

  std::span<const std::string_view> Parameters() const override {
    static constexpr std::array<std::string_view, 3> kParameters{
        "inputs", "return_attention_scores", "use_causal_mask"};
    return kParameters;
  }

  Status Build(const Call&, const ShapeList& inputs, WeightMaker& weights) override {
    if (inputs.size() < 2 || inputs.size() > 3)
      return Invalid("takes [query, value] or [query, value, key]");
    weights.group().random = dropout_ > 0.0;
    if (use_scale_) {
      ELEPHAS_ASSIGN_OR_RETURN(scale_,
                               weights.Add("scale", ScaleShape(inputs), {ScaleInitializer()}));
    }
    if (concat_) {
      ELEPHAS_ASSIGN_OR_RETURN(concat_weight_,
                               weights.Add("concat_score_weight", {}, {ConstantInitializer(1.0F)}));
    }
    return OkStatus();
  }

  Result<ShapeList> OutputShapes(const Call& call, const ShapeList& inputs) const override {
    for (const Shape& shape : inputs) {
      if (shape.size() < 3) return Invalid("needs inputs of rank 3, not " + ToString(shape));
    }
    const Shape& key = inputs.size() > 2 ? inputs[2] : inputs[1];
    Shape output = inputs[0];
    output.back() = inputs[1].back();
    if (!call.Flag("return_attention_scores")) return ShapeList{output};
    Shape scores = inputs[0];
    scores.back() = key[key.size() - 2];
    return ShapeList{output, scores};
  }

  Values Run(const Call& call, std::span<const Value> inputs, Step& step) override {
    const Tensor& query = inputs[0].tensor;
    const Tensor& value = inputs[1].tensor;
    const Tensor& key = inputs.size() > 2 ? inputs[2].tensor : value;
    Tensor scores = Scores(query, key);
    Tensor keep;
    if (inputs[1].mask.defined()) keep = inputs[1].mask.to(at::kBool).unsqueeze(-2);
    if (call.Flag("use_causal_mask")) {
      keep = And(keep, CausalMask(scores.size(-2), scores.size(-1), scores));
    }
    if (keep.defined()) scores = at::where(keep, scores, scores - 1.0e9);
    const Tensor weights = Dropped(at::softmax(scores, -1), dropout_, step.training);
    Value output{at::matmul(weights, value), inputs[0].mask};
    if (output.mask.defined()) {
      output.tensor = output.tensor * output.mask.unsqueeze(-1).to(output.tensor.scalar_type());
    }
    Values outputs{std::move(output)};
    if (call.Flag("return_attention_scores")) outputs.push_back({weights, {}});
    return outputs;
  }

 protected:
  Attention(ConfigReader& c, const char* mode)
      : use_scale_(c.Bool("use_scale", std::string_view(mode) == "additive")),
        dropout_(c.Number("dropout", 0.0)) {
    concat_ = std::string_view(mode) == "dot" &&
              c.Choice("score_mode", "dot", {"dot", "concat"}) == "concat";
    if (!(dropout_ >= 0.0 && dropout_ < 1.0)) c.Fail("'dropout' must be at least 0 and below 1");
    c.Ignore({"seed"});
  }
  [[nodiscard]] virtual Shape ScaleShape(const ShapeList&) const { return {}; }
  [[nodiscard]] virtual Initializer ScaleInitializer() const { return ConstantInitializer(1.0F); }
  [[nodiscard]] virtual Tensor Scores(const Tensor& query, const Tensor& key) const {
    if (!concat_) {
      const Tensor scores = at::matmul(query, key.transpose(-2, -1));
      return scale_ == nullptr ? scores : scores * scale_->tensor;
    }
    Tensor sum = query.unsqueeze(-2) + key.unsqueeze(-3);
    if (scale_ != nullptr) sum = sum * scale_->tensor;
    return concat_weight_->tensor * at::tanh(sum).sum(-1);
  }
  const Weight* scale() const { return scale_; }

 private:
  bool use_scale_, concat_ = false;
  double dropout_;
  Weight* scale_ = nullptr;
  Weight* concat_weight_ = nullptr;
};

// Bahdanau's: scale * tanh(query + key), summed over the features.
class AdditiveAttention final : public Attention {
 public:
  explicit AdditiveAttention(ConfigReader& c)
      : Attention(c, "additive"), initializer_(*ParseInitializer("glorot_uniform", "", "scale")) {}

 protected:
  Shape ScaleShape(const ShapeList& inputs) const override { return {inputs[0].back()}; }
  Initializer ScaleInitializer() const override { return initializer_; }
  Tensor Scores(const Tensor& query, const Tensor& key) const override {
    const Tensor sum = at::tanh(query.unsqueeze(-2) + key.unsqueeze(-3));
    return (scale() == nullptr ? sum : sum * scale()->tensor).sum(-1);
  }

 private:
  Initializer initializer_;
};

class MultiHeadAttention final : public Layer {
 public:
  explicit MultiHeadAttention(ConfigReader& c)
      : heads_(c.Int("num_heads", std::nullopt, 1, kMaxHeads)),
        key_width_(c.Int("key_dim", std::nullopt, 1, kMaxHeads)),
        value_width_(c.Has("value_dim") ? c.Int("value_dim", std::nullopt, 1, kMaxHeads)
                                        : key_width_),
        dropout_(c.Number("dropout", 0.0)),
        use_bias_(c.Bool("use_bias", true)) {
    if (!(dropout_ >= 0.0 && dropout_ < 1.0)) c.Fail("'dropout' must be at least 0 and below 1");
    kernel_options_ = {ReadInitializer(c, "kernel_initializer", "glorot_uniform"), true,
                       ReadRegularizer(c, "kernel_regularizer"),
                       ReadConstraint(c, "kernel_constraint")};
    bias_options_ = {ReadInitializer(c, "bias_initializer", "zeros"), true,
                     ReadRegularizer(c, "bias_regularizer"), ReadConstraint(c, "bias_constraint")};
    if (c.Has("output_shape")) {
      const Shape shape = c.IntList("output_shape", 1, kMaxHeads);
      if (shape.size() != 1) {
        c.Fail("'output_shape' is supported with one axis only");
      } else {
        output_width_ = shape[0];
      }
    }
    if (c.Has("attention_axes") && c.IntList("attention_axes", -16, 16) != Shape{1}) {
      c.Fail("'attention_axes' is supported only as the sequence axis");
    }
    c.Require("sliding_window", nullptr);
    c.Require("use_gate", false);
    c.Ignore({"seed", "flash_attention"});
  }

  std::span<const std::string_view> Parameters() const override {
    static constexpr std::array<std::string_view, 9> kParameters{"query",
                                                                 "value",
                                                                 "key",
                                                                 "query_mask",
                                                                 "value_mask",
                                                                 "key_mask",
                                                                 "attention_mask",
                                                                 "return_attention_scores",
                                                                 "use_causal_mask"};
    return kParameters;
  }

  Status Build(const Call& call, const ShapeList& inputs, WeightMaker& weights) override {
    if (call.Index("query") < 0 || call.Index("value") < 0) return Invalid("needs query and value");
    const auto shape_of = [&](const char* name, const char* otherwise) {
      const int index = call.Index(name);
      return inputs[static_cast<std::size_t>(index >= 0 ? index : call.Index(otherwise))];
    };
    const Shape query = shape_of("query", "query");
    const Shape value = shape_of("value", "value");
    const Shape key = shape_of("key", "value");
    for (const Shape& shape : {query, value, key}) {
      if (shape.size() != 3 || shape.back() == kUnknown) {
        return Invalid("needs inputs of shape (batch, sequence, features), not " + ToString(shape));
      }
    }
    if (output_width_ == 0) output_width_ = query.back();
    weights.group().random = dropout_ > 0.0;
    ELEPHAS_RETURN_IF_ERROR(
        Project(weights, "_query_dense", "query", {query.back()}, {heads_, key_width_}, query_));
    ELEPHAS_RETURN_IF_ERROR(
        Project(weights, "_key_dense", "key", {key.back()}, {heads_, key_width_}, key_));
    ELEPHAS_RETURN_IF_ERROR(
        Project(weights, "_value_dense", "value", {value.back()}, {heads_, value_width_}, value_));
    return Project(weights, "_output_dense", "attention_output", {heads_, value_width_},
                   {output_width_}, output_);
  }

  Result<ShapeList> OutputShapes(const Call& call, const ShapeList& inputs) const override {
    const Shape& query = inputs[static_cast<std::size_t>(call.Index("query"))];
    Shape output = query;
    output.back() = output_width_;
    if (!call.Flag("return_attention_scores")) return ShapeList{output};
    const Shape& value = inputs[static_cast<std::size_t>(call.Index("value"))];
    return ShapeList{output, {query[0], heads_, query[1], value[1]}};
  }

  Values Run(const Call& call, std::span<const Value> inputs, Step& step) override {
    const Value& query = inputs[static_cast<std::size_t>(call.Index("query"))];
    const Value& value = inputs[static_cast<std::size_t>(call.Index("value"))];
    const int key_index = call.Index("key");
    const Value& key = key_index < 0 ? value : inputs[static_cast<std::size_t>(key_index)];
    const bool with_scores = call.Flag("return_attention_scores");

    const Tensor q = Heads(query.tensor, query_);  // [N, heads, T, width]
    const Tensor k = Heads(key.tensor, key_);
    const Tensor v = Heads(value.tensor, value_);
    const double factor = 1.0 / std::sqrt(static_cast<double>(key_width_));
    Tensor scores = at::matmul(q, k.transpose(-2, -1)) * factor;

    const Tensor keep = KeepMask(call, inputs, query, value, key_index < 0 ? nullptr : &key);
    // Keras' fused path and its plain path treat rows that may look at nothing differently.
    const bool fused = dropout_ == 0.0 && !with_scores;
    Tensor weights;
    if (!keep.defined()) {
      weights = at::softmax(scores, -1);
    } else if (fused) {
      constexpr double kLowest = -0.7 * static_cast<double>(std::numeric_limits<float>::max());
      weights = at::softmax(at::where(keep, scores, at::full_like(scores, kLowest)), -1);
    } else {
      weights = at::softmax(at::where(keep, scores, at::full_like(scores, -1e9)), -1);
      weights = at::where(keep, weights, at::zeros_like(weights));
    }
    const Tensor mixed = at::matmul(Dropped(weights, dropout_, step.training), v);
    const Tensor rows = mixed.transpose(1, 2).flatten(2);  // [N, T, heads * width]
    Tensor out = at::matmul(rows, output_.kernel->tensor.flatten(0, 1));
    if (output_.bias != nullptr) out = out + output_.bias->tensor;
    Values outputs{{out, query.mask}};
    if (with_scores) outputs.push_back({weights, {}});
    return outputs;
  }

 private:
  struct Projection {
    Weight* kernel = nullptr;  // [in…, out…]
    Weight* bias = nullptr;    // [out…]
  };

  Status Project(WeightMaker& weights, const char* attribute, const char* name, const Shape& in,
                 const Shape& out, Projection& projection) const {
    WeightMaker maker = weights.Inside(attribute, name, "EinsumDense");
    Shape shape = in;
    shape.insert(shape.end(), out.begin(), out.end());
    WeightOptions kernel = kernel_options_;
    kernel.initializer = WithFans(kernel.initializer, in, out);
    ELEPHAS_ASSIGN_OR_RETURN(projection.kernel, maker.Add("kernel", shape, kernel));
    if (use_bias_) {
      ELEPHAS_ASSIGN_OR_RETURN(projection.bias, maker.Add("bias", out, bias_options_));
    }
    return OkStatus();
  }

  // EinsumDense counts fans over all input axes and all output axes.
  static Initializer WithFans(const Initializer& initializer, const Shape& in, const Shape& out) {
    const auto product = [](const Shape& shape) {
      std::int64_t total = 1;
      for (const std::int64_t extent : shape) total *= extent;
      return total;
    };
    const Shape matrix{product(in), product(out)};
    return [initializer, matrix](const Shape&, std::uint64_t seed, std::span<float> values) {
      initializer(matrix, seed, values);
    };
  }

  static Tensor Heads(const Tensor& x, const Projection& projection) {
    const Tensor& kernel = projection.kernel->tensor;
    Tensor y = at::matmul(x, kernel.flatten(1, 2));
    if (projection.bias != nullptr) y = y + projection.bias->tensor.flatten();
    return y.view({x.size(0), x.size(1), kernel.size(1), kernel.size(2)}).transpose(1, 2);
  }

  // [N, 1, T, S] or less; undefined when everything may be looked at.
  static Tensor KeepMask(const Call& call, std::span<const Value> inputs, const Value& query,
                         const Value& value, const Value* key) {
    const auto given = [&](const char* name, const Tensor& otherwise) {
      const int index = call.Index(name);
      return index < 0 ? otherwise : inputs[static_cast<std::size_t>(index)].tensor;
    };
    Tensor keep;
    // Keras takes the query's own mask, whatever was passed.
    const Tensor value_mask = given("value_mask", value.mask);
    const Tensor key_mask = given("key_mask", key == nullptr ? Tensor() : key->mask);
    if (query.mask.defined()) keep = query.mask.to(at::kBool).unsqueeze(-1);
    if (value_mask.defined()) keep = And(keep, value_mask.to(at::kBool).unsqueeze(-2));
    if (key_mask.defined()) keep = And(keep, key_mask.to(at::kBool).unsqueeze(-2));
    if (call.Flag("use_causal_mask")) {
      keep = And(keep, CausalMask(query.tensor.size(1), value.tensor.size(1), query.tensor));
    }
    const Tensor explicit_mask = given("attention_mask", Tensor());
    if (explicit_mask.defined()) {
      const Tensor own = explicit_mask.to(at::kBool);
      if (own.dim() == 4) return keep.defined() ? And(keep.unsqueeze(1), own) : own;
      keep = And(keep, own);
    }
    return keep.defined() ? keep.unsqueeze(-3) : keep;
  }

  std::int64_t heads_, key_width_, value_width_, output_width_ = 0;
  double dropout_;
  bool use_bias_;
  WeightOptions kernel_options_, bias_options_;
  Projection query_, key_, value_, output_;
};

constexpr std::array<LayerEntry, 3> kAttentionLayers{{
    {"Attention", MakeLayer<Attention>},
    {"AdditiveAttention", MakeLayer<AdditiveAttention>},
    {"MultiHeadAttention", MakeLayer<MultiHeadAttention>},
}};

}  // namespace

std::span<const LayerEntry> AttentionLayers() { return kAttentionLayers; }

}  // namespace elephas::keras
