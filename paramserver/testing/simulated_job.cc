#include "paramserver/testing/simulated_job.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "common/optimizer/optimizer.h"
#include "paramserver/ledger/job_plan.h"

namespace elephas {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::int64_t kStatistics = 2;  // parameters that are not trained
constexpr int kAttempts = 4;

JobSpec SpecOf(const Scenario& scenario) {
  JobSpec spec;
  spec.name = "simulated";
  spec.mode = scenario.mode;
  spec.frequency = scenario.frequency;
  spec.fit.epochs = scenario.epochs;
  spec.fit.batch_size = scenario.batch_size;
  spec.fit.seed = 7;
  if (scenario.validation_rows > 0) {
    // Half an example less, so that rounding cannot take one more away.
    spec.fit.validation_split =
        (static_cast<double>(scenario.validation_rows) - 0.5) /
        static_cast<double>(scenario.training_rows + scenario.validation_rows);
  }
  spec.data.partitions = scenario.partitions;
  spec.workers.replicas = scenario.workers;
  spec.parameter_servers.replicas = scenario.servers;
  if (scenario.checkpoints) {
    spec.checkpoint = JobSpec::Checkpoint{"ckpt", scenario.every_epochs, scenario.keep};
  }
  return spec;
}

JobPlan PlanOf(const Scenario& scenario) {
  return JobPlan::Make(SpecOf(scenario), scenario.training_rows + scenario.validation_rows).value();
}

ModelLayout LayoutOf(const Scenario& scenario) {
  json config{{"class_name", "SGD"}, {"config", {{"learning_rate", 1.0}}}};
  if (scenario.chaotic && scenario.frequency == Frequency::kBatch) {
    config = {{"class_name", "Adam"}, {"config", {{"learning_rate", 0.05}}}};
  } else if (scenario.chaotic) {
    config = {{"class_name", "SGD"}, {"config", {{"learning_rate", 0.1}, {"momentum", 0.9}}}};
  }
  const auto optimizer = Optimizer::FromConfig(config).value();
  const std::int64_t rows = scenario.training_rows;
  ModelLayout layout;
  // Two trained weights, so that a server's range may begin inside one.
  layout.weights = {{"first/kernel", {rows / 2}, true, 0, rows / 2},
                    {"second/kernel", {rows - rows / 2}, true, rows / 2, rows - rows / 2},
                    {"norm/statistics", {kStatistics}, false, rows, kStatistics}};
  layout.trainable_elements = rows;
  layout.total_elements = rows + kStatistics;
  layout.optimizer = optimizer->Config();
  layout.slot_names = optimizer->SlotNames();
  layout.examples = rows + scenario.validation_rows;
  return layout;
}

float Noise(std::int64_t row, std::int64_t epoch) {
  SplitMix64 random(
      MixSeed({99, static_cast<std::uint64_t>(row), static_cast<std::uint64_t>(epoch)}));
  return static_cast<float>(random.NextDouble() * 2 - 1);
}

std::size_t Index(std::int64_t value) { return static_cast<std::size_t>(value); }

}  // namespace

std::string ToString(const Scenario& scenario) {
  std::string text = std::string(Word(scenario.mode)) + "/" + std::string(Word(scenario.frequency));
  text += ", servers " + std::to_string(scenario.servers);
  text += ", workers " + std::to_string(scenario.workers);
  text += ", partitions " + std::to_string(scenario.partitions);
  text += ", rows " + std::to_string(scenario.training_rows) + "+" +
          std::to_string(scenario.validation_rows);
  text += ", epochs " + std::to_string(scenario.epochs);
  if (scenario.chaotic) text += ", chaotic";
  if (scenario.checkpoints) text += ", checkpoints";
  return text;
}

std::vector<float> ExactlyOnce(const Scenario& scenario) {
  const auto epochs = static_cast<float>(scenario.epochs);
  std::vector<float> expected(static_cast<std::size_t>(scenario.training_rows), -epochs);
  std::int64_t batches = 0;
  std::int64_t most = 0;
  for (std::int64_t p = 0; p < scenario.partitions; ++p) {
    const std::int64_t count = BatchCount(
        PartitionRows(scenario.training_rows, scenario.partitions, p).size(), scenario.batch_size);
    batches += count;
    most = std::max(most, count);
  }
  // In synchronous mode a round counts once, or a partition's batches by their mean.
  const std::int64_t updates = scenario.synchronous() ? most : batches;
  expected.push_back(-epochs * static_cast<float>(updates));
  expected.push_back(-epochs * static_cast<float>(scenario.training_rows));
  return expected;
}

