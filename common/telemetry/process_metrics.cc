// Of this process, from /proc/self.
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>

#include "common/base/version.h"
#include "common/telemetry/metrics_page.h"

namespace elephas {
namespace {

constexpr std::string_view kInfo = "elephas_build_info";
constexpr std::string_view kCpu = "process_cpu_seconds_total";
constexpr std::string_view kMemory = "process_resident_memory_bytes";
constexpr std::string_view kFiles = "process_open_fds";
constexpr std::string_view kThreads = "process_threads";
constexpr std::string_view kStart = "process_start_time_seconds";

constexpr std::array kTable{
    MetricInfo{kInfo, MetricType::kGauge, "", "version", "Always 1; says which version this is."},
    MetricInfo{kCpu, MetricType::kCounter, "seconds", "", "CPU time that the process has used."},
    MetricInfo{kMemory, MetricType::kGauge, "bytes", "", "Memory that the process holds."},
    MetricInfo{kFiles, MetricType::kGauge, "descriptors", "", "Open files and connections."},
    MetricInfo{kThreads, MetricType::kGauge, "threads", "", "Threads of the process."},
    MetricInfo{kStart, MetricType::kGauge, "seconds", "",
               "When the process started, in seconds since 1970."},
};

struct Stat {
  double cpu_seconds = 0, start_after_boot_seconds = 0, threads = 0, resident_bytes = 0;
};

// proc(5): the fields after the program's name, which may hold anything but ends with the last ')'.
std::optional<Stat> ReadStat() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::array<double, 23> fields{};                   // the line's third field is fields[1]
  const char* cursor = line.c_str() + name_end + 3;  // past ") S"
  for (std::size_t i = 2; i < fields.size(); ++i) {
    char* end = nullptr;
    fields[i] = std::strtod(cursor, &end);
    if (end == cursor) return std::nullopt;
    cursor = end;
  }
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  Stat stat;
  stat.cpu_seconds = (fields[12] + fields[13]) / ticks;  // utime, stime
  stat.threads = fields[18];                             // num_threads
  stat.start_after_boot_seconds = fields[20] / ticks;    // starttime
  stat.resident_bytes = fields[22] * static_cast<double>(::sysconf(_SC_PAGESIZE));
  return stat;
}

double BootTime() {
  std::ifstream file("/proc/stat");
  std::string word;
  double value = 0;
  while (file >> word) {
    if (word == "btime" && file >> value) return value;
  }
  return 0;
}

}  // namespace

std::span<const MetricInfo> ProcessMetricTable() { return kTable; }

void AddProcessMetrics(MetricsPage& page) {
  page.Add(kInfo, 1, {{"version", std::string(ReleaseVersion())}});
  if (const auto stat = ReadStat()) {
    page.Add(kCpu, stat->cpu_seconds);
    page.Add(kMemory, stat->resident_bytes);
    page.Add(kThreads, stat->threads);
    static const double kBoot = BootTime();
    if (kBoot > 0) page.Add(kStart, kBoot + stat->start_after_boot_seconds);
  }
  std::error_code error;
  double files = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end;
       !error && entry != end; entry.increment(error)) {
    ++files;
  }
  if (!error) page.Add(kFiles, files);
}

}  // namespace elephas
