#include "worker/group/group_trainer.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/base/log.h"
#include "common/protocol/partitioning.h"
#include "worker/exchange/retrying.h"

namespace elephas {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kEnterWait{5000};
constexpr milliseconds kConnectTimeout{60000};
// An operation without progress. Far longer than ranks are apart: peers that are gone are found out
// by the server, this is for what nobody notices.
constexpr milliseconds kOperationTimeout{300000};
constexpr char kTimeoutVariable[] = "ELEPHAS_COLLECTIVE_TIMEOUT_SECONDS";

milliseconds OperationTimeout() {
  const char* text = std::getenv(kTimeoutVariable);
  if (text == nullptr || *text == '\0') return kOperationTimeout;
  char* end = nullptr;
  const double seconds = std::strtod(text, &end);
  if (*end != '\0' || !(seconds > 0 && seconds <= 86400)) {
    LogWarning("a number of seconds is expected", {{"variable", kTimeoutVariable}});
    return kOperationTimeout;
  }
  return milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

std::vector<Range> AllPartitionRows(const JobSpec& spec, const ModelLayout& layout) {
  const std::int64_t training = TrainingExamples(layout.examples, spec.fit.validation_split);
  std::vector<Range> rows;
  for (std::int64_t p = 0; p < spec.data.partitions; ++p) {
    rows.push_back(PartitionRows(training, spec.data.partitions, p));
  }
  return rows;
}

// Which rank trains a partition: slices in partition order, as GroupSum wants them.
std::int64_t RankOf(std::int64_t partition, std::int64_t partitions, std::int64_t world) {
  for (std::int64_t rank = 0;; ++rank) {
    if (partition < ShardElements(partitions, world, rank).last) return rank;
  }
}

float WeightOf(std::int64_t examples, std::int64_t total) {
  return static_cast<float>(static_cast<double>(examples) / static_cast<double>(total));
}

}  // namespace

GroupTrainer::GroupTrainer(const Parts& parts, OptimizerState initial_state)
    : spec_(parts.spec),
      layout_(parts.layout),
      worker_(parts.joined.worker),
      server_(parts.joined.servers[0]),
      token_(parts.token),
      incarnation_(parts.joined.incarnation),
      provider_(parts.provider),
      exchange_(parts.exchange),
      trainer_(parts.trainer),
      train_loop_(parts.train_loop),
      client_(server_, token_, worker_, incarnation_),
      push_client_(server_, token_, worker_, incarnation_),
      partition_rows_(AllPartitionRows(spec_, layout_)),
      state_(std::move(initial_state)) {
  const std::int64_t passes = spec_.frequency == Frequency::kFit ? spec_.fit.epochs : 1;
  for (const Range& rows : partition_rows_) {
    partition_batches_.push_back(passes * BatchCount(rows.size(), spec_.fit.batch_size));
  }
}

GroupTrainer::~GroupTrainer() { Drop(); }

// ---------------------------------------------------------------- generations

Status GroupTrainer::Participate() {
  for (;;) {
    const Version held = pulled_ ? version_ : Version(0);
    ELEPHAS_ASSIGN_OR_RETURN(const GroupPlace place, Retrying([&] {
                               return client_.Enter(generation_, held, kEnterWait);
                             }));
    switch (place.state) {
      case GroupPlace::State::kRest:
        if (generation_ != Generation(0))
          LogInfo("group left", {{"worker", worker_}, {"reason", place.reason}});
        Drop();
        return OkStatus();
      case GroupPlace::State::kWait:
        return OkStatus();
      case GroupPlace::State::kConnect:
        ELEPHAS_RETURN_IF_ERROR(Connect(place));
        if (lost_) {
          GiveUp(lost_->why);
          return OkStatus();
        }
        continue;
      case GroupPlace::State::kTrain: {
        const Status trained = TrainEpoch(place);
        if (lost_) {
          GiveUp(lost_->why);
          return OkStatus();
        }
        if (!trained.ok()) GiveUp(trained.message());
        return trained;
      }
    }
  }
}

Status GroupTrainer::Connect(const GroupPlace& place) {
  Drop();
  generation_ = place.generation;
  rank_ = place.rank;
  world_ = place.world;
  std::string id = place.id;
  if (rank_ == 0) {
    Result<std::string> fresh = provider_.NewId();
    if (!fresh.ok()) {
      lost_ = Lost{fresh.status().message()};
      return OkStatus();
    }
    id = *std::move(fresh);
    const Status told = client_.SetId(generation_, id);
    if (told.code() == Code::kConflict) {
      lost_ = Lost{told.message()};
      return OkStatus();
    }
    ELEPHAS_RETURN_IF_ERROR(told);
  }
  collective_ = provider_.Make(OperationTimeout());
  watch_ = std::make_unique<GroupWatch>(server_, token_, worker_, incarnation_, generation_,
                                        *collective_);
  const Status connected = collective_->Connect({id, rank_, world_}, kConnectTimeout);
  if (!connected.ok()) {
    lost_ = Lost{connected.message()};
    return OkStatus();
  }
  const at::Tensor arena = trainer_.Arena();
  const bool by_batch = spec_.frequency == Frequency::kBatch;
  const std::int64_t elements =
      arena.numel() + (by_batch ? 0 : static_cast<std::int64_t>(state_.slots.size()));
  before_ = at::empty_like(arena);
  contribution_ = at::empty({elements}, arena.options());
  sum_.emplace(*collective_, provider_.ordered(), rank_, world_, arena.device(), elements);
  LogInfo("group connected", {{"worker", worker_},
                              {"generation", generation_.value()},
                              {"rank", rank_},
                              {"world", world_},
                              {"collective", provider_.name()}});
  return OkStatus();
}

void GroupTrainer::GiveUp(const std::string& why) {
  LogWarning("group lost",
             {{"worker", worker_}, {"generation", generation_.value()}, {"reason", why}});
  if (generation_ != Generation(0)) {
    const Status told = client_.Abort(generation_, why);
    if (!told.ok())
      LogDebug("abort could not be told", {{"worker", worker_}, {"message", told.message()}});
  }
  Drop();
}

void GroupTrainer::Drop() {
  if (collective_) collective_->Abort();
  if (push_.valid()) {
    const Status pushed = push_.get();
    if (!pushed.ok())
      LogDebug("a commit was lost", {{"worker", worker_}, {"message", pushed.message()}});
  }
  watch_.reset();
  sum_.reset();
  collective_.reset();
  generation_ = Generation(0);
  lost_.reset();
  shares_.clear();
  trainer_.Forget();
  pulled_ = false;
}

// ---------------------------------------------------------------- an epoch

Status GroupTrainer::PullModel(Version version) {
  ELEPHAS_ASSIGN_OR_RETURN(const Exchange::Pulled pulled, Retrying([&] {
                             return exchange_.Pull(version, trainer_.parameters(), state_.slots);
                           }));
  if (pulled.version != version) {
    lost_ = Lost{"version " + std::to_string(version.value()) + " is over"};
    return OkStatus();
  }
  state_.iterations = pulled.iterations;
  trainer_.ToDevice(&state_);
  version_ = version;
  pulled_ = true;
  return OkStatus();
}

void GroupTrainer::MakeShares(Epoch epoch) {
  shares_.clear();
  const Range mine = ShardElements(spec_.data.partitions, world_, rank_);
  for (std::int64_t p = mine.first; p < mine.last; ++p) {
    Share share;
    share.partition = Partition(p);
    share.rows = partition_rows_[static_cast<std::size_t>(p)];
    share.batches = partition_batches_[static_cast<std::size_t>(p)];
    Lease lease;
    lease.task = {WorkKind::kTrain, epoch, share.partition};
    lease.rows = share.rows;
    share.order = trainer_.TaskBatches(lease, epoch.value());
    share.step.partition = share.partition;
    shares_.push_back(std::move(share));
  }
}

std::int64_t GroupTrainer::RoundsInEpoch() const {
  if (spec_.frequency != Frequency::kBatch) return 1;
  return *std::ranges::max_element(partition_batches_);
}

// What partition `partition` weighs in round `round` of the epoch.
std::int64_t GroupTrainer::Examples(std::int64_t partition, std::int64_t round) const {
  const auto index = static_cast<std::size_t>(partition);
  const std::int64_t rows = partition_rows_[index].size();
  if (spec_.frequency != Frequency::kBatch) return rows;
  if (round >= partition_batches_[index]) return 0;
  return BatchRows(rows, spec_.fit.batch_size, round).size();
}

Status GroupTrainer::TrainEpoch(const GroupPlace& place) {
  if (!pulled_) {
    ELEPHAS_RETURN_IF_ERROR(PullModel(place.version));
  } else if (!place.current) {
    lost_ = Lost{"its model is not the committed one"};
  }
  if (lost_) return OkStatus();
  MakeShares(place.epoch);
  const bool by_batch = spec_.frequency == Frequency::kBatch;
  const std::int64_t rounds = RoundsInEpoch();
  std::int64_t until_commit = std::max<std::int64_t>(1, place.rounds);
  Version base = version_;
  const std::int64_t first = by_batch ? place.batch : 0;
  for (Share& share : shares_) share.step.batches = {first, first};
  for (std::int64_t round = first; round < rounds; ++round) {
    const bool commit = --until_commit == 0 || round + 1 == rounds;
    // Nobody can bring steps of the next commit before this round's sum, to which rank 0 comes only
    // when the one before is at the server.
    if (commit) ELEPHAS_RETURN_IF_ERROR(AwaitPush());
    if (lost_) return OkStatus();
    ELEPHAS_RETURN_IF_ERROR(by_batch ? BatchRound(place.epoch, round)
                                     : WholeTaskRound(place.epoch));
    ++version_;
    if (!commit) continue;
    ELEPHAS_ASSIGN_OR_RETURN(until_commit, Commit(base));
    if (lost_) return OkStatus();
    base = version_;
    if (until_commit == 0) break;  // another worker comes in
  }
  return AwaitPush();
}

Status GroupTrainer::BeginSum(std::int64_t round) {
  std::int64_t first = -1, last = -1;
  for (std::int64_t p = 0; p < spec_.data.partitions; ++p) {
    if (Examples(p, round) == 0) continue;
    if (first < 0) first = RankOf(p, spec_.data.partitions, world_);
    last = RankOf(p, spec_.data.partitions, world_);
  }
  if (first < 0) return Internal("a round without examples");
  sum_->Begin(first, last);
  return OkStatus();
}

Result<at::Tensor> GroupTrainer::Reduce() {
  const auto timer = trainer_.meter().Time(Activity::kExchange);
  Result<at::Tensor> mean = sum_->Reduce();
  if (!mean.ok()) lost_ = Lost{mean.status().message()};
  return mean;
}

// As the server's rounds: one batch of each partition, one optimizer step with the mean gradient.
Status GroupTrainer::BatchRound(Epoch epoch, std::int64_t batch) {
  const at::Tensor arena = trainer_.Arena(), gradients = trainer_.GradientArena();
  const std::int64_t trainable = gradients.numel(), rest = arena.numel() - trainable;
  std::int64_t total = 0;
  for (std::int64_t p = 0; p < spec_.data.partitions; ++p) total += Examples(p, batch);
  before_.copy_(arena);
  ELEPHAS_RETURN_IF_ERROR(BeginSum(batch));
  for (Share& share : shares_) {
    if (batch >= share.batches) continue;
    const TaskId task{WorkKind::kTrain, epoch, share.partition};
    share.step.metrics.resize(1);
    // Batch statistics may move; nothing else does.
    arena.narrow(0, trainable, rest).copy_(before_.narrow(0, trainable, rest));
    const auto timer = trainer_.meter().Time(Activity::kCompute);
    const bool ahead = shares_.size() == 1 && batch + 1 < share.batches;
    ELEPHAS_RETURN_IF_ERROR(trainer_.Gradient(*share.order, task, epoch.value(), batch,
                                              ahead ? batch + 1 : -1, share.step.metrics[0]));
    const std::int64_t examples = Examples(share.partition.value(), batch);
    contribution_.narrow(0, 0, trainable).copy_(gradients);
    at::Tensor moved = contribution_.narrow(0, trainable, rest);
    at::sub_out(moved, before_.narrow(0, trainable, rest), arena.narrow(0, trainable, rest));
    sum_->Add(WeightOf(examples, total), contribution_);
    trainer_.meter().CountStep(WorkKind::kTrain, examples);
    share.step.batches.last = batch + 1;
    share.step.examples += examples;
  }
  ELEPHAS_ASSIGN_OR_RETURN(const at::Tensor mean, Reduce());
  at::Tensor statistics = arena.narrow(0, trainable, rest);
  at::sub_out(statistics, before_.narrow(0, trainable, rest), mean.narrow(0, trainable, rest));
  gradients.copy_(mean.narrow(0, 0, trainable));
  const auto timer = trainer_.meter().Time(Activity::kCompute);
  trainer_.Step(state_);
  return OkStatus();
}

// As the server's rounds: local training of each partition from the same start; the mean of what it
// changed, and of the optimizer's slots.
Status GroupTrainer::WholeTaskRound(Epoch epoch) {
  const at::Tensor arena = trainer_.Arena();
  const std::int64_t total = arena.numel();
  const at::Tensor slots = trainer_.SlotArena(state_);
  const at::Tensor first_slots = slots.clone();
  const std::int64_t start = state_.iterations;
  std::int64_t all_rows = 0;
  for (const Range& rows : partition_rows_) all_rows += rows.size();
  before_.copy_(arena);
  ELEPHAS_RETURN_IF_ERROR(BeginSum(0));
  for (Share& share : shares_) {
    if (share.rows.size() == 0) continue;
    arena.copy_(before_);
    slots.copy_(first_slots);
    state_.iterations = start;
    UpdateHeader header;
    header.task = {WorkKind::kTrain, epoch, share.partition};
    header.batches = {0, share.batches};
    ELEPHAS_RETURN_IF_ERROR(train_loop_.Steps(*share.order, header, state_));
    at::Tensor delta = contribution_.narrow(0, 0, total);
    at::sub_out(delta, before_, arena);
    contribution_.narrow(0, total, slots.numel()).copy_(slots);
    sum_->Add(WeightOf(share.rows.size(), all_rows), contribution_);
    share.step.batches = header.batches;
    share.step.examples = header.examples;
    share.step.metrics = std::move(header.metrics);
  }
  ELEPHAS_ASSIGN_OR_RETURN(const at::Tensor mean, Reduce());
  at::Tensor after = arena;
  at::sub_out(after, before_, mean.narrow(0, 0, total));
  slots.copy_(mean.narrow(0, total, slots.numel()));
  state_.iterations = start + *std::ranges::max_element(partition_batches_);
  return OkStatus();
}

// ---------------------------------------------------------------- commits

// Brings this member's part. Returns the rounds until the next commit.
Result<std::int64_t> GroupTrainer::Commit(Version base) {
  // Only what is really there may be told: a sum of a peer that died half-way is not.
  if (const Status finished = collective_->Finish(); !finished.ok()) {
    lost_ = Lost{finished.message()};
    return std::int64_t{0};
  }
  GroupSteps steps;
  steps.header.generation = generation_;
  steps.header.base = base;
  steps.header.target = version_;
  for (Share& share : shares_) {
    for (MetricSums& sums : share.step.metrics) ELEPHAS_RETURN_IF_ERROR(trainer_.Settle(sums));
    if (share.step.batches.size() > 0) steps.steps.push_back(share.step);
    share.step.batches.first = share.step.batches.last;
    share.step.examples = 0;
    share.step.metrics.clear();
  }
  if (rank_ == 0) ELEPHAS_RETURN_IF_ERROR(PushModel(steps.header));
  const Result<GroupStepsReply> staged = Retrying([&] { return client_.StageSteps(steps); });
  if (staged.status().code() == Code::kConflict) {
    lost_ = Lost{staged.status().message()};
    return std::int64_t{0};
  }
  ELEPHAS_RETURN_IF_ERROR(staged.status());
  committed_rounds_ += version_.value() - base.value();
  return staged->rounds;
}

// Sends a copy on a thread of its own while the next rounds are trained.
Status GroupTrainer::PushModel(const GroupCommitHeader& header) {
  ELEPHAS_RETURN_IF_ERROR(AwaitPush());
  trainer_.ToHost(&state_);
  const std::span<const float> parameters = trainer_.parameters();
  outgoing_parameters_.assign(parameters.begin(), parameters.end());
  outgoing_slots_ = state_.slots;
  push_ = std::async(std::launch::async, [this, header, iterations = state_.iterations] {
    const auto timer = trainer_.meter().Time(Activity::kOverlapped);
    Status pushed = Retrying([&] {
      return push_client_.StageModel(header, layout_, iterations, outgoing_parameters_,
                                     outgoing_slots_);
    });
    if (pushed.ok()) {
      trainer_.meter().CountExchanged(
          0, (outgoing_parameters_.size() + outgoing_slots_.size()) * sizeof(float));
    }
    return pushed;
  });
  return OkStatus();
}

Status GroupTrainer::AwaitPush() {
  if (!push_.valid()) return OkStatus();
  const auto timer = trainer_.meter().Time(Activity::kExchange);
  Status pushed = push_.get();
  if (pushed.code() != Code::kConflict) return pushed;
  lost_ = Lost{pushed.message()};
  return OkStatus();
}

}  // namespace elephas
