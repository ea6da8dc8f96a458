// One job on one parameter server: store, ledger and, on server 0, the coordinator, behind one
// thread-safe interface. No sockets; time comes from a Clock. `RestHandler` is its HTTP edge.
//
// Errors every call may give: kUnavailable while servers are still agreeing on an incarnation.
// Calls that name an incarnation give kConflict when it is not the current one (the REST reply then
// carries "incarnation").
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/manifest/job_spec.h"
#include "common/protocol/group_protocol.h"
#include "common/protocol/model_layout.h"
#include "common/protocol/protocol.h"
#include "paramserver/job/job_counters.h"
#include "paramserver/store/float_buffer.h"

namespace elephas {

struct JobServiceOptions {
  std::string uid;  // the run's identity, and the name of its folder below checkpoint_folder
  Resume resume = Resume::kOwn;
  std::int64_t server_index = 0;
  std::string checkpoint_folder;  // empty: no checkpoints
  std::chrono::milliseconds lease_duration{15000};
  std::int64_t max_parameters = std::int64_t{1} << 34;  // elements a layout may ask for
  // Groups: how long who waits does so for the others, and the time between two commits.
  std::chrono::milliseconds group_patience{3000};
  std::chrono::milliseconds group_commit{5000};
};

struct Snapshot {
  Version version;
  Incarnation incarnation;
  std::int64_t iterations = 0;  // optimizer steps done (synchronous)
  // Parameters of this server's range, then slot after slot where they were asked for.
  std::shared_ptr<const FloatBuffer> parameters;
  std::vector<std::shared_ptr<const FloatBuffer>> slots;
};

struct UpdateReply {
  UpdateOutcome outcome = UpdateOutcome::kApplied;
  Version version;
};

class JobService {
 public:
  // Loads the newest checkpoint that may be continued, where there is one. Of the checkpoint
  // folder: kForbidden when it cannot be written and will not be, kUnavailable when it may be
  // later; kGone when all of the job's checkpoints are damaged; kNotFound when it is to resume and
  // none fits. `clock` must outlive the service.
  static Result<std::unique_ptr<JobService>> Create(JobSpec spec, JobServiceOptions options,
                                                    const Clock& clock);
  virtual ~JobService() = default;

  [[nodiscard]] virtual const JobSpec& spec() const = 0;

  // --- workers (server 0) ---
  // A second join under a name voids the leases of the first: the process was started again.
  virtual Result<JoinReply> Join(const std::string& name) = 0;
  // Renews all leases of the worker. kNotFound: join again.
  virtual Status Heartbeat(const std::string& worker, Incarnation incarnation) = 0;
  // Gives its leases back at once.
  virtual Status Leave(const std::string& worker) = 0;
  // A failure that no retry mends (bad data, unknown layer, NaN loss): the job fails with it.
  virtual Status Fail(const std::string& worker, const std::string& reason,
                      const std::string& message) = 0;

  // --- initialisation (every server) ---
  // Accepts the first layout; an equal one later is fine, a different one is kConflict naming what
  // differs.
  virtual Status SetLayout(Incarnation incarnation, const ModelLayout& layout) = 0;
  // Elements that PUT parameters must carry: this server's range; kConflict before SetLayout.
  virtual Result<Range> ParameterRange() const = 0;
  virtual Result<Range> SlotRange() const = 0;
  virtual Result<std::shared_ptr<FloatBuffer>> AcquireBuffer(std::int64_t elements) = 0;
  // `slots` may be empty: initial values. A repeat is ignored.
  virtual Status SetParameters(Incarnation incarnation, std::shared_ptr<FloatBuffer> parameters,
                               std::vector<std::shared_ptr<FloatBuffer>> slots,
                               std::int64_t iterations) = 0;

  // --- work (server 0) ---
  // Blocks up to `wait` for a task. `prefetch`: one more beside the task that the worker has begun,
  // and only when no idle worker could take it. A worker therefore holds no lease when it asks
  // without, and at most one when it asks with `prefetch`; one that it holds all the same (the
  // reply that granted it was lost) is given to it again.
  virtual Result<LeaseReply> AcquireLease(const std::string& worker, Incarnation incarnation,
                                          std::chrono::milliseconds wait, bool prefetch) = 0;
  // For tasks without updates (validate, evaluate, predict, finalize). A repeat is kDuplicate.
  // `outputs`: finalize names the files it has written.
  virtual Result<UpdateOutcome> FinishTask(LeaseId lease, Incarnation incarnation,
                                           const TaskId& task, std::int64_t examples,
                                           const MetricSums& metrics,
                                           const std::vector<std::string>& outputs) = 0;

