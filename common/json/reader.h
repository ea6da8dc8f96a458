// Reads one JSON object strictly: every field has its type, none is missing, none is unknown.
// The first problem is kept; read all fields, then ask Finish().
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace elephas {

// Not thread-safe. `json` must outlive the reader.
class JsonReader {
 public:
  // `where` names the object in messages ("lease").
  JsonReader(const nlohmann::json& json, std::string where);

  // Integers must be JSON integers in [low, high].
  std::int64_t Int(std::string_view name, std::int64_t low = INT64_MIN,
                   std::int64_t high = INT64_MAX);
  double Number(std::string_view name);
  std::string String(std::string_view name);
  bool Bool(std::string_view name);
  // The field as it is; null (and a problem) when missing.
  const nlohmann::json& Any(std::string_view name);
  // True when the field is there (and not null); marks it as known.
  bool Has(std::string_view name);
  // Marks the whole as wrong, unless it already is.
  void Fail(std::string message);

  // kInvalid with the first problem, an unknown field included.
  [[nodiscard]] Status Finish() const;
  [[nodiscard]] bool ok() const { return problem_.ok(); }

 private:
  const nlohmann::json* Field(std::string_view name);
  const nlohmann::json& json_;
  std::string where_;
  std::set<std::string, std::less<>> known_;
  Status problem_;
};

}  // namespace elephas
