#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "fuzz/dataset_check.h"
#include "worker/data/npy_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::shared_ptr<const void> owner(data, [](const void*) {});
  const auto array = elephas::npy::Decode("x", std::as_bytes(std::span(data, size)), owner);
  if (array.ok()) {
    elephas::FuzzCheckArray(*array);
  } else {
    elephas::FuzzCheckRefusal(array.status());
  }
  return 0;
}
