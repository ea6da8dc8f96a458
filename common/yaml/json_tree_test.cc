// Manifests that are JSON: as text, and parsed already.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/manifest/job_spec.h"
#include "common/manifest/testing/manifest.h"
#include "common/yaml/yaml_tree.h"

namespace elephas::manifest {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kJob = R"({
  "apiVersion": "elephas.dev/v1alpha1", "kind": "ElephasJob",
  "metadata": {"name": "m", "annotations": {"a": "\ud83d\ude00 \/ \u00e4"}},
  "spec": {
    "model": {"uri": "model.json"},
    "compile": {"loss": "mse", "optimizer": {"class_name": "SGD", "config": {"learning_rate": 1e-2}}},
    "fit": {
      "epochs": 3.0,
      "seed":
        42
    },
    "data": {"uri": "d.npz"},
    "output": {"uri": "out"}
  }
})";

TEST(JsonManifest, IsReadAsJson) {
  const ParsedManifest parsed = ParseManifest(kJob, "job.json");
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_EQ(parsed.spec.fit.epochs, 3);
  EXPECT_EQ(parsed.document["metadata"]["annotations"]["a"], "😀 / ä");
  EXPECT_EQ(parsed.lines.at("spec.fit.epochs"), 8);
  EXPECT_EQ(parsed.lines.at("spec.fit.seed"), 9);
  EXPECT_EQ(parsed.lines.at("spec.data"), 12);
}

TEST(JsonManifest, SaysTheSameParsedAlready) {
  const ParsedManifest text = ParseManifest(kJob, "job.json");
  const ParsedManifest parsed = ParseManifestJson(json::parse(kJob), "job");
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_EQ(parsed.document.dump(), text.document.dump());
}

TEST(JsonManifest, ProblemsHaveLines) {
  std::string text = kJob;
  text.replace(text.find("3.0"), 3, "2.5");
  text.replace(text.find("42"), 2, "-1");
  EXPECT_THAT(ProblemsOf(text),
              ElementsAre("job.yaml:8: spec.fit.epochs: must be an integer, not 2.5",
                          "job.yaml:9: spec.fit.seed: must be at least 0"));
  const ParsedManifest parsed = ParseManifestJson(json::parse(text), "job");
  EXPECT_THAT(Problems(parsed), ElementsAre("job: spec.fit.epochs: must be an integer, not 2.5",
                                            "job: spec.fit.seed: must be at least 0"));
}

TEST(JsonManifest, IsBounded) {
  const auto read = [](const std::string& text) {
    const YamlText yaml = ReadYaml(text, "job.json", 0, true, "");
    return yaml.problems.empty() ? "" : ToString(yaml.problems.front());
  };
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100'000; ++i) deep += "[";
  EXPECT_EQ(read(deep), "job.json:1: nested deeper than 128 levels");
  std::string many = "{\"a\":[\n";
  for (int i = 0; i < 500'000; ++i) many += "1,\n";
  EXPECT_EQ(read(many + "1]}"), "job.json:499999: more than 500000 values");
  EXPECT_EQ(read("{\"a\":\n1e400}"), "job.json:2: 1e400 is not a number that JSON can hold");
  EXPECT_EQ(read("{\"a\": 1,\n\"a\": 2}"), "job.json:2: a: is given twice; the first is on line 1");
}

TEST(JsonManifest, ParsedAlreadyIsBoundedToo) {
  json deep = 1;
  for (int i = 0; i < 129; ++i) deep = json::array({std::move(deep)});
  EXPECT_THAT(Problems(ParseManifestJson({{"a", std::move(deep)}}, "job")),
              ElementsAre("job: nested deeper than 128 levels"));
  EXPECT_THAT(Problems(ParseManifestJson({{"a", "\xff"}}, "job")),
              ElementsAre("job: is not UTF-8 text"));
  EXPECT_THAT(Problems(ParseManifestJson({{"\xff", 1}}, "job")),
              ElementsAre("job: is not UTF-8 text"));
  EXPECT_THAT(Problems(ParseManifestJson(nullptr, "job")),
              ElementsAre("job: must be a mapping with apiVersion, kind, metadata and spec, not "
                          "null"));
}

TEST(JsonManifest, WhatFollowsIsYaml) {
  EXPECT_THAT(ProblemsOf(std::string(kJob) + "\n---\n# nothing\n"), IsEmpty());
  EXPECT_THAT(ProblemsOf(std::string(kJob) + "\n---\na: 1\n"),
              ElementsAre("job.yaml:17: holds several documents; one job per manifest"));
}

TEST(JsonManifest, WhatOnlyBeginsLikeJsonIsYaml) {
  std::string text = kJob;
  text.replace(text.find("\"kind\""), 6, "kind");
  text.replace(text.find(" \\/"), 3, "");
  text.replace(text.find("\\ud83d\\ude00"), 12, "\\U0001F600");
  EXPECT_THAT(ProblemsOf(text), IsEmpty());
}

}  // namespace
}  // namespace elephas::manifest
