#include "common/manifest/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/manifest/job_spec.h"
#include "common/manifest/testing/manifest.h"

namespace elephas {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> WithMetadata(const std::string& metadata) {
  return ProblemsOf(Manifest({{3, "metadata: " + metadata}}));
}

TEST(Metadata, ANameOrAPrefixIsNeeded) {
  EXPECT_THAT(WithMetadata("{}"), ElementsAre("job.yaml:3: metadata.name: is required"));
  EXPECT_THAT(WithMetadata("{name: ''}"), ElementsAre("job.yaml:3: metadata.name: is required"));
  const ParsedManifest parsed =
      ParseManifest(Manifest({{3, "metadata: {generateName: digits-}"}}), "job.yaml");
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_EQ(parsed.spec.name, "");
  EXPECT_EQ(parsed.spec.generate_name, "digits-");
}

TEST(Metadata, APrefixMustLeadToANameThatFits) {
  EXPECT_THAT(WithMetadata("{generateName: " + std::string(41, 'a') + "}"), IsEmpty());
  EXPECT_THAT(WithMetadata("{generateName: " + std::string(42, 'a') + "}"),
              ElementsAre("job.yaml:3: metadata.generateName: must have at most 41 characters, so "
                          "that the names of its pods fit"));
  EXPECT_THAT(WithMetadata("{generateName: Digits-}"), ElementsAre(HasSubstr("lower-case")));
  // A name makes it unimportant.
  EXPECT_THAT(WithMetadata("{name: a, generateName: " + std::string(42, 'a') + "}"), IsEmpty());
}

TEST(Metadata, ProblemsOfLabelsNameTheLabelAndItsLine) {
  EXPECT_THAT(
      WithMetadata("\n  name: m\n  labels:\n    team: y\n    a b: c\n    x: -d"),
      ElementsAre("job.yaml:6: metadata.labels.team: must be text, not y, which is YAML for "
                  "true; put it in quotes",
                  HasSubstr("job.yaml:7: metadata.labels.a b: is no key of a label: a name "
                            "has letters"),
                  HasSubstr("job.yaml:8: metadata.labels.x: '-d' is no value of a label")));
}

TEST(Metadata, AnnotationsAreBoundedTogether) {
  const std::string fits(manifest::kMaxAnnotationBytes - 1, 'x');
  EXPECT_THAT(WithMetadata("{name: m, annotations: {a: " + fits + "}}"), IsEmpty());
  EXPECT_THAT(
      WithMetadata("{name: m, annotations: {ab: " + fits + "}}"),
      ElementsAre("job.yaml:3: metadata.annotations: have 262145 bytes together; Kubernetes "
                  "takes 262144"));
}

TEST(Metadata, WhatAClusterWritesIsTypedAsItWritesIt) {
  EXPECT_THAT(WithMetadata("{name: m, uid: 5, generation: '1', creationTimestamp: today,\n"
                           "  finalizers: [a b], ownerReferences: [{kind: Pod, x: 1}],\n"
                           "  managedFields: [{who: me}]}"),
              testing::UnorderedElementsAre(
                  HasSubstr("metadata.uid: must be text"),
                  HasSubstr("metadata.generation: must be an integer"),
                  HasSubstr("metadata.creationTimestamp: must be a time"),
                  HasSubstr("metadata.finalizers: 'a b' is no finalizer"),
                  HasSubstr("metadata.ownerReferences[0].apiVersion: is required"),
                  HasSubstr("metadata.ownerReferences[0].name: is required"),
                  HasSubstr("metadata.ownerReferences[0].uid: is required"),
                  HasSubstr("metadata.ownerReferences[0].x: unknown field"),
                  HasSubstr("metadata.managedFields[0].who: unknown field")));
}

TEST(Status, HoldsOnlyWhatTheOperatorWrites) {
  const auto with = [](const std::string& status) {
    return ProblemsOf(Manifest({{8, "status: " + status}}));
  };
  EXPECT_THAT(with("{state: Running, metrics: {anything: 1}, outputs: [a], workers: {ready: 1}}"),
              IsEmpty());
  // Values are thrown away, so a cluster takes any.
  EXPECT_THAT(with("{epoch: many}"), IsEmpty());
  EXPECT_THAT(
      with("{phase: Running, conditions: [{type: A, colour: b}], workers: {x: 1}, state: {a: 1}}"),
      testing::UnorderedElementsAre(HasSubstr("status.phase: unknown field"),
                                    HasSubstr("status.conditions[0].colour: unknown field"),
                                    HasSubstr("status.workers.x: unknown field"),
                                    HasSubstr("status.state.a: unknown field")));
}

TEST(Fields, AKeyWithADotIsNoPath) {
  EXPECT_THAT(ProblemsOf(Manifest({{8, "  fit.epochs: 3"}})),
              ElementsAre(HasSubstr("job.yaml:8: spec.fit.epochs: unknown field")));
}

std::string WithInlineModel(std::size_t bytes, const std::string& metadata = "{name: m}") {
  return Manifest({{3, "metadata: " + metadata},
                   {5, "  model: {inline: {a: " + std::string(bytes, 'x') + "}}"},
                   {8, "  compile: {loss: mse}"}});
}

TEST(Warnings, TellOfAManifestThatKubectlApplyCannotKeep) {
  EXPECT_THAT(ParseManifest(WithInlineModel(261'000), "job.yaml").warnings, IsEmpty());
  const auto warnings = ParseManifest(WithInlineModel(262'144), "job.yaml").warnings;
  ASSERT_THAT(warnings, testing::SizeIs(1));
  EXPECT_THAT(ToString(warnings.front()), HasSubstr("job.yaml: has 262"));
  EXPECT_THAT(ToString(warnings.front()), HasSubstr("elephas submit"));
  // The other annotations take their share.
  const std::string note(2'000, 'x');
  EXPECT_THAT(ParseManifest(WithInlineModel(261'000, "{name: m, annotations: {a: " + note + "}}"),
                            "job.yaml")
                  .warnings,
              testing::SizeIs(1));
}

TEST(Warnings, CountWhatKubectlWrites) {
  // Go writes < as six characters.
  std::string text = WithInlineModel(0);
  text.replace(text.find("{a: }"), 5, "{a: '" + std::string(50'000, '<') + "'}");
  EXPECT_THAT(ParseManifest(text, "job.yaml").warnings, testing::SizeIs(1));
}

}  // namespace
}  // namespace elephas
