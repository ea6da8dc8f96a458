#include "paramserver/job_service.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <set>
#include <utility>

#include "paramserver/buffer_pool.h"
#include "paramserver/checkpoint.h"
#include "paramserver/checkpoint_writer.h"
#include "paramserver/coordinator.h"
#include "paramserver/event_log.h"
#include "paramserver/history.h"
#include "paramserver/job_plan.h"
#include "paramserver/ledger.h"
#include "paramserver/parameter_store.h"
#include "paramserver/peer_table.h"
#include "paramserver/round.h"
#include "paramserver/throughput.h"

namespace elephas {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

std::uint64_t DrawSeed() {
  std::random_device device;
  // 53 bits: a JSON number carries it unchanged.
  return (std::uint64_t{device()} << 21U ^ std::uint64_t{device()}) &
         ((std::uint64_t{1} << 53U) - 1);
}

// What a checkpoint and the job that continues from it must agree on. More epochs may be asked for.
json PlanJson(const JobPlan& plan) {
  return {{"mode", Word(plan.mode)},
          {"frequency", Word(plan.frequency)},
          {"partitions", plan.partitions},
          {"batchSize", plan.batch_size},
          {"servers", plan.servers},
          {"examples", plan.examples},
          {"trainingRows", plan.training_rows},
          {"epochsPerTask", plan.EpochsPerTask()}};
}

Status CheckSamePlan(const json& before, const json& now) {
  for (const auto& [name, value] : now.items()) {
    if (!before.contains(name) || before[name] != value) {
      return Invalid("the checkpoint was made with " + name + " " +
                     (before.contains(name) ? before[name].dump() : "missing") + ", the job has " +
                     value.dump());
    }
  }
  return OkStatus();
}

// A file that is whole may still not be of this model.
Status CheckSizes(const Checkpoint& checkpoint, const ParameterStore& store, std::size_t slots) {
  const auto size = [](const SharedFloats& floats) {
    return static_cast<std::int64_t>(floats->floats().size());
  };
  if (size(checkpoint.parameters) != store.range().size()) {
    return Invalid("the checkpoint has " + std::to_string(size(checkpoint.parameters)) +
                   " parameters, not " + std::to_string(store.range().size()));
  }
  if (!checkpoint.slots.empty() && checkpoint.slots.size() != slots) {
    return Invalid("the checkpoint has " + std::to_string(checkpoint.slots.size()) +
                   " optimizer slots, not " + std::to_string(slots));
  }
  for (const SharedFloats& slot : checkpoint.slots) {
    if (size(slot) != store.trainable()) {
      return Invalid("an optimizer slot of the checkpoint has the wrong size");
    }
  }
  return OkStatus();
}

std::string DifferenceOf(const ModelLayout& a, const ModelLayout& b) {
  if (a.examples != b.examples) {
    return "the dataset has " + std::to_string(b.examples) + " examples here and " +
           std::to_string(a.examples) + " in the job";
  }
  for (std::size_t i = 0; i < std::min(a.weights.size(), b.weights.size()); ++i) {
    if (a.weights[i] != b.weights[i]) {
      return "weight '" + b.weights[i].name + "' differs from the job's '" + a.weights[i].name +
             "'";
    }
  }
  if (a.weights.size() != b.weights.size()) return "the models have different numbers of weights";
  return "the optimizers differ";
}

class JobServiceImpl final : public JobService {
 public:
  JobServiceImpl(JobSpec spec, JobServiceOptions options, const Clock& clock)
      : spec_(std::move(spec)),
        options_(std::move(options)),
        policy_(spec_.checkpoint.value_or(JobSpec::Checkpoint{})),
        clock_(clock),
        coordinator_(options_.lease_duration),
        peers_(spec_.parameter_servers.replicas),
        seed_(spec_.fit.seed.value_or(DrawSeed())),
        events_(clock) {}

  Status Start();

  [[nodiscard]] const JobSpec& spec() const override { return spec_; }
  Result<JoinReply> Join(const std::string& name) override;
  Status Heartbeat(const std::string& worker, Incarnation incarnation) override;
  Status Leave(const std::string& worker) override;
  Status Fail(const std::string& worker, const std::string& reason,
              const std::string& message) override;
  Status SetLayout(Incarnation incarnation, const ModelLayout& layout) override;
  [[nodiscard]] Result<Range> ParameterRange() const override;
  [[nodiscard]] Result<Range> SlotRange() const override;
  Result<std::shared_ptr<FloatBuffer>> AcquireBuffer(std::int64_t elements) override;
  Status SetParameters(Incarnation incarnation, std::shared_ptr<FloatBuffer> parameters,
                       std::vector<std::shared_ptr<FloatBuffer>> slots,
                       std::int64_t iterations) override;
  Result<LeaseReply> AcquireLease(const std::string& worker, Incarnation incarnation,
                                  milliseconds wait, bool prefetch) override;
  Result<UpdateOutcome> FinishTask(LeaseId lease, Incarnation incarnation, const TaskId& task,
                                   std::int64_t examples, const MetricSums& metrics,
                                   const std::vector<std::string>& outputs) override;
  Result<Snapshot> Pull(Incarnation incarnation, Version minimum, bool with_slots,
                        milliseconds wait) override;
  [[nodiscard]] Result<UpdateOutcome> AdmitUpdate(const UpdateHeader& header) const override;
  Result<UpdateReply> ApplyUpdate(const UpdateHeader& header, std::shared_ptr<FloatBuffer> delta,
                                  std::vector<std::shared_ptr<FloatBuffer>> slots) override;
  Result<PeerReply> RegisterPeer(std::int64_t index, const std::string& boot,
                                 const std::string& url, Incarnation incarnation,
                                 const std::vector<std::int64_t>& cuts) override;
  [[nodiscard]] std::vector<std::int64_t> Cuts() const override;
  [[nodiscard]] Incarnation CurrentIncarnation() const override;
  Status Restore(const PeerReply& peer) override;
  void SetOwnUrl(const std::string& url) override;
  [[nodiscard]] bool Ready() const override;
  [[nodiscard]] json StatusJson() const override;
  [[nodiscard]] json HistoryJson() const override;
  [[nodiscard]] std::shared_ptr<const ModelLayout> Layout() const override;
  void Shutdown() override;

 private:
  using Lock = std::unique_lock<std::mutex>;

