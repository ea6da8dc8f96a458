// What a defect of ours costs: the job that met it, and nothing else.
#include "operator/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "common/json/json_at.h"
#include "kube/testing/fake_client.h"
#include "operator/testing/builders.h"

namespace elephas {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

// The cluster in memory, behind a client that throws when it is asked for the Secret of a job that
// is called "bad…".
class FaultyClient final : public kube::Client {
 public:
  explicit FaultyClient(kube::FakeClient& client) : client_(client) {}
  Result<json> Get(const kube::Kind& kind, const kube::ObjectName& name,
                   const kube::CallOptions& options) override {
    if (kind == kube::kSecret && name.name.starts_with("bad") && faulty) {
      ++thrown;
      throw std::runtime_error("a defect: \xE8\xB1");
    }
    return client_.Get(kind, name, options);
  }
  Result<kube::ListPage> List(const kube::Kind& kind, const kube::ListOptions& options) override {
    return client_.List(kind, options);
  }
  Status Watch(const kube::Kind& kind, const kube::WatchOptions& options,
               const kube::WatchHandler& handler, const std::stop_token& stop) override {
    return client_.Watch(kind, options, handler, stop);
  }
  Result<json> Create(const kube::Kind& kind, const json& object,
                      const kube::CallOptions& options) override {
    return client_.Create(kind, object, options);
  }
  Result<json> Update(const kube::Kind& kind, const json& object,
                      const kube::CallOptions& options) override {
    return client_.Update(kind, object, options);
  }
  Result<json> Apply(const kube::Kind& kind, const json& object,
                     const kube::ApplyOptions& options) override {
    return client_.Apply(kind, object, options);
  }
  Result<json> ApplyStatus(const kube::Kind& kind, const json& object,
                           const kube::ApplyOptions& options) override {
    return client_.ApplyStatus(kind, object, options);
  }
  Status Delete(const kube::Kind& kind, const kube::ObjectName& name,
                const kube::DeleteOptions& options) override {
    return client_.Delete(kind, name, options);
  }
  Status ReadPodLog(const kube::ObjectName& pod, const kube::PodLogOptions& options,
                    const kube::LogSink& sink, const std::stop_token& stop) override {
    return client_.ReadPodLog(pod, options, sink, stop);
  }

  std::atomic<bool> faulty = true;
  std::atomic<int> thrown = 0;

 private:
  kube::FakeClient& client_;
};

class DefectTest : public testing::Test {
 protected:
  void Start() {
    controller_ = std::make_unique<Controller>(
        Controller::Parts{client_, metrics_, [](const Job&, const JobEvent&) {}, clock_},
        Controller::Options{});
    controller_->Start();
  }
  static bool Eventually(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < end) {
      if (holds()) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }
  json StatusOf(const char* name) {
    return MemberOf(*objects_.Find(kube::kElephasJob, {"default", name}), "status");
  }
  std::string Told(const char* name, const char* type) {
    const json status = StatusOf(name);
    const json* condition = FindCondition(status, type);
    return condition == nullptr
               ? ""
               : TextOf(*condition, "status") + " " + TextOf(*condition, "reason") + " " +
                     TextOf(*condition, "message");
  }

  SystemClock clock_;
  kube::FakeClient objects_{clock_};
  FaultyClient client_{objects_};
  OperatorMetrics metrics_;
  std::unique_ptr<Controller> controller_;  // last: it uses the others
};

TEST_F(DefectTest, CostsTheJobThatMetItAndIsTold) {
  for (int i = 0; i < 5; ++i) {
    objects_.Put(kube::kElephasJob, MakeJob("bad-" + std::to_string(i)).Object());
  }
  Start();
  objects_.Put(kube::kElephasJob, MakeJob("good").Object());
  EXPECT_TRUE(Eventually(
      [&] { return objects_.Find(kube::kPod, {"default", "good-paramserver-0"}).has_value(); }));
  for (int i = 0; i < 5; ++i) {
    const std::string name = "bad-" + std::to_string(i);
    EXPECT_TRUE(Eventually([&] { return TextAt(StatusOf(name.c_str()), "/state") == "Failed"; }));
    EXPECT_THAT(Told(name.c_str(), "Failed"),
                AllOf(HasSubstr("True InternalError"), HasSubstr("a defect: \xEF\xBF\xBD")));
    EXPECT_THAT(Told(name.c_str(), "Stalled"), HasSubstr("True InternalError"));
  }
  // Three tries each; once it is told, and the watch says so, there is nothing left to do.
  controller_->Stop();
  EXPECT_GE(client_.thrown, 15);
  EXPECT_LE(client_.thrown, 30);
  EXPECT_THAT(metrics_.Text(), HasSubstr("elephas_operator_panics_total{where=\"reconcile\"} " +
                                         std::to_string(client_.thrown)));
}

TEST_F(DefectTest, DoesNotEndAJobWhosePodsRunAndIsForgottenWhenItIsMended) {
  objects_.Put(kube::kElephasJob,
               MakeJob("bad").StartedAt(kStart).Condition("Running", "True", "Training").Object());
  Start();
  EXPECT_TRUE(Eventually([&] { return Told("bad", "Stalled").starts_with("True InternalError"); }));
  EXPECT_EQ(TextAt(StatusOf("bad"), "/state"), "Running");
  EXPECT_THAT(Told("bad", "Failed"), HasSubstr("False NotFinished"));
  client_.faulty = false;
  EXPECT_TRUE(Eventually([&] { return Told("bad", "Stalled").starts_with("False"); }));
  EXPECT_TRUE(objects_.Find(kube::kPod, {"default", "bad-paramserver-0"}));
}

// Text of 900 kB is not held; the job is read when it is looked at, and served like another.
TEST_F(DefectTest, ALargeJobIsServedToo) {
  client_.faulty = false;
  const json model{{"class_name", "Sequential"},
                   {"config", {{"name", "s"}, {"layers", json::array()}}},
                   {"notes", std::string(900'000, 'n')}};
  for (const char* name : {"large-a", "large-b"}) {
    objects_.Put(kube::kElephasJob, MakeJob(name).Set("/spec/model", {{"inline", model}}).Object());
  }
  Start();
  for (const char* pod : {"large-a-paramserver-0", "large-b-paramserver-0"}) {
    EXPECT_TRUE(Eventually([&] { return objects_.Find(kube::kPod, {"default", pod}).has_value(); }))
        << pod;
  }
}

}  // namespace
}  // namespace elephas
