#include "worker/data/npy_reader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "worker/data/finite.h"
#include "worker/data/npy_format.h"

namespace elephas::npy {

static_assert(std::endian::native == std::endian::little, "bytes are swapped only for big endian");

namespace {

// IEEE half precision: 1 sign, 5 exponent, 10 fraction bits.
struct Half {
  std::uint16_t bits;
};

float ToFloat(Half half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half.bits & 0x8000U) << 16;
  const std::uint32_t exponent = (half.bits >> 10) & 0x1FU;
  const std::uint32_t fraction = half.bits & 0x3FFU;
  if (exponent == 0) {  // zero or subnormal: fraction x 2^-24, exact in float
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 31 ? 0xFFU : exponent + (127 - 15);
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

// A byte of a bool array; anything but 0 is true, as in NumPy.
struct Bool {
  std::uint8_t byte;
};

template <typename Source>
Source ReadItem(const std::byte* at, bool swap) {
  std::array<std::byte, sizeof(Source)> raw{};
  std::memcpy(raw.data(), at, sizeof(Source));
  if (swap) std::reverse(raw.begin(), raw.end());
  return std::bit_cast<Source>(raw);
}

template <typename Target, typename Source>
Target Convert(Source value) {
  if constexpr (std::is_same_v<Source, Half>) {
    return ToFloat(value);
  } else if constexpr (std::is_same_v<Source, Bool>) {
    return value.byte != 0 ? 1 : 0;
  } else {
    return static_cast<Target>(value);
  }
}

// Calls visit(output index, input index) for every element of a column-major array, rows in blocks:
// a block of one input column is contiguous, and its outputs stay in the cache.
template <typename Visit>
void VisitFortran(const std::vector<std::int64_t>& shape, Visit visit) {
  constexpr std::size_t kBlock = 16;
  const auto rows = static_cast<std::size_t>(shape[0]);
  std::size_t row_elements = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) row_elements *= static_cast<std::size_t>(shape[i]);
  std::vector<std::size_t> index(shape.size(), 0);
  for (std::size_t first = 0; first < rows; first += kBlock) {
    const std::size_t last = std::min(rows, first + kBlock);
    std::fill(index.begin(), index.end(), 0);
    std::size_t input = 0;  // of (row 0, index)
    for (std::size_t element = 0; element < row_elements; ++element) {
      for (std::size_t row = first; row < last; ++row) {
        visit(row * row_elements + element, input + row);
      }
      // Next index in row-major order; `input` follows with the column-major strides.
      std::size_t axis = shape.size() - 1;
      while (axis > 0) {
        std::size_t stride = 1;
        for (std::size_t i = 0; i < axis; ++i) stride *= static_cast<std::size_t>(shape[i]);
        input += stride;
        if (++index[axis] < static_cast<std::size_t>(shape[axis])) break;
        input -= stride * static_cast<std::size_t>(shape[axis]);
        index[axis] = 0;
        --axis;
      }
    }
  }
}

template <typename Target, typename Source>
Result<Array> ConvertArray(std::string name, ElementType type, const Header& header,
                           std::span<const std::byte> data) {
  std::shared_ptr<Target[]> out;
  try {
    out = std::make_shared_for_overwrite<Target[]>(header.elements);
  } catch (const std::bad_alloc&) {
    return Internal("not enough memory for " + std::to_string(header.elements) + " elements");
  }
  const auto item = [&](std::size_t index) {
    return ReadItem<Source>(data.data() + index * sizeof(Source), header.big_endian);
  };
  std::size_t too_large = header.elements;  // output index of an element that does not fit
  const auto convert = [&](std::size_t to, std::size_t from) {
    const Source value = item(from);
    if constexpr (std::is_same_v<Source, std::uint64_t>) {
      if (value > static_cast<std::uint64_t>(INT64_MAX)) too_large = std::min(too_large, to);
    }
    out[static_cast<std::ptrdiff_t>(to)] = Convert<Target>(value);
  };
  if (header.fortran_order && header.shape.size() > 1) {
    VisitFortran(header.shape, convert);
  } else {
    for (std::size_t i = 0; i < header.elements; ++i) convert(i, i);
  }
  if (too_large != header.elements) {
    const std::size_t row =
        too_large / (header.elements / static_cast<std::size_t>(header.shape[0]));
    return Invalid("row " + std::to_string(row) + ": a number above 9223372036854775807");
  }
  return Array(std::move(name), type, header.shape, out, out.get());
}

using Converter = Result<Array> (*)(std::string, ElementType, const Header&,
                                    std::span<const std::byte>);

constexpr std::array<std::tuple<Kind, ElementType, Converter>, 12> kConverters{{
    {Kind::kF2, ElementType::kFloat32, &ConvertArray<float, Half>},
    {Kind::kF4, ElementType::kFloat32, &ConvertArray<float, float>},
    {Kind::kF8, ElementType::kFloat32, &ConvertArray<float, double>},
    {Kind::kI1, ElementType::kInt64, &ConvertArray<std::int64_t, std::int8_t>},
    {Kind::kI2, ElementType::kInt64, &ConvertArray<std::int64_t, std::int16_t>},
    {Kind::kI4, ElementType::kInt64, &ConvertArray<std::int64_t, std::int32_t>},
    {Kind::kI8, ElementType::kInt64, &ConvertArray<std::int64_t, std::int64_t>},
    {Kind::kU1, ElementType::kInt64, &ConvertArray<std::int64_t, std::uint8_t>},
    {Kind::kU2, ElementType::kInt64, &ConvertArray<std::int64_t, std::uint16_t>},
    {Kind::kU4, ElementType::kInt64, &ConvertArray<std::int64_t, std::uint32_t>},
    {Kind::kU8, ElementType::kInt64, &ConvertArray<std::int64_t, std::uint64_t>},
    {Kind::kB1, ElementType::kInt64, &ConvertArray<std::int64_t, Bool>},
}};

// Data of these kinds is used where it lies.
bool UsableInPlace(const Header& header) {
  const bool order = !header.fortran_order || header.shape.size() == 1;
  const bool kind = header.kind == Kind::kF4 || header.kind == Kind::kI8;
  return order && kind && !header.big_endian;
}

bool Aligned(const Header& header, std::span<const std::byte> data) {
  return reinterpret_cast<std::uintptr_t>(data.data()) % header.item_bytes == 0;
}

}  // namespace

std::uint64_t ConvertedBytes(const Header& header) {
  if (UsableInPlace(header)) return 0;
  const bool floats =
      header.kind == Kind::kF2 || header.kind == Kind::kF4 || header.kind == Kind::kF8;
  return header.elements * (floats ? sizeof(float) : sizeof(std::int64_t));
}

Result<Array> DecodeData(std::string name, const Header& header, std::span<const std::byte> data,
                         std::shared_ptr<const void> owner) {
  if (data.size() < header.data_bytes) {
    return Invalid("truncated: its shape needs " + std::to_string(header.data_bytes) +
                   " bytes of data, " + std::to_string(data.size()) + " are there");
  }
  if (data.size() > header.data_bytes) {
    return Invalid(std::to_string(data.size() - header.data_bytes) + " bytes follow the array");
  }
  if (header.shape.empty()) return Invalid("is a single number, not rows");
  if (header.shape[0] == 0) return Invalid("holds no rows");
  if (header.elements == 0) return Invalid("its rows are empty");

  Array array;
  if (UsableInPlace(header) && Aligned(header, data)) {
    const ElementType type = header.kind == Kind::kF4 ? ElementType::kFloat32 : ElementType::kInt64;
    array = Array(std::move(name), type, header.shape, std::move(owner), data.data());
  } else {
    for (const auto& [kind, type, convert] : kConverters) {
      if (kind != header.kind) continue;
      ELEPHAS_ASSIGN_OR_RETURN(array, convert(std::move(name), type, header, data));
      break;
    }
  }
  if (array.type == ElementType::kFloat32) {
    const std::span<const float> values(array.floats(), header.elements);
    if (const std::size_t at = FindNonFinite(values); at != values.size()) {
      const auto per_row = static_cast<std::size_t>(array.row_elements());
      return Invalid("row " + std::to_string(at / per_row) +
                     (per_row > 1 ? ", element " + std::to_string(at % per_row) : "") + ": " +
                     NonFiniteName(values[at], header.kind == Kind::kF8));
    }
  }
  return array;
}

Result<Array> Decode(std::string name, std::span<const std::byte> file,
                     std::shared_ptr<const void> owner, const MemoryBudget& memory) {
  ELEPHAS_ASSIGN_OR_RETURN(const Header header, ParseHeader(file));
  // What the shape claims beyond the file is refused as such.
  if (file.size() - header.data_offset == header.data_bytes) {
    ELEPHAS_RETURN_IF_ERROR(CheckMemory(memory, ConvertedBytes(header), "its numbers, converted,"));
  }
  return DecodeData(std::move(name), header, file.subspan(header.data_offset), std::move(owner));
}

}  // namespace elephas::npy
