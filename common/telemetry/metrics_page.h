// What a program shows at /metrics, in Prometheus' text format.
//
// Every program lists its metrics in one table of MetricInfo. A page is made anew for each scrape:
// it takes values by name, and only of names in its tables, so that nothing is exported that is not
// listed. docs/metrics.md is made from the tables.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/telemetry/histogram.h"

namespace elephas {

enum class MetricType : std::uint8_t { kCounter, kGauge, kHistogram };
std::string_view Word(MetricType type);

struct MetricInfo {
  std::string_view name;  // ends with the unit, counters with _total after it
  MetricType type;
  std::string_view unit;    // "seconds", "bytes", "ratio", or what is counted: "updates"
  std::string_view labels;  // beside those that every series has: "task, outcome"
  std::string_view help;    // a sentence
};

// Not thread-safe.
class MetricsPage {
 public:
  // Every series gets `common` labels first. The tables must outlive the page.
  MetricsPage(const std::vector<std::span<const MetricInfo>>& tables,
              std::vector<std::pair<std::string, std::string>> common);
  ~MetricsPage();
  MetricsPage(const MetricsPage&) = delete;
  MetricsPage& operator=(const MetricsPage&) = delete;

  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  // A counter or gauge. The name must be in a table: anything else is a bug, and ends the program.
  void Add(std::string_view name, double value, Labels labels = {});
  void Add(std::string_view name, const Histogram& histogram, Labels labels = {});
  // Families in the tables' order; one without a value is left out.
  [[nodiscard]] std::string Text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// What every program says of itself, under the names that Prometheus' own clients use.
std::span<const MetricInfo> ProcessMetricTable();
void AddProcessMetrics(MetricsPage& page);

}  // namespace elephas
