// One synchronous averaging: mean = sum over partitions of (examples_p / examples) x
// contribution_p.
//
// Floating point sums depend on their order, and contributions arrive in any. So they are added in
// partition order: one that comes early waits in its buffer until the ones before it are there. The
// result is the same bits whoever computed what, and however often it was computed.
//
//   arrives:  p2        p0               p1
//   waiting:  {2}       {2}              {}
//   sum:      -         w0*x0            ((w0*x0) + w1*x1) + w2*x2
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "paramserver/store/float_buffer.h"

namespace elephas {

// Not thread-safe.
class Round {
 public:
  // `examples[p]` is partition p's weight; 0: it has no part in this round. At least one is
  // positive.
  explicit Round(std::vector<std::int64_t> examples);

  struct Contribution {
    std::shared_ptr<FloatBuffer> delta;
    std::vector<std::shared_ptr<FloatBuffer>> slots;
    std::int64_t steps = 0;
  };
  [[nodiscard]] bool Has(std::int64_t partition) const;
  // Takes the contribution's buffers. Precondition: the partition takes part, !Has(partition), the
  // same sizes as every other contribution.
  void Add(std::int64_t partition, Contribution contribution);
  [[nodiscard]] bool complete() const { return next_ == examples_.size(); }

  // Precondition: complete(). Means over all partitions, and the largest number of steps.
  [[nodiscard]] Contribution& mean() { return sum_; }

 private:
  void SkipAbsent();
  void Fold(float weight, Contribution contribution);

  std::vector<std::int64_t> examples_;
  std::int64_t total_ = 0;
  std::size_t next_ = 0;  // partitions below it are in the sum
  std::map<std::size_t, Contribution> waiting_;
  Contribution sum_;
  bool empty_ = true;
};

}  // namespace elephas