  [[nodiscard]] bool coordinates() const { return options_.server_index == 0; }
  [[nodiscard]] bool finalized() const {
    return ledger_ && ledger_->Done({WorkKind::kFinalize, Epoch(0), Partition(0)});
  }

  // All of these: mutex_ is held.
  [[nodiscard]] bool ReadyLocked() const;
  [[nodiscard]] Status CheckIncarnation(Incarnation incarnation) const;
  [[nodiscard]] Status CheckInitialised() const;
  [[nodiscard]] Result<UpdateOutcome> Judge(const UpdateHeader& header) const;
  void OpenRound();
  void AfterUpdate(const UpdateHeader& header);
  void CloseEpochsAndCheckpoint();
  void SubmitCheckpoint(std::int64_t cut, SharedFloats parameters);
  void CopyHogwildCheckpointWhenQuiet();
  void FailJob(const std::string& reason, const std::string& message);
  void ExpireLeases();

  // apply_mutex_ is held, mutex_ is not.
  Status CommitRound();
  Result<UpdateReply> ApplyRoundContribution(const UpdateHeader& header, Round::Contribution mine);
  Result<UpdateReply> ApplyDelta(const UpdateHeader& header, std::span<const float> delta);
  // No lock is held.
  Result<UpdateReply> ApplyHogwild(const UpdateHeader& header, std::span<const float> delta);

  // apply_mutex_ and mutex_ are held.
  Status RestoreCut(std::int64_t cut, Incarnation incarnation);
  void Empty(Incarnation incarnation);
  Status TakeLayout(const ModelLayout& layout);
  void ChooseIncarnation();
  void GiveUpCutsAfter(std::int64_t cut);

  const JobSpec spec_;
  JobServiceOptions options_;  // uid: guarded by mutex_
  const JobSpec::Checkpoint policy_;
  const Clock& clock_;
  BufferPool pool_;
  std::optional<CheckpointFolder> folder_;

  // Held by whoever changes the parameters (hogwild: only to restore), before mutex_.
  std::mutex apply_mutex_;
  std::optional<Round> round_;                  // guarded by apply_mutex_
  std::unique_ptr<const Optimizer> optimizer_;  // synchronous batch; guarded by apply_mutex_

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Everything from here on is guarded by mutex_.
  std::shared_ptr<const ModelLayout> layout_;
  std::optional<JobPlan> plan_;
  std::optional<Ledger> ledger_;
  std::optional<ParameterStore> store_;
  Coordinator coordinator_;
  PeerTable peers_;
  std::string own_url_;
  Incarnation incarnation_;       // 0: the servers have not agreed yet
  Incarnation last_incarnation_;  // the newest that incarnation_ ever was
  std::uint64_t seed_;
  bool round_complete_ = false;    // all contributions are there, the commit is not yet done
  std::int64_t restored_cut_ = 0;  // that this incarnation started from
  std::int64_t last_cut_ = 0;
  std::set<TaskId> in_flight_;  // hogwild: tasks whose update is being added
  std::int64_t quiet_cut_ = 0;  // hogwild: a checkpoint that waits for in_flight_ to become empty
  bool failed_ = false;
  bool stopping_ = false;
  std::string failure_reason_, failure_message_;
  std::vector<std::string> outputs_;
  Throughput throughput_;
  std::optional<Clock::TimePoint> epoch_started_;

  mutable std::mutex cuts_mutex_;
  std::set<std::int64_t> cuts_;  // whole checkpoints in the folder; guarded by cuts_mutex_

