#include "paramserver/job/job_service.h"

#include <algorithm>
#include <random>
#include <utility>

#include "common/base/log.h"
#include "paramserver/job/job_service_impl.h"

namespace elephas {

namespace {

std::uint64_t DrawSeed() {
  std::random_device device;
  // 53 bits: a JSON number carries it unchanged.
  return (std::uint64_t{device()} << 21U ^ std::uint64_t{device()}) &
         ((std::uint64_t{1} << 53U) - 1);
}

Group::Options GroupOptions(const JobSpec& spec, const JobServiceOptions& options) {
  Group::Options group;
  group.expected = spec.workers.replicas;
  group.silence = options.lease_duration;
  group.patience = options.group_patience;
  group.commit_every = options.group_commit;
  if (spec.task != TaskKind::kTrain || spec.mode != Mode::kSynchronous) {
    group.why_not = "only synchronous training uses a group";
  } else if (spec.transport == Transport::kRest) {
    group.why_not = "spec.transport is rest";
  } else if (spec.workers.device == Device::kCpu) {
    group.why_not = "spec.workers.device is cpu";
  } else if (spec.fit.has_callbacks()) {
    group.why_not = "the training callbacks of spec.fit decide by rest";
  } else if (spec.parameter_servers.replicas > 1) {
    group.why_not = "a group commits to one parameter server, there are " +
                    std::to_string(spec.parameter_servers.replicas);
  }
  group.allowed = group.why_not.empty();
  return group;
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

}  // namespace

Result<std::unique_ptr<JobService>> JobService::Create(JobSpec spec, JobServiceOptions options,
                                                       const Clock& clock) {
  auto service = std::make_unique<JobServiceImpl>(std::move(spec), std::move(options), clock);
  ELEPHAS_RETURN_IF_ERROR(service->Start());
  return Result<std::unique_ptr<JobService>>(std::move(service));
}

JobServiceImpl::JobServiceImpl(JobSpec spec, JobServiceOptions options, const Clock& clock)
    : spec_(std::move(spec)),
      options_(std::move(options)),
      clock_(clock),
      events_(clock),
      coordinator_(options_.lease_duration),
      group_(GroupOptions(spec_, options_)),
      incarnations_(spec_.parameter_servers.replicas, options_.server_index,
                    spec_.fit.seed.value_or(DrawSeed())),
      checkpoints_({.folder = options_.checkpoint_folder,
                    .uid = options_.uid,
                    .resume = options_.resume,
                    .server = options_.server_index,
                    .servers = spec_.parameter_servers.replicas,
                    .policy = spec_.checkpoint.value_or(JobSpec::Checkpoint{})},
                   clock, events_, [this] { changed_.NotifyAll(); }) {}

Training::Setting JobServiceImpl::setting() {
  return {spec_, options_.server_index, options_.max_parameters, pool_};
}

Status JobServiceImpl::CheckIncarnation(Incarnation incarnation) const {
  if (stopping_) return Unavailable("the server is stopping");
  if (checkpoints_.fenced()) return Unavailable("another process has taken over this server");
  if (!incarnations_.Agreed()) return Unavailable("the parameter servers have not agreed yet");
  const Incarnation current = incarnations_.current();
  if (incarnation != current) {
    return Conflict("incarnation " + std::to_string(incarnation.value()) + " is over, it is " +
                    std::to_string(current.value()) + ": join again");
  }
  return OkStatus();
}

Status JobServiceImpl::CheckTraining(Incarnation incarnation) const {
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  if (!initialised()) {
    return Conflict("the job has no parameters yet: PUT layout and parameters first");
  }
  return OkStatus();
}

Incarnation JobServiceImpl::CurrentIncarnation() const {
  const MutexLock lock(mutex_);
  return incarnations_.current();
}

void JobServiceImpl::SetOwnUrl(const std::string& url) {
  const MutexLock lock(mutex_);
  incarnations_.SetOwnUrl(url);
}

bool JobServiceImpl::Ready() const {
  const MutexLock lock(mutex_);
  return incarnations_.Agreed();
}

Result<JoinReply> JobServiceImpl::Join(const std::string& name) {
  const MutexLock lock(mutex_);
  if (!coordinates()) return Conflict("this is not server 0: join there");
  if (name.empty() || name.size() > 253) return Invalid("a worker's name has 1 to 253 characters");
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnations_.current()));
  const bool again = coordinator_.workers().contains(name);
  const std::int64_t voided = coordinator_.Join(name, clock_.Now());
  counters_.leases_voided += static_cast<std::uint64_t>(voided);
  ++counters_.joins;
  group_.group().Join(name, clock_.Now());
  TellGroupNews();
  events_.Add(
      again ? "WorkerRejoined" : "WorkerJoined",
      name + " joined" +
          (voided > 0 ? "; " + std::to_string(voided) + " leases of its former self are void"
                      : ""));
  changed_.NotifyAll();
  JoinReply reply;
  reply.worker = name;
  reply.incarnation = incarnations_.current();
  reply.initialised = initialised();
  reply.seed = incarnations_.seed();
  reply.servers = incarnations_.Urls();
  reply.lease_duration = options_.lease_duration;
  reply.over = ending_.failed() || finalized();
  return reply;
}

