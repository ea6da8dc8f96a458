#include "common/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/utf8.h"

namespace elephas {
namespace {

struct LevelWord {
  LogLevel level;
  std::string_view word, label;
  spdlog::level::level_enum spdlog_level;
};
constexpr std::array<LevelWord, 5> kLevels{{
    {LogLevel::kDebug, "debug", "DEBUG", spdlog::level::debug},
    {LogLevel::kInfo, "info", "INFO", spdlog::level::info},
    {LogLevel::kWarning, "warning", "WARNING", spdlog::level::warn},
    {LogLevel::kError, "error", "ERROR", spdlog::level::err},
    {LogLevel::kOff, "off", "OFF", spdlog::level::off},
}};

const LevelWord& Describe(LogLevel level) { return kLevels[static_cast<std::size_t>(level)]; }

// Set once by InitLog; lines before it use the defaults.
struct State {
  std::string role, job;
  bool json = false;
  std::atomic<LogLevel> level = LogLevel::kInfo;
  std::shared_ptr<spdlog::logger> logger;

  State() {
    logger = std::make_shared<spdlog::logger>("elephas",
                                              std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%v");
    logger->set_level(spdlog::level::trace);
    logger->flush_on(spdlog::level::trace);
  }
};
State& TheState() {
  static auto* state = new State;  // never destroyed: threads may log while the program ends
  return *state;
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string TimeText() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char day[32];
  std::strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts);
  char text[48];
  std::snprintf(text, sizeof(text), "%s.%03dZ", day, static_cast<int>(millis));
  return text;
}

std::string Quoted(std::string_view text) { return JsonText(nlohmann::json(text)); }

bool IsSecret(std::string_view name) {
  for (const std::string_view word : {"token", "authorization", "password", "secret"}) {
    if (name.find(word) != std::string_view::npos) return true;
  }
  return false;
}

// As it stands in a text line: quoted only where a reader could lose its end.
std::string TextValue(const LogField& field) {
  if (IsSecret(field.name())) return "(hidden)";
  const auto plain = [](unsigned char c) { return c > ' ' && c < 0x7f && c != '"' && c != '='; };
  for (const char c : field.text()) {
    if (!plain(static_cast<unsigned char>(c))) return Quoted(field.text());
  }
  return field.text().empty() ? "\"\"" : field.text();
}

std::string JsonValue(const LogField& field) {
  if (IsSecret(field.name())) return "\"(hidden)\"";
  return field.is_number() ? field.text() : Quoted(field.text());
}

std::string TextLine(const State& state, LogLevel level, std::string_view event,
                     std::initializer_list<LogField> fields) {
  std::string line = TimeText();
  line.append(" ").append(Describe(level).label).append(" ");
  if (!state.role.empty()) line.append(state.role).append(": ");
  line.append(event);
  if (!state.job.empty()) line.append(" job=").append(TextValue({"job", state.job}));
  for (const LogField& field : fields) {
    line.append(" ").append(field.name()).append("=").append(TextValue(field));
  }
  return line;
}

std::string JsonLine(const State& state, LogLevel level, std::string_view event,
                     std::initializer_list<LogField> fields) {
  std::string line = "{\"time\":\"" + TimeText() + "\"";
  const auto add = [&line](std::string_view name, std::string_view json_value) {
    line.append(",").append(Quoted(name)).append(":").append(json_value);
  };
  add("level", Quoted(Describe(level).word));
  if (!state.role.empty()) add("role", Quoted(state.role));
  add("event", Quoted(event));
  if (!state.job.empty()) add("job", Quoted(state.job));
  for (const LogField& field : fields) add(field.name(), JsonValue(field));
  return line + "}";
}

}  // namespace

LogField::LogField(std::string_view name, double value)
    : name_(name), text_(std::to_string(value)), is_number_(std::isfinite(value)) {}

Status InitLog(const LogOptions& options) {
  std::string format = options.format.empty() ? Environment("ELEPHAS_LOG_FORMAT") : options.format;
  std::string level = options.level.empty() ? Environment("ELEPHAS_LOG_LEVEL") : options.level;
  if (format.empty()) format = "text";
  if (level.empty()) level = "info";
  if (format != "text" && format != "json") {
    return Invalid("log format '" + format + "': text or json");
  }
  State& state = TheState();
  for (const LevelWord& known : kLevels) {
    if (known.word != level) continue;
    state.level = known.level;
    state.json = format == "json";
    state.role = options.role;
    state.job = options.job;
    return OkStatus();
  }
  return Invalid("log level '" + level + "': debug, info, warning, error or off");
}

bool LogEnabled(LogLevel level) {
  return level >= TheState().level.load(std::memory_order_relaxed) && level != LogLevel::kOff;
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  const State& state = TheState();
  // The line is an argument, not the format: braces in it stay what they are.
  state.logger->log(
      Describe(level).spdlog_level, "{}",
      state.json ? JsonLine(state, level, event, fields) : TextLine(state, level, event, fields));
}

}  // namespace elephas
