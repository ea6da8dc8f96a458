// Objects of a cluster as YAML, as `kubectl get -o yaml` prints them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace elephas::cli {

// In block style, ends with a newline. Text that a YAML reader could take for something else is
// quoted.
std::string YamlOf(const nlohmann::json& value);

}  // namespace elephas::cli
