// The header; what is accepted is written and read back the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/protocol/safetensors.h"
#include "fuzz/fuzz_check.h"

using elephas::FuzzCheck;
using elephas::safetensors::Header;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const elephas::Result<Header> header =
      elephas::safetensors::ParseHeader({reinterpret_cast<const char*>(data), size});
  if (!header.ok()) {
    elephas::FuzzCheckRefusal(header.status());
    return 0;
  }
  const std::string text = elephas::safetensors::SerializeHeader(header->metadata, header->tensors);
  const elephas::Result<Header> again =
      elephas::safetensors::ParseHeader(std::string_view(text).substr(8));
  FuzzCheck(again.ok(), "what was written cannot be read");
  FuzzCheck(again->data_bytes == header->data_bytes, "another size");
  FuzzCheck(again->metadata == header->metadata, "other metadata");
  for (const auto& tensor : header->tensors) {
    const auto* found = again->Find(tensor.name);
    FuzzCheck(found != nullptr, "a tensor is lost");
    FuzzCheck(found->shape == tensor.shape && found->dtype == tensor.dtype, "another tensor");
  }
  return 0;
}
