// A whole job in one process, for tests: parameter servers that call each other directly, and
// workers that do what real ones do (join, initialise, lease, pull, push, finish) without a model.
//
// Every training example owns one trainable parameter. Closed-form numbers: applying an example
// once subtracts 1 from its parameter, so after e epochs each is exactly -e when every example of
// every epoch was applied exactly once, and nothing else can make it so. Chaotic numbers: an update
// depends on every bit that was pulled, so equal bits at the end mean equal bits all the way.
#pragma once

#include <array>
#include <coroutine>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/random.h"
#include "paramserver/job/job_service.h"

namespace elephas {

struct Scenario {
  Mode mode = Mode::kAsynchronous;
  Frequency frequency = Frequency::kEpoch;
  std::int64_t servers = 1;
  std::int64_t workers = 3;
  std::int64_t partitions = 4;
  std::int64_t training_rows = 16;
  std::int64_t validation_rows = 0;  // at most training_rows
  std::int64_t batch_size = 2;
  std::int64_t epochs = 2;
  bool chaotic = false;
  bool checkpoints = false;
  std::int64_t keep = 2;
  std::int64_t every_epochs = 1;
  std::chrono::milliseconds lease_duration{1000};

  [[nodiscard]] bool synchronous() const { return mode == Mode::kSynchronous; }
};
std::string ToString(const Scenario& scenario);

// The parameters at the end when every example of every epoch was applied exactly once; for
// closed-form numbers.
std::vector<float> ExactlyOnce(const Scenario& scenario);
// history.json then, without the seconds: an example's loss is its row's number, in validation 1.
nlohmann::json ExpectedHistory(const Scenario& scenario);

// What a pull from all servers gives.
struct ModelState {
  std::vector<float> parameters;
  std::vector<std::vector<float>> slots;
};

// The servers of one job, wired to each other without sockets. Thread-safe.
class SimulatedCluster {
 public:
  // `folder` holds the checkpoints when the scenario has them. All servers are up at first.
  SimulatedCluster(Scenario scenario, const Clock& clock, std::string folder);

  [[nodiscard]] const Scenario& scenario() const { return scenario_; }
  [[nodiscard]] const ModelLayout& layout() const { return layout_; }
  [[nodiscard]] ModelState InitialState() const;
  // Null while it is down.
  [[nodiscard]] std::shared_ptr<JobService> Server(std::int64_t index);

  // The process is gone, with everything that was not on disk. Waits for calls that still run.
  void Kill(std::int64_t index);
  void Boot(std::int64_t index);
  // What the loop of server `index` >= 1 does once in a while: registers, restores.
  void TalkToServer0(std::int64_t index);
  // The disk forgets the newest checkpoint of a server: it was killed while writing.
  void LoseNewestCheckpoint(std::int64_t index);

  // A worker writes the outputs; the last to do so counts.
  void Finalized(ModelState state);
  [[nodiscard]] std::optional<ModelState> result();

 private:
  struct Process {
    std::shared_ptr<JobService> service;
    std::string boot;
  };
  [[nodiscard]] std::string FolderOf(std::int64_t index) const;

  const Scenario scenario_;
  const Clock& clock_;
  const std::string folder_;
  ModelLayout layout_;

  Mutex mutex_;
  std::vector<Process> processes_ ELEPHAS_GUARDED_BY(mutex_);
  std::int64_t boots_ ELEPHAS_GUARDED_BY(mutex_) = 0;
  std::optional<ModelState> result_ ELEPHAS_GUARDED_BY(mutex_);
};

// A function that pauses at every `co_yield`. Destroying it in a pause is a crash.
class Script {
 public:
  struct promise_type {  // NOLINT(readability-identifier-naming): the language's name
    Script get_return_object() {
      return Script(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(int) noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  Script(Script&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Script& operator=(Script&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
  ~Script() {
    if (handle_) handle_.destroy();
  }
  // Runs up to the next pause; false when it has ended.
  bool Resume() {
    handle_.resume();
    return !handle_.done();
  }

 private:
  explicit Script(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

// How unreliable a worker's world is; chances out of 100.
struct Faults {
  std::uint64_t lost_reply = 0;  // the call was carried out, the worker never hears so
  std::uint64_t repeated_push = 0;
  std::uint64_t admit_first = 50;  // asks AdmitUpdate before it pushes, as the HTTP edge does
};

// One worker process. Not thread-safe, but many may run at once on threads of their own.
class SimulatedWorker {
 public:
  SimulatedWorker(SimulatedCluster& cluster, std::string name, std::uint64_t seed, Faults faults,
                  std::chrono::milliseconds patience);

  // One call to a server; false when the job is over for this worker.
  bool Step();
  // The process dies and is started again under the same name.
  void Crash();
  void Heartbeat();
  // The call that a former process of this name was waiting in is answered now.
  void GhostOfALease();
  // What stopped it for good, if anything did: it must not happen.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }
  [[nodiscard]] std::int64_t duplicates() const { return duplicates_; }
  void set_faults(Faults faults) { faults_ = faults; }

 private:
  struct Computed {
    UpdateHeader header;
    ModelState change;  // delta, and slots where they are averaged
  };
  Script Run();
  // Fills `update` from what was pulled.
  [[nodiscard]] Computed Compute(const Lease& lease, Range batches, Version base,
                                 const ModelState& pulled) const;
  [[nodiscard]] Status Initialise(std::int64_t server);
  [[nodiscard]] Status Pull(std::int64_t server, Version minimum, bool with_slots,
                            ModelState& state, Version& version);
  [[nodiscard]] Status Push(std::int64_t server, const Computed& update);
  [[nodiscard]] Status Finish(const Lease& lease);
  [[nodiscard]] Result<LeaseReply> Acquire(bool prefetch);
  [[nodiscard]] Range RangeOf(std::int64_t server) const;
  [[nodiscard]] bool Chance(std::uint64_t percent) { return random_.Below(100) < percent; }
  // True when the call may simply be tried again; otherwise the worker joins anew.
  [[nodiscard]] bool TryAgain(const Status& status);
  // Calls server `index`, or finds it down, or loses the reply.
  template <typename Call>
  auto At(std::int64_t index, Call&& call) -> decltype(call(std::declval<JobService&>()));

  SimulatedCluster& cluster_;
  const Scenario& scenario_;
  const std::string name_;
  SplitMix64 random_;
  Faults faults_;
  const std::chrono::milliseconds patience_;
  Incarnation incarnation_;
  int attempts_ = 0;
  std::int64_t duplicates_ = 0;
  std::string trouble_;
  std::optional<Script> script_;
};

}  // namespace elephas
