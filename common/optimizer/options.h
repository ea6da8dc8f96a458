// Reads one Keras config strictly and fills in its defaults: what was read is written, default or
// not, to a whole config as Keras' own get_config() gives it.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas {

// What a value may be. Null, which means left out, is taken for each.
enum class OptionKind : std::uint8_t {
  kNumber,
  kInteger,
  kBoolean,
  kText,
  kNumbers,  // a list of them
  kRate,     // a number, or a schedule's class_name and config
  kNothing,  // only null
  kAnything,
};

// What a reader asks of one option. Kept beside what it reads, so that other judges of the same
// config can be made from it.
struct OptionInfo {
  OptionKind kind = OptionKind::kAnything;
  double low = std::numeric_limits<double>::lowest();  // of numbers, both included
  double high = std::numeric_limits<double>::max();
  bool required = false;
};
using OptionInfos = std::map<std::string, OptionInfo, std::less<>>;
// The options of one class, by name.
struct OptionTable {
  std::string_view class_name;
  OptionInfos options;
};

// The first problem is kept. Not thread-safe; `given` must outlive the reader.
class OptimizerOptions {
 public:
  // `where` names the object in messages ("optimizer Adam").
  OptimizerOptions(const nlohmann::json& given, std::string where);

  double Number(std::string_view name, double fallback,
                double low = std::numeric_limits<double>::lowest(),
                double high = std::numeric_limits<double>::max());
  // Above 0 and at most `high`.
  double PositiveNumber(std::string_view name, double fallback, double high);
  // One that has no fallback; `positive`: above 0.
  double RequiredNumber(std::string_view name, bool positive = false);
  // A list of at most `longest` numbers, which has no fallback either.
  std::vector<double> RequiredNumbers(std::string_view name, std::size_t longest);
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
  void Ignore(std::string_view name) { infos_.try_emplace(std::string(name)); }
  // Known to Keras and not supported but as null, or as the number `only`. Not written.
  void Refuse(std::string_view name, std::optional<double> only, const std::string& message);
  // Says what the option may be, where it is read elsewhere.
  void Note(std::string_view name, OptionInfo info) { infos_[std::string(name)] = info; }
  void Fail(const std::string& message);

  [[nodiscard]] const nlohmann::json& whole() const { return whole_; }
  // Of every option that was asked for.
  [[nodiscard]] const OptionInfos& infos() const { return infos_; }
  // kInvalid with the first problem, an unknown option included.
  [[nodiscard]] Status Finish() const;

 private:
  const nlohmann::json* Field(std::string_view name, OptionInfo info);

  const nlohmann::json& given_;
  std::string where_;
  nlohmann::json whole_ = nlohmann::json::object();
  OptionInfos infos_;
  Status problem_;
};

// {"class_name", "config", …} or a bare name. kInvalid for another form and for custom objects.
struct NamedConfig {
  std::string class_name;
  nlohmann::json config;
};
Result<NamedConfig> ParseNamedConfig(const nlohmann::json& input, const std::string& where);

}  // namespace elephas
