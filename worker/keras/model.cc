#include "worker/keras/model.h"

#include <c10/core/GradMode.h>

#include <deque>
#include <exception>
#include <new>
#include <ranges>
#include <set>
#include <utility>

#include "common/base/memory_budget.h"
#include "common/base/random.h"
#include "worker/keras/config/config_reader.h"
#include "worker/keras/graph/graph.h"
#include "worker/keras/weights/weight.h"

namespace elephas::keras {

namespace {

using at::Tensor;
using nlohmann::json;

// A Keras config nests four levels per model inside a model; 64 of them are more than anyone has.
constexpr int kMaxDepth = 256;

// FNV-1a: a weight's numbers depend on its name and the seed only.
std::uint64_t Hash(const std::string& text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  }
  return hash;
}

bool IsIntegerDtype(const std::string& dtype) {
  return dtype.starts_with("int") || dtype.starts_with("uint");
}

// Keras accepts [batch] where the model wants [batch, 1], and the reverse.
Tensor FitRank(Tensor x, std::size_t wanted) {
  const auto rank = static_cast<std::size_t>(x.dim());
  if (rank == wanted + 1 && x.size(-1) == 1) return x.squeeze(-1);
  if (rank + 1 == wanted) return x.unsqueeze(-1);
  return x;
}

class ModelImpl final : public Model {
 public:
  static Result<std::unique_ptr<ModelImpl>> Make(const json& config, std::uint64_t seed) {
    auto model = std::make_unique<ModelImpl>();
    model->config_ = config;
    ELEPHAS_ASSIGN_OR_RETURN(model->graph_, Graph::FromJson(config, ""));
    Graph& graph = *model->graph_;
    WeightMaker maker(model->weights_, model->tree_, graph.identity.trainable);
    const ShapeList inputs = graph.InputShapes();
    ELEPHAS_RETURN_IF_ERROR(graph.Build({}, inputs, maker));
    ELEPHAS_ASSIGN_OR_RETURN(const ShapeList outputs, graph.OutputShapes({}, inputs));
    for (const Graph::Port& port : graph.inputs()) {
      model->inputs_.push_back({port.name,
                                {port.shape.begin() + 1, port.shape.end()},
                                port.dtype,
                                graph.IndexLimits(model->inputs_.size())});
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].empty())
        return Invalid("output '" + graph.output_names()[i] + "' is a scalar");
      model->outputs_.push_back(
          {graph.output_names()[i], {outputs[i].begin() + 1, outputs[i].end()}});
    }
    ELEPHAS_RETURN_IF_ERROR(model->LayOut());
    model->Initialize(seed);
    return model;
  }

  const std::string& name() const override { return graph_->name(); }
  const json& config() const override { return config_; }
  const std::vector<InputSpec>& inputs() const override { return inputs_; }
  const std::vector<OutputSpec>& outputs() const override { return outputs_; }
  const ModelLayout& layout() const override { return layout_; }
  const WeightGroup& weight_tree() const override { return tree_; }
  Tensor parameters() override { return parameters_; }
  Tensor gradients() override { return gradients_; }

  void To(at::Device device) override {
    parameters_ = parameters_.to(device);
    gradients_ = gradients_.to(device);
    BindViews();
  }

  std::vector<Tensor> Forward(const std::vector<Tensor>& inputs, bool training) override {
    TORCH_CHECK(inputs.size() == inputs_.size(), "the model takes ", inputs_.size(),
                " inputs, not ", inputs.size());
    const c10::AutoGradMode record(training);
    Values values(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) values[i].tensor = Convert(inputs[i], i);
    step_.training = training;
    step_.losses.clear();
    Values outputs = graph_->Run({}, values, step_);
    std::vector<Tensor> tensors;
    masks_.clear();
    for (Value& output : outputs) {
      tensors.push_back(std::move(output.tensor));
      masks_.push_back(std::move(output.mask));
    }
    return tensors;
  }

  const std::vector<Tensor>& OutputMasks() const override { return masks_; }

  Tensor RegularizationLoss() override {
    const c10::AutoGradMode record(step_.training);
    Tensor total;
    const auto add = [&total](const Tensor& loss) {
      total = total.defined() ? total + loss : loss;
    };
    for (const Tensor& loss : step_.losses) add(loss);
    for (const Weight* weight : regularized_) add(weight->regularizer(weight->tensor));
    return total;
  }

  void ApplyConstraints() override {
    const c10::NoGradGuard no_grad;
    for (const Weight* weight : constrained_) {
      weight->tensor.copy_(weight->constraint(weight->tensor));
    }
  }

 private:
  Tensor Convert(const Tensor& input, std::size_t index) const {
    const InputSpec& spec = inputs_[index];
    Tensor x = FitRank(input, spec.shape.size() + 1);
    TORCH_CHECK(static_cast<std::size_t>(x.dim()) == spec.shape.size() + 1, "input '", spec.name,
                "' has rank ", input.dim() - 1, ", the model wants ", spec.shape.size());
    for (std::size_t axis = 0; axis < spec.shape.size(); ++axis) {
      const std::int64_t size = x.size(static_cast<std::int64_t>(axis) + 1);
      TORCH_CHECK(spec.shape[axis] == kUnknown || size == spec.shape[axis], "input '", spec.name,
                  "' has shape ", x.sizes().slice(1), ", the model wants ",
                  at::IntArrayRef(spec.shape));
    }
    const at::ScalarType type = spec.dtype == "bool"         ? at::kBool
                                : IsIntegerDtype(spec.dtype) ? at::kLong
                                                             : at::kFloat;
    return x.to(parameters_.device(), type);
  }

  // Walks the tree in Keras' order and gives every weight its place: trainable ones first.
  Status LayOut() {
    std::vector<Weight*> ordered;
    std::vector<const WeightGroup*> open{&tree_};
    while (!open.empty()) {
      const WeightGroup& group = *open.back();
      open.pop_back();
      ordered.insert(ordered.end(), group.weights.begin(), group.weights.end());
      for (const auto& child : std::views::reverse(group.children)) open.push_back(child.get());
    }
    std::set<std::string> names;
    for (const bool trainable : {true, false}) {
      for (Weight* weight : ordered) {
        if (weight->trainable != trainable) continue;
        if (!names.insert(weight->path).second) {
          return Invalid("two weights are named '" + weight->path + "'");
        }
        ELEPHAS_ASSIGN_OR_RETURN(const std::int64_t size, Elements(weight->shape));
        layout_.weights.push_back(
            {weight->path, weight->shape, trainable, layout_.total_elements, size});
        layout_.total_elements += size;
        if (trainable) layout_.trainable_elements += size;
        if (layout_.total_elements > kMaxElements)
          return Invalid("the model's weights are too large");
        arena_.push_back(weight);
        if (trainable && weight->regularizer) regularized_.push_back(weight);
        if (trainable && weight->constraint) constrained_.push_back(weight);
      }
    }
    return CheckArena();
  }

  // An arena that cannot fit would not fail when it is allocated, but kill the process when
  // touched.
  [[nodiscard]] Status CheckArena() const {
    const auto elements =
        static_cast<std::uint64_t>(layout_.total_elements + layout_.trainable_elements);
    return CheckMemory(FreeMemory(), elements * sizeof(float), "with weights and gradients it");
  }

  void Initialize(std::uint64_t seed) {
    parameters_ = at::zeros({layout_.total_elements}, at::kFloat);
    gradients_ = at::zeros({layout_.trainable_elements}, at::kFloat);
    auto* data = parameters_.mutable_data_ptr<float>();
    for (std::size_t i = 0; i < arena_.size(); ++i) {
      const WeightLayout& place = layout_.weights[i];
      arena_[i]->initializer(place.shape, MixSeed({seed, Hash(place.name)}),
                             {data + place.offset, static_cast<std::size_t>(place.size)});
    }
    BindViews();
  }

  // set_data keeps each weight's own version counter, so writing batch statistics into the arena
  // during a forward pass does not disturb what autograd remembers of the other weights.
  void BindViews() {
    for (std::size_t i = 0; i < arena_.size(); ++i) {
      const WeightLayout& place = layout_.weights[i];
      Tensor& tensor = arena_[i]->tensor;
      tensor = at::empty({0}, parameters_.options());
      tensor.set_data(parameters_.narrow(0, place.offset, place.size).view(place.shape));
      if (!place.trainable) continue;
      tensor.requires_grad_(true);
      tensor.mutable_grad() = gradients_.narrow(0, place.offset, place.size).view(place.shape);
    }
  }

  json config_;
  std::unique_ptr<Graph> graph_;
  std::deque<Weight> weights_;
  WeightGroup tree_;
  std::vector<InputSpec> inputs_;
  std::vector<OutputSpec> outputs_;
  ModelLayout layout_;
  std::vector<Weight*> arena_;  // as layout_.weights
  std::vector<Weight*> regularized_, constrained_;
  Tensor parameters_, gradients_;
  Step step_;
  std::vector<Tensor> masks_;
};

}  // namespace

Result<std::unique_ptr<Model>> Model::FromConfig(const json& config, std::uint64_t seed) {
  if (!config.is_object()) return Invalid("model: must be an object as model.to_json() prints it");
  if (DeeperThan(config, kMaxDepth)) return Invalid("model: nests too deep");
  // The adapter for what nlohmann, LibTorch and the allocator throw at a hostile config.
  try {
    Result<std::unique_ptr<ModelImpl>> model = ModelImpl::Make(config, seed);
    if (!model.ok()) return model.status().Annotate("model");
    return std::unique_ptr<Model>(*std::move(model));
  } catch (const std::bad_alloc&) {
    return Invalid("model: its weights do not fit into memory");
  } catch (const c10::Error& error) {
    return Invalid(std::string("model: ") + error.what_without_backtrace());
  } catch (const std::exception& error) {
    return Invalid(std::string("model: ") + error.what());
  }
}

}  // namespace elephas::keras
