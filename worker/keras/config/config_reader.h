// Reads the `config` of one Keras object (layer, initializer, loss, …) strictly: each option has
// its type, and an option that nobody asked for is an error, so none is ignored in silence.
//
// The first problem is kept; read everything, then ask Finish(). Getters return the fallback (or a
// harmless value) after a problem, so a constructor can read all its options without checking each.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas::keras {

// Not thread-safe. `config` must outlive the reader.
class ConfigReader {
 public:
  // `where` names the object and its place, e.g. "layers[2] 'dense_1' (Dense)".
  ConfigReader(const nlohmann::json& config, std::string where);

  // The option is there and not null.
  bool Has(std::string_view name);
  // The option is there and null, which for some means more than being left out.
  bool IsNull(std::string_view name);
  // The option as it is; null when left out.
  const nlohmann::json& Any(std::string_view name);

  std::int64_t Int(std::string_view name, std::optional<std::int64_t> fallback,
                   std::int64_t low = INT64_MIN, std::int64_t high = INT64_MAX);
  double Number(std::string_view name, std::optional<double> fallback);
  std::optional<double> OptionalNumber(std::string_view name);
  bool Bool(std::string_view name, std::optional<bool> fallback);
  std::string String(std::string_view name, const std::optional<std::string>& fallback);
  // One of `choices`.
  std::string Choice(std::string_view name, std::string fallback,
                     std::initializer_list<std::string_view> choices);
  // One integer repeated, or a list of exactly `count`; each in [low, high].
  std::vector<std::int64_t> Ints(std::string_view name, std::size_t count,
                                 std::optional<std::int64_t> fallback, std::int64_t low,
                                 std::int64_t high);
  // A list of integers of any length up to 64 (a single integer is a list of one).
  std::vector<std::int64_t> IntList(std::string_view name, std::int64_t low, std::int64_t high);

  // Options that mean nothing here.
  void Ignore(std::initializer_list<std::string_view> names);
  // Options that are only taken at the value given (or null / left out).
  void Require(std::string_view name, const nlohmann::json& value);

  void Fail(const std::string& message);
  void Fail(const Status& status);
  // As Fail, for a status that names its place already.
  void Adopt(const Status& status);
  [[nodiscard]] bool ok() const { return problem_.ok(); }
  [[nodiscard]] const std::string& where() const { return where_; }
  // kInvalid with the first problem, an unknown option included.
  [[nodiscard]] Status Finish() const;

 private:
  const nlohmann::json* Field(std::string_view name);

  const nlohmann::json& config_;
  std::string where_;
  std::set<std::string, std::less<>> known_;
  Status problem_;
};

// How Keras writes an object down: a bare name, or {"module", "class_name", "config",
// "registered_name"}, or the same for a plain function.
struct ObjectConfig {
  std::string name;       // class or function name
  nlohmann::json config;  // an object; empty for a bare name
};
// kInvalid for another form and for custom objects (a registered_name with a package).
Result<ObjectConfig> ParseObject(const nlohmann::json& input, const std::string& where);

// True when `json` nests deeper than `limit`. Does not recurse.
bool DeeperThan(const nlohmann::json& root, int limit);

}  // namespace elephas::keras
