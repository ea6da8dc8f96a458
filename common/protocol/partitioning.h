// How examples fall into partitions and batches. Pure arithmetic that the server and every worker
// must agree on, so it exists once.
#pragma once

#include <cstdint>

namespace elephas {

// Half-open range of example rows or of batch indexes: [first, last).
struct Range {
  std::int64_t first = 0;
  std::int64_t last = 0;
  [[nodiscard]] std::int64_t size() const { return last - first; }
  friend bool operator==(const Range&, const Range&) = default;
};

// The rows of `partition` when `examples` rows are cut into `partitions` contiguous slices whose
// sizes differ by at most one, the larger first.
// Precondition: examples >= 0, partitions > 0, 0 <= partition < partitions.
Range PartitionRows(std::int64_t examples, std::int64_t partitions, std::int64_t partition);

// Rows used for training; the rest, at the end, validates. As Keras: int(examples * (1 - split)).
std::int64_t TrainingExamples(std::int64_t examples, double validation_split);

// ceil(rows / batch_size): a last batch may be smaller. Precondition: batch_size > 0.
std::int64_t BatchCount(std::int64_t rows, std::int64_t batch_size);

// Offsets, relative to the partition's first row, of batch `batch`.
Range BatchRows(std::int64_t rows, std::int64_t batch_size, std::int64_t batch);

// The slice of `elements` that server `index` of `count` owns (as PartitionRows).
Range ShardElements(std::int64_t elements, std::int64_t count, std::int64_t index);

}  // namespace elephas
