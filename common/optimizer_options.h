// Reads one Keras config strictly and fills in its defaults: what was read is written, default or
// not, to a whole config as Keras' own get_config() gives it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/result.h"

namespace elephas {

// The first problem is kept. Not thread-safe; `given` must outlive the reader.
class OptimizerOptions {
 public:
  // `where` names the object in messages ("optimizer Adam").
  OptimizerOptions(const nlohmann::json& given, std::string where);

  double Number(std::string_view name, double fallback, double low = -1e300, double high = 1e300);
  // Null (and left out) is a value of its own.
  std::optional<double> OptionalNumber(std::string_view name, std::optional<double> fallback);
  std::int64_t Int(std::string_view name, std::int64_t fallback, std::int64_t low);
  std::optional<std::int64_t> OptionalInt(std::string_view name, std::int64_t low);
  bool Bool(std::string_view name, bool fallback);
  std::string String(std::string_view name, std::string fallback);
  // As it is; null when left out. Not written to the whole config: Set it.
  const nlohmann::json& Any(std::string_view name);
  // Written without being read.
  void Set(std::string_view name, nlohmann::json value) {
    whole_[std::string(name)] = std::move(value);
  }
  // Known to Keras, and harmless.
  void Ignore(std::string_view name) { known_.emplace(name); }
  void Fail(const std::string& message);

  [[nodiscard]] const nlohmann::json& whole() const { return whole_; }
  // kInvalid with the first problem, an unknown option included.
  [[nodiscard]] Status Finish() const;

 private:
  const nlohmann::json* Field(std::string_view name);

  const nlohmann::json& given_;
  std::string where_;
  nlohmann::json whole_ = nlohmann::json::object();
  std::set<std::string, std::less<>> known_;
  Status problem_;
};

// {"class_name", "config", …} or a bare name. kInvalid for another form and for custom objects.
struct NamedConfig {
  std::string class_name;
  nlohmann::json config;
};
Result<NamedConfig> ParseNamedConfig(const nlohmann::json& input, const std::string& where);

}  // namespace elephas
