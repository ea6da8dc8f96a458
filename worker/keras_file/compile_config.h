// How a model is compiled, between the words of keras.Model.compile (the manifest's), the
// compile_config of .keras files and the training_config of legacy .h5 files.
#pragma once

#include <nlohmann/json.hpp>

namespace elephas::keras_file {

// From compile_config: optimizer, loss, loss_weights, metrics and weighted_metrics without nulls;
// functions as their names. Null for null.
nlohmann::json FromCompileConfig(const nlohmann::json& compile_config);

// From training_config, Keras 2's included: its optimizer ("Custom>Adam"), metric wrappers and
// nested metric lists become today's words.
nlohmann::json FromTrainingConfig(const nlohmann::json& training_config);

// What Keras 3 reads back: every object gets the module that Keras looks it up in. Null for null.
nlohmann::json ToCompileConfig(const nlohmann::json& compile);
nlohmann::json ToTrainingConfig(const nlohmann::json& compile);

}  // namespace elephas::keras_file
