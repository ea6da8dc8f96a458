// NumPy's array file, as numpy.lib.format documents it.
//
//   file    := magic version length header data
//   magic   := "\x93NUMPY"
//   version := u8 major (1, 2 or 3), u8 minor (0)
//   length  := u16 (version 1) or u32 (2, 3), little endian: bytes in header
//   header  := Python dict literal {'descr': …, 'fortran_order': True|False, 'shape': (…)}
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas::npy {

// Element types that are read; the name is NumPy's kind and size.
enum class Kind : std::uint8_t { kF2, kF4, kF8, kI1, kI2, kI4, kI8, kU1, kU2, kU4, kU8, kB1 };

struct Header {
  Kind kind = Kind::kF4;
  std::size_t item_bytes = 4;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;  // empty: a single number
  std::uint64_t elements = 1;
  std::uint64_t data_offset = 0;  // where data starts
  std::uint64_t data_bytes = 0;   // elements x item_bytes, checked for overflow
};

// The longest prefix that holds a header which is accepted.
inline constexpr std::size_t kMaxPrefixBytes = 65536;

// Reads the header at the start of `file`, which may end early after it. kInvalid: not an .npy
// file, truncated, or a dtype that is not a number (the message names it).
Result<Header> ParseHeader(std::span<const std::byte> file);

}  // namespace elephas::npy
