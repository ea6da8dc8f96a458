#include "worker/train/train_loop.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/protocol/partitioning.h"
#include "worker/exchange/retrying.h"

namespace elephas {

namespace {

using std::chrono::milliseconds;

void Subtract(std::span<const float> a, std::span<const float> b, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = a[i] - b[i];
}

}  // namespace

TrainLoop::TrainLoop(const JobSpec& spec, std::string worker, Incarnation incarnation,
                     Connections connections, Trainer& trainer, OptimizerState initial_state)
    : spec_(spec),
      worker_(std::move(worker)),
      incarnation_(incarnation),
      connections_(connections),
      trainer_(trainer),
      state_(std::move(initial_state)),
      before_(trainer.parameters().size()),
      delta_(before_.size()) {}

Status TrainLoop::Train(Work work) {
  ELEPHAS_RETURN_IF_ERROR(trainer_.UseLearningRate(work.lease.decisions.learning_rate));
  if (spec_.mode == Mode::kSynchronous) return Contribute(work);
  if (spec_.frequency == Frequency::kBatch) return TrainAndPushEachBatch(work);
  return TrainAndPushOnce(std::move(work));
}

UpdateHeader TrainLoop::Header(const Lease& lease, Version base, Range batches) const {
  UpdateHeader header;
  header.incarnation = lease.incarnation;
  header.lease = lease.id;
  header.task = lease.task;
  header.batches = batches;
  header.base = base;
  header.decisions = lease.decisions;
  return header;
}

Status TrainLoop::TrainLocally(const Batches& rows, UpdateHeader& header, OptimizerState& state) {
  trainer_.ToDevice(&state);
  ELEPHAS_RETURN_IF_ERROR(Steps(rows, header, state));
  trainer_.ToHost(&state);
  return OkStatus();
}

Status TrainLoop::Steps(const Batches& rows, UpdateHeader& header, OptimizerState& state) {
  const std::int64_t per_epoch = BatchCount(rows.rows().size(), spec_.fit.batch_size);
  const std::int64_t first_epoch = header.task.epoch.value();
  const bool spans_epochs = spec_.frequency == Frequency::kFit;
  header.metrics.assign(spans_epochs ? static_cast<std::size_t>(spec_.fit.epochs) : 1, {});
  std::optional<Batches> later_epoch;
  for (std::int64_t i = header.batches.first; i < header.batches.last; ++i) {
    const std::int64_t pass = i / per_epoch;
    const std::int64_t batch = i % per_epoch;
    if (pass > 0 && batch == 0) {
      Lease lease;
      lease.task = header.task;
      lease.rows = rows.rows();
      later_epoch = trainer_.TaskBatches(lease, first_epoch + pass);
    }
    const Batches& current = later_epoch ? *later_epoch : rows;
    const std::int64_t examples = BatchRows(rows.rows().size(), spec_.fit.batch_size, batch).size();
    const bool more = i + 1 < header.batches.last && batch + 1 < per_epoch;
    const auto timer = trainer_.meter().Time(Activity::kCompute);
    ELEPHAS_RETURN_IF_ERROR(trainer_.Gradient(current, header.task, first_epoch + pass, batch,
                                              more ? batch + 1 : -1,
                                              header.metrics[static_cast<std::size_t>(pass)]));
    trainer_.Step(state);
    header.examples += examples;
    ++header.steps;
    trainer_.meter().CountStep(header.task.kind, examples);
  }
  for (MetricSums& sums : header.metrics) ELEPHAS_RETURN_IF_ERROR(trainer_.Settle(sums));
  return OkStatus();
}

// ---------------------------------------------------------------- asynchronous, frequency batch

Status TrainLoop::TrainAndPushEachBatch(const Work& work) {
  const Batches rows = trainer_.TaskBatches(work.lease, work.lease.task.epoch.value());
  const std::span<float> parameters = trainer_.parameters();
  ELEPHAS_ASSIGN_OR_RETURN(const Exchange::Pulled pulled, Retrying([&] {
                             return connections_.exchange.Pull(Version(0), parameters, {});
                           }));
  Version base = pulled.version;
  for (std::int64_t batch = work.lease.batches.first; batch < work.lease.batches.last; ++batch) {
    UpdateHeader header = Header(work.lease, base, {batch, batch + 1});
    std::ranges::copy(parameters, before_.begin());
    ELEPHAS_RETURN_IF_ERROR(TrainLocally(rows, header, state_));
    Subtract(before_, parameters, delta_);
    ELEPHAS_ASSIGN_OR_RETURN(const Exchange::Pushed pushed, Retrying([&] {
                               return connections_.exchange.Push(header, delta_, {}, parameters);
                             }));
    base = pushed.version;
  }
  return OkStatus();
}

// ---------------------------------------------------------------- asynchronous, frequency epoch

TrainLoop::Background TrainLoop::PushAndFetchNext(const std::optional<Outgoing>& outgoing) {
  Background done;
  if (outgoing) {
    done.pushed =
        Retrying([&] {
          return connections_.ahead_exchange.Push(outgoing->header, outgoing->delta, {}, {});
        }).status();
    if (!done.pushed.ok()) return done;
  }
  // Fetching ahead is a favour: where it fails, the main thread asks again and hears the reason.
  const Result<LeaseReply> reply = connections_.ahead_client.AcquireLease(
      worker_, incarnation_, milliseconds(0), /*prefetch=*/true);
  if (!reply.ok() || reply->state != LeaseReply::State::kLeased) return done;
  done.next = Work{*reply->lease, std::nullopt};
  if (reply->lease->task.kind != WorkKind::kTrain) return done;
  Work::Fetched fetched{Version(0), std::vector<float>(before_.size()),
                        trainer_.TaskBatches(*reply->lease, reply->lease->task.epoch.value())};
  const Result<Exchange::Pulled> pulled =
      connections_.ahead_exchange.Pull(Version(0), fetched.parameters, {});
  if (!pulled.ok()) return done;
  fetched.version = pulled->version;
  fetched.batches.Prefetch();
  done.next->fetched = std::move(fetched);
  return done;
}

Status TrainLoop::TrainAndPushOnce(Work work) {
  const std::span<float> parameters = trainer_.parameters();
  if (!work.fetched) {
    ELEPHAS_RETURN_IF_ERROR(Flush());
    work.fetched = Work::Fetched{Version(0), std::vector<float>(before_.size()),
                                 trainer_.TaskBatches(work.lease, work.lease.task.epoch.value())};
    ELEPHAS_ASSIGN_OR_RETURN(const Exchange::Pulled pulled, Retrying([&] {
                               return connections_.exchange.Pull(Version(0),
                                                                 work.fetched->parameters, {});
                             }));
    work.fetched->version = pulled.version;
  } else if (outgoing_) {
    // They were pulled before the last task's delta was pushed: it is applied here too.
    Subtract(work.fetched->parameters, outgoing_->delta, work.fetched->parameters);
  }
  std::future<Background> background =
      std::async(std::launch::async, [this] { return PushAndFetchNext(outgoing_); });

  std::ranges::copy(work.fetched->parameters, parameters.begin());
  UpdateHeader header = Header(work.lease, work.fetched->version, work.lease.batches);
  const Status trained = TrainLocally(work.fetched->batches, header, state_);
  Background done;
  {
    const auto timer = trainer_.meter().Time(Activity::kAheadWait);
    done = background.get();
  }
  outgoing_.reset();
  ELEPHAS_RETURN_IF_ERROR(done.pushed);
  ELEPHAS_RETURN_IF_ERROR(trained);

  Outgoing next{std::move(header), std::move(work.fetched->parameters)};
  Subtract(next.delta, parameters, next.delta);
  outgoing_ = std::move(next);
  ahead_ = std::move(done.next);
  return ahead_ && ahead_->fetched ? OkStatus() : Flush();
}

Status TrainLoop::Flush() {
  if (!outgoing_) return OkStatus();
  const Status pushed =
      Retrying([&] {
        return connections_.exchange.Push(outgoing_->header, outgoing_->delta, {}, {});
      }).status();
  outgoing_.reset();
  return pushed;
}

// ---------------------------------------------------------------- synchronous

Status TrainLoop::Contribute(const Work& work) {
  const Lease& lease = work.lease;
  const std::span<float> parameters = trainer_.parameters();
  const bool by_batch = spec_.frequency == Frequency::kBatch;
  if (held_version_ != lease.version) {
    held_version_.reset();
    ELEPHAS_ASSIGN_OR_RETURN(const Exchange::Pulled pulled, Retrying([&] {
                               return connections_.exchange.Pull(
                                   lease.version, before_,
                                   by_batch ? std::span<float>() : state_.slots);
                             }));
    if (pulled.version != lease.version) {
      return Conflict("round " + std::to_string(lease.version.value()) + " is over");
    }
    state_.iterations = pulled.iterations;
    held_version_ = pulled.version;
  }
  std::ranges::copy(before_, parameters.begin());
  UpdateHeader header = Header(lease, lease.version, lease.batches);
  const Batches rows = trainer_.TaskBatches(lease, lease.task.epoch.value());
  if (by_batch) {
    header.metrics.assign(1, {});
    const std::int64_t batch = lease.batches.first;
    trainer_.ToDevice(nullptr);
    {
      const auto timer = trainer_.meter().Time(Activity::kCompute);
      ELEPHAS_RETURN_IF_ERROR(trainer_.Gradient(rows, lease.task, lease.task.epoch.value(), batch,
                                                -1, header.metrics[0]));
      ELEPHAS_RETURN_IF_ERROR(trainer_.Settle(header.metrics[0]));
    }
    trainer_.ToHost(nullptr);
    header.examples = BatchRows(lease.rows.size(), spec_.fit.batch_size, batch).size();
    header.steps = 1;
    trainer_.meter().CountStep(lease.task.kind, header.examples);
    Subtract(before_, parameters, delta_);  // batch statistics; nothing else has changed
    std::ranges::copy(trainer_.gradients(), delta_.begin());
    return Retrying([&] { return connections_.exchange.Push(header, delta_, {}, {}); }).status();
  }
  OptimizerState state = state_;
  ELEPHAS_RETURN_IF_ERROR(TrainLocally(rows, header, state));
  Subtract(before_, parameters, delta_);
  return Retrying([&] { return connections_.exchange.Push(header, delta_, state.slots, {}); })
      .status();
}

}  // namespace elephas