nlohmann::json ExpectedHistory(const Scenario& scenario) {
  const auto epochs = static_cast<std::size_t>(scenario.epochs);
  json history;
  history["examples"] = std::vector<std::int64_t>(epochs, scenario.training_rows);
  const double mean = static_cast<double>(scenario.training_rows - 1) / 2;
  history["loss"] = std::vector<double>(epochs, mean);
  if (scenario.validation_rows > 0) {
    std::vector<json> validated(epochs, 1.0);
    if (scenario.frequency == Frequency::kFit) {
      std::fill(validated.begin(), validated.end() - 1, nullptr);
    }
    history["val_loss"] = validated;
  }
  return history;
}

// ---------------------------------------------------------------- servers

SimulatedCluster::SimulatedCluster(Scenario scenario, const Clock& clock, std::string folder)
    : scenario_(scenario),
      clock_(clock),
      folder_(std::move(folder)),
      layout_(LayoutOf(scenario_)),
      processes_(Index(scenario_.servers)) {
  for (std::int64_t i = 0; i < scenario_.servers; ++i) Boot(i);
}

ModelState SimulatedCluster::InitialState() const {
  ModelState state;
  state.parameters.resize(Index(layout_.total_elements));
  if (scenario_.chaotic) {
    for (std::size_t i = 0; i < state.parameters.size(); ++i) {
      state.parameters[i] = Noise(static_cast<std::int64_t>(i), -1);
    }
  }
  return state;
}

std::string SimulatedCluster::FolderOf(std::int64_t index) const {
  return scenario_.checkpoints ? folder_ + "/server-" + std::to_string(index) : "";
}

std::shared_ptr<JobService> SimulatedCluster::Server(std::int64_t index) {
  const MutexLock lock(mutex_);
  return processes_[Index(index)].service;
}

void SimulatedCluster::Kill(std::int64_t index) {
  std::shared_ptr<JobService> service;
  {
    const MutexLock lock(mutex_);
    service = std::exchange(processes_[Index(index)].service, nullptr);
  }
  if (!service) return;
  service->Shutdown();
  while (service.use_count() > 1) std::this_thread::yield();
}

void SimulatedCluster::Boot(std::int64_t index) {
  JobServiceOptions options;
  options.uid = "uid-1";
  options.server_index = index;
  options.checkpoint_folder = FolderOf(index);
  options.lease_duration = scenario_.lease_duration;
  std::shared_ptr<JobService> service =
      JobService::Create(SpecOf(scenario_), options, clock_).value();
  service->SetOwnUrl("http://server-" + std::to_string(index));
  const MutexLock lock(mutex_);
  processes_[Index(index)] = {std::move(service), "boot-" + std::to_string(++boots_)};
}

void SimulatedCluster::TalkToServer0(std::int64_t index) {
  std::shared_ptr<JobService> service;
  std::shared_ptr<JobService> server0;
  std::string boot;
  {
    const MutexLock lock(mutex_);
    service = processes_[Index(index)].service;
    boot = processes_[Index(index)].boot;
    server0 = processes_[0].service;
  }
  if (!service || !server0) return;
  JobService::PeerReport report = service->OwnReport();
  report.boot = boot;
  report.url = "http://server-" + std::to_string(index);
  const auto reply = server0->RegisterPeer(index, report);
  // A cut that is gone by now: server 0 hears of it at the next registration.
  if (reply.ok()) (void)service->Restore(*reply);
}

void SimulatedCluster::LoseNewestCheckpoint(std::int64_t index) {
  if (!scenario_.checkpoints) return;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(FolderOf(index) + "/uid-1")) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  if (!files.empty()) fs::remove(*std::ranges::max_element(files));
}

void SimulatedCluster::Finalized(ModelState state) {
  const MutexLock lock(mutex_);
  result_ = std::move(state);
}

std::optional<ModelState> SimulatedCluster::result() {
  const MutexLock lock(mutex_);
  return result_;
}

// ---------------------------------------------------------------- workers

