#include "common/base/timestamp.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

namespace elephas::kube {

namespace {

using std::chrono::floor, std::chrono::milliseconds, std::chrono::sys_days, std::chrono::sys_time;

std::string Text(std::int64_t unix_millis, bool micros) {
  const sys_time<milliseconds> time{milliseconds(unix_millis)};
  const auto day = floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 64> text{};
  const auto head = static_cast<std::size_t>(std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count())));
  std::string out(text.data(), head);
  if (micros) {
    std::snprintf(text.data(), text.size(), ".%03d000",
                  static_cast<int>(clock.subseconds().count()));
    out += text.data();
  }
  return out + "Z";
}

// Takes exactly `digits` digits off the front.
std::optional<int> TakeNumber(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || text.front() == '-') {
    return std::nullopt;
  }
  text.remove_prefix(digits);
  return value;
}

bool Take(std::string_view& text, char character) {
  if (text.empty() || text.front() != character) return false;
  text.remove_prefix(1);
  return true;
}

// ".123456": the first three digits count.
std::optional<int> TakeMillis(std::string_view& text) {
  if (!Take(text, '.')) return 0;
  int millis = 0;
  int scale = 100;
  std::size_t digits = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1)) {
    millis += (text.front() - '0') * scale;
    scale /= 10;
    ++digits;
  }
  if (digits == 0) return std::nullopt;
  return millis;
}

// Minutes east of UTC.
std::optional<int> TakeOffset(std::string_view& text) {
  if (Take(text, 'Z')) return 0;
  const bool west = !text.empty() && text.front() == '-';
  if (!west && (text.empty() || text.front() != '+')) return std::nullopt;
  text.remove_prefix(1);
  const auto hours = TakeNumber(text, 2);
  if (!hours || !Take(text, ':')) return std::nullopt;
  const auto minutes = TakeNumber(text, 2);
  if (!minutes) return std::nullopt;
  const int offset = *hours * 60 + *minutes;
  return west ? -offset : offset;
}

}  // namespace

std::string TimeText(std::int64_t unix_millis) { return Text(unix_millis, false); }
std::string MicroTimeText(std::int64_t unix_millis) { return Text(unix_millis, true); }

std::optional<std::int64_t> ParseTime(std::string_view text) {
  const auto year = TakeNumber(text, 4);
  if (!year || !Take(text, '-')) return std::nullopt;
  const auto month = TakeNumber(text, 2);
  if (!month || !Take(text, '-')) return std::nullopt;
  const auto day = TakeNumber(text, 2);
  if (!day || !Take(text, 'T')) return std::nullopt;
  const auto hour = TakeNumber(text, 2);
  if (!hour || !Take(text, ':')) return std::nullopt;
  const auto minute = TakeNumber(text, 2);
  if (!minute || !Take(text, ':')) return std::nullopt;
  const auto second = TakeNumber(text, 2);
  if (!second) return std::nullopt;
  const auto millis = TakeMillis(text);
  if (!millis) return std::nullopt;
  const auto offset = TakeOffset(text);
  if (!offset || !text.empty()) return std::nullopt;

  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const auto time = sys_days(date).time_since_epoch() + std::chrono::hours(*hour) +
                    std::chrono::minutes(*minute - *offset) + std::chrono::seconds(*second) +
                    milliseconds(*millis);
  return std::chrono::duration_cast<milliseconds>(time).count();
}

}  // namespace elephas::kube
