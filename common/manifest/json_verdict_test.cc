// A manifest gets one verdict, whether it comes as text or as the JSON that a cluster hands out.
#include <gtest/gtest.h>

#include <algorithm>

#include "common/manifest/job_spec.h"

namespace elephas {
namespace {

using nlohmann::json;

json Good() {
  return {{"apiVersion", "elephas.dev/v1alpha1"},
          {"kind", "ElephasJob"},
          {"metadata", {{"name", "digits"}}},
          {"spec",
           {{"model", {{"inline", {{"class_name", "Sequential"}, {"config", {{"n", 1.5e-3}}}}}}},
            {"compile", {{"optimizer", "sgd"}, {"loss", "mse"}}},
            {"data", {{"uri", "data.npz"}}},
            {"output", {{"uri", "out"}}}}}};
}

std::vector<std::string> Problems(const ParsedManifest& parsed) {
  std::vector<std::string> out;
  for (const ManifestProblem& problem : parsed.problems) {
    out.push_back(problem.path + ": " + problem.message);
  }
  std::sort(out.begin(), out.end());  // a text's are in the order of its lines
  return out;
}

TEST(ManifestJson, HasTheVerdictOfItsText) {
  const std::vector<std::pair<std::string, json>> changes{
      {"/spec/fit", {{"epochs", 3}, {"batchSize", 1e20}}},
      {"/spec/fit", {{"epochs", -3}, {"shuffle", "yes"}, {"seed", 18446744073709551615U}}},
      {"/spec/fit/classWeight", {{"0", 1}, {"cat", -2}, {"99999999999999999999", 1}}},
      {"/spec/mode", "on"},
      {"/spec/mode", nullptr},
      {"/spec/data/features", json::array({"a", "a", 5})},
      {"/spec/data/labels", {{"y", false}}},
      {"/spec/workers/template", {{"spec", {{"hostNetwork", "yes"}, {"x", 1e-300}}}}},
      {"/spec/model", "model.keras"},
      {"/spec/model/inline", json::object()},
      {"/spec/unknown", 1},
      {"/spec/compile/loss", "line\nbreak \"quoted\" # 象"},
      {"/metadata/name", 5},
      {"/status", {{"state", "Running"}}},
      {"/spec", json::array()}};
  for (std::size_t i = 0; i <= changes.size(); ++i) {
    json document = Good();
    if (i < changes.size()) document[json::json_pointer(changes[i].first)] = changes[i].second;
    const ParsedManifest by_text = ParseManifest(document.dump(), "digits");
    const ParsedManifest by_json = ParseManifestJson(document, "digits");
    EXPECT_EQ(Problems(by_json), Problems(by_text)) << document;
    EXPECT_EQ(by_json.document, by_text.document) << document;
  }
  EXPECT_TRUE(ParseManifestJson(Good(), "digits").problems.empty());
}

TEST(ManifestJson, WhatIsNestedTooDeepIsRefused) {
  json deep = 1;
  for (int i = 0; i < 200; ++i) deep = json::array({deep});
  json document = Good();
  document["spec"]["compile"]["loss"] = deep;
  EXPECT_EQ(Problems(ParseManifestJson(document, "digits")).front(),
            ": nested deeper than 128 levels");
}

}  // namespace
}  // namespace elephas