SimulatedWorker::SimulatedWorker(SimulatedCluster& cluster, std::string name, std::uint64_t seed,
                                 Faults faults, milliseconds patience)
    : cluster_(cluster),
      scenario_(cluster.scenario()),
      name_(std::move(name)),
      random_(seed),
      faults_(faults),
      patience_(patience),
      script_(Run()) {}

bool SimulatedWorker::Step() {
  if (script_ && !script_->Resume()) script_.reset();
  return script_.has_value();
}

void SimulatedWorker::Crash() {
  if (script_) script_ = Run();
}

void SimulatedWorker::Heartbeat() {
  (void)At(0, [&](JobService& service) { return service.Heartbeat(name_, incarnation_); });
}

void SimulatedWorker::GhostOfALease() {
  (void)At(0, [&](JobService& service) {
    return service.AcquireLease(name_, incarnation_, milliseconds(0), false);
  });
}

template <typename Call>
auto SimulatedWorker::At(std::int64_t index, Call&& call)
    -> decltype(call(std::declval<JobService&>())) {
  const std::shared_ptr<JobService> service = cluster_.Server(index);
  if (!service) return Unavailable("connection refused");
  auto result = call(*service);
  if (Chance(faults_.lost_reply)) return Unavailable("connection reset");
  return result;
}

bool SimulatedWorker::TryAgain(const Status& status) {
  if (status.code() == Code::kInvalid || status.code() == Code::kInternal) {
    trouble_ = status.message();
  }
  if (status.retryable() && ++attempts_ < kAttempts) return true;
  attempts_ = 0;
  return false;
}

Range SimulatedWorker::RangeOf(std::int64_t server) const {
  return ShardElements(cluster_.layout().total_elements, scenario_.servers, server);
}

Status SimulatedWorker::Initialise(std::int64_t server) {
  return At(server, [&](JobService& service) -> Status {
    ELEPHAS_RETURN_IF_ERROR(service.SetLayout(incarnation_, cluster_.layout()));
    ELEPHAS_ASSIGN_OR_RETURN(const BodyShape shape, service.Expects());
    const Range range = shape.parameters;
    if (range != RangeOf(server)) return Internal("the server has another range");
    ELEPHAS_ASSIGN_OR_RETURN(const auto buffer, service.AcquireBuffer(range.size()));
    const ModelState initial = cluster_.InitialState();
    std::copy_n(initial.parameters.begin() + range.first, range.size(), buffer->floats().begin());
    return service.SetParameters(incarnation_, buffer, {}, 0);
  });
}

Status SimulatedWorker::Pull(std::int64_t server, Version minimum, bool with_slots,
                             ModelState& state, Version& version) {
  return At(server, [&](JobService& service) -> Status {
    ELEPHAS_ASSIGN_OR_RETURN(const Snapshot snapshot,
                             service.Pull(incarnation_, minimum, with_slots, patience_));
    const std::int64_t first = RangeOf(server).first;
    state.parameters.resize(Index(cluster_.layout().total_elements));
    std::ranges::copy(snapshot.parameters->floats(), state.parameters.begin() + first);
    state.slots.resize(with_slots ? cluster_.layout().slot_names.size() : 0);
    for (std::size_t i = 0; i < state.slots.size(); ++i) {
      state.slots[i].resize(Index(cluster_.layout().trainable_elements));
      std::ranges::copy(
          snapshot.slots.at(i)->floats(),
          state.slots[i].begin() + std::min(first, cluster_.layout().trainable_elements));
    }
    if (server == 0) version = snapshot.version;
    return OkStatus();
  });
}

