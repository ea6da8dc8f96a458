// The weighted sum of a round over all ranks of a group.
//
//   sum = w0*x0 + w1*x1 + … over the partitions that take part, in their order
//
// Every rank has the parts of its own, consecutive partitions. Ordered: the sum so far goes from
// rank to rank, each adds its parts, and the last one sends the result to all. So every addition is
// the one that the parameter server would make, and the bits do not depend on the number of ranks.
// Otherwise each rank adds up its own parts and an all-reduce does the rest.
//
//   ordered   rank 0: s = w0*x0 + w1*x1 ──s──► rank 1: s + w2*x2 + w3*x3 ──► all
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "common/base/result.h"
#include "worker/group/collective.h"

namespace elephas {

class GroupSum {
 public:
  // Flat float32 vectors of `elements` on `device`.
  GroupSum(Collective& collective, bool ordered, std::int64_t rank, std::int64_t world,
           at::Device device, std::int64_t elements);

  // Begins a round. `first_with_part`, `last_with_part`: the lowest and highest rank that adds any.
  void Begin(std::int64_t first_with_part, std::int64_t last_with_part);
  // In partition order. The part is copied or added at once; the caller may change it afterwards.
  void Add(float weight, const at::Tensor& part);
  // The sum over all ranks; valid until the next Begin(). Errors as Collective.
  Result<at::Tensor> Reduce();

 private:
  struct Part {
    float weight;
    at::Tensor values;
  };
  void Fold(float weight, const at::Tensor& values);
  Status ReduceInOrder();

  Collective& collective_;
  const bool ordered_;
  const std::int64_t rank_, world_;
  std::int64_t first_ = 0, last_ = 0;
  at::Tensor sum_;
  bool empty_ = true;        // nothing is in sum_ yet
  std::vector<Part> parts_;  // ordered: kept until the sum of the ranks before is there
  std::size_t used_ = 0;     // of parts_; the others' memory is kept for later rounds
};

}  // namespace elephas
