// To which job an object belongs: by its controller, not by its labels, which anybody can copy.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace elephas {

struct Owner {
  std::string name, uid;  // of the ElephasJob
};

// The ElephasJob that controls the object; nullopt when none does. An object has at most one
// controller: the API server sees to it.
std::optional<Owner> ControllerOf(const nlohmann::json& object);

}  // namespace elephas
