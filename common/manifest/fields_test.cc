#include "common/manifest/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "common/manifest/suggest.h"

namespace elephas::manifest {
namespace {

TEST(ManifestFieldTable, HasEachPathOnceAndParentsFirst) {
  std::set<std::string_view> seen;
  for (const FieldInfo& field : ManifestFields()) {
    EXPECT_TRUE(seen.insert(field.path).second) << field.path;
    const std::string_view parent = ParentPath(field.path);
    if (parent.empty()) continue;
    EXPECT_TRUE(seen.contains(parent)) << field.path;
    EXPECT_EQ(FindField(parent)->type, FieldType::kSection) << field.path;
  }
}

TEST(ManifestFieldTable, EveryFieldIsExplainedInASentence) {
  for (const FieldInfo& field : ManifestFields()) {
    EXPECT_TRUE(field.doc.ends_with('.')) << field.path;
  }
}

TEST(ManifestFieldTable, DefaultsAreJsonOfTheFieldsType) {
  for (const FieldInfo& field : ManifestFields()) {
    if (field.default_json.empty()) continue;
    EXPECT_FALSE(field.required) << field.path;
    const auto value = nlohmann::json::parse(field.default_json, nullptr, false);
    switch (field.type) {
      case FieldType::kWord:
        EXPECT_TRUE(value.is_string() && std::count(field.words.begin(), field.words.end(),
                                                    value.get<std::string>()) == 1)
            << field.path;
        break;
      case FieldType::kInteger:
        EXPECT_TRUE(value.is_number_integer()) << field.path;
        break;
      case FieldType::kNumber:
        EXPECT_TRUE(value.is_number_float()) << field.path;
        break;
      case FieldType::kBoolean:
        EXPECT_TRUE(value.is_boolean()) << field.path;
        break;
      case FieldType::kText:
        EXPECT_TRUE(value.is_string()) << field.path;
        break;
      default:
        ADD_FAILURE() << field.path << " has a default but no simple type";
    }
  }
}

TEST(ManifestFieldTable, WhatTheSpecDefaultsToIsWhatTheTableSays) {
  const JobSpec untouched;
  JobSpec spec;
  for (const FieldInfo& field : ManifestFields()) {
    if (field.default_json.empty() || field.path.starts_with("spec.checkpoint")) continue;
    ASSERT_NE(field.store, nullptr) << field.path;
    field.store(spec, nlohmann::json::parse(field.default_json));
  }
  EXPECT_EQ(spec.task, untouched.task);
  EXPECT_EQ(spec.mode, untouched.mode);
  EXPECT_EQ(spec.frequency, untouched.frequency);
  EXPECT_EQ(spec.fit.epochs, untouched.fit.epochs);
  EXPECT_EQ(spec.fit.batch_size, untouched.fit.batch_size);
  EXPECT_EQ(spec.fit.validation_split, untouched.fit.validation_split);
  EXPECT_EQ(spec.fit.shuffle, untouched.fit.shuffle);
  EXPECT_EQ(spec.fit.on_nan, untouched.fit.on_nan);
  EXPECT_EQ(spec.workers.replicas, untouched.workers.replicas);
  EXPECT_EQ(spec.workers.device, untouched.workers.device);
  EXPECT_EQ(spec.workers.threads, untouched.workers.threads);
  EXPECT_EQ(spec.parameter_servers.replicas, untouched.parameter_servers.replicas);
  EXPECT_EQ(spec.transport, untouched.transport);
  EXPECT_EQ(spec.run_policy.suspend, untouched.run_policy.suspend);
  EXPECT_EQ(spec.run_policy.backoff_limit, untouched.run_policy.backoff_limit);
  EXPECT_EQ(spec.run_policy.clean_pod_policy, untouched.run_policy.clean_pod_policy);
  EXPECT_EQ(spec.fit.early_stopping->monitor, EarlyStoppingSpec().monitor);
  EXPECT_EQ(spec.fit.early_stopping->patience, EarlyStoppingSpec().patience);
  EXPECT_EQ(spec.fit.early_stopping->mode, EarlyStoppingSpec().mode);
  EXPECT_EQ(spec.fit.early_stopping->baseline, EarlyStoppingSpec().baseline);
  EXPECT_EQ(spec.fit.reduce_lr->factor, ReduceLrSpec().factor);
  EXPECT_EQ(spec.fit.reduce_lr->patience, ReduceLrSpec().patience);
  EXPECT_EQ(spec.fit.reduce_lr->min_delta, ReduceLrSpec().min_delta);
  EXPECT_EQ(spec.fit.reduce_lr->min_lr, ReduceLrSpec().min_lr);
  EXPECT_EQ(spec.fit.model_checkpoint->monitor, ModelCheckpointSpec().monitor);
  JobSpec with_checkpoint;
  for (const char* path :
       {"spec.checkpoint.every.epochs", "spec.checkpoint.keep", "spec.checkpoint.resume"}) {
    FindField(path)->store(with_checkpoint, nlohmann::json::parse(FindField(path)->default_json));
  }
  EXPECT_EQ(with_checkpoint.checkpoint->every_epochs, JobSpec::Checkpoint().every_epochs);
  EXPECT_EQ(with_checkpoint.checkpoint->keep, JobSpec::Checkpoint().keep);
  EXPECT_EQ(with_checkpoint.checkpoint->resume, JobSpec::Checkpoint().resume);
}

TEST(ManifestFieldTable, TheDocumentedNameLengthIsTheRealOne) {
  EXPECT_THAT(std::string(FindField("metadata.name")->doc),
              ::testing::HasSubstr("at most " + std::to_string(kMaxNameLength) + " characters"));
}

TEST(Suggestions, SpellingAndSwappedLettersCountLittle) {
  EXPECT_EQ(WordDistance("batch_size", "batchSize"), 0U);
  EXPECT_EQ(WordDistance("epcohs", "epochs"), 1U);
  EXPECT_EQ(WordDistance("", "abc"), 3U);
  EXPECT_EQ(WordDistance("kitten", "sitting"), 3U);
}

TEST(Suggestions, OnlyWhatIsNearIsSuggested) {
  constexpr std::array<std::string_view, 3> kKnown{"epochs", "batchSize", "seed"};
  EXPECT_EQ(Nearest("epoch", kKnown), "epochs");
  EXPECT_EQ(Nearest("batch_siz", kKnown), "batchSize");
  EXPECT_EQ(Nearest("sed", kKnown), "seed");
  EXPECT_EQ(Nearest("zzz", kKnown), std::nullopt);
  EXPECT_EQ(Nearest("", kKnown), std::nullopt);
  EXPECT_EQ(Nearest(std::string(100000, 'e'), kKnown), std::nullopt);
}

}  // namespace
}  // namespace elephas::manifest
