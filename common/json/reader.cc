#include "common/json/reader.h"

#include <limits>

namespace elephas {

namespace {
const nlohmann::json kNull;
}  // namespace

JsonReader::JsonReader(const nlohmann::json& json, std::string where)
    : json_(json), where_(std::move(where)) {
  if (!json_.is_object()) Fail("must be an object");
}

void JsonReader::Fail(std::string message) {
  if (problem_.ok()) problem_ = Invalid(where_ + ": " + std::move(message));
}

const nlohmann::json* JsonReader::Field(std::string_view name) {
  known_.emplace(name);
  if (!json_.is_object()) return nullptr;
  const auto it = json_.find(name);
  if (it == json_.end()) {
    Fail("'" + std::string(name) + "' is missing");
    return nullptr;
  }
  return &*it;
}

std::int64_t JsonReader::Int(std::string_view name, std::int64_t low, std::int64_t high) {
  const nlohmann::json* field = Field(name);
  if (field == nullptr) return 0;
  const bool too_large = field->is_number_unsigned() &&
                         field->get<std::uint64_t>() >
                             static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!field->is_number_integer() || too_large) {
    Fail("'" + std::string(name) + "' must be an integer");
    return 0;
  }
  const auto value = field->get<std::int64_t>();
  if (value < low || value > high) {
    Fail("'" + std::string(name) + "' is " + std::to_string(value) + ", outside " +
         std::to_string(low) + ".." + std::to_string(high));
    return 0;
  }
  return value;
}

double JsonReader::Number(std::string_view name) {
  const nlohmann::json* field = Field(name);
  if (field == nullptr) return 0;
  if (!field->is_number()) {
    Fail("'" + std::string(name) + "' must be a number");
    return 0;
  }
  return field->get<double>();
}

std::string JsonReader::String(std::string_view name) {
  const nlohmann::json* field = Field(name);
  if (field == nullptr) return {};
  if (!field->is_string()) {
    Fail("'" + std::string(name) + "' must be a string");
    return {};
  }
  return field->get<std::string>();
}

bool JsonReader::Bool(std::string_view name) {
  const nlohmann::json* field = Field(name);
  if (field == nullptr) return false;
  if (!field->is_boolean()) {
    Fail("'" + std::string(name) + "' must be true or false");
    return false;
  }
  return field->get<bool>();
}

const nlohmann::json& JsonReader::Any(std::string_view name) {
  const nlohmann::json* field = Field(name);
  return field == nullptr ? kNull : *field;
}

bool JsonReader::Has(std::string_view name) {
  known_.emplace(name);
  if (!json_.is_object()) return false;
  const auto it = json_.find(name);
  return it != json_.end() && !it->is_null();
}

Status JsonReader::Finish() const {
  if (!problem_.ok()) return problem_;
  for (const auto& [name, value] : json_.items()) {
    if (!known_.contains(name)) return Invalid(where_ + ": unknown field '" + name + "'");
  }
  return OkStatus();
}

}  // namespace elephas
