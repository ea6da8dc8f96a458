// A model as a layer: calls its layers in topological order. The outermost model is one too.
#pragma once

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "worker/keras/graph/graph_config.h"
#include "worker/keras/graph/layer.h"

namespace elephas::keras {

class Graph final : public Layer {
 public:
  // Makes the layers that `model` (Sequential, Functional, Model) lists. `model` must outlive the
  // call only. kInvalid names the place of what is not supported.
  static Result<std::unique_ptr<Graph>> FromJson(const nlohmann::json& model,
                                                 const std::string& place);

  [[nodiscard]] const std::string& name() const { return name_; }
  struct Port {
    std::string name;
    Shape shape;  // batch axis included
    std::string dtype;
  };
  [[nodiscard]] const std::vector<Port>& inputs() const { return inputs_; }
  [[nodiscard]] const std::vector<std::string>& output_names() const { return output_names_; }
  [[nodiscard]] ShapeList InputShapes() const;

  Status Build(const Call& call, const ShapeList& inputs, WeightMaker& weights) override;
  [[nodiscard]] Result<ShapeList> OutputShapes(const Call& call,
                                               const ShapeList& inputs) const override;
  Values Run(const Call& call, std::span<const Value> inputs, Step& step) override;
  [[nodiscard]] bool TakesIntegers() const override { return true; }
  [[nodiscard]] std::vector<IndexLimit> IndexLimits(std::size_t input) const override;
  [[nodiscard]] bool MixesRows() const override { return true; }  // some layer of it may

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  struct Entry {
    std::string name, class_name, place;
    std::unique_ptr<Layer> layer;  // null for inputs
    std::size_t calls = 0;
  };
  // One call of one layer; its outputs are values [first_output, first_output + outputs).
  struct Node {
    std::size_t layer = 0, index = 0;  // the layer's index-th call
    Call call;
    std::vector<TensorRef> refs;  // the inputs' tensors, in order of the arguments
    std::vector<std::optional<TensorRef>> mask_refs;  // an explicit `mask`, for the first inputs
    std::vector<std::size_t> inputs, masks;           // the same as value numbers; kNone: no mask
    std::size_t first_output = 0, outputs = 0;
    std::vector<std::size_t> released;  // values that nobody needs after this node
  };

  // Shapes of the outputs of every node of every layer.
  using ShapeTable = std::vector<std::vector<ShapeList>>;

  Status MakeLayers(const GraphConfig& config);
  Status MakeNodes(const GraphConfig& config);
  static Status BindArguments(const NodeConfig& config, const Layer& layer, Node& node);
  // Kahn's algorithm; kInvalid names a layer on a cycle.
  Status SortNodes();
  // Walks all nodes with shapes. With `makers` (one per layer) each layer is built at its first
  // call.
  Result<ShapeTable> InferShapes(const ShapeList& inputs, std::vector<WeightMaker>* makers) const;
  [[nodiscard]] Result<Shape> ShapeOf(const ShapeTable& table, const TensorRef& ref) const;
  // Gives every tensor its place in the array of values that Run fills.
  void NumberValues(const ShapeTable& table);
  [[nodiscard]] Status At(const Node& node, const Status& status) const;

  std::string name_;
  std::vector<Entry> entries_;
  std::vector<Node> nodes_;  // in topological order, inputs left out
  std::vector<Port> inputs_;
  std::vector<std::size_t> input_layers_;
  std::vector<std::string> output_names_;
  std::vector<TensorRef> output_refs_;
  std::vector<std::size_t> output_values_;
  std::size_t value_count_ = 0;
};

}  // namespace elephas::keras