  EventLog events_;                           // thread-safe
  std::unique_ptr<CheckpointWriter> writer_;  // thread-safe; last, so that it stops first
};

// ---------------------------------------------------------------- start, restore, peers

Status JobServiceImpl::Start() {
  if (!options_.checkpoint_folder.empty()) {
    ELEPHAS_ASSIGN_OR_RETURN(
        CheckpointFolder folder,
        CheckpointFolder::Open(options_.checkpoint_folder, options_.resume ? "" : options_.uid,
                               options_.server_index, spec_.parameter_servers.replicas));
    folder_ = std::move(folder);
    // Servers lag behind each other by the checkpoints that wait to be written; a few more files
    // keep one that all of them have.
    const std::int64_t lag = spec_.parameter_servers.replicas > 1 ? 3 : 0;
    const std::int64_t keep = policy_.keep + lag;
    for (const std::int64_t cut : folder_->WholeCuts(
             [this](const std::string& broken) { events_.Add("CheckpointBroken", broken); })) {
      cuts_.insert(cut);
    }
    writer_ = std::make_unique<CheckpointWriter>(
        *folder_, keep, [this, keep](std::int64_t cut, const Status& status) {
          if (status.ok()) {
            const std::lock_guard lock(cuts_mutex_);  // as Save() leaves the folder
            cuts_.erase(cuts_.upper_bound(cut), cuts_.end());
            cuts_.insert(cut);
            while (static_cast<std::int64_t>(cuts_.size()) > keep) cuts_.erase(cuts_.begin());
          }
          if (status.ok()) {
            events_.Add("CheckpointWritten", "checkpoint of epoch " + std::to_string(cut));
          } else {
            events_.Add("CheckpointFailed", "checkpoint of epoch " + std::to_string(cut) + ": " +
                                                status.message() + "; training goes on without it");
          }
        });
  }
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  if (spec_.parameter_servers.replicas > 1) return OkStatus();  // RegisterPeer decides
  const std::vector<std::int64_t> cuts = Cuts();
  const Incarnation incarnation(clock_.UnixMillis());
  if (cuts.empty()) {
    Empty(incarnation);
    return OkStatus();
  }
  return RestoreCut(cuts.back(), incarnation);
}

std::vector<std::int64_t> JobServiceImpl::Cuts() const {
  const std::lock_guard lock(cuts_mutex_);
  return {cuts_.begin(), cuts_.end()};
}

// The servers go back to `cut`: their newer checkpoints belong to a course of events that is over.
// Together with those of other servers that are trained from here they would make a common cut that
// never was.
void JobServiceImpl::GiveUpCutsAfter(std::int64_t cut) {
  if (!folder_) return;
  folder_->RemoveAfter(cut, options_.uid);
  const std::lock_guard lock(cuts_mutex_);
  cuts_.erase(cuts_.upper_bound(cut), cuts_.end());
}

void JobServiceImpl::Empty(Incarnation incarnation) {
  incarnation_ = std::max(incarnation, Incarnation(last_incarnation_.value() + 1));
  last_incarnation_ = incarnation_;
  coordinator_.Reset();
  layout_ = nullptr;
  plan_.reset();
  ledger_.reset();
  store_.reset();
  round_.reset();
  in_flight_.clear();
  throughput_.Reset();
  epoch_started_.reset();
  round_complete_ = false;
  restored_cut_ = 0;
  last_cut_ = 0;
  quiet_cut_ = 0;
  changed_.notify_all();
}

Status JobServiceImpl::TakeLayout(const ModelLayout& layout) {
  if (layout.total_elements > options_.max_parameters) {
    return Invalid("the model has " + std::to_string(layout.total_elements) +
                   " parameters, this server takes " + std::to_string(options_.max_parameters));
  }
  ELEPHAS_ASSIGN_OR_RETURN(JobPlan plan, JobPlan::Make(spec_, layout.examples));
  // Validation is server 0's affair: for the others an epoch is over when it is trained.
  if (!coordinates()) plan.validation_rows = 0;
  const std::int64_t servers = spec_.parameter_servers.replicas;
  std::unique_ptr<const Optimizer> optimizer;
  if (plan.task == TaskKind::kTrain && plan.synchronous() && plan.frequency == Frequency::kBatch) {
    ELEPHAS_ASSIGN_OR_RETURN(optimizer, Optimizer::FromConfig(layout.optimizer));
    if (optimizer->SlotNames() != layout.slot_names) {
      return Invalid("layout: 'slotNames' are not those of the optimizer");
    }
    if (servers > 1 && optimizer->NeedsWholeGradient()) {
      return Invalid(
          "clipping by norm needs the whole gradient on one server: "
          "set spec.parameterServers.replicas to 1");
    }
  }
  const Range range = ShardElements(layout.total_elements, servers, options_.server_index);
  const std::int64_t trainable =
      std::clamp<std::int64_t>(layout.trainable_elements - range.first, 0, range.size());
  layout_ = std::make_shared<const ModelLayout>(layout);
  plan_ = plan;
  ledger_.emplace(plan);
  store_.emplace(range, trainable, pool_);
  optimizer_ = std::move(optimizer);
  return OkStatus();
}

Status JobServiceImpl::RestoreCut(std::int64_t cut, Incarnation incarnation) {
  Empty(incarnation);
  if (!folder_) return NotFound("there is no checkpoint folder to restore from");
  Result<Checkpoint> loaded = folder_->Load(cut, pool_);
  if (!loaded.ok()) {
    const std::lock_guard lock(cuts_mutex_);
    cuts_.erase(cut);  // it was whole once
    return loaded.status();
  }
  Checkpoint& checkpoint = *loaded;
  ELEPHAS_ASSIGN_OR_RETURN(ModelLayout layout, ModelLayoutFromJson(checkpoint.layout));
  ELEPHAS_RETURN_IF_ERROR(TakeLayout(layout));
  const Status same = CheckSamePlan(checkpoint.plan, PlanJson(*plan_));
  if (!same.ok()) {
    Empty(incarnation);
    return same;
  }
  Result<Ledger> ledger = Ledger::FromJson(*plan_, checkpoint.ledger);
  if (!ledger.ok()) {
    Empty(incarnation);
    return ledger.status();
  }
  ledger_ = *std::move(ledger);
  const Status fits = CheckSizes(checkpoint, *store_, layout.slot_names.size());
  if (!fits.ok()) {
    Empty(incarnation);
    return fits;
  }
  // The buffers were made by Load for us alone; const only says that snapshots are not changed.
  std::vector<std::shared_ptr<FloatBuffer>> slots;
  for (const SharedFloats& slot : checkpoint.slots) {
    slots.push_back(std::const_pointer_cast<FloatBuffer>(slot));
  }
  store_->Set(std::const_pointer_cast<FloatBuffer>(checkpoint.parameters), std::move(slots),
              checkpoint.version, checkpoint.iterations);
  incarnation_ = std::max(incarnation_, Incarnation(checkpoint.incarnation.value() + 1));
  last_incarnation_ = incarnation_;
  seed_ = checkpoint.seed;
  options_.uid = checkpoint.uid;
  last_cut_ = cut;
  restored_cut_ = cut;
  OpenRound();
  epoch_started_ = clock_.Now();
  events_.Add("Restored", "continuing after epoch " + std::to_string(cut));
  changed_.notify_all();
  return OkStatus();
}

Status JobServiceImpl::Restore(const PeerReply& peer) {
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  if (peer.incarnation == Incarnation(0) || peer.incarnation == incarnation_) return OkStatus();
  if (writer_) writer_->Drain();
  if (!peer.uid.empty()) options_.uid = peer.uid;
  if (peer.cut == 0) {
    Empty(peer.incarnation);
  } else if (const Status restored = RestoreCut(peer.cut, peer.incarnation); !restored.ok()) {
    Empty(peer.incarnation);
    incarnation_ = Incarnation(0);  // not taken up; server 0 hears so and chooses again
    return restored;
  }
  GiveUpCutsAfter(peer.cut);
  incarnation_ = last_incarnation_ = peer.incarnation;  // exactly server 0's
  seed_ = peer.seed;
  return OkStatus();
}

void JobServiceImpl::ChooseIncarnation() {
  if (writer_) writer_->Drain();
  const std::int64_t cut = peers_.NewestCommonCut(Cuts());
  // Above what any server has seen, even when the clock went back.
  const Incarnation incarnation(
      std::max(clock_.UnixMillis(), peers_.NewestIncarnation().value() + 1));
  if (cut > 0) {
    const Status restored = RestoreCut(cut, incarnation);
    if (restored.ok()) {
      GiveUpCutsAfter(cut);
      return;
    }
    FailJob("RestoreFailed", restored.message());
  }
  Empty(incarnation);
  if (cut == 0) GiveUpCutsAfter(0);
}

Result<JobService::PeerReply> JobServiceImpl::RegisterPeer(std::int64_t index,
                                                           const std::string& boot,
                                                           const std::string& url,
                                                           Incarnation incarnation,
                                                           const std::vector<std::int64_t>& cuts) {
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  if (!coordinates()) return Conflict("this is not server 0");
  if (index < 1 || index >= spec_.parameter_servers.replicas) {
    return Invalid("there is no server " + std::to_string(index));
  }
  const bool started_again = peers_.Register(index, boot, url, incarnation, cuts);
  if (started_again) {
    events_.Add("ServerStarted", "parameter server " + std::to_string(index) + " started");
  }
  // A job that has written its outputs never goes back; a server that starts now only has to be
  // there until the last worker has heard so.
  if (finalized()) {
    const std::int64_t newest = cuts.empty() ? 0 : std::ranges::max(cuts);
    return PeerReply{incarnation_, newest, seed_, options_.uid};
  }
  const bool cannot_follow = incarnation != incarnation_ && restored_cut_ > 0 &&
                             std::ranges::find(cuts, restored_cut_) == cuts.end();
  if (incarnation_ != Incarnation(0) && (started_again || cannot_follow)) {
    // Parameters are lost. What the others told before may be out of date: they train on and remove
    // old checkpoints. Until all have told again, no incarnation is valid here.
    incarnation_ = Incarnation(0);
    peers_.AskAllBut(index);
  }
  if (incarnation_ == Incarnation(0) && peers_.AllHeard()) ChooseIncarnation();
  changed_.notify_all();
  if (incarnation_ == Incarnation(0)) return PeerReply{};
  return PeerReply{incarnation_, restored_cut_, seed_, options_.uid};
}

Incarnation JobServiceImpl::CurrentIncarnation() const {
  const std::lock_guard lock(mutex_);
  return incarnation_;
}

void JobServiceImpl::SetOwnUrl(const std::string& url) {
  const std::lock_guard lock(mutex_);
  own_url_ = url;
}

bool JobServiceImpl::ReadyLocked() const {
  if (incarnation_ == Incarnation(0)) return false;
  return !coordinates() || peers_.AllAt(incarnation_);
}

bool JobServiceImpl::Ready() const {
  const std::lock_guard lock(mutex_);
  return ReadyLocked();
}

Status JobServiceImpl::CheckIncarnation(Incarnation incarnation) const {
  if (stopping_) return Unavailable("the server is stopping");
  if (!ReadyLocked()) return Unavailable("the parameter servers have not agreed yet");
  if (incarnation != incarnation_) {
    return Conflict("incarnation " + std::to_string(incarnation.value()) + " is over, it is " +
                    std::to_string(incarnation_.value()) + ": join again");
  }
  return OkStatus();
}

Status JobServiceImpl::CheckInitialised() const {
  if (!store_ || !store_->initialised()) {
    return Conflict("the job has no parameters yet: PUT layout and parameters first");
  }
  return OkStatus();
}

// ---------------------------------------------------------------- workers and initialisation

Result<JoinReply> JobServiceImpl::Join(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (!coordinates()) return Conflict("this is not server 0: join there");
  if (name.empty() || name.size() > 253) return Invalid("a worker's name has 1 to 253 characters");
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation_));
  const bool again = coordinator_.workers().contains(name);
  const std::int64_t voided = coordinator_.Join(name, clock_.Now());
  events_.Add(
      again ? "WorkerRejoined" : "WorkerJoined",
      name + " joined" +
          (voided > 0 ? "; " + std::to_string(voided) + " leases of its former self are void"
                      : ""));
  changed_.notify_all();
  JoinReply reply;
  reply.worker = name;
  reply.incarnation = incarnation_;
  reply.initialised = store_ && store_->initialised();
  reply.seed = seed_;
  reply.servers = peers_.Urls(own_url_);
  reply.lease_duration = options_.lease_duration;
  return reply;
}

