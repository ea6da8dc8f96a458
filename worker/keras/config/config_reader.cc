#include "worker/keras/config/config_reader.h"

#include <cmath>
#include <limits>
#include <utility>

namespace elephas::keras {

namespace {

using nlohmann::json;

const json kNull;

bool IsInt(const json& value) {
  if (value.is_number_unsigned()) {
    return value.get<std::uint64_t>() <=
           static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  }
  return value.is_number_integer();
}

std::string Quoted(std::string_view name) { return "'" + std::string(name) + "'"; }

}  // namespace

ConfigReader::ConfigReader(const json& config, std::string where)
    : config_(config), where_(std::move(where)) {
  if (!config_.is_object()) Fail("its config must be an object");
}

void ConfigReader::Fail(const std::string& message) {
  if (problem_.ok()) problem_ = Invalid(where_ + ": " + message);
}

void ConfigReader::Fail(const Status& status) {
  if (problem_.ok() && !status.ok()) problem_ = status.Annotate(where_);
}

void ConfigReader::Adopt(const Status& status) {
  if (problem_.ok()) problem_ = status;
}

const json* ConfigReader::Field(std::string_view name) {
  known_.emplace(name);
  if (!config_.is_object()) return nullptr;
  const auto it = config_.find(name);
  return it == config_.end() || it->is_null() ? nullptr : &*it;
}

bool ConfigReader::Has(std::string_view name) { return Field(name) != nullptr; }

bool ConfigReader::IsNull(std::string_view name) {
  known_.emplace(name);
  return config_.is_object() && config_.contains(name) && config_.find(name)->is_null();
}

const json& ConfigReader::Any(std::string_view name) {
  const json* field = Field(name);
  return field == nullptr ? kNull : *field;
}

std::int64_t ConfigReader::Int(std::string_view name, std::optional<std::int64_t> fallback,
                               std::int64_t low, std::int64_t high) {
  const json* field = Field(name);
  if (field == nullptr) {
    if (!fallback) Fail(Quoted(name) + " is missing");
    return fallback.value_or(low);
  }
  if (!IsInt(*field)) {
    // Python writes 1.0 for some integers; a fraction is a mistake.
    if (field->is_number_float() && std::floor(field->get<double>()) == field->get<double>() &&
        std::abs(field->get<double>()) < 1e15) {
      const auto whole = static_cast<std::int64_t>(field->get<double>());
      if (whole >= low && whole <= high) return whole;
    }
    Fail(Quoted(name) + " must be an integer");
    return fallback.value_or(low);
  }
  const auto value = field->get<std::int64_t>();
  if (value < low || value > high) {
    Fail(Quoted(name) + " is " + std::to_string(value) + ", outside " + std::to_string(low) + ".." +
         std::to_string(high));
    return fallback.value_or(low);
  }
  return value;
}

double ConfigReader::Number(std::string_view name, std::optional<double> fallback) {
  const json* field = Field(name);
  if (field == nullptr) {
    if (!fallback) Fail(Quoted(name) + " is missing");
    return fallback.value_or(0.0);
  }
  if (!field->is_number()) {
    Fail(Quoted(name) + " must be a number");
    return fallback.value_or(0.0);
  }
  return field->get<double>();
}

std::optional<double> ConfigReader::OptionalNumber(std::string_view name) {
  if (!Has(name)) return std::nullopt;
  return Number(name, 0.0);
}

bool ConfigReader::Bool(std::string_view name, std::optional<bool> fallback) {
  const json* field = Field(name);
  if (field == nullptr) {
    if (!fallback) Fail(Quoted(name) + " is missing");
    return fallback.value_or(false);
  }
  if (!field->is_boolean()) {
    Fail(Quoted(name) + " must be true or false");
    return fallback.value_or(false);
  }
  return field->get<bool>();
}

std::string ConfigReader::String(std::string_view name,
                                 const std::optional<std::string>& fallback) {
  const json* field = Field(name);
  if (field == nullptr) {
    if (!fallback) Fail(Quoted(name) + " is missing");
    return fallback.value_or("");
  }
  if (!field->is_string()) {
    Fail(Quoted(name) + " must be a string");
    return fallback.value_or("");
  }
  return field->get<std::string>();
}

std::string ConfigReader::Choice(std::string_view name, std::string fallback,
                                 std::initializer_list<std::string_view> choices) {
  std::string value = String(name, fallback);
  std::string list;
  for (const std::string_view choice : choices) {
    if (value == choice) return value;
    list += (list.empty() ? "" : ", ") + std::string(choice);
  }
  Fail(Quoted(name) + " is '" + value + "'; supported: " + list);
  return fallback;
}

std::vector<std::int64_t> ConfigReader::Ints(std::string_view name, std::size_t count,
                                             std::optional<std::int64_t> fallback, std::int64_t low,
                                             std::int64_t high) {
  const json* field = Field(name);
  if (field == nullptr || !field->is_array()) {
    return std::vector<std::int64_t>(count, Int(name, fallback, low, high));
  }
  std::vector<std::int64_t> values = IntList(name, low, high);
  // Keras 1-D layers write [3] or 3; 2-D ones [3, 3].
  if (values.size() == 1 && count > 1) values.resize(count, values[0]);
  if (values.size() != count) {
    Fail(Quoted(name) + " must have " + std::to_string(count) + " integers");
    values.assign(count, fallback.value_or(low));
  }
  return values;
}

std::vector<std::int64_t> ConfigReader::IntList(std::string_view name, std::int64_t low,
                                                std::int64_t high) {
  const json* field = Field(name);
  if (field == nullptr) {
    Fail(Quoted(name) + " is missing");
    return {};
  }
  if (IsInt(*field)) return {Int(name, std::nullopt, low, high)};
  if (!field->is_array() || field->size() > 64) {
    Fail(Quoted(name) + " must be a short list of integers");
    return {};
  }
  std::vector<std::int64_t> values;
  for (const json& item : *field) {
    if (!IsInt(item) || item.get<std::int64_t>() < low || item.get<std::int64_t>() > high) {
      Fail(Quoted(name) + " must hold integers in " + std::to_string(low) + ".." +
           std::to_string(high));
      return {};
    }
    values.push_back(item.get<std::int64_t>());
  }
  return values;
}

void ConfigReader::Ignore(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) known_.emplace(name);
}

