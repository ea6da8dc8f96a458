// What a scalar of YAML means to kubectl, whose reader is go-yaml 2: YAML 1.1 with the octal
// numbers of 1.2. A manifest must mean here what it means on a cluster.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace elephas::manifest {

struct Resolved {
  enum class Kind : std::uint8_t { kText, kNull, kBoolean, kInteger, kFloat };
  Kind kind = Kind::kText;
  nlohmann::json integer;  // signed where it fits, else unsigned
  double number = 0;       // of kFloat: may be infinite or not a number
  bool boolean = false;
};

// A scalar without quotes and without a tag.
Resolved Resolve(std::string_view text);

// The number as it reaches the API server: kubectl writes it as the shortest text that reads back
// the same, and what then has no point and no exponent is an integer (3.0 is 3, 1e21 is not).
// nullopt: JSON has no such number.
std::optional<nlohmann::json> SentNumber(double number);
// Integers beyond 63 bits travel as floating point numbers.
nlohmann::json SentInteger(const nlohmann::json& integer);

// What a key that is written like `text`, without quotes, is called in JSON: 1.0 is "1", yes is
// "true". nullopt: it cannot be one.
std::optional<std::string> KeyName(std::string_view text);

// A date, or a date and a time, in the forms that go-yaml takes behind the tag !!timestamp.
bool IsTimestamp(std::string_view text);

// What base64 stands for; nullopt when it is not valid.
std::optional<std::string> FromBase64(std::string_view text);

}  // namespace elephas::manifest