Status SimulatedWorker::Push(std::int64_t server, const Computed& update) {
  return At(server, [&](JobService& service) -> Status {
    const auto send = [&]() -> Result<UpdateOutcome> {
      if (Chance(faults_.admit_first)) {
        ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome expected, service.AdmitUpdate(update.header));
        if (expected == UpdateOutcome::kDuplicate) return expected;
      }
      const Range range = RangeOf(server);
      const auto part = [&](const std::vector<float>& from, std::int64_t end) {
        const std::int64_t first = std::min(range.first, end);
        const std::int64_t last = std::min(range.last, end);
        auto buffer = service.AcquireBuffer(last - first).value();
        std::copy_n(from.begin() + first, last - first, buffer->floats().begin());
        return buffer;
      };
      std::vector<std::shared_ptr<FloatBuffer>> slots;
      for (const auto& slot : update.change.slots) {
        slots.push_back(part(slot, cluster_.layout().trainable_elements));
      }
      ELEPHAS_ASSIGN_OR_RETURN(
          const UpdateReply reply,
          service.ApplyUpdate(update.header,
                              part(update.change.parameters, cluster_.layout().total_elements),
                              std::move(slots)));
      return reply.outcome;
    };
    ELEPHAS_ASSIGN_OR_RETURN(const UpdateOutcome first, send());
    if (first == UpdateOutcome::kDuplicate) ++duplicates_;
    if (!Chance(faults_.repeated_push)) return OkStatus();
    const Result<UpdateOutcome> second = send();
    if (second.ok() && *second != UpdateOutcome::kDuplicate) {
      return Internal("a repeated push was applied");
    }
    return OkStatus();
  });
}

Result<LeaseReply> SimulatedWorker::Acquire(bool prefetch) {
  return At(0, [&](JobService& service) {
    return service.AcquireLease(name_, incarnation_, prefetch ? milliseconds(0) : patience_,
                                prefetch);
  });
}

Status SimulatedWorker::Finish(const Lease& lease) {
  const std::int64_t rows = lease.rows.size();
  MetricSums sums;
  if (lease.task.kind == WorkKind::kValidate) {
    sums["loss"].values = {static_cast<double>(rows), static_cast<double>(rows)};
  }
  return At(0, [&](JobService& service) -> Status {
    return service
        .FinishTask(lease.id, incarnation_, lease.task,
                    lease.task.kind == WorkKind::kFinalize ? 0 : rows, sums, {"model.safetensors"})
        .status();
  });
}

SimulatedWorker::Computed SimulatedWorker::Compute(const Lease& lease, Range batches, Version base,
                                                   const ModelState& pulled) const {
  const JobPlan plan = PlanOf(scenario_);
  const std::int64_t rows = lease.rows.size();
  const std::int64_t per_epoch = BatchCount(rows, scenario_.batch_size);
  const std::int64_t trained = scenario_.training_rows;
  const bool gradients = scenario_.synchronous() && scenario_.frequency == Frequency::kBatch;

  Computed update;
  update.header.incarnation = incarnation_;
  update.header.lease = lease.id;
  update.header.task = lease.task;
  update.header.batches = batches;
  update.header.base = base;
  update.header.metrics.resize(Index(plan.EpochsPerTask()));
  update.change.parameters.resize(pulled.parameters.size());
  update.change.slots = pulled.slots;
  std::vector<float>& delta = update.change.parameters;
  std::vector<float> local = pulled.parameters;

  // In a mean over partitions each counts by its examples; this undoes it for closed-form sums.
  double scale = 1;
  if (scenario_.synchronous()) {
    std::int64_t all = 0;
    std::int64_t mine = 0;
    for (std::int64_t p = 0; p < plan.partitions; ++p) {
      const TaskId task{WorkKind::kTrain, lease.task.epoch, Partition(p)};
      const bool takes_part = !gradients || batches.first < plan.Batches(task);
      const std::int64_t examples = !takes_part ? 0
                                    : gradients ? plan.Examples(task, batches)
                                                : plan.Rows(task).size();
      all += examples;
      if (p == lease.task.partition.value()) mine = examples;
    }
    scale = static_cast<double>(all) / static_cast<double>(mine);
  }

  for (std::int64_t b = batches.first; b < batches.last; ++b) {
    const std::int64_t epoch = lease.task.epoch.value() + b / per_epoch;
    const Range range = BatchRows(rows, scenario_.batch_size, b % per_epoch);
    MetricSums& sums = update.header.metrics[Index(plan.EpochsPerTask() > 1 ? b / per_epoch : 0)];
    auto& loss = sums["loss"].values;
    loss.resize(2);
    for (std::int64_t row = lease.rows.first + range.first; row < lease.rows.first + range.last;
         ++row) {
      loss[0] += static_cast<double>(row);
      loss[1] += 1;
      const std::size_t i = Index(row);
      const std::size_t mean = Index(trained);
      if (!scenario_.chaotic) {
        delta[i] += static_cast<float>(scale);
        continue;
      }
      const float gradient =
          0.7F * local[i] + 0.3F * local[Index((row + 1) % trained)] - Noise(row, epoch);
      if (gradients) {
        delta[i] = gradient;
      } else {
        float step = 0.1F * gradient;
        if (!update.change.slots.empty()) {
          float& velocity = update.change.slots[0][i];
          velocity = 0.9F * velocity - 0.1F * gradient;
          step = -velocity;
        }
        local[i] -= step;
      }
      local[mean] = 0.9F * local[mean] + 0.1F * gradient;
      local[mean + 1] += 0.01F * gradient;
    }
    if (!scenario_.chaotic) {
      delta[Index(trained)] += 1;
      delta[Index(trained) + 1] += static_cast<float>(static_cast<double>(range.size()) *
                                                      (scenario_.synchronous() ? scale : 1));
    }
    update.header.examples += range.size();
    ++update.header.steps;
  }
  if (scenario_.chaotic) {
    for (std::size_t i = gradients ? Index(trained) : 0; i < delta.size(); ++i) {
      delta[i] = pulled.parameters[i] - local[i];
    }
  }
  return update;
}

