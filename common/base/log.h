// One line per event on standard error: what happened, and fields that say to whom.
//
//   2026-03-01T12:00:00.123Z INFO paramserver: worker joined job=digits incarnation=1
//
// With ELEPHAS_LOG_FORMAT=json the same line is one JSON object (broken in two only here):
//
//   {"time":"2026-03-01T12:00:00.123Z","level":"info","role":"paramserver","event":"worker joined",
//    "job":"digits","incarnation":1}
//
// ELEPHAS_LOG_LEVEL is debug, info (default),
// warning, error or off. Field names are those of the REST interface and the metrics: job, worker,
// task, epoch, partition, incarnation, version. Tokens never go into a field; values of fields with
// such a name are hidden all the same.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace elephas {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError, kOff };

struct LogOptions {
  std::string role = {};    // "paramserver", "worker", …
  std::string job = {};     // left out of the lines when empty
  std::string format = {};  // "text" or "json"; empty: ELEPHAS_LOG_FORMAT, else text
  std::string level = {};   // empty: ELEPHAS_LOG_LEVEL, else info
};

// Before the first line and before threads start; without it lines have no role and no job.
// kInvalid names a format or level that does not exist, and changes nothing.
Status InitLog(const LogOptions& options);

// A field of one line. It copies the value, but only points to the name, which must outlive it: a
// literal, as a rule.
class LogField {
 public:
  LogField(std::string_view name, std::string_view value)
      : name_(name), text_(value), is_number_(false) {}
  LogField(std::string_view name, const char* value) : LogField(name, std::string_view(value)) {}
  LogField(std::string_view name, const std::string& value)
      : LogField(name, std::string_view(value)) {}
  LogField(std::string_view name, std::integral auto value)
      : name_(name), text_(std::to_string(value)), is_number_(true) {}
  LogField(std::string_view name, double value);

  [[nodiscard]] std::string_view name() const { return name_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool is_number() const { return is_number_; }  // stands without quotes in JSON

 private:
  std::string_view name_;
  std::string text_;
  bool is_number_;
};

// Thread-safe. `event` is a short sentence without values.
void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
inline void LogDebug(std::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, event, fields);
}
inline void LogInfo(std::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, event, fields);
}
inline void LogWarning(std::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarning, event, fields);
}
inline void LogError(std::string_view event, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, event, fields);
}
// Would a line of that level be written? Ask first where a field costs something to make.
bool LogEnabled(LogLevel level);

}  // namespace elephas
