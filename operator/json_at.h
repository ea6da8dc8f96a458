// Reading objects of the cluster, where anything may be missing.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace elephas {

// The value at a JSON pointer; null when there is none.
inline const nlohmann::json& At(const nlohmann::json& object, const char* pointer) {
  static const nlohmann::json kNull;
  const nlohmann::json::json_pointer at(pointer);
  return object.contains(at) ? object.at(at) : kNull;
}

// The text there; "" when there is none.
inline std::string TextAt(const nlohmann::json& object, const char* pointer) {
  const nlohmann::json& value = At(object, pointer);
  return value.is_string() ? value.get<std::string>() : std::string();
}

}  // namespace elephas