Status JobServiceImpl::Heartbeat(const std::string& worker, Incarnation incarnation) {
  const std::lock_guard lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  return coordinator_.Heartbeat(worker, clock_.Now());
}

Status JobServiceImpl::Leave(const std::string& worker) {
  const std::lock_guard lock(mutex_);
  if (!coordinator_.workers().contains(worker)) {
    return NotFound("worker '" + worker + "' has not joined");
  }
  coordinator_.Leave(worker);
  events_.Add("WorkerLeft", worker + " left");
  changed_.notify_all();
  return OkStatus();
}

void JobServiceImpl::FailJob(const std::string& reason, const std::string& message) {
  if (failed_ || finalized()) return;
  failed_ = true;
  failure_reason_ = reason;
  failure_message_ = message;
  events_.Add(reason, message);
  changed_.notify_all();
}

Status JobServiceImpl::Fail(const std::string& worker, const std::string& reason,
                            const std::string& message) {
  const std::lock_guard lock(mutex_);
  if (!coordinator_.workers().contains(worker)) {
    return NotFound("worker '" + worker + "' has not joined");
  }
  FailJob(reason, message);
  return OkStatus();
}

Status JobServiceImpl::SetLayout(Incarnation incarnation, const ModelLayout& layout) {
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  if (layout_ != nullptr) {
    if (*layout_ == layout) return OkStatus();
    return Conflict("this worker's job is not the same: " + DifferenceOf(*layout_, layout));
  }
  ELEPHAS_RETURN_IF_ERROR(TakeLayout(layout));
  changed_.notify_all();
  return OkStatus();
}

Result<Range> JobServiceImpl::ParameterRange() const {
  const std::lock_guard lock(mutex_);
  if (!store_) return Conflict("the job has no layout yet");
  return store_->range();
}

Result<Range> JobServiceImpl::SlotRange() const {
  const std::lock_guard lock(mutex_);
  if (!store_) return Conflict("the job has no layout yet");
  return Range{store_->range().first, store_->range().first + store_->trainable()};
}

Result<std::shared_ptr<FloatBuffer>> JobServiceImpl::AcquireBuffer(std::int64_t elements) {
  std::shared_ptr<FloatBuffer> buffer = pool_.Acquire(elements);
  if (!buffer) return Unavailable("out of memory for " + std::to_string(elements) + " floats");
  return buffer;
}

