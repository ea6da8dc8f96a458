// JSON as YAML, for files that people read.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace elephas {

// Keys in the order of `value`; what holds only scalars, and is short, is on one line. Text that
// YAML could read as something else, or that does not fit on a line of its own, is quoted as JSON
// quotes it. Ends with a newline.
std::string YamlText(const nlohmann::ordered_json& value);

}  // namespace elephas
