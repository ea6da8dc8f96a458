// A JobService for tests of its HTTP edge: a model of a few elements, every answer set by the test,
// every call written down.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "paramserver/job/job_service.h"

namespace elephas {

class VectorBuffer final : public FloatBuffer {
 public:
  explicit VectorBuffer(std::vector<float> values) : values_(std::move(values)) {}
  [[nodiscard]] std::span<float> floats() override { return values_; }
  [[nodiscard]] std::span<const float> floats() const override { return values_; }

 private:
  std::vector<float> values_;
};

class FakeJobService : public JobService {
 public:
  // What the calls answer.
  Status answer;  // an error here is every call's answer
  UpdateOutcome admits = UpdateOutcome::kApplied;
  LeaseReply lease_reply;
  GroupPlace place;
  Incarnation incarnation{3};
  Version version{7};
  std::shared_ptr<const ModelLayout> layout;
  std::vector<float> parameters{1, 2, 3, 4, 5, 6};
  std::vector<float> slot{10, 20, 30, 40};
  JobSpec job;
  bool ready = true;
  JobSample job_sample;

  // What the calls were given.
  std::vector<std::string> calls;
  std::vector<float> got_floats;
  std::vector<std::vector<float>> got_slots;
  std::int64_t acquired = 0;  // elements of all buffers asked for

  FakeJobService() {
    ModelLayout model;
    model.weights = {{.name = "dense/kernel", .shape = {2, 2}, .offset = 0, .size = 4},
                     {.name = "bn/mean", .shape = {2}, .trainable = false, .offset = 4, .size = 2}};
    model.trainable_elements = 4;
    model.total_elements = 6;
    model.slot_names = {"momentum"};
    model.examples = 100;
    layout = std::make_shared<const ModelLayout>(std::move(model));
    job.name = "digits";
    job.parameter_servers.replicas = 1;
  }

