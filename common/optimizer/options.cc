#include "common/optimizer/options.h"

#include <cmath>
#include <utility>

namespace elephas {

namespace {

const nlohmann::json kNull;
// The least number above 0.
constexpr double kAboveZero = std::numeric_limits<double>::denorm_min();

std::string Quoted(std::string_view name) { return "'" + std::string(name) + "'"; }

}  // namespace

OptimizerOptions::OptimizerOptions(const nlohmann::json& given, std::string where)
    : given_(given), where_(std::move(where)) {
  if (!given_.is_object()) Fail("its config must be an object");
}

void OptimizerOptions::Fail(const std::string& message) {
  if (problem_.ok()) problem_ = Invalid(where_ + ": " + message);
}

const nlohmann::json* OptimizerOptions::Field(std::string_view name, OptionInfo info) {
  Note(name, info);
  if (!given_.is_object()) return nullptr;
  const auto it = given_.find(name);
  return it == given_.end() || it->is_null() ? nullptr : &*it;
}

std::optional<double> OptimizerOptions::OptionalNumber(std::string_view name,
                                                       std::optional<double> fallback) {
  const nlohmann::json* field = Field(name, {.kind = OptionKind::kNumber});
  std::optional<double> value = fallback;
  if (field != nullptr) {
    if (field->is_number() && std::isfinite(field->get<double>())) {
      value = field->get<double>();
    } else {
      Fail(Quoted(name) + " must be a number");
    }
  }
  Set(name, value ? nlohmann::json(*value) : nlohmann::json());
  return value;
}

double OptimizerOptions::Number(std::string_view name, double fallback, double low, double high) {
  const double value = OptionalNumber(name, fallback).value_or(fallback);
  Note(name, {.kind = OptionKind::kNumber, .low = low, .high = high});
  if (value < low || value > high) {
    const bool open = high == std::numeric_limits<double>::max();
    const bool unbounded = low == std::numeric_limits<double>::lowest();
    std::string bounds = open        ? " must be at least " + nlohmann::json(low).dump()
                         : unbounded ? " must be at most " + nlohmann::json(high).dump()
                                     : " must be in " + nlohmann::json({low, high}).dump();
    Fail(Quoted(name) + bounds);
  }
  return value;
}

double OptimizerOptions::PositiveNumber(std::string_view name, double fallback, double high) {
  const double value = OptionalNumber(name, fallback).value_or(fallback);
  Note(name, {.kind = OptionKind::kNumber, .low = kAboveZero, .high = high});
  if (value <= 0 || value > high) {
    Fail(Quoted(name) + " must be above 0 and at most " + nlohmann::json(high).dump());
  }
  return value;
}

double OptimizerOptions::RequiredNumber(std::string_view name, bool positive) {
  OptionInfo info{.kind = OptionKind::kNumber, .required = true};
  if (positive) info.low = kAboveZero;
  if (Field(name, info) == nullptr) Fail(Quoted(name) + " is missing");
  const double value = OptionalNumber(name, 0.0).value_or(0.0);
  Note(name, info);
  if (positive && value <= 0) Fail(Quoted(name) + " must be positive");
  return value;
}

std::vector<double> OptimizerOptions::RequiredNumbers(std::string_view name, std::size_t longest) {
  const nlohmann::json* list = Field(name, {.kind = OptionKind::kNumbers, .required = true});
  std::vector<double> values;
  if (list == nullptr || !list->is_array() || list->size() > longest) {
    Fail(Quoted(name) + " must be a list of numbers");
    return values;
  }
  for (const nlohmann::json& item : *list) {
    if (!item.is_number()) {
      Fail(Quoted(name) + " must hold numbers");
      return values;
    }
    values.push_back(item.get<double>());
  }
  Set(name, *list);
  return values;
}

void OptimizerOptions::Refuse(std::string_view name, std::optional<double> only,
                              const std::string& message) {
  OptionInfo info{.kind = OptionKind::kNothing};
  if (only) info = {.kind = OptionKind::kNumber, .low = *only, .high = *only};
  const nlohmann::json* field = Field(name, info);
  if (field == nullptr || (only && field->is_number() && field->get<double>() == *only)) return;
  Fail(Quoted(name) + message);
}

std::optional<std::int64_t> OptimizerOptions::OptionalInt(std::string_view name, std::int64_t low) {
  const nlohmann::json* field =
      Field(name, {.kind = OptionKind::kInteger, .low = static_cast<double>(low)});
  std::optional<std::int64_t> value;
  if (field != nullptr) {
    const bool whole = field->is_number_integer() ||
                       (field->is_number_float() && std::abs(field->get<double>()) < 1e15 &&
                        std::floor(field->get<double>()) == field->get<double>());
    if (whole) value = field->get<std::int64_t>();
    if (!whole || *value < low) {
      Fail(Quoted(name) + " must be an integer of at least " + std::to_string(low));
    }
  }
  Set(name, value ? nlohmann::json(*value) : nlohmann::json());
  return value;
}

std::int64_t OptimizerOptions::Int(std::string_view name, std::int64_t fallback, std::int64_t low) {
  const std::int64_t value = OptionalInt(name, low).value_or(fallback);
  Set(name, value);
  return value;
}

bool OptimizerOptions::Bool(std::string_view name, bool fallback) {
  const nlohmann::json* field = Field(name, {.kind = OptionKind::kBoolean});
  bool value = fallback;
  if (field != nullptr) {
    if (field->is_boolean()) {
      value = field->get<bool>();
    } else {
      Fail(Quoted(name) + " must be true or false");
    }
  }
  Set(name, value);
  return value;
}

std::string OptimizerOptions::String(std::string_view name, std::string fallback) {
  const nlohmann::json* field = Field(name, {.kind = OptionKind::kText});
  std::string value = std::move(fallback);
  if (field != nullptr) {
    if (field->is_string()) {
      value = field->get<std::string>();
    } else {
      Fail(Quoted(name) + " must be a string");
    }
  }
  Set(name, value);
  return value;
}

const nlohmann::json& OptimizerOptions::Any(std::string_view name) {
  const nlohmann::json* field = Field(name, {});
  return field == nullptr ? kNull : *field;
}

Status OptimizerOptions::Finish() const {
  if (!problem_.ok()) return problem_;
  for (const auto& [name, value] : given_.items()) {
    if (!infos_.contains(name)) return Invalid(where_ + ": option '" + name + "' is not supported");
  }
  return OkStatus();
}

Result<NamedConfig> ParseNamedConfig(const nlohmann::json& input, const std::string& where) {
  if (input.is_string()) return NamedConfig{input.get<std::string>(), nlohmann::json::object()};
  if (!input.is_object())
    return Invalid(where + ": must be a name or have 'class_name' and 'config'");
  NamedConfig named;
  named.config = nlohmann::json::object();
  for (const auto& [key, value] : input.items()) {
    if (key == "class_name") {
      if (!value.is_string()) return Invalid(where + ": 'class_name' must be a string");
      named.class_name = value.get<std::string>();
    } else if (key == "config") {
      if (!value.is_object()) return Invalid(where + ": 'config' must be an object");
      named.config = value;
    } else if (key == "registered_name") {
      if (value.is_string() && value.get_ref<const std::string&>().find('>') != std::string::npos) {
        return Invalid(where + ": custom object '" + value.get<std::string>() +
                       "' is not supported");
      }
    } else if (key != "module" && key != "build_config" && key != "shared_object_id") {
      return Invalid(where + ": unknown field '" + key + "'");
    }
  }
  if (named.class_name.empty()) return Invalid(where + ": 'class_name' is missing");
  return named;
}

}  // namespace elephas
