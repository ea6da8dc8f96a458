// Reads manifests for test_reader.py, which compares with how kubectl reads them. Each line of the
// input is a JSON string, the text; each line of the output is an object: `json` is what the text
// says, or `error` why it says nothing; `duplicate` when a key is given twice; `metadata` holds
// what is wrong with the metadata.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "common/manifest/job_spec.h"
#include "common/yaml/yaml_tree.h"

namespace {

using elephas::ManifestProblem;
using nlohmann::json;

json Read(const std::string& text) {
  const auto yaml = elephas::manifest::ReadYaml(text, "", 0, true, "");
  if (yaml.root == nullptr) return {{"error", ToString(yaml.problems.front())}};
  const auto value = elephas::manifest::JsonOf(*yaml.root);
  if (!value.ok()) return {{"error", value.status().message()}};
  for (const ManifestProblem& problem : yaml.problems) {
    if (!problem.message.starts_with("is given twice")) return {{"error", ToString(problem)}};
  }
  if (!value->is_object()) return {{"error", "no mapping"}};
  json out{{"json", *value}};
  if (!yaml.problems.empty()) out["duplicate"] = true;
  json metadata = json::array();
  for (const ManifestProblem& problem : elephas::ParseManifest(text, "").problems) {
    if (problem.path.starts_with("metadata")) metadata.push_back(ToString(problem));
  }
  if (!metadata.empty()) out["metadata"] = metadata;
  return out;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << Read(json::parse(line).get<std::string>()).dump() << "\n" << std::flush;
  }
  return 0;
}
