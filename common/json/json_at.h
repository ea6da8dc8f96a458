// Reading JSON that others wrote, objects of the cluster and answers of servers, where anything may
// be missing or of another type than it should: no read throws, and none takes a wrong type for a
// value. nlohmann's own value() throws on both, so it is not used on such JSON.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace elephas {

inline const nlohmann::json& JsonNull() {
  static const nlohmann::json kNull;
  return kNull;
}

// The value at a JSON pointer; null when there is none.
inline const nlohmann::json& At(const nlohmann::json& object, const char* pointer) {
  const nlohmann::json::json_pointer at(pointer);
  return object.contains(at) ? object.at(at) : JsonNull();
}

// A member by its name, which may hold slashes and dots; null when there is none, or no object.
inline const nlohmann::json& MemberOf(const nlohmann::json& object, std::string_view name) {
  if (!object.is_object()) return JsonNull();
  const auto found = object.find(name);
  return found == object.end() ? JsonNull() : *found;
}

// What a value says; `otherwise` when it is of another type.
inline std::string TextIn(const nlohmann::json& value, std::string_view otherwise = {}) {
  return value.is_string() ? value.get<std::string>() : std::string(otherwise);
}
inline bool BoolIn(const nlohmann::json& value, bool otherwise = false) {
  return value.is_boolean() ? value.get<bool>() : otherwise;
}
// A whole number that fits; 1.0 and 1e300 are none.
inline std::int64_t IntegerIn(const nlohmann::json& value, std::int64_t otherwise = 0) {
  if (value.is_number_unsigned()) {
    const auto whole = value.get<std::uint64_t>();
    return whole <= static_cast<std::uint64_t>(INT64_MAX) ? static_cast<std::int64_t>(whole)
                                                          : otherwise;
  }
  return value.is_number_integer() ? value.get<std::int64_t>() : otherwise;
}
// A number that is finite.
inline double NumberIn(const nlohmann::json& value, double otherwise = 0) {
  if (!value.is_number()) return otherwise;
  const auto number = value.get<double>();
  return std::isfinite(number) ? number : otherwise;
}

// The same of what is at a pointer ("" or `otherwise` when there is nothing such).
inline std::string TextAt(const nlohmann::json& object, const char* pointer) {
  return TextIn(At(object, pointer));
}
inline std::int64_t IntegerAt(const nlohmann::json& object, const char* pointer,
                              std::int64_t otherwise = 0) {
  return IntegerIn(At(object, pointer), otherwise);
}
// Of a member.
inline std::string TextOf(const nlohmann::json& object, std::string_view name) {
  return TextIn(MemberOf(object, name));
}

// Is the member a text, and this one?
inline bool Says(const nlohmann::json& object, std::string_view name, std::string_view text) {
  const nlohmann::json& value = MemberOf(object, name);
  return value.is_string() && value.get_ref<const std::string&>() == text;
}

}  // namespace elephas
