#include "worker/data/npy_reader.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "worker/data/npy_format.h"
#include "worker/files/npy_writer.h"

namespace elephas::npy {
namespace {

std::string File(const std::string& dict, std::string_view data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    out += static_cast<char>((dict.size() >> (8 * i)) & 0xFF);
  }
  return out + dict + std::string(data);
}

std::string Dict(const std::string& descr, const std::string& shape,
                 const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

template <typename T>
std::string Bytes(std::vector<T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// Aligned like a mapped file, unless `shift` moves it.
Result<Array> DecodeText(const std::string& text, std::size_t shift = 0) {
  auto owner = std::make_shared<std::vector<std::uint64_t>>((text.size() + shift) / 8 + 1);
  auto* start = reinterpret_cast<std::byte*>(owner->data()) + shift;
  std::memcpy(start, text.data(), text.size());
  return Decode("x", {start, text.size()}, owner);
}

std::vector<float> Floats(const Array& array) {
  return {array.floats(), array.floats() + array.rows() * array.row_elements()};
}
std::vector<std::int64_t> Ints(const Array& array) {
  return {array.ints(), array.ints() + array.rows() * array.row_elements()};
}

TEST(NpyReaderTest, WhatTheWriterMakesIsReadWithoutACopy) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::string text = NpyHeader({3, 2}) + Bytes(values);
  const Result<Array> array = DecodeText(text);
  ASSERT_TRUE(array.ok()) << array.status().message();
  EXPECT_EQ(array->shape, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(Floats(*array), values);
}

TEST(NpyReaderTest, EveryVersionOfTheHeaderIsRead) {
  for (int version = 1; version <= 3; ++version) {
    const Result<Array> array =
        DecodeText(File(Dict("<f4", "(2,)"), Bytes<float>({1, 2}), version));
    ASSERT_TRUE(array.ok()) << version << array.status().message();
    EXPECT_EQ(Floats(*array), (std::vector<float>{1, 2}));
  }
}

TEST(NpyReaderTest, UnalignedDataIsCopied) {
  const std::string text = File(Dict("<i8", "(2,)"), Bytes<std::int64_t>({5, -6}));
  for (std::size_t shift = 0; shift < 8; ++shift) {
    const Result<Array> array = DecodeText(text, shift);
    ASSERT_TRUE(array.ok()) << array.status().message();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array->ints()) % alignof(std::int64_t), 0U);
    EXPECT_EQ(Ints(*array), (std::vector<std::int64_t>{5, -6}));
  }
}

TEST(NpyReaderTest, HalvesAreExact) {
  const std::vector<std::uint16_t> halves = {0x0000, 0x8000, 0x3C00, 0xC000, 0x7BFF,
                                             0x0001, 0x03FF, 0x0400, 0x3555};
  const Result<Array> array = DecodeText(File(Dict("<f2", "(9,)"), Bytes(halves)));
  ASSERT_TRUE(array.ok()) << array.status().message();
  EXPECT_EQ(Floats(*array), (std::vector<float>{0, -0.0F, 1, -2, 65504, 0x1p-24F, 1023 * 0x1p-24F,
                                                0x1p-14F, 0x1.554p-2F}));
  EXPECT_TRUE(std::signbit(array->floats()[1]));
}

TEST(NpyReaderTest, BigEndianIsSwapped) {
  const Result<Array> array =
      DecodeText(File(Dict(">i2", "(2,)"), std::string("\x01\x02\xff\xfe", 4)));
  ASSERT_TRUE(array.ok()) << array.status().message();
  EXPECT_EQ(Ints(*array), (std::vector<std::int64_t>{258, -2}));
}

TEST(NpyReaderTest, ColumnMajorIsTurnedRound) {
  std::vector<double> values(std::size_t{20} * 3 * 2);
  // Element (i, j, k) holds 100 i + 10 j + k and lies at i + 20 j + 60 k.
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 2; ++k) {
        const int at = i + 20 * j + 60 * k;
        values[static_cast<std::size_t>(at)] = 100 * i + 10 * j + k;
      }
    }
  }
  const Result<Array> array = DecodeText(File(Dict("<f8", "(20, 3, 2)", "True"), Bytes(values)));
  ASSERT_TRUE(array.ok()) << array.status().message();
  std::size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (int k = 0; k < 2; ++k) {
        ASSERT_EQ(array->floats()[at++], static_cast<float>(100 * i + 10 * j + k));
      }
    }
  }
}

TEST(NpyReaderTest, AnyByteButZeroIsTrue) {
  const Result<Array> array = DecodeText(File(Dict("|b1", "(3,)"), std::string("\x00\x01\x02", 3)));
  ASSERT_TRUE(array.ok()) << array.status().message();
  EXPECT_EQ(Ints(*array), (std::vector<std::int64_t>{0, 1, 1}));
}

struct Bad {
  const char* name;
  std::string text;
  const char* message;  // part of it
};

