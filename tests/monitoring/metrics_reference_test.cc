// docs/metrics.md is made from the programs' tables of metrics; after a change of one, by
// `make generate`.
#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "common/telemetry/metrics_page.h"
#include "paramserver/rest/server_metrics.h"
#include "worker/metrics/worker_metrics.h"

#ifdef ELEPHAS_WITH_OPERATOR
#include "tests/monitoring/operator_metrics_sample.h"
#endif

namespace elephas {
namespace {

struct Program {
  std::string title, about;
  std::span<const MetricInfo> table;
};

#ifdef ELEPHAS_WITH_OPERATOR
// The operator's are prometheus-cpp's own families: read back from what it serves.
class OperatorTable {
 public:
  OperatorTable() {
    OperatorMetrics metrics;
    LetEverythingHappen(metrics);
    std::istringstream lines(metrics.Text());
    for (std::string line; std::getline(lines, line);) Read(line);
    for (const auto& row : rows_) {
      const MetricType type = row->type == "counter" ? MetricType::kCounter
                              : row->type == "gauge" ? MetricType::kGauge
                                                     : MetricType::kHistogram;
      table_.push_back({row->name, type, row->name.ends_with("_seconds") ? "seconds" : "",
                        row->labels, row->help});
    }
  }
  [[nodiscard]] std::span<const MetricInfo> table() const { return table_; }

 private:
  struct Row {
    std::string name, type, labels, help;
  };

  void Read(const std::string& line) {
    const auto word = [&line](std::size_t first) {
      return line.substr(first, line.find_first_of(" {", first) - first);
    };
    if (line.starts_with("# HELP ")) {
      const std::string name = word(7);
      rows_.push_back(std::make_unique<Row>(Row{name, "", "", line.substr(8 + name.size())}));
    } else if (line.starts_with("# TYPE ")) {
      rows_.back()->type = line.substr(8 + word(7).size());
    } else if (rows_.back()->labels.empty() && line.find('{') != std::string::npos) {
      std::string& labels = rows_.back()->labels;
      for (auto at = line.find('{') + 1; line.find('=', at) != std::string::npos;) {
        const std::string label = line.substr(at, line.find('=', at) - at);
        if (label != "le") labels += (labels.empty() ? "" : ", ") + label;
        at = line.find("\"", line.find('"', at) + 1) + 2;
      }
    }
  }

  std::vector<std::unique_ptr<Row>> rows_;  // the table's views point into them
  std::vector<MetricInfo> table_;
};

#endif

std::vector<Program> Programs() {
  std::vector<Program> programs;
#ifdef ELEPHAS_WITH_OPERATOR
  static const OperatorTable kOfOperator;
  programs.push_back({"Operator", "Served at `/metrics` of the operator's port, beside its probes.",
                      kOfOperator.table()});
#endif
  const std::vector<Program> others{
      {"Parameter server",
       "Every series has `job`, `role=\"paramserver\"` and `server` (the server's number) too. "
       "Served at `/metrics` of\nthe server's own port, and of `--metrics-port` where that is "
       "given; no token is needed.",
       rest::ServerMetricTable()},
      {"Worker",
       "Every series has `job`, `role=\"worker\"` and `worker` (its name) too. Served at "
       "`/metrics` of `--metrics-port`\n(`ELEPHAS_METRICS_PORT`); without it they are not "
       "served.",
       WorkerMetricTable()},
      {"Parameter servers and workers", "Of their processes, with the labels above.",
       ProcessMetricTable()}};
  programs.insert(programs.end(), others.begin(), others.end());
  return programs;
}

std::string Labels(std::string_view labels) {
  std::string out;
  std::istringstream words{std::string(labels)};
  for (std::string word; words >> word;) {
    if (word.ends_with(',')) word.pop_back();
    out += (out.empty() ? "`" : ", `") + word + "`";
  }
  return out;
}

std::string Reference() {
  std::ostringstream out;
  out << "# Metrics\n\n"
         "What the programs export for Prometheus, one table per program. A test compares this "
         "page "
         "with the code, and the\ncode with the dashboards and alerts. How to collect and show "
         "them: [monitoring.md](monitoring.md).\n\n"
         "Labels are the words of the logs: `job`, `role`, `worker`, `task`, `outcome`. Their "
         "number is bounded: a worker that has left\nhas no series any more, and those of a job "
         "end "
         "with its processes. A metric that has no value is absent, not zero. A\nhistogram has "
         "`_bucket`, `_sum` and `_count` series.\n";
  for (const Program& program : Programs()) {
    out << "\n## " << program.title << "\n\n"
        << program.about
        << "\n\n| metric | type | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n";
    for (const MetricInfo& info : program.table) {
      out << "| `" << info.name << "` | " << Word(info.type) << " | " << info.unit << " | "
          << Labels(info.labels) << " | " << info.help << " |\n";
    }
  }
  return out.str();
}

TEST(MetricsReferenceTest, IsWhatTheTablesSay) {
  const char* source = std::getenv("ELEPHAS_SOURCE_DIR");
  const std::string path = std::string(source == nullptr ? "." : source) + "/docs/metrics.md";
  if (std::getenv("ELEPHAS_UPDATE_DOCS") != nullptr) std::ofstream(path) << Reference();
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  std::string page = text.str();
#ifndef ELEPHAS_WITH_OPERATOR
  // Nothing to compare its part with.
  const auto begin = page.find("## Operator\n");
  const auto end = page.find("## Parameter server\n");
  if (begin < end) page.erase(begin, end - begin);
#endif
  EXPECT_EQ(page, Reference()) << "run `make generate`";
}

TEST(MetricsReferenceTest, NamesFollowPrometheusConventions) {
  std::set<std::string_view> names;
  for (const Program& program : Programs()) {
    for (const MetricInfo& info : program.table) {
      EXPECT_TRUE(names.insert(info.name).second) << info.name << " is there twice";
      EXPECT_EQ(info.name.ends_with("_total"), info.type == MetricType::kCounter) << info.name;
      for (const std::string_view unit : {"seconds", "bytes", "ratio", "versions"}) {
        if (info.unit != unit) continue;
        const std::string suffix = "_" + std::string(unit);
        EXPECT_TRUE(info.name.ends_with(suffix) || info.name.ends_with(suffix + "_total") ||
                    info.name == "elephas_paramserver_version")
            << info.name << " does not name its unit";
      }
      EXPECT_TRUE(info.help.ends_with('.')) << info.name;
      EXPECT_TRUE(std::isupper(static_cast<unsigned char>(info.help.front())) != 0 ||
                  std::isdigit(static_cast<unsigned char>(info.help.front())) != 0)
          << info.name;
    }
  }
}

}  // namespace
}  // namespace elephas
