// The first byte chooses width and labels, the rest is the file.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz/dataset_check.h"
#include "worker/data/libsvm_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const elephas::DatasetHints hints{
      .libsvm_width = data[0] % 8, .need_labels = data[0] < 128, .memory = {.bytes = 1 << 16}};
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  elephas::FuzzCheckDataset(elephas::ReadLibsvm("f.svm", text, hints));
  return 0;
}
