// What a JobService counts, for those who export it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paramserver/testing/job_service_fixture.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::Pair;

class JobServiceSampleTest : public JobServiceTest {
 protected:
  [[nodiscard]] JobCounters Counters() const { return service_->Sample().counters; }
};

TEST_F(JobServiceSampleTest, SaysWhatTheStatusSays) {
  StartInitialised();
  ASSERT_TRUE(Push(Header(0, 0, {0, 2})).ok());
  clock_.Advance(milliseconds(500));
  ASSERT_TRUE(Push(Header(0, 1, {0, 1})).ok());
  Acquire();
  clock_.Advance(milliseconds(250));
  const JobSample sample = service_->Sample();
  const auto status = service_->StatusJson();
  EXPECT_EQ(sample.state, status.at("state").get<std::string>());
  EXPECT_EQ(sample.version, status.at("version"));
  EXPECT_EQ(sample.epoch, status.at("epoch"));
  EXPECT_EQ(sample.epochs, status.at("epochs"));
  EXPECT_EQ(sample.progress, status.at("progress"));
  EXPECT_EQ(sample.examples_per_second, status.at("examplesPerSecond"));
  EXPECT_EQ(sample.incarnation, status.at("incarnation"));
  EXPECT_THAT(sample.running_metrics, ElementsAre(Pair("loss", 1.0)));
  ASSERT_EQ(sample.workers.size(), 1U);
  EXPECT_EQ(sample.workers[0].name, "w");
  EXPECT_TRUE(sample.workers[0].busy);
  EXPECT_EQ(sample.workers[0].silent_seconds, 0.25);
  EXPECT_EQ(sample.leases, 1);
  EXPECT_EQ(sample.parameters, 3);
}

TEST_F(JobServiceSampleTest, BeforeThereAreParametersThereIsOnlyAState) {
  ASSERT_TRUE(Start().ok());
  const JobSample sample = service_->Sample();
  EXPECT_EQ(sample.state, "Initializing");
  EXPECT_EQ(sample.version, 0);
  EXPECT_TRUE(sample.epoch_metrics.empty());
  EXPECT_FALSE(sample.checkpoints.has_value());
}

TEST_F(JobServiceSampleTest, StalenessIsWhatCameBetweenPullAndUpdate) {
  StartInitialised();
  ASSERT_TRUE(Push(Header(0, 0, {0, 1}, 0)).ok());  // nothing between
  ASSERT_TRUE(Push(Header(0, 1, {0, 1}, 0)).ok());  // one update
  ASSERT_TRUE(Push(Header(0, 0, {1, 2}, 0)).ok());  // two
  ASSERT_TRUE(Push(Header(0, 0, {1, 2}, 0)).ok());  // a repeat counts nothing
  const JobCounters counters = Counters();
  EXPECT_EQ(counters.staleness.count(), 3U);
  EXPECT_EQ(counters.staleness.sum(), 3.0);
  EXPECT_THAT(counters.examples, ElementsAre(Pair(WorkKind::kTrain, 5U)));
}

TEST_F(JobServiceSampleTest, ARoundHasNoStaleness) {
  spec_.mode = Mode::kSynchronous;
  StartInitialised();
  ASSERT_TRUE(Push(Header(0, 0, {0, 2}, 0)).ok());
  ASSERT_TRUE(Push(Header(0, 1, {0, 2}, 0)).ok());
  ASSERT_TRUE(Push(Header(1, 0, {0, 2}, 1)).ok());
  EXPECT_EQ(Counters().staleness.count(), 3U);
  EXPECT_EQ(Counters().staleness.sum(), 0.0);
  EXPECT_EQ(Counters().rounds, 1U);
}

TEST_F(JobServiceSampleTest, LeasesEndFinishedExpiredOrVoided) {
  StartInitialised();
  const Lease first = *Acquire().lease;
  UpdateHeader header = Header(0, first.task.partition.value(), {0, 2});
  header.lease = first.id;
  ASSERT_TRUE(Push(header).ok());
  EXPECT_EQ(Counters().leases_finished, 1U);

  Acquire();
  clock_.Advance(options_.lease_duration);
  ASSERT_TRUE(service_->Join("v").ok());
  Acquire("v");  // finds the old one expired
  EXPECT_EQ(Counters().leases_granted, 3U);
  EXPECT_EQ(Counters().leases_expired, 1U);

  ASSERT_TRUE(service_->Join("v").ok());  // started again
  EXPECT_EQ(Counters().leases_voided, 1U);
  Acquire("v");
  ASSERT_TRUE(service_->Leave("v").ok());
  EXPECT_EQ(Counters().leases_voided, 2U);
}

TEST_F(JobServiceSampleTest, AWorkerThatLeftHasNoSeriesAnyMore) {
  StartInitialised();
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "w-" + std::to_string(i);
    ASSERT_TRUE(service_->Join(name).ok());
    ASSERT_TRUE(service_->Leave(name).ok());
  }
  const JobSample sample = service_->Sample();
  ASSERT_EQ(sample.workers.size(), 1U);
  EXPECT_EQ(sample.workers[0].name, "w");
  EXPECT_EQ(sample.lost_workers, 1000);
  EXPECT_EQ(sample.counters.joins, 1001U);
}

TEST_F(JobServiceSampleTest, CheckpointsAreCountedWithTheirSizeAndAge) {
  WithCheckpoints();
  spec_.data.partitions = 2;
  StartInitialised();
  const std::int64_t began = clock_.UnixMillis();
  EXPECT_EQ(service_->Sample().checkpoints->unix_millis, began);
  clock_.Advance(milliseconds(1000));
  ASSERT_TRUE(Push(Header(0, 0, {0, 2})).ok());
  ASSERT_TRUE(Push(Header(0, 1, {0, 2}, 1)).ok());
  service_->Shutdown();  // drains the writer
  const CheckpointCounters checkpoints = *service_->Sample().checkpoints;
  EXPECT_EQ(checkpoints.written, 1U);
  EXPECT_EQ(checkpoints.failed, 0U);
  EXPECT_EQ(checkpoints.epoch, 1);
  EXPECT_EQ(checkpoints.unix_millis, began + 1000);
  EXPECT_EQ(checkpoints.write_seconds.count(), 1U);
  const std::uint64_t size = std::filesystem::file_size(CheckpointFile(1));
  EXPECT_EQ(checkpoints.bytes, size);
}

TEST_F(JobServiceSampleTest, ARestartGoesOnFromTheCheckpointsEpoch) {
  WithCheckpoints();
  StartInitialised();
  ASSERT_TRUE(Push(Header(0, 0, {0, 2})).ok());
  ASSERT_TRUE(Push(Header(0, 1, {0, 2}, 1)).ok());
  service_->Shutdown();
  ASSERT_TRUE(Start().ok());
  const JobSample sample = service_->Sample();
  EXPECT_EQ(sample.checkpoints->epoch, 1);
  EXPECT_EQ(sample.checkpoints->written, 0U);
  EXPECT_EQ(sample.epoch, 1);
  EXPECT_THAT(sample.epoch_metrics, ElementsAre(Pair("loss", 1.0)));
}

}  // namespace
}  // namespace elephas
