#include "common/protocol/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <span>

#include "common/base/atomic_file.h"

namespace elephas::safetensors {
namespace {

namespace fs = std::filesystem;

std::string Packed(const std::string& header, std::string_view data) {
  const std::uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data);
}

class SafetensorsFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elephas-st-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = (folder_ / "file.safetensors").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  // The message with which this text is refused; empty when it is read.
  std::string Refusal(std::string_view text) {
    EXPECT_TRUE(WriteWholeFile(path_, text).ok());
    const Result<File> file = ReadFile(path_);
    if (file.ok()) return {};
    EXPECT_EQ(file.status().code(), Code::kInvalid);
    EXPECT_TRUE(file.status().message().starts_with(path_)) << file.status().message();
    return file.status().message();
  }

  fs::path folder_;
  std::string path_;
};

TEST_F(SafetensorsFileTest, MoreThanThereIsMemoryForIsRefusedBeforeItIsTaken) {
  // One tebibyte of a sparse file, which takes nothing on the disk.
  constexpr std::int64_t kBytes = std::int64_t{1} << 40;
  const std::string header = SerializeHeader({}, {{"a", "F32", {kBytes / 4}}});
  EXPECT_NE(Refusal(header), "");
  fs::resize_file(path_, header.size() + kBytes);
  const Status refused = ReadFile(path_).status();
  EXPECT_EQ(refused.code(), Code::kInvalid);
  EXPECT_NE(refused.message().find("its data would take 1.0 TiB of memory"), std::string::npos)
      << refused.message();
}

TEST_F(SafetensorsFileTest, WhatIsWrittenIsReadBack) {
  const std::vector<float> kernel = {1, 2, 3, 4, 5, 6};
  const std::vector<std::int64_t> steps = {42};
  const std::vector<TensorInfo> tensors = {
      {"dense/kernel", "F32", {2, 3}}, {"empty", "F32", {0, 5}}, {"a \"name\" \u00e9", "I64", {}}};
  ASSERT_TRUE(WriteFile(path_, {{"format", "elephas"}}, tensors,
                        {std::as_bytes(std::span(kernel)), {}, std::as_bytes(std::span(steps))})
                  .ok());
  const Result<File> file = ReadFile(path_);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->header.metadata.at("format"), "elephas");
  ASSERT_EQ(file->header.tensors.size(), 3U);
  const TensorInfo* found = file->header.Find("dense/kernel");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->shape, (std::vector<std::int64_t>{2, 3}));
  ASSERT_EQ(file->Bytes(*found).size(), 24U);
  EXPECT_TRUE(std::ranges::equal(file->Bytes(*found), std::as_bytes(std::span(kernel))));
  const TensorInfo* scalar = file->header.Find(tensors[2].name);
  ASSERT_NE(scalar, nullptr);
  EXPECT_EQ(file->Bytes(*scalar).size(), 8U);
  EXPECT_EQ(file->header.Find("missing"), nullptr);
  EXPECT_EQ(file->header.data_bytes, 32U);
}

TEST_F(SafetensorsFileTest, DataThatDoesNotFitTheShapeIsNotWritten) {
  const std::vector<float> data = {1};
  EXPECT_EQ(WriteFile(path_, {}, {{"a", "F32", {2}}}, {std::as_bytes(std::span(data))}).code(),
            Code::kInvalid);
  EXPECT_EQ(WriteFile(path_, {}, {{"a", "F33", {1}}}, {std::as_bytes(std::span(data))}).code(),
            Code::kInvalid);
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(SafetensorsFileTest, AMissingFileIsNotFound) {
  EXPECT_EQ(ReadFile(path_).status().code(), Code::kNotFound);
  EXPECT_FALSE(ReadFile(folder_.string()).ok());
}

TEST_F(SafetensorsFileTest, AWrongLengthIsRefusedWithoutAllocatingIt) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  EXPECT_EQ(Refusal(Packed(header, "xy")), "");
  EXPECT_NE(Refusal("").find("truncated"), std::string::npos);
  EXPECT_NE(Refusal("1234567").find("truncated"), std::string::npos);
  EXPECT_NE(Refusal(Packed(header, "x")).find("truncated"), std::string::npos);
  EXPECT_NE(Refusal(Packed(header, "xyz")).find("1 trailing bytes"), std::string::npos);
  EXPECT_NE(Refusal(std::string(8, '\xff') + header).find("claims"), std::string::npos);
  EXPECT_NE(Refusal(Packed(header, "xy").substr(0, 20)).find("claims"), std::string::npos);
  const std::string lie = R"({"a":{"dtype":"U8","shape":[9000000000000],)"
                          R"("data_offsets":[0,9000000000000]}})";
  EXPECT_NE(Refusal(Packed(lie, "xy")).find("truncated"), std::string::npos);
}

TEST_F(SafetensorsFileTest, RandomDamageNeverCrashes) {
  const std::string whole =
      Packed(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"F32",)"
             R"("shape":[1,1],"data_offsets":[2,6]}})",
             "xyabcd");
  std::uint64_t state = 1;
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = whole;
    for (int k = 0; k < 3; ++k) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      damaged[(state >> 33) % damaged.size()] = static_cast<char>(state >> 56);
    }
    ASSERT_TRUE(WriteWholeFile(path_, damaged).ok());
    if (!ReadFile(path_).ok()) ++refused;
  }
  EXPECT_GT(refused, 1000);
}

