#include "worker/outputs.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "common/base/atomic_file.h"
#include "common/protocol/safetensors.h"

namespace elephas {

namespace {

std::string JsonShape(const std::vector<std::int64_t>& shape) {
  return nlohmann::json(shape).dump();
}

}  // namespace

Status WriteModelSafetensors(const std::string& path, const ModelLayout& layout,
                             std::span<const float> parameters) {
  std::vector<safetensors::TensorInfo> tensors;
  std::vector<std::span<const std::byte>> data;
  for (const WeightLayout& weight : layout.weights) {
    tensors.push_back({weight.name, "F32", weight.shape, 0, 0});
    data.push_back(std::as_bytes(parameters.subspan(static_cast<std::size_t>(weight.offset),
                                                    static_cast<std::size_t>(weight.size))));
  }
  return safetensors::WriteFile(path, {{"format", "elephas"}}, std::move(tensors), data);
}

Status ReadModelSafetensors(const std::string& path, const ModelLayout& layout,
                            std::span<float> parameters) {
  ELEPHAS_ASSIGN_OR_RETURN(const safetensors::File file, safetensors::ReadFile(path));
  for (const WeightLayout& weight : layout.weights) {
    const safetensors::TensorInfo* tensor = file.header.Find(weight.name);
    if (tensor == nullptr) {
      return Invalid(path + ": has no weight '" + weight.name + "', which the model needs");
    }
    if (tensor->dtype != "F32" || tensor->shape != weight.shape) {
      return Invalid(path + ": '" + weight.name + "' is " + tensor->dtype + " " +
                     JsonShape(tensor->shape) + ", the model needs F32 " + JsonShape(weight.shape));
    }
    const auto bytes = file.Bytes(*tensor);
    std::memcpy(parameters.data() + weight.offset, bytes.data(), bytes.size());
  }
  for (const safetensors::TensorInfo& tensor : file.header.tensors) {
    const bool known = std::ranges::any_of(
        layout.weights, [&](const WeightLayout& weight) { return weight.name == tensor.name; });
    if (!known) return Invalid(path + ": the model has no weight '" + tensor.name + "'");
  }
  return OkStatus();
}

Status WriteJsonFile(const std::string& path, const nlohmann::json& json) {
  return WriteWholeFile(path, json.dump(2) + "\n");
}

}  // namespace elephas
