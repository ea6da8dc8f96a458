// One JobService with one worker that has joined, for the tests of its calls.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/base/testing/fake_clock.h"
#include "common/optimizer/optimizer.h"
#include "paramserver/job/job_service.h"
#include "paramserver/testing/core_fixture.h"

namespace elephas {

constexpr std::chrono::milliseconds kNoWait{0};
constexpr std::chrono::minutes kLong{5};  // a wait that a test would not survive

// 6 examples in 2 partitions of 3, batches of 2: two batches each. Three parameters, the last one
// not trained.
class JobServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "elephas-service-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    spec_.name = "job";
    spec_.fit.epochs = 2;
    spec_.fit.batch_size = 2;
    spec_.fit.seed = 7;
    spec_.data.partitions = 2;
    options_.uid = "uid-1";
  }
  void TearDown() override {
    service_.reset();
    std::filesystem::remove_all(folder_);
  }

  void WithCheckpoints() {
    spec_.checkpoint = JobSpec::Checkpoint{"ckpt", 1, 2};
    options_.checkpoint_folder = folder_.string();
  }
  Status Start() {
    service_.reset();
    clock_.Advance(std::chrono::milliseconds(1));
    auto created = JobService::Create(spec_, options_, clock_);
    if (!created.ok()) return created.status();
    service_ = std::move(created).value();
    if (const auto joined = service_->Join("w"); joined.ok()) incarnation_ = joined->incarnation;
    return OkStatus();
  }
  static ModelLayout Layout() {
    ModelLayout layout;
    layout.weights = {{"dense/kernel", {2}, true, 0, 2}, {"norm/mean", {1}, false, 2, 1}};
    layout.trainable_elements = 2;
    layout.total_elements = 3;
    layout.examples = 6;
    UseOptimizer(layout, {{"class_name", "SGD"}, {"config", {{"learning_rate", 1.0}}}});
    return layout;
  }
  static void UseOptimizer(ModelLayout& layout, const nlohmann::json& config) {
    const auto optimizer = Optimizer::FromConfig(config).value();
    layout.optimizer = optimizer->Config();
    layout.slot_names = optimizer->SlotNames();
  }
  std::shared_ptr<FloatBuffer> Buffer(const std::vector<float>& values) {
    return Floats(pool_, values);
  }
  void Initialise(const ModelLayout& layout = Layout()) {
    ASSERT_TRUE(service_->SetLayout(incarnation_, layout).ok());
    const Status set = service_->SetParameters(incarnation_, Buffer({0, 0, 0}), {}, 0);
    ASSERT_TRUE(set.ok()) << set.message();
  }
  void StartInitialised() {
    const Status started = Start();
    ASSERT_TRUE(started.ok()) << started.message();
    Initialise();
  }

  [[nodiscard]] UpdateHeader Header(std::int64_t epoch, std::int64_t partition, Range batches,
                                    std::int64_t base = 0) const {
    UpdateHeader header;
    header.incarnation = incarnation_;
    header.lease = LeaseId(1);
    header.task = Train(epoch, partition);
    header.batches = batches;
    header.base = Version(base);
    header.examples = batches == Range{0, 2} ? 3 : batches.first == 0 ? 2 : 1;
    header.steps = batches.size();
    header.metrics = Losses(header.examples);
    return header;
  }
  Result<UpdateReply> Push(const UpdateHeader& header,
                           const std::vector<float>& delta = {1, 1, 1}) {
    return service_->ApplyUpdate(header, Buffer(delta), {});
  }
  LeaseReply Acquire(const std::string& worker = "w", bool prefetch = false) {
    return service_->AcquireLease(worker, incarnation_, kNoWait, prefetch).value();
  }
  std::vector<float> Parameters() {
    return Values(*service_->Pull(incarnation_, Version(0), false, kNoWait).value().parameters);
  }
  // The newest file of a cut of this run.
  [[nodiscard]] std::filesystem::path CheckpointFile(std::int64_t cut,
                                                     const std::string& uid = "uid-1") const {
    std::filesystem::path newest;
    const std::string prefix = "checkpoint-0000000" + std::to_string(cut) + "-";
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / uid)) {
      if (entry.path().filename().string().starts_with(prefix)) {
        newest = std::max(newest, entry.path());
      }
    }
    return newest;
  }
  void TrainAll() {
    for (std::int64_t epoch = 0; epoch < spec_.fit.epochs; ++epoch) {
      for (std::int64_t p = 0; p < 2; ++p) {
        const auto pushed = Push(Header(epoch, p, {0, 2}, epoch));
        ASSERT_TRUE(pushed.ok()) << pushed.status().message();
      }
    }
  }
  void FinishJob() {
    const auto finished = service_->FinishTask(LeaseId(1), incarnation_, Finalize(), 0, {}, {"m"});
    ASSERT_TRUE(finished.ok()) << finished.status().message();
  }
  std::vector<std::string> Events() {
    std::vector<std::string> reasons;
    const nlohmann::json status = service_->StatusJson();
    for (const nlohmann::json& event : status.at("events")) {
      reasons.push_back(event.at("reason").get<std::string>());
    }
    return reasons;
  }

  std::filesystem::path folder_;
  FakeClock clock_;
  BufferPool pool_;
  JobSpec spec_;
  JobServiceOptions options_;
  std::unique_ptr<JobService> service_;
  Incarnation incarnation_;
};

}  // namespace elephas
