// docs/metrics.md is made from the programs' tables of metrics. After a change of a table:
//   ELEPHAS_UPDATE_DOCS=1 build/test-bin/metrics_reference_test
#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "common/metrics_page.h"
#include "paramserver/server_metrics.h"
#include "worker/worker_metrics.h"

namespace elephas {
namespace {

struct Program {
  std::string title, about;
  std::span<const MetricInfo> table;
};

std::vector<Program> Programs() {
  return {{"Parameter server",
           "Every series has `job`, `role=\"paramserver\"` and `server` (the server's number) too. "
           "Served at `/metrics` of\nthe server's own port, and of `--metrics-port` where that is "
           "given; no token is needed.",
           rest::ServerMetricTable()},
          {"Worker",
           "Every series has `job`, `role=\"worker\"` and `worker` (its name) too. Served at "
           "`/metrics` of `--metrics-port`\n(`ELEPHAS_METRICS_PORT`); without it they are not "
           "served.",
           WorkerMetricTable()},
          {"Every process", "With the labels of its program.", ProcessMetricTable()}};
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
  EXPECT_EQ(text.str(), Reference()) << "run this test with ELEPHAS_UPDATE_DOCS=1";
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
