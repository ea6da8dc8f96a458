#include "common/protocol/partitioning.h"

#include <algorithm>

namespace elephas {

Range PartitionRows(std::int64_t examples, std::int64_t partitions, std::int64_t partition) {
  const std::int64_t base = examples / partitions;
  const std::int64_t larger = examples % partitions;
  const std::int64_t first = partition * base + std::min(partition, larger);
  return {first, first + base + (partition < larger ? 1 : 0)};
}

std::int64_t TrainingExamples(std::int64_t examples, double validation_split) {
  return static_cast<std::int64_t>(static_cast<double>(examples) * (1.0 - validation_split));
}

std::int64_t BatchCount(std::int64_t rows, std::int64_t batch_size) {
  return (rows + batch_size - 1) / batch_size;
}

Range BatchRows(std::int64_t rows, std::int64_t batch_size, std::int64_t batch) {
  return {std::min(rows, batch * batch_size), std::min(rows, (batch + 1) * batch_size)};
}

Range ShardElements(std::int64_t elements, std::int64_t count, std::int64_t index) {
  return PartitionRows(elements, count, index);
}

}  // namespace elephas
