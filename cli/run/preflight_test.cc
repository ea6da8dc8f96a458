#include "cli/run/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace elephas::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PreflightTest : public ::testing::Test {
 protected:
  void SetUp() override {
    base_ = ::testing::TempDir() + "preflight-" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(base_);
    fs::create_directories(base_ + "/folder");
    for (const char* file : {"m.keras", "x.npz", "w.safetensors"})
      std::ofstream(base_ + "/" + file) << "x";
  }
  void TearDown() override { fs::remove_all(base_); }

  static ParsedManifest Job(const std::string& model, const std::string& data,
                            const std::string& output, const std::string& more = "") {
    return ParseManifest(
        "apiVersion: elephas.dev/v1alpha1\nkind: ElephasJob\nmetadata: {name: a}\nspec:\n"
        "  model: {" +
            model + "}\n  data: {uri: " + data + "}\n  output: {uri: " + output + "}\n" + more,
        "job.yaml");
  }
  std::vector<std::string> Problems(const ParsedManifest& manifest, bool resume = false) {
    EXPECT_THAT(manifest.problems, IsEmpty());
    std::vector<std::string> lines;
    for (const auto& problem : LocalProblems(manifest, "job.yaml", base_, resume)) {
      std::string line = ToString(problem);
      if (const auto at = line.find(base_); at != std::string::npos)
        line.replace(at, base_.size(), "BASE");
      lines.push_back(line);
    }
    return lines;
  }
  std::string base_;
};

TEST_F(PreflightTest, WhatIsThereIsFine) {
  EXPECT_THAT(Problems(Job("uri: m.keras, weights: {uri: w.safetensors}", "x.npz", "new/out")),
              IsEmpty());
  EXPECT_THAT(Problems(Job("uri: m.keras", base_ + "/x.npz", "folder")), IsEmpty());
  EXPECT_FALSE(fs::exists(base_ + "/new"));
}

TEST_F(PreflightTest, EveryMissingFileIsNamedWithItsLine) {
  EXPECT_THAT(Problems(Job("uri: n.keras, weights: {uri: v.safetensors}", "y.npz", "out")),
              ElementsAre("job.yaml:5: spec.model.uri: there is no file BASE/n.keras",
                          "job.yaml:5: spec.model.weights.uri: there is no file BASE/v.safetensors",
                          "job.yaml:6: spec.data.uri: there is no file BASE/y.npz"));
}

TEST_F(PreflightTest, AFolderIsNoFile) {
  fs::create_directories(base_ + "/d.npz");
  EXPECT_THAT(Problems(Job("uri: m.keras", "d.npz", "out")),
              ElementsAre("job.yaml:6: spec.data.uri: BASE/d.npz is a folder, not a file"));
}

TEST_F(PreflightTest, OutputBelowAFileIsRefused) {
  EXPECT_THAT(Problems(Job("uri: m.keras", "x.npz", "x.npz/out", "  checkpoint: {uri: m.keras}\n")),
              ElementsAre("job.yaml:7: spec.output.uri: BASE/x.npz is not a folder",
                          "job.yaml:8: spec.checkpoint.uri: BASE/m.keras is not a folder"));
}

TEST_F(PreflightTest, AConfigMapIsForClusters) {
  EXPECT_THAT(Problems(Job("configMapRef: {name: m, key: k}", "x.npz", "out")),
              ElementsAre("job.yaml:5: spec.model.configMapRef: is for clusters; a local run takes "
                          "spec.model.uri or inline"));
}

TEST_F(PreflightTest, ResumingNeedsCheckpoints) {
  const std::string checkpoint = "  checkpoint: {uri: ckpt}\n";
  EXPECT_THAT(Problems(Job("uri: m.keras", "x.npz", "out", checkpoint), true), IsEmpty());
  EXPECT_THAT(Problems(Job("uri: m.keras", "x.npz", "out"), true),
              ElementsAre("job.yaml: spec.checkpoint: is needed by --resume"));
}

TEST_F(PreflightTest, FieldsWithoutMeaningHereAreNamed) {
  EXPECT_THAT(LocalNotes(Job("uri: m.keras", "x.npz", "out")), IsEmpty());
  EXPECT_THAT(
      LocalNotes(
          Job("uri: m.keras", "x.npz", "out",
              "  workers: {template: {spec: {priority: 1}}}\n  runPolicy: {cleanPodPolicy: All}\n"
              "  compile: {loss: mse, jit_compile: true}\n")),
      ElementsAre(
          "spec.compile.jit_compile has no effect: Part of what Keras saves; there is no XLA "
          "here.",
          "spec.workers.template has a meaning on clusters only",
          "spec.runPolicy.cleanPodPolicy has a meaning on clusters only"));
}

}  // namespace
}  // namespace elephas::cli
