#include "paramserver/store/round.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/protocol/weighted_sum.h"

namespace elephas {

Round::Round(std::vector<std::int64_t> examples)
    : examples_(std::move(examples)),
      total_(std::accumulate(examples_.begin(), examples_.end(), std::int64_t{0})) {
  SkipAbsent();
}

void Round::SkipAbsent() {
  while (next_ < examples_.size() && examples_[next_] == 0) ++next_;
}

bool Round::Has(std::int64_t partition) const {
  const auto index = static_cast<std::size_t>(partition);
  return index < next_ || waiting_.contains(index);
}

void Round::Fold(float weight, Contribution contribution) {
  if (empty_) {
    // The first contribution's own buffers become the sum: nothing is copied, and with one
    // partition (weight 1) not a bit changes.
    sum_ = std::move(contribution);
    if (weight != 1.0F) {
      Scale(weight, sum_.delta->floats());
      for (const auto& slot : sum_.slots) Scale(weight, slot->floats());
    }
    empty_ = false;
    return;
  }
  AddScaled(weight, std::as_const(*contribution.delta).floats(), sum_.delta->floats());
  for (std::size_t i = 0; i < sum_.slots.size(); ++i) {
    AddScaled(weight, std::as_const(*contribution.slots[i]).floats(), sum_.slots[i]->floats());
  }
  sum_.steps = std::max(sum_.steps, contribution.steps);
}

void Round::Add(std::int64_t partition, Contribution contribution) {
  waiting_.emplace(static_cast<std::size_t>(partition), std::move(contribution));
  for (auto it = waiting_.find(next_); it != waiting_.end(); it = waiting_.find(next_)) {
    const double weight = static_cast<double>(examples_[next_]) / static_cast<double>(total_);
    Fold(static_cast<float>(weight), std::move(it->second));
    waiting_.erase(it);
    ++next_;
    SkipAbsent();
  }
}

}  // namespace elephas
