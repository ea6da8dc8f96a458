#include "common/protocol/model_layout.h"

#include <set>
#include <utility>

#include "common/json/reader.h"

namespace elephas {

namespace {

using nlohmann::json;

constexpr std::int64_t kMaxElements = std::int64_t{1} << 48;

Result<WeightLayout> WeightFromJson(const json& input) {
  JsonReader reader(input, "weight");
  WeightLayout weight;
  weight.name = reader.String("name");
  weight.trainable = reader.Bool("trainable");
  weight.offset = reader.Int("offset", 0, kMaxElements);
  weight.size = reader.Int("size", 0, kMaxElements);
  const json& shape = reader.Any("shape");
  if (!shape.is_array()) reader.Fail("'shape' must be an array");
  std::int64_t product = 1;
  for (const json& extent : shape) {
    if (!extent.is_number_integer() || extent < 0 || extent > kMaxElements) {
      reader.Fail("'shape' must hold sizes");
      break;
    }
    weight.shape.push_back(extent.get<std::int64_t>());
    if (__builtin_mul_overflow(product, weight.shape.back(), &product) || product > kMaxElements) {
      reader.Fail("'shape' is too large");
      break;
    }
  }
  if (weight.name.empty()) reader.Fail("'name' is empty");
  if (reader.ok() && product != weight.size) {
    reader.Fail("'size' of '" + weight.name + "' is " + std::to_string(weight.size) +
                ", its shape has " + std::to_string(product) + " elements");
  }
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  return weight;
}

void ReadSlotNames(JsonReader& reader, ModelLayout& layout) {
  const json& slots = reader.Any("slotNames");
  if (!slots.is_array() || slots.size() > 16) reader.Fail("'slotNames' must be a short array");
  for (const json& slot : slots) {
    if (!slot.is_string()) return reader.Fail("'slotNames' must hold strings");
    layout.slot_names.push_back(slot.get<std::string>());
  }
}

void ReadLargerIsBetter(JsonReader& reader, ModelLayout& layout) {
  if (!reader.Has("largerIsBetter")) return;
  const json& larger = reader.Any("largerIsBetter");
  if (!larger.is_object()) return reader.Fail("'largerIsBetter' must be an object");
  for (const auto& [name, value] : larger.items()) {
    if (!value.is_boolean()) return reader.Fail("'largerIsBetter' must hold true and false");
    layout.larger_is_better[name] = value.get<bool>();
  }
}

// One after the other without gaps, the trainable ones first.
Status ReadWeights(const json& weights, ModelLayout& layout) {
  std::set<std::string> names;
  std::int64_t offset = 0;
  std::int64_t trainable = 0;
  bool rest = false;
  for (const json& entry : weights) {
    ELEPHAS_ASSIGN_OR_RETURN(WeightLayout weight, WeightFromJson(entry));
    if (!names.insert(weight.name).second) {
      return Invalid("layout: weight '" + weight.name + "' appears twice");
    }
    if (weight.trainable && rest) {
      return Invalid("layout: trainable weight '" + weight.name +
                     "' comes after a weight that is not trainable");
    }
    if (weight.offset != offset) {
      return Invalid("layout: weight '" + weight.name + "' starts at " +
                     std::to_string(weight.offset) + " instead of " + std::to_string(offset));
    }
    rest = !weight.trainable;
    offset += weight.size;
    if (offset > kMaxElements) return Invalid("layout: too many elements");
    if (weight.trainable) trainable = offset;
    layout.weights.push_back(std::move(weight));
  }
  if (offset != layout.total_elements || trainable != layout.trainable_elements) {
    return Invalid("layout: its weights have " + std::to_string(trainable) + " trainable and " +
                   std::to_string(offset) + " elements in all, not " +
                   std::to_string(layout.trainable_elements) + " and " +
                   std::to_string(layout.total_elements));
  }
  return OkStatus();
}

}  // namespace

json ToJson(const ModelLayout& layout) {
  json out;
  out["weights"] = json::array();
  for (const WeightLayout& weight : layout.weights) {
    out["weights"].push_back({{"name", weight.name},
                              {"shape", weight.shape},
                              {"trainable", weight.trainable},
                              {"offset", weight.offset},
                              {"size", weight.size}});
  }
  out["trainableElements"] = layout.trainable_elements;
  out["totalElements"] = layout.total_elements;
  out["optimizer"] = layout.optimizer;
  out["slotNames"] = layout.slot_names;
  out["examples"] = layout.examples;
  if (!layout.larger_is_better.empty()) out["largerIsBetter"] = layout.larger_is_better;
  return out;
}

Result<ModelLayout> ModelLayoutFromJson(const json& input) {
  JsonReader reader(input, "layout");
  ModelLayout layout;
  layout.trainable_elements = reader.Int("trainableElements", 0, kMaxElements);
  layout.total_elements = reader.Int("totalElements", 0, kMaxElements);
  layout.examples = reader.Int("examples", 1, kMaxElements);
  layout.optimizer = reader.Any("optimizer");
  if (!layout.optimizer.is_null() && !layout.optimizer.is_object()) {
    reader.Fail("'optimizer' must be an object or null");
  }
  ReadSlotNames(reader, layout);
  ReadLargerIsBetter(reader, layout);
  const json& weights = reader.Any("weights");
  if (!weights.is_array()) reader.Fail("'weights' must be an array");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(ReadWeights(weights, layout));
  return layout;
}

std::vector<WeightSlice> TrainableSlices(const ModelLayout& layout) {
  std::vector<WeightSlice> slices;
  for (const WeightLayout& weight : layout.weights) {
    if (weight.trainable) slices.push_back({weight.name, weight.offset, weight.size});
  }
  return slices;
}

}  // namespace elephas
