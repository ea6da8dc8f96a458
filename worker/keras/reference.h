// docs/keras.md: what of Keras is supported, read off the tables that the program itself uses.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace elephas::keras {

std::string SupportedMarkdown();
// {"layers": {family: [class, …]}, "aliases": {…}, "losses": {class: [name, …]}, …}
nlohmann::json SupportedNames();

}  // namespace elephas::keras
