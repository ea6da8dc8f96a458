// The safetensors format: our checkpoints, model files and request bodies are all written in it, so
// that any tool in any language opens them.
//
//   file   := length header data
//   length := u64 little endian, bytes in header
//   header := JSON object with "__metadata__" ({string: string}, optional) and, by name, each
//             tensor's {"dtype", "shape", "data_offsets"}; padded with spaces to a multiple of 8
//             bytes
//   data   := the tensors' bytes, row-major, little endian, without gaps
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas::safetensors {

struct TensorInfo {
  std::string name;
  std::string dtype;                 // "F32", "F64", "F16", "BF16", "I64", "I32", "U8", "BOOL", …
  std::vector<std::int64_t> shape;   // empty: a scalar
  std::uint64_t begin = 0, end = 0;  // byte offsets into data, [begin, end)
};

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<TensorInfo> tensors;  // ordered by `begin`
  std::uint64_t data_bytes = 0;     // end of the last tensor
  // Null when no tensor has that name.
  [[nodiscard]] const TensorInfo* Find(std::string_view name) const;
};

// Bytes of one element; 0 for an unknown dtype.
std::size_t DtypeBytes(std::string_view dtype);

// Reads the JSON header (without the length). Checks everything the format promises: offsets inside
// data, no overlap, no gap, size equal to shape x dtype without overflow, no duplicate names.
Result<Header> ParseHeader(std::string_view text);

// length + header for tensors laid out in the given order; `begin`/`end` of the input are ignored
// and computed from dtype and shape. The data follows directly.
std::string SerializeHeader(const std::map<std::string, std::string>& metadata,
                            const std::vector<TensorInfo>& tensors);

// A whole file in memory.
struct File {
  Header header;
  std::vector<std::byte> data;
  [[nodiscard]] std::span<const std::byte> Bytes(const TensorInfo& tensor) const;
};
// kNotFound, or kInvalid naming file and reason (truncated, trailing bytes, …). Reads at most what
// the file holds: a lying length never allocates more.
Result<File> ReadFile(const std::string& path);

// Writes aside, fsyncs and renames (see atomic_file.h). `tensors[i]` has bytes `data[i]`.
Status WriteFile(const std::string& path, const std::map<std::string, std::string>& metadata,
                 std::vector<TensorInfo> tensors,
                 const std::vector<std::span<const std::byte>>& data);

}  // namespace elephas::safetensors