// A header may have 100 MB; what it is parsed into must not be a gigabyte.
TEST(SafetensorsHeader, ManyValuesInFewBytesAreRefused) {
  std::string text = R"({"a":[)";
  for (int i = 0; i < 5000; ++i) text.append("0,");
  EXPECT_EQ(ParseHeader(text + "0]}").status().message(), "the header: more than 2502 values");
}

struct BadHeader {
  const char* name;
  const char* json;
  const char* message;  // part of the refusal
};

class BadHeaderTest : public testing::TestWithParam<BadHeader> {};

TEST_P(BadHeaderTest, IsRefusedWithTheReason) {
  const Result<Header> header = ParseHeader(GetParam().json);
  ASSERT_FALSE(header.ok());
  EXPECT_EQ(header.status().code(), Code::kInvalid);
  EXPECT_NE(header.status().message().find(GetParam().message), std::string::npos)
      << header.status().message();
}

INSTANTIATE_TEST_SUITE_P(
    Headers, BadHeaderTest,
    testing::Values(
        BadHeader{"Empty", "", "not a JSON object"}, BadHeader{"Array", "[]", "not a JSON object"},
        BadHeader{"Garbage", "{garbage", "not JSON"},
        BadHeader{"InvalidUtf8", "{\"\xff\":1}", "not JSON"},
        BadHeader{"TwoValues", "{} {}", "not JSON"},
        BadHeader{"DuplicateName",
                  R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},)"
                  R"("a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
                  "'a' appears twice"},
        BadHeader{"DuplicateField",
                  R"({"a":{"dtype":"U8","dtype":"F32","shape":[],"data_offsets":[0,1]}})",
                  "'dtype' appears twice"},
        BadHeader{"UnknownField", R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}})",
                  "unknown field 'x'"},
        BadHeader{"NotAnObject", R"({"a":3})", "must be an object"},
        BadHeader{"MissingShape", R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", "'shape'"},
        BadHeader{"MissingOffsets", R"({"a":{"dtype":"U8","shape":[]}})", "'data_offsets'"},
        BadHeader{"UnknownDtype", R"({"a":{"dtype":"U9","shape":[],"data_offsets":[0,1]}})",
                  "unknown dtype 'U9'"},
        BadHeader{"NegativeShape", R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})",
                  "'shape' must hold sizes"},
        BadHeader{"FractionalShape", R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}})",
                  "'shape' must hold sizes"},
        BadHeader{"ShapeOverflow",
                  R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})",
                  "too large"},
        BadHeader{"OverflowHiddenByZero",
                  R"({"a":{"dtype":"F32","shape":[4611686018427387904,4,0],)"
                  R"("data_offsets":[0,0]}})",
                  "too large"},
        BadHeader{"SizeMismatch", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})",
                  "make 8 bytes"},
        BadHeader{"BackwardOffsets", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})",
                  "begin <= end"},
        BadHeader{"NegativeOffset", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})",
                  "begin <= end"},
        BadHeader{"HugeOffset",
                  R"({"a":{"dtype":"U8","shape":[1],)"
                  R"("data_offsets":[18446744073709551615,18446744073709551615]}})",
                  "begin <= end"},
        BadHeader{"GapAtTheStart", R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                  "leaving a gap"},
        BadHeader{"Overlap",
                  R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                  R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                  "inside the one before"},
        BadHeader{"MetadataOfNumbers", R"({"__metadata__":{"a":1}})", "must be a string"},
        BadHeader{"Deep", R"({"a":{"dtype":[[1]],"shape":[],"data_offsets":[0,1]}})",
                  "nested deeper than 3 levels"},
        BadHeader{"MetadataList", R"({"__metadata__":[]})", "must be an object"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(SafetensorsHeaderTest, EmptyTensorsBetweenOthersLeaveNoGap) {
  const Result<Header> header =
      ParseHeader(R"({"z":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},)"
                  R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}   )");
  ASSERT_TRUE(header.ok()) << header.status().message();
  EXPECT_EQ(header->data_bytes, 8U);
  EXPECT_EQ(header->tensors[0].name, "a");
  EXPECT_EQ(header->tensors[2].name, "b");
}

TEST(SafetensorsHeaderTest, DeepNestingIsRefused) {
  EXPECT_FALSE(ParseHeader("{\"a\":" + std::string(1 << 20, '[')).ok());
  EXPECT_FALSE(
      ParseHeader("{\"a\":" + std::string(1 << 20, '[') + std::string(1 << 20, ']') + "}").ok());
}

TEST(SafetensorsHeaderTest, TheDataStartsAtAMultipleOfEight) {
  for (int length = 1; length < 20; ++length) {
    const std::string header =
        SerializeHeader({}, {{std::string(static_cast<std::size_t>(length), 'n'), "F32", {3}}});
    EXPECT_EQ(header.size() % 8, 0U);
    EXPECT_TRUE(ParseHeader(std::string_view(header).substr(8)).ok());
  }
}

}  // namespace
}  // namespace elephas::safetensors
