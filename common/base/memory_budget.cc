#include "common/base/memory_budget.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <optional>

namespace elephas {

namespace {

// A file's number; nothing for "max" or a file that is not there.
std::optional<std::uint64_t> NumberIn(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  std::uint64_t value = 0;
  if (!(file >> word)) return std::nullopt;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// "MemTotal:   24689300 kB" in bytes.
std::optional<std::uint64_t> KilobytesAt(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const auto digit = line.find_first_of("0123456789", name.size());
    if (digit == std::string::npos) return std::nullopt;
    std::uint64_t value = 0;
    std::from_chars(line.data() + digit, line.data() + line.size(), value);
    return value << 10;
  }
  return std::nullopt;
}

// The least limit from this group up to the root. Inside a container the mount often begins at its
// own group while the path is told from outside, so that parts of it are not there.
std::uint64_t LeastOf(const std::string& mount, std::string group, const std::string& file) {
  std::uint64_t least = UINT64_MAX;
  for (;;) {
    if (const auto limit = NumberIn(mount + group + "/" + file)) least = std::min(least, *limit);
    const auto slash = group.find_last_of('/');
    if (slash == std::string::npos) return least;
    group.resize(slash);
  }
}

// /proc/self/cgroup has lines "0::/path" (version 2) and "4:memory:/path" (version 1).
std::uint64_t GroupLimit(const std::string& root) {
  std::uint64_t least = UINT64_MAX;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (controllers == ",,") {
      least = std::min(least, LeastOf(root + "/sys/fs/cgroup", group, "memory.max"));
    } else if (controllers.find(",memory,") != std::string::npos) {
      least =
          std::min(least, LeastOf(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

}  // namespace

std::string BytesText(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
  return text.data();
}

MemoryBudget FreeMemory(const std::string& root) {
  const std::uint64_t machine =
      KilobytesAt(root + "/proc/meminfo", "MemTotal:")
          .value_or(static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                    static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  const std::uint64_t group = GroupLimit(root);
  const bool contained = group < machine;
  const std::uint64_t limit = contained ? group : machine;
  // Pages of mapped files can be given back, so only what is written counts.
  const std::uint64_t held = KilobytesAt(root + "/proc/self/status", "RssAnon:").value_or(0);
  MemoryBudget budget;
  budget.bytes = limit - std::min(limit, held);
  budget.limit = contained ? "the container's " : "the machine's ";
  budget.limit.append(BytesText(limit));
  return budget;
}

Status CheckMemory(const MemoryBudget& budget, std::uint64_t bytes, std::string_view what) {
  if (bytes <= budget.bytes) return OkStatus();
  std::string message(what);
  message.append(" would take ").append(BytesText(bytes)).append(" of memory, and ");
  message.append(BytesText(budget.bytes)).append(" are left");
  if (!budget.limit.empty()) message.append(" of ").append(budget.limit);
  if (budget.limit.starts_with("the container's")) {
    message.append(": raise resources.limits.memory in spec.workers.template, or read less");
  }
  return Invalid(std::move(message));
}

}  // namespace elephas