Status JobServiceImpl::SetParameters(Incarnation incarnation,
                                     std::shared_ptr<FloatBuffer> parameters,
                                     std::vector<std::shared_ptr<FloatBuffer>> slots,
                                     std::int64_t iterations) {
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  if (!store_) return Conflict("the job has no layout yet");
  if (store_->initialised()) return OkStatus();
  const auto fits = [](const FloatBuffer& buffer, std::int64_t elements) {
    return static_cast<std::int64_t>(buffer.floats().size()) == elements;
  };
  if (!fits(*parameters, store_->range().size())) {
    return Invalid("'parameters' must have " + std::to_string(store_->range().size()) +
                   " elements");
  }
  if (!AllFinite(std::as_const(*parameters).floats())) {
    return Invalid("'parameters' holds a NaN or an infinity");
  }
  const bool keeps_slots = plan_->task == TaskKind::kTrain && plan_->synchronous();
  if (!keeps_slots) slots.clear();
  if (keeps_slots && slots.empty() && !layout_->slot_names.empty()) {
    ELEPHAS_ASSIGN_OR_RETURN(const std::unique_ptr<Optimizer> optimizer,
                             Optimizer::FromConfig(layout_->optimizer));
    for (std::size_t i = 0; i < layout_->slot_names.size(); ++i) {
      std::shared_ptr<FloatBuffer> slot = pool_.Acquire(store_->trainable());
      if (!slot) return Unavailable("out of memory for the optimizer's slots");
      std::ranges::fill(slot->floats(), optimizer->SlotInitialValue(i));
      slots.push_back(std::move(slot));
    }
  }
  if (keeps_slots && slots.size() != layout_->slot_names.size()) {
    return Invalid("'slots' must have " + std::to_string(layout_->slot_names.size()) + " rows");
  }
  for (const auto& slot : slots) {
    if (!fits(*slot, store_->trainable())) {
      return Invalid("each of 'slots' must have " + std::to_string(store_->trainable()) +
                     " elements");
    }
  }
  store_->Set(std::move(parameters), std::move(slots), Version(0), iterations);
  OpenRound();
  epoch_started_ = clock_.Now();
  throughput_.Add(clock_.Now(), ledger_->ExamplesApplied());
  events_.Add("Initialised", "the job has its initial parameters");
  changed_.notify_all();
  return OkStatus();
}

// ---------------------------------------------------------------- leases

void JobServiceImpl::ExpireLeases() {
  for (const Coordinator::Lost& lost : coordinator_.Expire(clock_.Now())) {
    events_.Add("LeaseExpired", "the lease of " + lost.held.worker + " on " +
                                    ToString(lost.held.task) + " expired; another worker goes on");
  }
}

Result<LeaseReply> JobServiceImpl::AcquireLease(const std::string& worker, Incarnation incarnation,
                                                milliseconds wait, bool prefetch) {
  Lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + wait;
  for (;;) {
    if (failed_) {
      return LeaseReply{LeaseReply::State::kFailed, std::nullopt,
                        failure_reason_ + ": " + failure_message_};
    }
    // Whatever incarnation the worker was in: there is nothing left to do.
    if (finalized()) return LeaseReply{LeaseReply::State::kSucceeded, std::nullopt, ""};
    ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
    ELEPHAS_RETURN_IF_ERROR(coordinator_.Heartbeat(worker, clock_.Now()));
    ExpireLeases();
    // Between a round's last contribution and its commit the next version is not there yet.
    if (store_ && store_->initialised() && !round_complete_) {
      std::optional<Lease> lease =
          coordinator_.Acquire(worker, clock_.Now(), prefetch, *plan_, *ledger_);
      if (lease) {
        lease->incarnation = incarnation_;
        const bool exact = plan_->synchronous() || lease->task.kind != WorkKind::kTrain;
        if (exact) lease->version = store_->version();
        return LeaseReply{LeaseReply::State::kLeased, *std::move(lease), ""};
      }
    }
    // Until something changes, a lease may have expired, or the caller's patience is over.
    auto until = deadline;
    if (const auto expiry = coordinator_.NextExpiry()) {
      const auto now = clock_.Now();
      until =
          std::min(until, std::chrono::steady_clock::now() +
                              std::max<Clock::TimePoint::duration>(*expiry - now, milliseconds(1)));
    }
    if (std::chrono::steady_clock::now() >= deadline) return LeaseReply{};
    changed_.wait_until(lock, until);
  }
}

Result<UpdateOutcome> JobServiceImpl::FinishTask(LeaseId lease, Incarnation incarnation,
                                                 const TaskId& task, std::int64_t examples,
                                                 const MetricSums& metrics,
                                                 const std::vector<std::string>& outputs) {
  const std::lock_guard lock(mutex_);
  if (!coordinates()) return Conflict("this is not server 0: finish tasks there");
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  ELEPHAS_RETURN_IF_ERROR(CheckInitialised());
  if (task.kind == WorkKind::kTrain) return Invalid("a train task is finished by its updates");
  if (!plan_->Contains(task)) return Invalid("the job has no " + ToString(task));
  if (ledger_->Done(task)) {
    coordinator_.Progressed(lease, *ledger_);
    return UpdateOutcome::kDuplicate;
  }
  if (task.kind == WorkKind::kFinalize && !ledger_->AllDone()) {
    return Conflict("finalize comes after all other tasks");
  }
  if (task.kind == WorkKind::kValidate && task.epoch.value() != ledger_->TrainedEpochs() - 1) {
    return Conflict("this epoch is not trained yet");
  }
  const Range all{0, task.kind == WorkKind::kFinalize ? 1 : plan_->Batches(task)};
  ELEPHAS_RETURN_IF_ERROR(ledger_->Validate(task, all, examples, {metrics}));
  ledger_->Record(task, all, examples, {metrics});
  if (const Coordinator::Held* held = coordinator_.Find(lease)) {
    coordinator_.CountExamples(held->worker, examples);
  }
  coordinator_.Renew(lease, clock_.Now());
  coordinator_.Progressed(lease, *ledger_);
  throughput_.Add(clock_.Now(), ledger_->ExamplesApplied());
  if (task.kind == WorkKind::kFinalize) {
    outputs_ = outputs;
    events_.Add("Succeeded", "the outputs are written");
  }
  CloseEpochsAndCheckpoint();
  changed_.notify_all();
  return UpdateOutcome::kApplied;
}

// ---------------------------------------------------------------- parameters