// The whole life of a worker process; every pause is a moment at which it may be killed, or be
// overtaken by everybody else.
Script SimulatedWorker::Run() {
  const std::int64_t servers = scenario_.servers;
  for (;;) {
    co_yield 0;
    const Result<JoinReply> joined =
        At(0, [&](JobService& service) { return service.Join(name_); });
    if (!joined.ok()) continue;
    incarnation_ = joined->incarnation;
    attempts_ = 0;

    Status status;
    for (std::int64_t k = 0; k < servers && status.ok(); ++k) {
      do {
        co_yield 0;
        status = Initialise(k);
      } while (TryAgain(status));
    }

    std::optional<Lease> ahead;
    while (status.ok()) {
      std::optional<Lease> lease = std::exchange(ahead, std::nullopt);
      if (!lease) {
        Result<LeaseReply> reply = LeaseReply{};
        do {
          co_yield 0;
          reply = Acquire(/*prefetch=*/false);
        } while (TryAgain(reply.status()));
        status = reply.status();
        if (!status.ok()) break;
        if (reply->state == LeaseReply::State::kSucceeded) co_return;
        if (reply->state == LeaseReply::State::kFailed) {
          trouble_ = reply->message;
          co_return;
        }
        lease = reply->lease;
        if (!lease) continue;
      }

      // Pull: exactly the lease's version in synchronous mode, whatever is there otherwise.
      const bool train = lease->task.kind == WorkKind::kTrain;
      const bool with_slots =
          train && scenario_.synchronous() && scenario_.frequency != Frequency::kBatch;
      Range left = lease->batches;
      while (status.ok() && left.size() > 0) {
        ModelState pulled;
        Version version;
        for (std::int64_t k = 0; k < servers && status.ok(); ++k) {
          do {
            co_yield 0;
            status = Pull(k, lease->version, with_slots, pulled, version);
          } while (TryAgain(status));
        }
        if (!status.ok()) break;
        if (!train) {
          // The outputs are written first, then it is said so.
          if (lease->task.kind == WorkKind::kFinalize) cluster_.Finalized(pulled);
          do {
            co_yield 0;
            status = Finish(*lease);
          } while (TryAgain(status));
          break;
        }

        Range batches = left;
        if (!scenario_.synchronous() && scenario_.frequency == Frequency::kBatch) {
          // One by one; with a single server a push may cover several batches as well.
          batches.last = batches.first + 1;
          if (servers == 1 && Chance(20)) batches.last = std::min(batches.first + 2, left.last);
        }
        if (scenario_.synchronous()) {
          version = lease->version;
        } else if (scenario_.frequency == Frequency::kEpoch && !ahead && Chance(50)) {
          co_yield 0;
          const Result<LeaseReply> next = Acquire(/*prefetch=*/true);
          if (next.ok() && next->lease) ahead = next->lease;
        }
        const Computed update = Compute(*lease, batches, version, pulled);
        for (std::int64_t k = 1; k <= servers && status.ok(); ++k) {
          do {
            co_yield 0;
            status = Push(k % servers, update);  // server 0 last
          } while (TryAgain(status));
        }
        left.first = batches.last;
      }
    }
  }
}

}  // namespace elephas
