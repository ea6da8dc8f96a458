// For test_callbacks.py: reads [{"fit": {…}, "logs": [{name: value}, …], "directions": {…},
// "learningRate": …}, …] from standard input and prints what FitCallbacks decides in each case.
// "NaN" stands for itself in the logs.
#include <cmath>
#include <iostream>
#include <limits>

#include "common/manifest/job_spec.h"
#include "paramserver/callbacks/fit_callbacks.h"

namespace elephas {
namespace {

using nlohmann::json;

// The fields go through the manifest's own parser.
JobSpec SpecOf(const json& fit) {
  const json manifest{{"apiVersion", "elephas.dev/v1alpha1"},
                      {"kind", "ElephasJob"},
                      {"metadata", {{"name", "probe"}}},
                      {"spec",
                       {{"model", {{"uri", "model.keras"}}},
                        {"data", {{"uri", "data.npz"}}},
                        {"output", {{"uri", "out"}}},
                        {"fit", fit}}}};
  ParsedManifest parsed = ParseManifest(manifest.dump(), "probe");
  if (!parsed.problems.empty()) std::cerr << ToString(parsed.problems.front()) << "\n";
  return std::move(parsed.spec);
}

json Decide(const json& input) {
  ModelLayout layout;
  layout.optimizer = {{"class_name", "SGD"},
                      {"config", {{"learning_rate", input["learningRate"]}}}};
  layout.larger_is_better = input["directions"].get<std::map<std::string, bool>>();
  Result<FitCallbacks> made = FitCallbacks::Make(SpecOf(input["fit"]), layout);
  if (!made.ok()) return {{"error", made.status().message()}};
  FitCallbacks callbacks = *std::move(made);
  std::int64_t epoch = 0;
  for (const json& given : input["logs"]) {
    EpochLogs logs;
    for (const auto& [name, value] : given.items()) {
      logs[name] =
          value.is_string() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
    }
    callbacks.OnEpochEnd(epoch++, logs);
    if (callbacks.stopped_after()) break;
  }
  return {{"decisions", ToJson(callbacks.decisions())},
          {"epochs", epoch},
          {"learningRates", callbacks.learning_rates()}};
}

}  // namespace
}  // namespace elephas

int main() {
  try {
    nlohmann::json replies = nlohmann::json::array();
    for (const auto& input : nlohmann::json::parse(std::cin)) {
      replies.push_back(elephas::Decide(input));
    }
    std::cout << replies.dump() << "\n";
    return 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
