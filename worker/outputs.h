// What a job leaves behind under output.uri.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/protocol/model_layout.h"

namespace elephas {

// model.safetensors: one float32 tensor per weight, named layer/weight, in Keras' shape.
// `parameters` is the whole arena.
Status WriteModelSafetensors(const std::string& path, const ModelLayout& layout,
                             std::span<const float> parameters);
// The other way round: sets every weight of the layout from the file. kInvalid names a weight that
// is missing, has another shape or type, and tensors that the model does not have.
Status ReadModelSafetensors(const std::string& path, const ModelLayout& layout,
                            std::span<float> parameters);
// history.json, metrics.json: indented, one value per line where lists allow it.
Status WriteJsonFile(const std::string& path, const nlohmann::json& json);

}  // namespace elephas