  // --- parameters (every server) ---
  // Waits up to `wait` until the version is at least `minimum`; kTimeout otherwise.
  virtual Result<Snapshot> Pull(Incarnation incarnation, Version minimum, bool with_slots,
                                std::chrono::milliseconds wait) = 0;
  // The model as it was after `epoch` epochs, one that FitDecisions name. kNotFound for another.
  virtual Result<Snapshot> PullEpoch(Incarnation incarnation, std::int64_t epoch,
                                     bool with_slots) = 0;
  // Looks at an update before its body is read. kDuplicate: answer so, the body changes nothing.
  // kConflict: the message says why (lost lease, wrong range); kInvalid: it can never be right.
  virtual Result<UpdateOutcome> AdmitUpdate(const UpdateHeader& header) const = 0;
  // Applies it, or finds that it was applied. `delta` has ParameterRange().size() elements
  // (gradient over the trainable part and delta over the rest for synchronous batch); `slots` only
  // for synchronous epoch and fit. kInvalid for a NaN or infinity unless fit.onNaN is continue.
  virtual Result<UpdateReply> ApplyUpdate(const UpdateHeader& header,
                                          std::shared_ptr<FloatBuffer> delta,
                                          std::vector<std::shared_ptr<FloatBuffer>> slots) = 0;

  // --- training in a group (server 0; docs/design/nccl.md) ---
  // After Join(): which collective the worker has, or (empty) why it has none.
  virtual Status OfferCollective(const std::string& worker, const std::string& collective,
                                 const std::string& why_none) = 0;
  struct GroupQuestion {
    std::string worker;
    Incarnation incarnation;
    Generation holds;  // whose communicator it has; 0: none
    Version version;   // of its model; 0: none
  };
  // Waits up to `wait` for anything but kWait. A member whose version is not committed yet waits
  // for that; where no training is to be done now, the reply comes at once.
  virtual Result<GroupPlace> EnterGroup(const GroupQuestion& question,
                                        std::chrono::milliseconds wait) = 0;
  virtual Status SetGroupId(const std::string& worker, Incarnation incarnation,
                            Generation generation, const std::string& id) = 0;
  virtual Status AbortGroup(const std::string& worker, Incarnation incarnation,
                            Generation generation, const std::string& reason) = 0;
  // Waits up to `wait` until `generation` is over. True: it is.
  virtual Result<bool> AwaitGroupEnd(Incarnation incarnation, Generation generation,
                                     std::chrono::milliseconds wait) = 0;
  // One member's part of a commit, and (rank 0) the model after it. Applied together once all parts
  // are there. kConflict: the generation is over or the base is not what the server holds.
  virtual Result<GroupStepsReply> StageGroupSteps(const GroupSteps& steps) = 0;
  // Looks at a model before its body is read. kDuplicate: it is committed.
  virtual Result<UpdateOutcome> AdmitGroupModel(const GroupCommitHeader& header) const = 0;
  virtual Result<UpdateReply> StageGroupModel(const GroupCommitHeader& header,
                                              std::int64_t iterations,
                                              std::shared_ptr<FloatBuffer> parameters,
                                              std::vector<std::shared_ptr<FloatBuffer>> slots) = 0;

  // --- several servers ---
  // Server 0 learns of server `index`; `boot` changes with every process start, `incarnation` is
  // the one that server has taken up, `cuts` are its whole checkpoints. The reply tells what to
  // restore.
  struct PeerReport {
    std::string boot, url;
    Incarnation incarnation = {};
    std::vector<std::int64_t> cuts = {};
    Incarnation newest = {};  // that has left a trace on its storage: the next one must be above
    std::string run = {};     // whose checkpoints `cuts` are, as in PeerReply::uid; empty: not said
  };
  struct PeerReply {
    Incarnation incarnation;  // 0: not decided yet, ask again
    std::int64_t cut = 0;     // 0: start empty
    std::uint64_t seed = 0;
    std::string uid;  // of the checkpoints that count: the job's own, or of the run it continues
  };
  virtual Result<PeerReply> RegisterPeer(std::int64_t index, const PeerReport& report) = 0;
  // On servers 1..n-1: what to tell server 0 (but for boot and url), and what to do with its
  // answer.
  [[nodiscard]] virtual PeerReport OwnReport() const = 0;
  [[nodiscard]] virtual std::vector<std::int64_t> Cuts() const = 0;
  [[nodiscard]] virtual Incarnation CurrentIncarnation() const = 0;
  virtual Status Restore(const PeerReply& peer) = 0;
  // Server 0: its own base URL, told once the port is known.
  virtual void SetOwnUrl(const std::string& url) = 0;

  // --- watching ---
  [[nodiscard]] virtual bool Ready() const = 0;
  [[nodiscard]] virtual nlohmann::json StatusJson() const = 0;   // docs/openapi.yaml, /v1/status
  [[nodiscard]] virtual nlohmann::json HistoryJson() const = 0;  // what history.json holds
  // Cheap, however long the job has run: for a scrape every few seconds.
  [[nodiscard]] virtual JobSample Sample() const = 0;
  // Null before initialisation.
  [[nodiscard]] virtual std::shared_ptr<const ModelLayout> Layout() const = 0;
  // Server 0: is the job over, and has every worker that is still there been told so?
  struct EndState {
    bool over = false;
    bool told = false;
  };
  [[nodiscard]] virtual EndState End() const = 0;
  // Why this process must end now: another one has taken over its server and its checkpoints. All
  // calls answer kUnavailable from then on, so that workers look for the other. Looks at the
  // storage when the last look is 5 s old.
  virtual std::optional<std::string> Fenced() = 0;
  // Wakes every waiting call, which then answers kUnavailable; writes the last checkpoint down.
  virtual void Shutdown() = 0;
};

}  // namespace elephas
