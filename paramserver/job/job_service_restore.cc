// Incarnations: how a server starts, and how all of them go back to one cut together.
#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/base/names.h"
#include "paramserver/job/job_service_impl.h"

namespace elephas {

namespace {

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
  for (const auto& [epoch, model] : checkpoint.kept) {
    const bool slots_fit = (model.slots.empty() || model.slots.size() == slots) &&
                           std::ranges::all_of(model.slots, [&](const SharedFloats& s) {
                             return size(s) == store.trainable();
                           });
    if (size(model.parameters) != store.range().size() || !slots_fit) {
      return Invalid("the checkpoint's model of epoch " + std::to_string(epoch) +
                     " has the wrong size");
    }
  }
  return OkStatus();
}

}  // namespace

Status JobServiceImpl::Start() {
  if (!options_.checkpoint_folder.empty()) ELEPHAS_RETURN_IF_ERROR(OpenCheckpoints());
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  Incarnation incarnation(clock_.UnixMillis());
  if (spec_.parameter_servers.replicas > 1) {
    // RegisterPeer decides; a process of this server that lives on is over as of now.
    if (folder_) return folder_->Claim(incarnation, std::nullopt).status();
    return OkStatus();
  }
  const std::vector<std::int64_t> cuts = Cuts();
  const std::int64_t cut = cuts.empty() ? 0 : cuts.back();
  if (folder_) {
    ELEPHAS_ASSIGN_OR_RETURN(incarnation, folder_->Claim(incarnation, cut));
  }
  if (cut > 0) return RestoreCut(cut, incarnation);
  Empty(incarnation);
  return OkStatus();
}

// The servers go back to `cut`: their newer checkpoints belong to a course of events that is over.
// Together with those of other servers that are trained from here they would make a common cut that
// never was.
void JobServiceImpl::GiveUpCutsAfter(std::int64_t cut) {
  if (!folder_) return;
  folder_->RemoveGivenUp(folder_->claimed());
  const std::lock_guard lock(cuts_mutex_);
  cuts_.erase(cuts_.upper_bound(cut), cuts_.end());
}

void JobServiceImpl::Empty(Incarnation incarnation) {
  incarnation_ = std::max(incarnation, Incarnation(last_incarnation_.value() + 1));
  last_incarnation_ = incarnation_;
  counters_.leases_voided += coordinator_.leases().size();
  coordinator_.Reset();
  {
    const std::lock_guard cuts_lock(cuts_mutex_);
    checkpoints_.epoch = 0;
    checkpoints_.unix_millis = clock_.UnixMillis();
  }
  group_.Reset();
  commit_.reset();
  last_group_commit_ = {};
  contributions_ = 0;
  layout_ = nullptr;
  plan_.reset();
  ledger_.reset();
  store_.reset();
  callbacks_.reset();
  kept_.clear();
  round_.reset();
  changed_optimizer_.reset();
  round_decisions_ = {};
  in_flight_.clear();
  throughput_.Reset();
  epoch_started_.reset();
  round_complete_ = false;
  restored_cut_ = 0;
  restored_run_.clear();
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
  std::optional<FitCallbacks> callbacks;
  if (coordinates() && plan.callbacks) {
    ELEPHAS_ASSIGN_OR_RETURN(callbacks, FitCallbacks::Make(spec_, layout));
  }
  const Range range = ShardElements(layout.total_elements, servers, options_.server_index);
  const std::int64_t trainable =
      std::clamp<std::int64_t>(layout.trainable_elements - range.first, 0, range.size());
  layout_ = std::make_shared<const ModelLayout>(layout);
  plan_ = plan;
  ledger_.emplace(plan);
  store_.emplace(range, trainable, pool_);
  optimizer_ = std::move(optimizer);
  callbacks_ = std::move(callbacks);
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
  const Incarnation successor(loaded->incarnation.value() + 1);
  const std::uint64_t seed = loaded->seed;
  std::string run = loaded->uid;
  if (Status filled = Fill(*std::move(loaded)); !filled.ok()) {
    Empty(incarnation);
    return filled;
  }
  incarnation_ = std::max(incarnation_, successor);
  last_incarnation_ = incarnation_;
  seed_ = seed;
  restored_run_ = std::move(run);
  last_cut_ = cut;
  restored_cut_ = cut;
  {
    const std::lock_guard cuts_lock(cuts_mutex_);
    checkpoints_.epoch = cut;
  }
  OpenRound();
  epoch_started_ = clock_.Now();
  const bool own = restored_run_ == options_.uid;
  std::string what = "continuing after epoch " + std::to_string(cut);
  if (!own) what.append(" of run ").append(restored_run_);
  LogInfo("restored", {{"epoch", cut}, {"run", restored_run_}, {"message", what}});
  events_.Add(own ? "Restored" : "Resumed", what);
  changed_.notify_all();
  return OkStatus();
}