Result<Snapshot> JobServiceImpl::Pull(Incarnation incarnation, Version minimum, bool with_slots,
                                      milliseconds wait) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  // In synchronous batch mode slots change in place while a round is committed.
  Lock apply_lock(apply_mutex_, std::defer_lock);
  if (with_slots) apply_lock.lock();
  Lock lock(mutex_);
  for (;;) {
    ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
    ELEPHAS_RETURN_IF_ERROR(CheckInitialised());
    if (store_->version() >= minimum) break;
    if (!coordinates() && round_complete_) {
      // Server 0 has all contributions of the round, else nobody would ask for the next version.
      lock.unlock();
      if (!apply_lock.owns_lock()) apply_lock.lock();
      // Another pull may have been faster; without a complete round there is nothing to commit.
      const Status committed = round_ && round_->complete() ? CommitRound() : OkStatus();
      if (!with_slots) apply_lock.unlock();
      ELEPHAS_RETURN_IF_ERROR(committed);
      lock.lock();
      continue;
    }
    // Waiting with apply_mutex_ would keep the awaited update out.
    if (apply_lock.owns_lock() || std::chrono::steady_clock::now() >= deadline) {
      return Timeout("version " + std::to_string(minimum.value()) + " is not there yet");
    }
    changed_.wait_until(lock, deadline);
  }
  Snapshot snapshot;
  snapshot.version = store_->version();
  snapshot.incarnation = incarnation_;
  snapshot.iterations = store_->iterations();
  if (with_slots) snapshot.slots = store_->slots();
  if (plan_->mode != Mode::kHogwild) {
    snapshot.parameters = store_->parameters();
    return snapshot;
  }
  const std::shared_ptr<FloatBuffer> shared = store_->shared_parameters();
  lock.unlock();
  ELEPHAS_ASSIGN_OR_RETURN(
      std::shared_ptr<FloatBuffer> copy,
      AcquireBuffer(static_cast<std::int64_t>(std::as_const(*shared).floats().size())));
  CopyShared(shared->floats(), copy->floats());
  snapshot.parameters = std::move(copy);
  return snapshot;
}

Result<UpdateOutcome> JobServiceImpl::Judge(const UpdateHeader& header) const {
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(header.incarnation));
  ELEPHAS_RETURN_IF_ERROR(CheckInitialised());
  if (header.task.kind != WorkKind::kTrain || !plan_->Contains(header.task)) {
    return Invalid("the job has no updates for " + ToString(header.task));
  }
  if (header.batches.size() <= 0 || header.batches.last > plan_->Batches(header.task)) {
    return Invalid(ToString(header.task) + " has batches 0 to " +
                   std::to_string(plan_->Batches(header.task)));
  }
  switch (ledger_->Check(header.task, header.batches)) {
    case Ledger::Verdict::kDuplicate:
      return UpdateOutcome::kDuplicate;
    case Ledger::Verdict::kConflict:
      return Conflict("the next batch of " + ToString(header.task) + " is " +
                      std::to_string(ledger_->Next(header.task)));
    case Ledger::Verdict::kApply:
      break;
  }
  ELEPHAS_RETURN_IF_ERROR(
      ledger_->Validate(header.task, header.batches, header.examples, header.metrics));
  if (!plan_->synchronous()) {
    if (header.task.epoch.value() > ledger_->OpenEpoch().value() + 1) {
      return Conflict(ToString(header.task) + " is not open yet");
    }
    return UpdateOutcome::kApplied;
  }
  const std::int64_t trained = ledger_->TrainedEpochs();
  const std::int64_t base = store_->version().value() + (round_complete_ ? 1 : 0);
  if (header.base.value() != base || header.task.epoch.value() != trained) {
    return Conflict("round " + std::to_string(base) + " is open, this update is for version " +
                    std::to_string(header.base.value()));
  }
  // One contribution per partition and round: batch r, or the whole task.
  const std::int64_t whole = plan_->Batches(header.task);
  if (header.batches.size() != (plan_->frequency == Frequency::kBatch ? 1 : whole)) {
    return Invalid("a contribution covers " + std::string(plan_->frequency == Frequency::kBatch
                                                              ? "one batch"
                                                              : "the whole task"));
  }
  if (plan_->frequency == Frequency::kBatch) {
    // Every partition that has a batch r contributes before any contributes batch r + 1.
    for (std::int64_t p = 0; p < plan_->partitions; ++p) {
      const TaskId other{WorkKind::kTrain, header.task.epoch, Partition(p)};
      if (!ledger_->Done(other) && ledger_->Next(other) < header.batches.first) {
        return Conflict("the round of batch " + std::to_string(ledger_->Next(other)) + " is open");
      }
    }
  }
  return UpdateOutcome::kApplied;
}

Result<UpdateOutcome> JobServiceImpl::AdmitUpdate(const UpdateHeader& header) const {
  const std::lock_guard lock(mutex_);
  return Judge(header);
}

Result<UpdateReply> JobServiceImpl::ApplyUpdate(const UpdateHeader& header,
                                                std::shared_ptr<FloatBuffer> delta,
                                                std::vector<std::shared_ptr<FloatBuffer>> slots) {
  bool hogwild = false;
  {
    const std::lock_guard lock(mutex_);
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Judge(header));
    if (outcome == UpdateOutcome::kDuplicate) {
      coordinator_.Renew(header.lease, clock_.Now());
      coordinator_.Progressed(header.lease, *ledger_);
      return UpdateReply{outcome, store_->version()};
    }
    hogwild = plan_->mode == Mode::kHogwild;
    const auto expected = static_cast<std::size_t>(store_->range().size());
    if (std::as_const(*delta).floats().size() != expected) {
      return Invalid("'delta' must have " + std::to_string(expected) + " elements");
    }
    const bool averages_slots = plan_->synchronous() && plan_->frequency != Frequency::kBatch;
    if (slots.size() != (averages_slots ? layout_->slot_names.size() : 0)) {
      return Invalid("'slots' must have " +
                     std::to_string(averages_slots ? layout_->slot_names.size() : 0) + " rows");
    }
    for (const auto& slot : slots) {
      if (std::as_const(*slot).floats().size() != static_cast<std::size_t>(store_->trainable())) {
        return Invalid("each of 'slots' must have " + std::to_string(store_->trainable()) +
                       " elements");
      }
    }
  }
  if (spec_.fit.on_nan == OnNan::kFail && !AllFinite(std::as_const(*delta).floats())) {
    return Invalid("'delta' holds a NaN or an infinity");
  }
  if (hogwild) return ApplyHogwild(header, std::as_const(*delta).floats());
  const std::lock_guard apply_lock(apply_mutex_);
  if (spec_.mode == Mode::kSynchronous) {
    return ApplyRoundContribution(header, {std::move(delta), std::move(slots), header.steps});
  }
  return ApplyDelta(header, std::as_const(*delta).floats());
}

