#include <cstddef>
#include <cstdint>
#include <span>

#include "fuzz/dataset_check.h"
#include "worker/data/npz_reader.h"
#include "worker/files/zip_reader.h"

namespace {
const elephas::MemoryBudget kMemory{.bytes = 1 << 15};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto archive = elephas::ZipReader::OpenMemory(std::as_bytes(std::span(data, size)));
  if (!archive.ok()) {
    elephas::FuzzCheckRefusal(archive.status());
    return 0;
  }
  elephas::FuzzCheckDataset(
      elephas::ReadNpz("f.npz", *archive, {}, {.need_labels = false, .memory = kMemory}));
  elephas::FuzzCheckDataset(elephas::ReadNpz("f.npz", *archive, {}, {.memory = kMemory}));
  return 0;
}
