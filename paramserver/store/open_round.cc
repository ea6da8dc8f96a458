#include "paramserver/store/open_round.h"

namespace elephas {

void OpenRound::Reset() {
  sum_.reset();
  decisions_ = {};
  changed_.reset();
}

void OpenRound::Add(Partition partition, Round::Contribution contribution,
                    const FitDecisions& decisions) {
  decisions_ = decisions;
  sum_->Add(partition.value(), std::move(contribution));
}

Result<const Optimizer*> OpenRound::WithRate(const Optimizer& base, std::optional<double> rate) {
  if (!rate) return &base;
  if (!changed_ || changed_->LearningRate(0) != *rate) {
    ELEPHAS_ASSIGN_OR_RETURN(changed_, WithLearningRate(base, *rate));
  }
  return changed_.get();
}

}  // namespace elephas