Result<UpdateReply> JobServiceImpl::ApplyDelta(const UpdateHeader& header,
                                               std::span<const float> delta) {
  {
    const std::lock_guard lock(mutex_);
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Judge(header));
    if (outcome == UpdateOutcome::kDuplicate) return UpdateReply{outcome, store_->version()};
  }
  // Only holders of apply_mutex_ change store and ledger of a train task, so the verdict stands.
  ParameterStore::Next next = store_->Subtract(delta);
  if (!next.parameters) return Unavailable("out of memory for the next parameters");
  const std::lock_guard lock(mutex_);
  store_->Publish(std::move(next));
  AfterUpdate(header);
  return UpdateReply{UpdateOutcome::kApplied, store_->version()};
}

Result<UpdateReply> JobServiceImpl::ApplyHogwild(const UpdateHeader& header,
                                                 std::span<const float> delta) {
  std::shared_ptr<FloatBuffer> shared;
  {
    Lock lock(mutex_);
    // A second push of the same task waits for the first, then finds it recorded.
    changed_.wait(
        lock, [&] { return stopping_ || (quiet_cut_ == 0 && !in_flight_.contains(header.task)); });
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Judge(header));
    if (outcome == UpdateOutcome::kDuplicate) return UpdateReply{outcome, store_->version()};
    in_flight_.insert(header.task);
    shared = store_->shared_parameters();
  }
  SubtractInPlace(shared->floats(), delta);
  const std::lock_guard lock(mutex_);
  // A restore in between has put other parameters in place: then this one went nowhere. Without
  // one it has been added and is recorded, whatever else has changed.
  if (incarnation_ != header.incarnation) {
    return Conflict("incarnation " + std::to_string(header.incarnation.value()) +
                    " is over: join again");
  }
  in_flight_.erase(header.task);
  store_->CountUpdate();
  AfterUpdate(header);
  CopyHogwildCheckpointWhenQuiet();
  return UpdateReply{UpdateOutcome::kApplied, store_->version()};
}

Result<UpdateReply> JobServiceImpl::ApplyRoundContribution(const UpdateHeader& header,
                                                           Round::Contribution mine) {
  {
    // A push for the next version says, as a pull does, that the round is complete everywhere.
    Lock lock(mutex_);
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome outcome, Judge(header));
    if (outcome == UpdateOutcome::kDuplicate) return UpdateReply{outcome, store_->version()};
    if (round_complete_) {
      lock.unlock();
      ELEPHAS_RETURN_IF_ERROR(CommitRound());
    }
  }
  // Added before it is recorded: complete() then never runs ahead of the sum. Nobody sees the sum
  // before the commit, and a crash takes both.
  round_->Add(header.task.partition.value(), std::move(mine));
  bool commit = false;
  {
    const std::lock_guard lock(mutex_);
    round_complete_ = round_->complete();
    commit = coordinates() && round_complete_;
    AfterUpdate(header);
  }
  if (commit) ELEPHAS_RETURN_IF_ERROR(CommitRound());
  const std::lock_guard lock(mutex_);
  return UpdateReply{UpdateOutcome::kApplied, store_->version()};
}

Status JobServiceImpl::CommitRound() {
  ParameterStore::Next next;
  if (plan_->frequency == Frequency::kBatch) {
    std::vector<WeightSlice> weights;  // cut to this server's range
    const Range range = store_->range();
    for (const WeightSlice& weight : TrainableSlices(*layout_)) {
      const std::int64_t first = std::max(weight.offset, range.first);
      const std::int64_t last =
          std::min(weight.offset + weight.size, range.first + store_->trainable());
      if (first < last) weights.push_back({weight.name, first - range.first, last - first});
    }
    next = store_->Step(*optimizer_, weights, round_->mean());
  } else {
    next = store_->Average(round_->mean());
  }
  const std::lock_guard lock(mutex_);
  if (!next.parameters) {
    // The contributions are recorded and folded: without the commit the job cannot go on.
    FailJob("OutOfMemory", "no memory for the next parameters");
    return Internal("no memory for the next parameters");
  }
  store_->Publish(std::move(next));
  OpenRound();
  CloseEpochsAndCheckpoint();
  changed_.notify_all();
  return OkStatus();
}

void JobServiceImpl::OpenRound() {
  round_.reset();
  round_complete_ = false;
  if (plan_->task != TaskKind::kTrain || !plan_->synchronous()) return;
  const std::int64_t epoch = ledger_->TrainedEpochs();
  if (epoch == plan_->TrainTasks()) return;
  std::vector<std::int64_t> examples;
  std::int64_t batch = 0;  // of the round: the same for all partitions that are not done
  for (std::int64_t p = 0; p < plan_->partitions; ++p) {
    batch = std::max(batch, ledger_->Next({WorkKind::kTrain, Epoch(epoch), Partition(p)}));
  }
  for (std::int64_t p = 0; p < plan_->partitions; ++p) {
    const TaskId task{WorkKind::kTrain, Epoch(epoch), Partition(p)};
    const std::int64_t batches = plan_->Batches(task);
    if (plan_->frequency == Frequency::kBatch) {
      examples.push_back(batch < batches ? plan_->Examples(task, {batch, batch + 1}) : 0);
    } else {
      examples.push_back(plan_->Rows(task).size());
    }
  }
  round_.emplace(std::move(examples));
}

void JobServiceImpl::AfterUpdate(const UpdateHeader& header) {
  ledger_->Record(header.task, header.batches, header.examples, header.metrics);
  if (coordinates()) {
    if (const Coordinator::Held* held = coordinator_.Find(header.lease)) {
      coordinator_.CountExamples(held->worker, header.examples);
    }
    coordinator_.Renew(header.lease, clock_.Now());
    coordinator_.Progressed(header.lease, *ledger_);
  }
  throughput_.Add(clock_.Now(), ledger_->ExamplesApplied());
  // Synchronous epochs end with the commit of their last round.
  if (!plan_->synchronous()) CloseEpochsAndCheckpoint();
  changed_.notify_all();
}

void JobServiceImpl::CloseEpochsAndCheckpoint() {
  const Clock::TimePoint now = clock_.Now();
  const std::int64_t trained = ledger_->TrainedEpochs() * plan_->EpochsPerTask();
  const double seconds =
      epoch_started_ ? std::chrono::duration<double>(now - *epoch_started_).count() : 0.0;
  if (ledger_->CloseEpochs(seconds) > 0) epoch_started_ = now;

  if (!writer_ || plan_->task != TaskKind::kTrain || trained <= last_cut_) return;
  const std::int64_t every = policy_.every_epochs;
  const bool due = trained / every > last_cut_ / every || trained == plan_->epochs;
  if (!due) return;
  last_cut_ = trained;
  if (plan_->mode != Mode::kHogwild) {
    SubmitCheckpoint(trained, store_->parameters());
    return;
  }
  quiet_cut_ = trained;
  CopyHogwildCheckpointWhenQuiet();
}