Status JobServiceImpl::Fill(Checkpoint checkpoint) {
  ELEPHAS_ASSIGN_OR_RETURN(ModelLayout layout, ModelLayoutFromJson(checkpoint.layout));
  ELEPHAS_RETURN_IF_ERROR(TakeLayout(layout));
  ELEPHAS_RETURN_IF_ERROR(plan_->CheckContinues(checkpoint.plan));
  ELEPHAS_ASSIGN_OR_RETURN(ledger_, Ledger::FromJson(*plan_, checkpoint.ledger));
  ELEPHAS_RETURN_IF_ERROR(CheckSizes(checkpoint, *store_, layout.slot_names.size()));
  // The buffers were made by Load for us alone; const only says that snapshots are not changed.
  std::vector<std::shared_ptr<FloatBuffer>> slots;
  for (const SharedFloats& slot : checkpoint.slots) {
    slots.push_back(std::const_pointer_cast<FloatBuffer>(slot));
  }
  store_->Set(std::const_pointer_cast<FloatBuffer>(checkpoint.parameters), std::move(slots),
              checkpoint.version, checkpoint.iterations);
  if (!plan_->callbacks) return OkStatus();
  kept_ = std::move(checkpoint.kept);
  KeepModel(checkpoint.cut);
  return RestoreCallbacks(checkpoint.callbacks);
}

// A checkpoint of a run without callbacks has no state: they start with what comes.
Status JobServiceImpl::RestoreCallbacks(const nlohmann::json& state) {
  if (!callbacks_ || state.is_null()) return OkStatus();
  ELEPHAS_RETURN_IF_ERROR(callbacks_->SetState(state));
  const FitDecisions decided = callbacks_->decisions();
  for (const auto& epoch : {decided.restore, decided.best}) {
    if (epoch && !kept_.contains(*epoch)) {
      return Invalid("the checkpoint lacks the model of epoch " + std::to_string(*epoch));
    }
  }
  if (callbacks_->stopped_after() == ledger_->ClosedEpochs()) {
    ledger_->StopHere();
    plan_->epochs = ledger_->ClosedEpochs();
  }
  return OkStatus();
}

