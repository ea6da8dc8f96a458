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
      policy_(spec_.checkpoint.value_or(JobSpec::Checkpoint{})),
      clock_(clock),
      coordinator_(options_.lease_duration),
      group_(GroupOptions(spec_, options_)),
      peers_(spec_.parameter_servers.replicas),
      seed_(spec_.fit.seed.value_or(DrawSeed())),
      events_(clock) {}

Status JobServiceImpl::CheckIncarnation(Incarnation incarnation) const {
  if (stopping_) return Unavailable("the server is stopping");
  if (fenced_) return Unavailable("another process has taken over this server");
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

Result<JoinReply> JobServiceImpl::Join(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (!coordinates()) return Conflict("this is not server 0: join there");
  if (name.empty() || name.size() > 253) return Invalid("a worker's name has 1 to 253 characters");
  ELEPHAS_RETURN_IF_ERROR(CheckIncarnation(incarnation_));
  const bool again = coordinator_.workers().contains(name);
  const std::int64_t voided = coordinator_.Join(name, clock_.Now());
  counters_.leases_voided += static_cast<std::uint64_t>(voided);
  ++counters_.joins;
  group_.Join(name, clock_.Now());
  TellGroupNews();
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
  group_.Seen(worker, clock_.Now());
  TickGroup();
  return coordinator_.Heartbeat(worker, clock_.Now());
}

Status JobServiceImpl::Leave(const std::string& worker) {
  const std::lock_guard lock(mutex_);
  if (!coordinator_.workers().contains(worker)) {
    return NotFound("worker '" + worker + "' has not joined");
  }
  counters_.leases_voided += static_cast<std::uint64_t>(coordinator_.Leave(worker));
  group_.Leave(worker, clock_.Now());
  TellGroupNews();
  events_.Add("WorkerLeft", worker + " left");
  changed_.notify_all();
  return OkStatus();
}

void JobServiceImpl::FailJob(const std::string& reason, const std::string& message) {
  if (failed_ || finalized()) return;
  failed_ = true;
  failure_reason_ = reason;
  failure_message_ = message;
  LogError("job failed", {{"reason", reason}, {"message", message}});
  events_.Add(reason, message);
  changed_.notify_all();
}

Status JobServiceImpl::Fail(const std::string& worker, const std::string& reason,
                            const std::string& message) {
  const std::lock_guard lock(mutex_);
  if (!coordinator_.workers().contains(worker)) {
    return NotFound("worker '" + worker + "' has not joined");
  }
  // Before the line that says so: who found out.
  LogError("worker failed", {{"worker", worker}, {"reason", reason}, {"message", message}});
  FailJob(reason, message);
  told_.insert(worker);  // by itself
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

Result<BodyShape> JobServiceImpl::Expects() const {
  const std::lock_guard lock(mutex_);
  if (!store_) return Conflict("the job has no layout yet");
  const Range range = store_->range();
  return BodyShape{range,
                   {range.first, range.first + store_->trainable()},
                   static_cast<std::int64_t>(layout_->slot_names.size())};
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

std::shared_ptr<const ModelLayout> JobServiceImpl::Layout() const {
  const std::lock_guard lock(mutex_);
  return layout_;
}

void JobServiceImpl::Shutdown() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (writer_) writer_->Drain();
}

}  // namespace elephas