class BadNpyTest : public testing::TestWithParam<Bad> {};

TEST_P(BadNpyTest, IsRefusedWithTheReason) {
  const Result<Array> array = DecodeText(GetParam().text);
  ASSERT_FALSE(array.ok());
  EXPECT_EQ(array.status().code(), Code::kInvalid);
  EXPECT_NE(array.status().message().find(GetParam().message), std::string::npos)
      << array.status().message();
}

const float kNan = std::numeric_limits<float>::quiet_NaN();

INSTANTIATE_TEST_SUITE_P(
    Files, BadNpyTest,
    testing::Values(
        Bad{"Empty", "", "is not an .npy array"}, Bad{"Text", "hello world", "is not an .npy"},
        Bad{"OnlyMagic", "\x93NUMPY", "truncated"},
        Bad{"Version9", File(Dict("<f4", "(1,)"), "abcd", 9), ".npy version 9"},
        Bad{"TruncatedHeader", File(Dict("<f4", "(1,)"), "").substr(0, 30), "truncated"},
        Bad{"LyingHeaderLength", std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + "{}",
            "header is too long"},
        Bad{"TruncatedData", File(Dict("<f4", "(2,)"), "abcd"), "needs 8 bytes of data, 4"},
        Bad{"TrailingData", File(Dict("<f4", "(1,)"), "abcdef"), "2 bytes follow"},
        Bad{"Objects", File(Dict("|O", "(1,)"), "abcd"), "dtype '|O' is not supported"},
        Bad{"Complex", File(Dict("<c8", "(1,)"), "abcdefgh"), "dtype '<c8' is not supported"},
        Bad{"Strings", File(Dict("<U5", "(1,)"), "abcd"), "dtype '<U5' is not supported"},
        Bad{"Dates", File(Dict("<M8[ns]", "(1,)"), "abcdefgh"), "dtype '<M8[ns]'"},
        Bad{"LongDouble", File(Dict("<f16", "(1,)"), std::string(16, 'a')), "dtype '<f16'"},
        Bad{"Structured",
            File("{'descr': [('a', '<f4'), ('b', '<i8')], 'fortran_order': False, 'shape': (1,)}",
                 std::string(12, 'a')),
            "structured dtype [('a', '<f4'), ('b', '<i8')]"},
        Bad{"Scalar", File(Dict("<f4", "()"), "abcd"), "single number"},
        Bad{"NoRows", File(Dict("<f4", "(0, 3)"), ""), "holds no rows"},
        Bad{"NoRowsOfManyElements", File(Dict("<f4", "(0, 4611686018427387904, 4)"), ""),
            "holds no rows"},
        Bad{"EmptyRows", File(Dict("<f4", "(3, 0)"), ""), "rows are empty"},
        Bad{"ShapeOverflow", File(Dict("<f4", "(4611686018427387904, 4)"), "abcd"), "too large"},
        Bad{"NegativeShape", File(Dict("<f4", "(-1,)"), "abcd"), "header is broken"},
        Bad{"ShapeOfFractions", File(Dict("<f4", "(1.5,)"), "abcd"), "header is broken"},
        Bad{"ShapeList", File(Dict("<f4", "[1]"), "abcd"), "header is broken"},
        Bad{"MissingShape", File("{'descr': '<f4', 'fortran_order': False}", "abcd"), "broken"},
        Bad{"DescrTwice",
            File("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "abcd"),
            "broken"},
        Bad{"UnknownKey",
            File("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 'y'}", "abcd"),
            "broken"},
        Bad{"TextAfterDict", File(Dict("<f4", "(1,)") + "x", "abcd"), "broken"},
        Bad{"NanInARow", File(Dict("<f4", "(3, 2)"), Bytes<float>({1, 2, 3, kNan, 5, 6})),
            "row 1, element 1: NaN"},
        Bad{"NanInAColumn", File(Dict("<f4", "(2,)"), Bytes<float>({1, kNan})), "row 1: NaN"},
        Bad{"HalfInfinity", File(Dict("<f2", "(1,)"), Bytes<std::uint16_t>({0xFC00})),
            "row 0: infinity"},
        Bad{"DoubleTooLarge", File(Dict("<f8", "(1,)"), Bytes<double>({1e300})),
            "row 0: infinity, or too large for float32"},
        Bad{"UnsignedTooLarge",
            File(Dict("<u8", "(2, 1)"), Bytes<std::uint64_t>({1, std::uint64_t{1} << 63})),
            "row 1: a number above 9223372036854775807"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(NpyReaderTest, ACulpritFarInsideIsFound) {
  std::vector<float> values(100000, 1.0F);
  values[77777] = std::numeric_limits<float>::infinity();
  const Result<Array> array = DecodeText(NpyHeader({1000, 100}) + Bytes(values));
  ASSERT_FALSE(array.ok());
  EXPECT_EQ(array.status().message(), "row 777, element 77: infinity");
}

}  // namespace
}  // namespace elephas::npy
