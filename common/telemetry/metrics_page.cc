#include "common/telemetry/metrics_page.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>

namespace elephas {
namespace {

prometheus::MetricType TypeOf(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return prometheus::MetricType::Counter;
    case MetricType::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricType::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  std::abort();
}

// Anything that is not UTF-8 would make Prometheus refuse the whole page; names of layers and
// metrics come from files of users.
std::string Utf8(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xC2 && lead < 0xE0 ? 2
                               : lead >= 0xE0 && lead < 0xF0 ? 3
                               : lead >= 0xF0 && lead < 0xF5 ? 4
                                                             : 0;
    bool whole = length > 0 && i + length <= text.size();
    for (std::size_t j = 1; whole && j < length; ++j) {
      whole = (static_cast<unsigned char>(text[i + j]) & 0xC0) == 0x80;
    }
    if (whole) {
      out.append(text.substr(i, length));
      i += length;
    } else {
      out.push_back('?');
      ++i;
    }
  }
  return out;
}

}  // namespace

std::string_view Word(MetricType type) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kGauge:
      return "gauge";
    case MetricType::kHistogram:
      return "histogram";
  }
  std::abort();
}

struct MetricsPage::Impl {
  std::vector<prometheus::ClientMetric::Label> common;
  std::vector<prometheus::MetricFamily> families;  // in the tables' order
  std::map<std::string_view, std::size_t> index;   // of families

  prometheus::ClientMetric& Append(std::string_view name, bool histogram, Labels labels) {
    const auto found = index.find(name);
    if (found == index.end() ||
        (families[found->second].type == prometheus::MetricType::Histogram) != histogram) {
      std::fprintf(stderr, "metric %.*s is not in the table\n", static_cast<int>(name.size()),
                   name.data());
      std::abort();
    }
    prometheus::ClientMetric& metric = families[found->second].metric.emplace_back();
    metric.label = common;
    for (const auto& [label, value] : labels) {
      metric.label.push_back({std::string(label), Utf8(value)});
    }
    return metric;
  }
};

MetricsPage::MetricsPage(const std::vector<std::span<const MetricInfo>>& tables,
                         std::vector<std::pair<std::string, std::string>> common)
    : impl_(std::make_unique<Impl>()) {
  for (auto& [name, value] : common) impl_->common.push_back({std::move(name), Utf8(value)});
  for (const auto table : tables) {
    for (const MetricInfo& info : table) {
      impl_->index.emplace(info.name, impl_->families.size());
      impl_->families.push_back(
          {std::string(info.name), std::string(info.help), TypeOf(info.type), {}});
    }
  }
}
MetricsPage::~MetricsPage() = default;

void MetricsPage::Add(std::string_view name, double value, Labels labels) {
  prometheus::ClientMetric& metric = impl_->Append(name, /*histogram=*/false, labels);
  metric.counter.value = value;  // the family's type decides which of them is read
  metric.gauge.value = value;
}

void MetricsPage::Add(std::string_view name, const Histogram& histogram, Labels labels) {
  prometheus::ClientMetric& metric = impl_->Append(name, /*histogram=*/true, labels);
  metric.histogram.sample_count = histogram.count();
  metric.histogram.sample_sum = histogram.sum();
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
    cumulative += histogram.counts()[i];
    const double bound = i < histogram.bounds().size() ? histogram.bounds()[i]
                                                       : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({cumulative, bound});
  }
}

std::string MetricsPage::Text() const {
  std::vector<prometheus::MetricFamily> shown;
  for (const prometheus::MetricFamily& family : impl_->families) {
    if (!family.metric.empty()) shown.push_back(family);
  }
  return prometheus::TextSerializer().Serialize(shown);
}

}  // namespace elephas
