#include "worker/train/batches.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <optional>
#include <utility>

namespace elephas {

namespace {

// More than this is gathered batch by batch: it would not stay in any cache anyway.
constexpr std::int64_t kPrefetchBytes = std::int64_t{64} << 20;

// The last Batches::id().
std::atomic<std::uint64_t> last_id = 0;

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += shape[i] < 0 ? "None" : std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

at::Tensor View(const Array& array) {
  const bool floats = array.type == ElementType::kFloat32;
  const void* data =
      floats ? static_cast<const void*>(array.floats()) : static_cast<const void*>(array.ints());
  // from_blob wants a mutable pointer; nobody writes through these views.
  return at::from_blob(const_cast<void*>(data), array.shape,
                       at::TensorOptions().dtype(floats ? at::kFloat : at::kLong));
}

// The rows in the input's shape: equal shapes (-1 fits anything), a missing last axis of 1 as Keras
// adds it, and flat rows of a text file, which has no shapes, where the number of elements fits.
std::optional<std::vector<std::int64_t>> FitShape(const Array& array,
                                                  const std::vector<std::int64_t>& wanted,
                                                  bool text) {
  const std::vector<std::int64_t> row(array.shape.begin() + 1, array.shape.end());
  const bool equal = std::ranges::equal(
      row, wanted, [](std::int64_t have, std::int64_t want) { return want < 0 || have == want; });
  if (equal) return array.shape;
  std::vector<std::int64_t> shape{array.rows()};
  shape.insert(shape.end(), wanted.begin(), wanted.end());
  const bool known = std::ranges::none_of(wanted, [](std::int64_t extent) { return extent < 0; });
  const std::int64_t elements =
      std::accumulate(wanted.begin(), wanted.end(), std::int64_t{1}, std::multiplies<>());
  const bool flat = text || row.empty();
  if (known && flat && elements == array.row_elements()) return shape;
  return std::nullopt;
}

// Keras casts features to the input's dtype.
at::ScalarType InputType(const std::string& dtype) {
  const bool integer = dtype.starts_with("int") || dtype.starts_with("uint") || dtype == "bool";
  return integer ? at::kLong : at::kFloat;
}

// By name where the manifest gives a map, else by position. Null: there is none.
const Array* Pick(const std::vector<Array>& arrays, const std::vector<std::string>& keys,
                  const std::string& name, std::size_t position) {
  if (keys.empty()) return position < arrays.size() ? &arrays[position] : nullptr;
  const auto it = std::ranges::find(keys, name);
  return it == keys.end() ? nullptr : &arrays[static_cast<std::size_t>(it - keys.begin())];
}

// An index outside a layer's table would stop the training in its middle, with nothing that tells
// where it came from.
Status CheckIndexes(const Dataset& dataset, const keras::InputSpec& input, const at::Tensor& rows) {
  for (const keras::IndexLimit& limit : input.index_limits) {
    if (rows.numel() == 0) return OkStatus();
    const at::Tensor index = rows.to(at::kLong);
    const auto [least, most] = at::aminmax(index);
    if (least.item<std::int64_t>() >= 0 && most.item<std::int64_t>() < limit.count) continue;
    const at::Tensor flat = index.flatten();
    const at::Tensor outside = (flat < 0).logical_or(flat >= limit.count);
    const auto first = outside.to(at::kByte).argmax().item<std::int64_t>();
    return Invalid(dataset.RowName(first / (index.numel() / index.size(0))) + ": value " +
                   std::to_string(flat[first].item<std::int64_t>()) + " of the model's input '" +
                   input.name + "' is outside 0 to " + std::to_string(limit.count - 1) +
                   ", the indexes of layer '" + limit.layer + "' (" + limit.class_name + ")");
  }
  return OkStatus();
}

// One array for all outputs, or one each: by name where the manifest gives a map, which may leave
// out outputs, else by position.
Status BindSampleWeights(const Dataset& dataset, const std::vector<keras::OutputSpec>& outputs,
                         ModelData& data) {
  const std::vector<Array>& given = dataset.sample_weights;
  if (given.empty()) return OkStatus();
  const bool for_all = dataset.sample_weight_keys.empty() && given.size() == 1;
  if (dataset.sample_weight_keys.empty() && !for_all && given.size() != outputs.size()) {
    return Invalid("spec.data.sampleWeights: the model has " + std::to_string(outputs.size()) +
                   " outputs, there are weights for " + std::to_string(given.size()));
  }
  for (const std::string& key : dataset.sample_weight_keys) {
    const bool known = std::ranges::any_of(
        outputs, [&](const keras::OutputSpec& output) { return output.name == key; });
    if (!known) return Invalid("spec.data.sampleWeights: the model has no output '" + key + "'");
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Array* array =
        for_all ? &given[0] : Pick(given, dataset.sample_weight_keys, outputs[i].name, i);
    if (array == nullptr) {
      data.sample_weights.emplace_back();
      continue;
    }
    // Weights of a row's parts (time steps) are for outputs that have such parts.
    const std::vector<std::int64_t> row(array->shape.begin() + 1, array->shape.end());
    const std::size_t parts = row.size() == 1 && row[0] == 1 ? 0 : row.size();
    bool fits = parts < std::max<std::size_t>(outputs[i].shape.size(), 1);
    for (std::size_t k = 0; fits && k < parts; ++k) {
      fits = outputs[i].shape[k] < 0 || outputs[i].shape[k] == row[k];
    }
    if (!fits) {
      return Invalid(dataset.path + ": sample weights '" + array->name + "' have rows of shape " +
                     ShapeText(row) + ", the output '" + outputs[i].name + "' has " +
                     ShapeText(outputs[i].shape));
    }
    data.sample_weights.push_back(View(*array));
  }
  return OkStatus();
}

}  // namespace

Result<ModelData> BindData(const Dataset& dataset, const keras::Model& model, bool need_labels) {
  ModelData data;
  const auto& inputs = model.inputs();
  if (dataset.features.size() != inputs.size()) {
    return Invalid(dataset.path + ": the model has " + std::to_string(inputs.size()) +
                   " inputs, the data gives " + std::to_string(dataset.features.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Array* array = Pick(dataset.features, dataset.feature_keys, inputs[i].name, i);
    if (array == nullptr) {
      return Invalid("spec.data.features names nothing for the model's input '" + inputs[i].name +
                     "'");
    }
    const auto shape = FitShape(*array, inputs[i].shape, dataset.text);
    if (!shape) {
      return Invalid(dataset.path + ": '" + array->name + "' has rows of shape " +
                     ShapeText({array->shape.begin() + 1, array->shape.end()}) +
                     ", the model's input '" + inputs[i].name + "' wants " +
                     ShapeText(inputs[i].shape));
    }
    data.features.push_back(View(*array).view(*shape).to(InputType(inputs[i].dtype)));
    ELEPHAS_RETURN_IF_ERROR(CheckIndexes(dataset, inputs[i], data.features.back()));
  }
  if (!need_labels) return data;
  const auto& outputs = model.outputs();
  if (dataset.labels.size() != outputs.size()) {
    return Invalid(dataset.path + ": the model has " + std::to_string(outputs.size()) +
                   " outputs, the data gives " + std::to_string(dataset.labels.size()) + " labels");
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const Array* array = Pick(dataset.labels, dataset.label_keys, outputs[i].name, i);
    if (array == nullptr) {
      return Invalid("spec.data.labels names nothing for the model's output '" + outputs[i].name +
                     "'");
    }
    data.labels.push_back(View(*array));
  }
  ELEPHAS_RETURN_IF_ERROR(BindSampleWeights(dataset, outputs, data));
  return data;
}

Status WeighClasses(const std::map<std::int64_t, double>& class_weight, const keras::Model& model,
                    std::int64_t training_rows, ModelData& data) {
  const std::string field = "spec.fit.classWeight";
  const auto& outputs = model.outputs();
  if (outputs.size() != 1) {
    return Invalid(field + ": is for models with one output, this one has " +
                   std::to_string(outputs.size()));
  }
  const at::Tensor& labels = data.labels[0];
  if (labels.dim() > 2) return Invalid(field + ": the labels of a row must be one class");
  const std::int64_t units = outputs[0].shape.empty() ? 1 : outputs[0].shape.back();
  const std::int64_t classes = units == 1 ? 2 : units;  // one unit tells apart two
  for (const auto& [index, weight] : class_weight) {
    if (units < 0 || index < classes) continue;
    return Invalid(field + ": class " + std::to_string(index) + " does not exist; output '" +
                   outputs[0].name + "' has classes 0 to " + std::to_string(classes - 1));
  }
  at::Tensor index = labels.to(at::kDouble);
  if (index.dim() == 2) index = index.size(1) == 1 ? index.squeeze(1) : index.argmax(1);
  index = at::round(index.to(at::kDouble)).to(at::kLong);
  at::Tensor weights = at::ones({index.size(0)}, at::kFloat);
  const at::Tensor training = weights.narrow(0, 0, training_rows);
  index = index.narrow(0, 0, training_rows);
  for (const auto& [own, weight] : class_weight) training.masked_fill_(index == own, weight);
  data.sample_weights = {weights};
  return OkStatus();
}

Batches::Batches(const ModelData& data, Range rows, std::vector<std::int64_t> order,
                 std::int64_t batch_size)
    : id_(++last_id),
      data_(&data),
      rows_(rows),
      order_(std::move(order)),
      batch_size_(batch_size) {}

at::Tensor Batches::Rows(const at::Tensor& source, const Range& range) const {
  if (!source.defined()) return source;
  if (order_.empty()) return source.narrow(0, rows_.first + range.first, range.size());
  const at::Tensor index = at::from_blob(const_cast<std::int64_t*>(order_.data() + range.first),
                                         {range.size()}, at::TensorOptions().dtype(at::kLong));
  return source.narrow(0, rows_.first, rows_.size()).index_select(0, index);
}

void Batches::Prefetch() {
  if (order_.empty() || !gathered_.features.empty()) return;
  std::int64_t bytes = 0;
  for (const auto* group : {&data_->features, &data_->labels, &data_->sample_weights}) {
    for (const at::Tensor& source : *group) {
      bytes += !source.defined() || source.size(0) == 0
                   ? 0
                   : static_cast<std::int64_t>(source.nbytes()) / source.size(0) * rows_.size();
    }
  }
  if (bytes > kPrefetchBytes) return;
  const Range all{0, rows_.size()};
  for (const at::Tensor& source : data_->features) gathered_.features.push_back(Rows(source, all));
  for (const at::Tensor& source : data_->labels) gathered_.labels.push_back(Rows(source, all));
  for (const at::Tensor& source : data_->sample_weights) {
    gathered_.sample_weights.push_back(Rows(source, all));
  }
}

Batch Batches::At(std::int64_t index) const {
  const Range range = BatchRows(rows_.size(), batch_size_, index);
  Batch batch;
  batch.examples = range.size();
  if (!gathered_.features.empty()) {
    for (const at::Tensor& all : gathered_.features) {
      batch.features.push_back(all.narrow(0, range.first, range.size()));
    }
    for (const at::Tensor& all : gathered_.labels) {
      batch.labels.push_back(all.narrow(0, range.first, range.size()));
    }
    for (const at::Tensor& all : gathered_.sample_weights) {
      batch.sample_weights.push_back(all.defined() ? all.narrow(0, range.first, range.size())
                                                   : all);
    }
    return batch;
  }
  for (const at::Tensor& source : data_->features) batch.features.push_back(Rows(source, range));
  for (const at::Tensor& source : data_->labels) batch.labels.push_back(Rows(source, range));
  for (const at::Tensor& source : data_->sample_weights) {
    batch.sample_weights.push_back(Rows(source, range));
  }
  return batch;
}

}  // namespace elephas