  [[nodiscard]] const JobSpec& spec() const override { return job; }
  Result<JoinReply> Join(const std::string& name) override {
    calls.push_back("join " + name);
    if (!answer.ok()) return answer;
    JoinReply reply;
    reply.worker = name;
    reply.incarnation = incarnation;
    reply.initialised = true;
    reply.seed = 42;
    reply.servers = {"http://127.0.0.1:4000"};
    reply.lease_duration = std::chrono::milliseconds(1500);
    return reply;
  }
  Status Heartbeat(const std::string& worker, Incarnation given) override {
    calls.push_back("heartbeat " + worker + " " + std::to_string(given.value()));
    return answer;
  }
  Status Leave(const std::string& worker) override {
    calls.push_back("leave " + worker);
    return answer;
  }
  Status Fail(const std::string& worker, const std::string& reason,
              const std::string& message) override {
    calls.push_back("fail " + worker + " " + reason + " " + message);
    return answer;
  }
  Status SetLayout(Incarnation given, const ModelLayout& given_layout) override {
    calls.push_back("layout " + std::to_string(given.value()) + " " +
                    std::to_string(given_layout.total_elements));
    return answer;
  }
  [[nodiscard]] Result<BodyShape> Expects() const override {
    if (layout == nullptr) return Conflict("no layout");
    return BodyShape{{0, layout->total_elements},
                     {0, layout->trainable_elements},
                     static_cast<std::int64_t>(layout->slot_names.size())};
  }
  Result<std::shared_ptr<FloatBuffer>> AcquireBuffer(std::int64_t elements) override {
    acquired += elements;
    return std::shared_ptr<FloatBuffer>(
        std::make_shared<VectorBuffer>(std::vector<float>(static_cast<std::size_t>(elements))));
  }
  Status SetParameters(Incarnation given, std::shared_ptr<FloatBuffer> values,
                       std::vector<std::shared_ptr<FloatBuffer>> slots,
                       std::int64_t iterations) override {
    calls.push_back("parameters " + std::to_string(given.value()) + " " +
                    std::to_string(iterations));
    Keep(*values, slots);
    return answer;
  }
  Result<LeaseReply> AcquireLease(const std::string& worker, Incarnation given,
                                  std::chrono::milliseconds wait, bool prefetch) override {
    calls.push_back("lease " + worker + " " + std::to_string(given.value()) + " " +
                    std::to_string(wait.count()) + (prefetch ? " prefetch" : ""));
    if (!answer.ok()) return answer;
    return lease_reply;
  }
  Result<UpdateOutcome> FinishTask(LeaseId lease, Incarnation given, const TaskId& task,
                                   std::int64_t examples, const MetricSums& metrics,
                                   const std::vector<std::string>& outputs) override {
    calls.push_back("finish " + std::to_string(lease.value()) + " " +
                    std::to_string(given.value()) + " " + ToString(task) + " " +
                    std::to_string(examples) + " " + ToJson(metrics).dump() + " " +
                    std::to_string(outputs.size()));
    if (!answer.ok()) return answer;
    return admits;
  }
  Result<Snapshot> Pull(Incarnation given, Version minimum, bool with_slots,
                        std::chrono::milliseconds wait) override {
    calls.push_back("pull " + std::to_string(given.value()) + " " +
                    std::to_string(minimum.value()) + " " + std::to_string(wait.count()) +
                    (with_slots ? " slots" : ""));
    if (!answer.ok()) return answer;
    if (given != incarnation) return Conflict("another incarnation");
    if (minimum > version) return Timeout("not there yet");
    Snapshot snapshot;
    snapshot.version = version;
    snapshot.incarnation = incarnation;
    snapshot.iterations = 5;
    snapshot.parameters = std::make_shared<const VectorBuffer>(parameters);
    if (with_slots) snapshot.slots = {std::make_shared<const VectorBuffer>(slot)};
    return snapshot;
  }
  Result<Snapshot> PullEpoch(Incarnation given, std::int64_t epoch, bool with_slots) override {
    calls.push_back("pull epoch " + std::to_string(epoch) + (with_slots ? " slots" : ""));
    if (!answer.ok()) return answer;
    if (given != incarnation) return Conflict("another incarnation");
    Snapshot snapshot;
    snapshot.version = version;
    snapshot.incarnation = incarnation;
    snapshot.parameters = std::make_shared<const VectorBuffer>(parameters);
    return snapshot;
  }
  Result<UpdateOutcome> AdmitUpdate(const UpdateHeader& header) const override {
    if (!answer.ok()) return answer;
    if (header.incarnation != incarnation) return Conflict("another incarnation");
    return admits;
  }
  Result<UpdateReply> ApplyUpdate(const UpdateHeader& header, std::shared_ptr<FloatBuffer> delta,
                                  std::vector<std::shared_ptr<FloatBuffer>> slots) override {
    calls.push_back("update " + ToString(header.task));
    Keep(*delta, slots);
    ++version;
    return UpdateReply{UpdateOutcome::kApplied, version};
  }
  Status OfferCollective(const std::string& worker, const std::string& collective,
                         const std::string& why_none) override {
    calls.push_back("offer " + worker + " " + collective + " " + why_none);
    return answer;
  }
  Result<GroupPlace> EnterGroup(const GroupQuestion& question,
                                std::chrono::milliseconds wait) override {
    calls.push_back("enter " + question.worker + " " + std::to_string(question.holds.value()) +
                    " " + std::to_string(question.version.value()) + " " +
                    std::to_string(wait.count()));
    if (!answer.ok()) return answer;
    return place;
  }
  Status SetGroupId(const std::string& worker, Incarnation, Generation generation,
                    const std::string& id) override {
    calls.push_back("id " + worker + " " + std::to_string(generation.value()) + " " + id);
    return answer;
  }
  Status AbortGroup(const std::string& worker, Incarnation, Generation generation,
                    const std::string& reason) override {
    calls.push_back("abort " + worker + " " + std::to_string(generation.value()) + " " + reason);
    return answer;
  }
  Result<bool> AwaitGroupEnd(Incarnation, Generation generation,
                             std::chrono::milliseconds wait) override {
    calls.push_back("await " + std::to_string(generation.value()) + " " +
                    std::to_string(wait.count()));
    if (!answer.ok()) return answer;
    return true;
  }
  Result<GroupStepsReply> StageGroupSteps(const GroupSteps& steps) override {
    calls.push_back("steps " + ToJson(steps).dump());
    if (!answer.ok()) return answer;
    return GroupStepsReply{admits, 5};
  }
  Result<UpdateOutcome> AdmitGroupModel(const GroupCommitHeader&) const override {
    if (!answer.ok()) return answer;
    return admits;
  }
  Result<UpdateReply> StageGroupModel(const GroupCommitHeader& header, std::int64_t iterations,
                                      std::shared_ptr<FloatBuffer> values,
                                      std::vector<std::shared_ptr<FloatBuffer>> slots) override {
    calls.push_back("model " + ToJson(header).dump() + " " + std::to_string(iterations));
    Keep(*values, slots);
    return UpdateReply{UpdateOutcome::kApplied, version};
  }
  Result<PeerReply> RegisterPeer(std::int64_t index, const PeerReport& report) override {
    calls.push_back("peer " + std::to_string(index) + " " + report.boot + " " + report.url + " " +
                    std::to_string(report.incarnation.value()) + " " +
                    std::to_string(report.cuts.size()));
    if (!answer.ok()) return answer;
    return PeerReply{.incarnation = incarnation, .cut = 2, .seed = 42, .uid = "u"};
  }
  [[nodiscard]] PeerReport OwnReport() const override {
    return {.boot = "",
            .url = "",
            .incarnation = incarnation,
            .cuts = Cuts(),
            .newest = incarnation,
            .run = "u"};
  }
  std::optional<std::string> Fenced() override { return std::nullopt; }
  [[nodiscard]] std::vector<std::int64_t> Cuts() const override { return {1, 2}; }
  [[nodiscard]] Incarnation CurrentIncarnation() const override { return incarnation; }
  Status Restore(const PeerReply& peer) override {
    incarnation = peer.incarnation;
    calls.push_back("restore " + std::to_string(peer.cut));
    return answer;
  }
  void SetOwnUrl(const std::string&) override {}
  [[nodiscard]] bool Ready() const override { return ready; }
  [[nodiscard]] nlohmann::json StatusJson() const override {
    return {{"uid", "u"},
            {"incarnation", incarnation.value()},
            {"version", version.value()},
            {"history", {{"loss", {1.0, 0.5}}, {"accuracy", nlohmann::json::array()}}},
            {"workers",
             {{{"name", "idle"}, {"state", "Idle"}, {"examples", 0}},
              {{"name", "live"}, {"state", "Working"}, {"examples", 5}},
              {{"name", "lost"}, {"state", "Lost"}, {"examples", 3}}}},
            {"events", {"joined"}}};
  }
  [[nodiscard]] JobSample Sample() const override {
    JobSample sample = job_sample;
    sample.incarnation = incarnation.value();
    sample.version = version.value();
    return sample;
  }
  [[nodiscard]] nlohmann::json HistoryJson() const override { return {{"loss", {0.5}}}; }
  [[nodiscard]] std::shared_ptr<const ModelLayout> Layout() const override { return layout; }
  [[nodiscard]] EndState End() const override { return {}; }
  void Shutdown() override {}

 private:
  void Keep(const FloatBuffer& values, const std::vector<std::shared_ptr<FloatBuffer>>& slots) {
    got_floats.assign(values.floats().begin(), values.floats().end());
    got_slots.clear();
    for (const auto& entry : slots) {
      got_slots.emplace_back(entry->floats().begin(), entry->floats().end());
    }
  }
};

}  // namespace elephas