// Updates that are being added are not recorded yet, so parameters and ledger agree only when there
// are none. New ones wait while quiet_cut_ is set; the last one in flight takes the copy.
void JobServiceImpl::CopyHogwildCheckpointWhenQuiet() {
  if (quiet_cut_ == 0 || !in_flight_.empty()) return;
  const std::int64_t cut = std::exchange(quiet_cut_, 0);
  std::shared_ptr<FloatBuffer> copy = pool_.Acquire(store_->range().size());
  if (copy) {
    CopyShared(store_->shared_parameters()->floats(), copy->floats());
    SubmitCheckpoint(cut, std::move(copy));
  } else {
    events_.Add("CheckpointFailed", "checkpoint of epoch " + std::to_string(cut) +
                                        ": out of memory; training goes on without it");
  }
  changed_.notify_all();
}

void JobServiceImpl::SubmitCheckpoint(std::int64_t cut, SharedFloats parameters) {
  Checkpoint checkpoint;
  checkpoint.uid = options_.uid;
  checkpoint.cut = cut;
  checkpoint.version = store_->version();
  checkpoint.iterations = store_->iterations();
  checkpoint.incarnation = incarnation_;
  checkpoint.seed = seed_;
  checkpoint.layout = ToJson(*layout_);
  checkpoint.plan = PlanJson(*plan_);
  checkpoint.ledger = ledger_->ToJson();
  checkpoint.parameters = std::move(parameters);
  checkpoint.slots = store_->slots();
  if (!checkpoint.slots.empty()) checkpoint.slot_names = layout_->slot_names;
  writer_->Submit(std::move(checkpoint), spec_.parameter_servers.replicas == 1);
}

// ---------------------------------------------------------------- watching

json JobServiceImpl::HistoryJson() const {
  const std::lock_guard lock(mutex_);
  return ledger_ ? HistoryLists(ledger_->history()) : json::object();
}

std::shared_ptr<const ModelLayout> JobServiceImpl::Layout() const {
  const std::lock_guard lock(mutex_);
  return layout_;
}

json JobServiceImpl::StatusJson() const {
  const std::lock_guard lock(mutex_);
  json out;
  out["job"] = spec_.name;
  out["uid"] = options_.uid;
  out["task"] = Word(spec_.task);
  out["mode"] = Word(spec_.mode);
  out["frequency"] = Word(spec_.frequency);
  out["incarnation"] = incarnation_.value();
  out["server"] = options_.server_index;
  out["servers"] = spec_.parameter_servers.replicas;
  const bool initialised = store_ && store_->initialised();
  out["state"] = failed_                          ? "Failed"
                 : finalized()                    ? "Succeeded"
                 : !ReadyLocked() || !initialised ? "Initializing"
                 : ledger_->AllDone()             ? "Finalizing"
                                                  : "Running";
  out["reason"] = failure_reason_;
  out["message"] = failure_message_;
  out["version"] = initialised ? store_->version().value() : 0;
  out["partitions"] = spec_.data.partitions;
  out["epochs"] = spec_.task == TaskKind::kTrain ? spec_.fit.epochs : 0;
  out["epoch"] = 0;
  out["examples"] = 0;
  out["examplesPerEpoch"] = 0;
  out["progress"] = 0.0;
  out["examplesPerSecond"] = throughput_.ExamplesPerSecond();
  out["secondsRemaining"] = nullptr;
  out["metrics"] = json::object();
  out["history"] = json::object();
  if (initialised) {
    const std::int64_t per_epoch =
        plan_->task == TaskKind::kTrain ? plan_->training_rows : plan_->examples;
    const std::int64_t total = per_epoch * std::max<std::int64_t>(plan_->epochs, 1);
    const std::int64_t applied = ledger_->ExamplesApplied();
    const EpochSummary running = ledger_->Running(ledger_->OpenEpoch());
    out["epoch"] = ledger_->ClosedEpochs();
    out["examples"] = plan_->task == TaskKind::kTrain ? running.examples : applied;
    out["examplesPerEpoch"] = per_epoch;
    out["progress"] = static_cast<double>(applied) / static_cast<double>(total);
    const double rate = throughput_.ExamplesPerSecond();
    if (rate > 0) out["secondsRemaining"] = static_cast<double>(total - applied) / rate;
    out["metrics"] = MetricValues(running.training);
    out["history"] = HistoryLists(ledger_->history());
    if (plan_->task == TaskKind::kEvaluate) {
      const Result<MetricSums> totals = ledger_->Totals();
      out["metrics"] = totals.ok() ? MetricValues(*totals) : json::object();
      if (ledger_->AllDone()) out["result"] = {{"metrics", out["metrics"]}};
    }
  }
  out["workers"] = json::array();
  for (const auto& [name, worker] : coordinator_.workers()) {
    json entry{{"name", name}, {"examples", worker.examples}, {"lease", nullptr}};
    bool busy = false;
    for (const auto& [id, held] : coordinator_.leases()) {
      if (held.worker != name) continue;
      busy = true;
      entry["lease"] = {{"lease", id.value()},
                        {"task", Word(held.task.kind)},
                        {"epoch", held.task.epoch.value()},
                        {"partition", held.task.partition.value()}};
    }
    entry["state"] = !worker.live ? "Lost" : busy ? "Working" : "Idle";
    out["workers"].push_back(std::move(entry));
  }
  out["outputs"] = outputs_;
  out["events"] = events_.ToJson();
  return out;
}

void JobServiceImpl::Shutdown() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (writer_) writer_->Drain();
}

}  // namespace

Result<std::unique_ptr<JobService>> JobService::Create(JobSpec spec, JobServiceOptions options,
                                                       const Clock& clock) {
  auto service = std::make_unique<JobServiceImpl>(std::move(spec), std::move(options), clock);
  ELEPHAS_RETURN_IF_ERROR(service->Start());
  return Result<std::unique_ptr<JobService>>(std::move(service));
}

}  // namespace elephas
