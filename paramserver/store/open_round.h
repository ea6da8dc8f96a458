// The open round of synchronous training: the sum of what its workers have contributed, and the
// optimizer with the learning rate that holds for it. The caller synchronises.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "common/base/result.h"
#include "common/optimizer/optimizer.h"
#include "common/protocol/protocol.h"
#include "paramserver/store/round.h"

namespace elephas {

class OpenRound {
 public:
  // What was contributed to another round goes. Nothing: no round is open.
  void Begin(std::optional<Round> round) { sum_ = std::move(round); }
  // A new incarnation.
  void Reset();

  [[nodiscard]] bool complete() const { return sum_ && sum_->complete(); }
  // Takes the contribution's buffers. All contributions of a round were leased after the same
  // `decisions`. Precondition: a round is open, and the partition takes part and has not
  // contributed.
  void Add(Partition partition, Round::Contribution contribution, const FitDecisions& decisions);
  // Precondition: complete().
  [[nodiscard]] Round::Contribution& mean() { return sum_->mean(); }

  // What the contributions say of the learning rate.
  [[nodiscard]] std::optional<double> learning_rate() const { return decisions_.learning_rate; }
  // `base` with `rate`; nothing: as it is. Valid until the next call, or as long as `base`.
  Result<const Optimizer*> WithRate(const Optimizer& base, std::optional<double> rate);

 private:
  std::optional<Round> sum_;
  FitDecisions decisions_;
  std::unique_ptr<const Optimizer> changed_;  // null: no rate was decided on
};

}  // namespace elephas