Status JobServiceImpl::Restore(const PeerReply& peer) {
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  if (peer.incarnation == Incarnation(0) || peer.incarnation != incarnation_) TakeUpRun(peer.uid);
  if (peer.incarnation == Incarnation(0) || peer.incarnation == incarnation_) return OkStatus();
  if (writer_) writer_->Drain();
  if (peer.cut == 0) {
    Empty(peer.incarnation);
  } else if (const Status restored = RestoreCut(peer.cut, peer.incarnation); !restored.ok()) {
    Empty(peer.incarnation);
    incarnation_ = Incarnation(0);  // not taken up; server 0 hears so and chooses again
    return restored;
  }
  // An incarnation from before this process started is that of a job that is over: nothing is
  // written any more. A server 0 whose job goes on chooses one above our claim.
  if (folder_ && peer.incarnation > folder_->claimed()) {
    const Status claimed = folder_->ClaimExactly(peer.incarnation, peer.cut);
    if (!claimed.ok()) {
      Empty(peer.incarnation);
      incarnation_ = Incarnation(0);
      if (!folder_->CheckFence(folder_->claimed()).ok()) SetFenced(claimed.message());
      return claimed;
    }
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
  const std::int64_t seen = std::max(
      {peers_.NewestIncarnation().value(), seen_incarnation_.value(), last_incarnation_.value()});
  Incarnation incarnation(std::max(clock_.UnixMillis(), seen + 1));
  if (folder_) {
    const Result<Incarnation> claimed = folder_->Claim(incarnation, cut);
    if (claimed.status().code() == Code::kConflict) return SetFenced(claimed.status().message());
    if (!claimed.ok()) {
      FailJob("RestoreFailed", claimed.status().message());
    } else {
      incarnation = *claimed;
    }
  }
  if (cut > 0) {
    const Status restored = RestoreCut(cut, incarnation);
    if (restored.ok()) {
      GiveUpCutsAfter(cut);
      return;
    }
    FailJob("RestoreFailed", restored.message());
  }
  Empty(incarnation);
  if (cut > 0) return;
  GiveUpCutsAfter(0);
  if (folder_ && !folder_->run().empty()) {
    FailJob(std::string(names::kResumeFailed),
            "the parameter servers have no checkpoint of run " + folder_->run() + " in common");
  }
}

Result<JobService::PeerReply> JobServiceImpl::RegisterPeer(std::int64_t index,
                                                           const PeerReport& report) {
  const std::lock_guard apply_lock(apply_mutex_);
  const std::lock_guard lock(mutex_);
  if (!coordinates()) return Conflict("this is not server 0");
  if (index < 1 || index >= spec_.parameter_servers.replicas) {
    return Invalid("there is no server " + std::to_string(index));
  }
  if (fenced_) return Unavailable("another process has taken over this server");
  const std::vector<std::int64_t>& cuts = report.cuts;
  const Incarnation incarnation = report.incarnation;
  seen_incarnation_ = std::max(seen_incarnation_, report.newest);
  // It looked at another run's checkpoints: it is told which count, and looks again.
  const PeerReply undecided{Incarnation(0), 0, 0, RunThatCounts()};
  if (!report.run.empty() && report.run != undecided.uid && !finalized()) return undecided;
  const bool started_again = peers_.Register(index, report.boot, report.url, incarnation, cuts);
  if (started_again) {
    events_.Add("ServerStarted", "parameter server " + std::to_string(index) + " started");
  }
  // A job that has written its outputs never goes back; a server that starts now only has to be
  // there until the last worker has heard so.
  if (finalized()) {
    const std::int64_t newest = cuts.empty() ? 0 : std::ranges::max(cuts);
    return PeerReply{incarnation_, newest, seed_, RunThatCounts()};
  }
  const bool cannot_follow =
      incarnation != incarnation_ &&
      ((restored_cut_ > 0 && std::ranges::find(cuts, restored_cut_) == cuts.end()) ||
       report.newest >= incarnation_);
  if (incarnation_ != Incarnation(0) && (started_again || cannot_follow)) {
    // Parameters are lost. What the others told before may be out of date: they train on and remove
    // old checkpoints. Until all have told again, no incarnation is valid here.
    incarnation_ = Incarnation(0);
    peers_.AskAllBut(index);
  }
  if (incarnation_ == Incarnation(0) && peers_.AllHeard()) ChooseIncarnation();
  changed_.notify_all();
  if (incarnation_ == Incarnation(0)) return undecided;
  return PeerReply{incarnation_, restored_cut_, seed_, RunThatCounts()};
}

JobService::PeerReport JobServiceImpl::OwnReport() const {
  PeerReport report;
  report.cuts = Cuts();
  const std::lock_guard lock(mutex_);
  report.incarnation = incarnation_;
  report.newest = folder_ ? folder_->claimed() : last_incarnation_;
  report.run = RunThatCounts();
  return report;
}

}  // namespace elephas
