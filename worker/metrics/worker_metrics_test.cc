#include "worker/metrics/worker_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/testing/fake_clock.h"
#include "common/http/client.h"

namespace elephas {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(DeviceProbeTest, WithoutTheLibraryThereAreNoDevices) {
  EXPECT_THAT(DeviceProbe("/nonexistent/libnvidia-ml.so.1").Read(), IsEmpty());
}

TEST(DeviceProbeTest, DevicesThatDoNotAnswerAreLeftOut) {
  const auto devices = DeviceProbe(FAKE_NVML).Read();
  ASSERT_EQ(devices.size(), 2U);
  EXPECT_EQ(devices[0].name, "0");
  EXPECT_EQ(devices[0].memory, 80'000U);
  EXPECT_EQ(devices[0].memory_used, 30'000U);
  EXPECT_EQ(devices[0].utilization, 0.75);
  EXPECT_EQ(devices[1].memory_used, 30'001U);
  EXPECT_EQ(devices[1].utilization, std::nullopt);
}

class WorkerMetricsTest : public testing::Test {
 protected:
  FakeClock clock_;
  WorkMeter meter_{clock_};
};

TEST_F(WorkerMetricsTest, TheStepTimeIsSplit) {
  const DeviceProbe none("/nonexistent");
  {
    const auto timer = meter_.Time(Activity::kCompute);
    clock_.Advance(milliseconds(3000));
    const auto rows = meter_.Time(Activity::kData);
    clock_.Advance(milliseconds(1000));
  }
  meter_.CountStep(WorkKind::kTrain, 64);
  meter_.CountTask(WorkKind::kTrain, true);
  const std::string text = WorkerMetricsText("digits", "worker-1", meter_, none);
  const std::string common = R"({job="digits",role="worker",worker="worker-1")";
  EXPECT_THAT(text,
              HasSubstr("elephas_worker_step_seconds_sum" + common + R"(,phase="compute"} 3)"));
  EXPECT_THAT(text, HasSubstr("elephas_worker_step_seconds_sum" + common + R"(,phase="data"} 1)"));
  EXPECT_THAT(text, HasSubstr("elephas_worker_examples_total" + common + R"(,task="train"} 64)"));
  EXPECT_THAT(text, HasSubstr("elephas_worker_tasks_total" + common +
                              R"(,task="train",outcome="done"} 1)"));
}

TEST_F(WorkerMetricsTest, WithoutADeviceItsMetricsAreAbsentNotZero) {
  const DeviceProbe none("/nonexistent");
  EXPECT_THAT(WorkerMetricsText("digits", "w", meter_, none), Not(HasSubstr("device")));
}

TEST_F(WorkerMetricsTest, DevicesAreShown) {
  const DeviceProbe devices(FAKE_NVML);
  const std::string text = WorkerMetricsText("digits", "w", meter_, devices);
  const std::string common = R"({job="digits",role="worker",worker="w",device=)";
  EXPECT_THAT(text, HasSubstr("elephas_worker_device_memory_bytes" + common + R"("1"} 80000)"));
  EXPECT_THAT(text, HasSubstr("elephas_worker_device_utilization_ratio" + common + R"("0"} 0.75)"));
  EXPECT_THAT(text, Not(HasSubstr("utilization_ratio" + common + R"("1"})")));
}

TEST_F(WorkerMetricsTest, AreServedWithoutAToken) {
  const DeviceProbe none("/nonexistent");
  const auto server = ServeWorkerMetrics("127.0.0.1", 0, "digits", "w", meter_, none);
  ASSERT_TRUE(server.ok()) << server.status().message();
  HttpClient client({.base_url = "http://127.0.0.1:" + std::to_string((*server)->port())});
  const auto get = [&client](std::string_view method, std::string_view target) {
    auto response = client.Send(method, target, {}, {}, std::chrono::seconds(10), nullptr);
    EXPECT_TRUE(response.ok()) << response.status().message();
    return *std::move(response);
  };
  const HttpResponse page = get("GET", "/metrics");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.find("content-type")->second, kMetricsContentType);
  EXPECT_EQ(get("GET", "/healthz").status, 200);
  EXPECT_EQ(get("GET", "/").status, 404);
  EXPECT_EQ(get("POST", "/metrics").status, 405);
}

}  // namespace
}  // namespace elephas
