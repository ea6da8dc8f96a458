#include "cli/cluster/written_document.h"

#include <gtest/gtest.h>

namespace elephas::cli {
namespace {

using nlohmann::json;

TEST(WrittenDocumentTest, HoldsWhatWasWrittenAndNoDefaults) {
  const auto document = WrittenDocument(
      "apiVersion: elephas.dev/v1alpha1\nkind: ElephasJob\nmetadata: {name: digits}\n"
      "spec:\n  fit: {epochs: 3, seed: \"42\"}\n  model: {inline: {a: null, b: [1, 2.5, yes]}}\n",
      {});
  ASSERT_TRUE(document.ok()) << document.status().message();
  EXPECT_EQ(*document,
            (json{{"apiVersion", "elephas.dev/v1alpha1"},
                  {"kind", "ElephasJob"},
                  {"metadata", {{"name", "digits"}}},
                  {"spec",
                   {{"fit", {{"epochs", 3}, {"seed", "42"}}},
                    {"model", {{"inline", {{"a", nullptr}, {"b", {1, 2.5, true}}}}}}}}}));
}

TEST(WrittenDocumentTest, OverridesSetMakeAndTakeOut) {
  const auto document = WrittenDocument("spec: {fit: {epochs: 3, seed: 1}, workers: {replicas: 2}}",
                                        {{"spec.fit.epochs", "5"},
                                         {"spec.fit.seed", ""},
                                         {"spec.workers.replicas", "null"},
                                         {"spec.nothing.here", ""},
                                         {"spec.compile.metrics", "[accuracy]"},
                                         {"metadata.labels.example\\.com/team", "vision"}});
  ASSERT_TRUE(document.ok()) << document.status().message();
  EXPECT_EQ(*document, (json{{"metadata", {{"labels", {{"example.com/team", "vision"}}}}},
                             {"spec",
                              {{"fit", {{"epochs", 5}}},
                               {"workers", json::object()},
                               {"compile", {{"metrics", {"accuracy"}}}}}}}));
}

TEST(WrittenDocumentTest, WhatAClusterAddedIsNotSentBack) {
  const auto document = WrittenDocument(
      "metadata: {name: a, uid: u, resourceVersion: \"7\", generation: 1, managedFields: []}\n"
      "status: {state: Running}\n",
      {});
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(*document, (json{{"metadata", {{"name", "a"}}}}));
}

TEST(WrittenDocumentTest, WhatIsNoManifestIsInvalid) {
  EXPECT_EQ(WrittenDocument("- a\n", {}).status().code(), Code::kInvalid);
  EXPECT_EQ(WrittenDocument("a: [", {}).status().code(), Code::kInvalid);
  EXPECT_EQ(WrittenDocument("spec: 3", {{"spec.fit", "1"}}).status().code(), Code::kInvalid);
}

}  // namespace
}  // namespace elephas::cli