void ConfigReader::Require(std::string_view name, const json& value) {
  const json* field = Field(name);
  if (field != nullptr && *field != value) {
    Fail(Quoted(name) + " is supported only as " + value.dump());
  }
}

Status ConfigReader::Finish() const {
  if (!problem_.ok()) return problem_;
  for (const auto& [name, value] : config_.items()) {
    if (!known_.contains(name)) return Invalid(where_ + ": option '" + name + "' is not supported");
  }
  return OkStatus();
}

Result<ObjectConfig> ParseObject(const json& input, const std::string& where) {
  if (input.is_string()) return ObjectConfig{input.get<std::string>(), json::object()};
  if (!input.is_object()) return Invalid(where + ": must be a name or an object with 'class_name'");
  const auto class_name = input.find("class_name");
  const auto config = input.find("config");
  const auto registered = input.find("registered_name");
  if (class_name == input.end() || !class_name->is_string()) {
    return Invalid(where + ": 'class_name' is missing");
  }
  if (registered != input.end() && registered->is_string() &&
      registered->get_ref<const std::string&>().find('>') != std::string::npos) {
    return Invalid(where + ": custom object '" + registered->get<std::string>() +
                   "' is not supported");
  }
  if (*class_name == "function") {
    if (config == input.end() || !config->is_string()) {
      return Invalid(where + ": custom functions are not supported");
    }
    return ObjectConfig{config->get<std::string>(), json::object()};
  }
  if (config != input.end() && !config->is_object() && !config->is_null()) {
    return Invalid(where + ": 'config' must be an object");
  }
  const bool empty = config == input.end() || config->is_null();
  return ObjectConfig{class_name->get<std::string>(), empty ? json::object() : *config};
}

bool DeeperThan(const json& root, int limit) {
  std::vector<std::pair<const json*, int>> open{{&root, 0}};
  while (!open.empty()) {
    const auto [value, depth] = open.back();
    open.pop_back();
    if (depth > limit) return true;
    if (value->is_structured()) {
      for (const json& child : *value) open.emplace_back(&child, depth + 1);
    }
  }
  return false;
}

}  // namespace elephas::keras
