#include "worker/group/group_sum.h"

#include <span>

#include "common/protocol/weighted_sum.h"
#include "worker/exchange/flat_span.h"

namespace elephas {

GroupSum::GroupSum(Collective& collective, bool ordered, std::int64_t rank, std::int64_t world,
                   at::Device device, std::int64_t elements)
    : collective_(collective),
      ordered_(ordered),
      rank_(rank),
      world_(world),
      sum_(at::zeros({elements}, at::TensorOptions().dtype(at::kFloat).device(device))) {}

void GroupSum::Begin(std::int64_t first_with_part, std::int64_t last_with_part) {
  first_ = first_with_part;
  last_ = last_with_part;
  empty_ = true;
  used_ = 0;
}

// On the CPU by the server's own loops: LibTorch would contract multiply and add.
void GroupSum::Fold(float weight, const at::Tensor& values) {
  if (empty_) {
    sum_.copy_(values);
    if (weight != 1.0F) {
      if (sum_.is_cpu()) {
        Scale(weight, FlatSpan(sum_));
      } else {
        sum_.mul_(weight);
      }
    }
    empty_ = false;
  } else if (sum_.is_cpu()) {
    AddScaled(weight, FlatSpan(values), FlatSpan(sum_));
  } else {
    sum_.add_(values, weight);
  }
}

void GroupSum::Add(float weight, const at::Tensor& part) {
  if (!ordered_ || rank_ == first_) {
    Fold(weight, part);
    return;
  }
  if (used_ == parts_.size()) parts_.push_back({0.0F, at::empty_like(sum_)});
  parts_[used_].weight = weight;
  parts_[used_].values.copy_(part);
  ++used_;
}

Status GroupSum::ReduceInOrder() {
  if (rank_ > first_ && rank_ <= last_) {
    ELEPHAS_RETURN_IF_ERROR(collective_.Receive(FlatSpan(sum_), rank_ - 1));
    empty_ = false;
  }
  for (std::size_t i = 0; i < used_; ++i) Fold(parts_[i].weight, parts_[i].values);
  if (rank_ >= first_ && rank_ < last_) {
    ELEPHAS_RETURN_IF_ERROR(collective_.Send(FlatSpan(sum_), rank_ + 1));
  }
  return collective_.Broadcast(FlatSpan(sum_), last_);
}

Result<at::Tensor> GroupSum::Reduce() {
  if (ordered_) {
    ELEPHAS_RETURN_IF_ERROR(ReduceInOrder());
  } else {
    if (empty_) sum_.zero_();
    ELEPHAS_RETURN_IF_ERROR(collective_.AllReduce(FlatSpan(sum_)));
  }
  return sum_;
}

}  // namespace elephas