Status JobServiceImpl::Heartbeat(const std::string& worker, Incarnation incarnation) {
  const MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  group_.group().Seen(worker, clock_.Now());
  TickGroup();
  return coordinator_.Heartbeat(worker, clock_.Now());
}

Status JobServiceImpl::Leave(const std::string& worker) {
  const MutexLock lock(mutex_);
  if (!coordinator_.workers().contains(worker)) {
    return NotFound("worker '" + worker + "' has not joined");
  }
  counters_.leases_voided += static_cast<std::uint64_t>(coordinator_.Leave(worker));
  group_.group().Leave(worker, clock_.Now());
  TellGroupNews();
  events_.Add("WorkerLeft", worker + " left");
  changed_.NotifyAll();
  return OkStatus();
}

void JobServiceImpl::FailJob(const std::string& reason, const std::string& message) {
  if (finalized() || !ending_.Fail(reason, message)) return;
  LogError("job failed", {{"reason", reason}, {"message", message}});
  events_.Add(reason, message);
  changed_.NotifyAll();
}

Status JobServiceImpl::Fail(const std::string& worker, const std::string& reason,
                            const std::string& message) {
  const MutexLock lock(mutex_);
  if (!coordinator_.workers().contains(worker)) {
    return NotFound("worker '" + worker + "' has not joined");
  }
  // Before the line that says so: who found out.
  LogError("worker failed", {{"worker", worker}, {"reason", reason}, {"message", message}});
  FailJob(reason, message);
  ending_.Told(worker);  // by itself
  return OkStatus();
}

Status JobServiceImpl::SetLayout(Incarnation incarnation, const ModelLayout& layout) {
  const MutexLock apply_lock(apply_mutex_);
  const MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  if (training_) {
    if (*training_->layout == layout) return OkStatus();
    return Conflict("this worker's job is not the same: " +
                    DifferenceOf(*training_->layout, layout));
  }
  ELEPHAS_ASSIGN_OR_RETURN(Training training, Training::Begin(setting(), layout));
  training_.emplace(std::move(training));
  changed_.NotifyAll();
  return OkStatus();
}

Result<BodyShape> JobServiceImpl::Expects() const {
  const MutexLock lock(mutex_);
  if (!training_) return Conflict("the job has no layout yet");
  return training_->Expects();
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
  const MutexLock apply_lock(apply_mutex_);
  const MutexLock lock(mutex_);
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation));
  if (!training_) return Conflict("the job has no layout yet");
  if (training_->initialised()) return OkStatus();
  ELEPHAS_RETURN_IF_ERROR(
      training_->Initialise(std::move(parameters), std::move(slots), iterations));
  round_.Begin(training_->NextRound());
  training_->epoch_started = clock_.Now();
  throughput_.Add(clock_.Now(), training_->ledger.ExamplesApplied());
  events_.Add("Initialised", "the job has its initial parameters");
  changed_.NotifyAll();
  return OkStatus();
}

std::shared_ptr<const ModelLayout> JobServiceImpl::Layout() const {
  const MutexLock lock(mutex_);
  return training_ ? training_->layout : nullptr;
}

void JobServiceImpl::Shutdown() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  checkpoints_.Drain();
}

}  // namespace elephas
