// Configs of models as older versions of Keras wrote them, in the words of Keras 3.
#pragma once

#include <nlohmann/json.hpp>

#include "common/base/result.h"

namespace elephas::keras_file {

// `model` ({"class_name", "config", …}) such that Keras 3 opens it: options that its classes no
// longer take are gone where they ask for nothing, layers (nested and wrapped ones too) have the
// module that Keras looks them up in, a Sequential config is an object, and the calls of a
// functional model are written as Keras 3 writes them. What asks for something that Keras 3 cannot
// do (`time_major`) stays, for the builder to refuse; so does what is malformed. A config of Keras
// 3 comes back as it is.
nlohmann::json ModernConfig(nlohmann::json model);

// Whether `version`, what a file names under keras_version, is one before Keras 3.
bool IsKeras2(const nlohmann::json& version);

// kInvalid when `version` is of Keras 2 and a layer of `model` asks for a function that has the
// same name in Keras 3 and computes something else.
Status CheckMeanings(const nlohmann::json& model, const nlohmann::json& version);

}  // namespace elephas::keras_file
