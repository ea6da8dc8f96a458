#include "worker/files/npy_writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>
#include <vector>

#include "common/base/atomic_file.h"
#include "common/base/testing/test_folder.h"
#include "worker/files/npz_writer.h"
#include "worker/files/zip_reader.h"

namespace elephas {
namespace {

std::string Bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

TEST(NpyHeaderTest, DataStartsAtAMultipleOf64) {
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{1}, {3, 4}, {1000000, 28, 28, 3}, {}}) {
    const std::string header = NpyHeader(shape);
    EXPECT_EQ(header.size() % 64, 0U);
    EXPECT_EQ(header.back(), '\n');
  }
  EXPECT_NE(NpyHeader({5}).find("'shape': (5,), }"), std::string::npos);
  EXPECT_NE(NpyHeader({5, 6}).find("'shape': (5, 6), }"), std::string::npos);
}

// The hidden file was opened through a link that somebody had put in its place.
TEST(NpyRowFileTest, ALinkInItsPlaceIsNotFollowed) {
  const TestFolder folder;
  const std::string victim = folder.Write("victim", "precious");
  const std::string hidden = HiddenPath(folder.Path("predictions.npy"), "uid");
  std::filesystem::create_symlink(victim, hidden);
  const std::string refusal = hidden + ": is a link, and is not followed";
  EXPECT_EQ(NpyRowFile::Open(hidden, {8, 2}).status().message(), refusal);
  EXPECT_EQ(PublishHidden(hidden, folder.Path("predictions.npy")).message(), refusal);
  EXPECT_EQ(ReadWholeFile(victim, 100).value(), "precious");
}

TEST(NpyRowFileTest, RowsOfManyWritersEndInOrder) {
  const TestFolder folder;
  const std::string final_path = folder.Path("out/predictions.npy");
  const std::string hidden = HiddenPath(final_path, "uid");
  std::vector<std::thread> writers;
  for (int writer = 3; writer >= 0; --writer) {
    writers.emplace_back([&, writer] {
      Result<NpyRowFile> file = NpyRowFile::Open(hidden, {8, 2});
      ASSERT_TRUE(file.ok()) << file.status().message();
      const auto base = static_cast<float>(writer * 4);
      EXPECT_TRUE(
          file->WriteRows(writer * 2, std::vector{base, base + 1, base + 2, base + 3}).ok());
      EXPECT_TRUE(file->Sync().ok());
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_FALSE(std::filesystem::exists(final_path));
  ASSERT_TRUE(PublishHidden(hidden, final_path).ok());
  std::vector<float> expected(16);
  for (std::size_t i = 0; i < 16; ++i) expected[i] = static_cast<float>(i);
  EXPECT_EQ(ReadWholeFile(final_path, 1 << 20).value(), NpyHeader({8, 2}) + Bytes(expected));
  EXPECT_TRUE(PublishHidden(hidden, final_path).ok()) << "a repeat after success";
  EXPECT_EQ(folder.FileCount(), 1U);
}

TEST(NpyRowFileTest, AnotherShapeOrForeignRowsAreRefused) {
  const TestFolder folder;
  Result<NpyRowFile> file = NpyRowFile::Open(folder.Path("h"), {4, 2});
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(NpyRowFile::Open(folder.Path("h"), {4, 3}).status().code(), Code::kConflict);
  EXPECT_EQ(NpyRowFile::Open(folder.Path("h"), {2, 2}).status().code(), Code::kConflict);
  EXPECT_TRUE(NpyRowFile::Open(folder.Path("h"), {4, 2}).ok());
  const std::vector<float> row = {1, 2};
  EXPECT_TRUE(file->WriteRows(3, row).ok());
  EXPECT_EQ(file->WriteRows(4, row).code(), Code::kInvalid);
  EXPECT_EQ(file->WriteRows(-1, row).code(), Code::kInvalid);
  EXPECT_EQ(file->WriteRows(0, std::span(row).first(1)).code(), Code::kInvalid);
  EXPECT_EQ(PublishHidden(folder.Path("no"), folder.Path("no either")).code(), Code::kNotFound);
}

TEST(NpzWriterTest, PartsBecomeMembersAndGoAway) {
  const TestFolder folder;
  const std::vector<NpzPart> parts = {{"out_b", folder.Path("b.part")},
                                      {"out_a", folder.Path("a.part")}};
  const std::vector<float> values = {1, 2};
  for (const NpzPart& part : parts) ASSERT_TRUE(WriteNpy(part.path, {2}, values).ok());
  ASSERT_TRUE(WriteNpz(folder.Path("p.npz"), parts).ok());
  EXPECT_EQ(folder.FileCount(), 1U);
  EXPECT_TRUE(WriteNpz(folder.Path("p.npz"), parts).ok()) << "a repeat after success";
  EXPECT_EQ(WriteNpz(folder.Path("q.npz"), parts).code(), Code::kNotFound);

  Result<ZipReader> zip = ZipReader::OpenFile(folder.Path("p.npz"));
  ASSERT_TRUE(zip.ok()) << zip.status().message();
  ASSERT_EQ(zip->members().size(), 2U);
  EXPECT_EQ(zip->members()[0].name, "out_b.npy");
  const ZipReader::Member* member = zip->Find("out_a.npy");
  ASSERT_NE(member, nullptr);
  EXPECT_EQ(zip->ReadAll(*member, 1000).value(), NpyHeader({2}) + Bytes(values));
  EXPECT_EQ(zip->ReadAll(*member, 10).status().code(), Code::kInvalid);
}

TEST(NpzWriterTest, TwoPartsOfOneNameAreRefused) {
  const TestFolder folder;
  const std::vector<float> values = {1};
  ASSERT_TRUE(WriteNpy(folder.Path("a"), {1}, values).ok());
  EXPECT_EQ(
      WriteNpz(folder.Path("p.npz"), {{"x", folder.Path("a")}, {"x", folder.Path("a")}}).code(),
      Code::kInvalid);
  EXPECT_EQ(folder.FileCount(), 1U);
}

TEST(ZipSizeTest, ClaimsBeyondDeflateAreLies) {
  EXPECT_TRUE(PlausibleZipSize(1000, 1000));
  EXPECT_TRUE(PlausibleZipSize(1032 * 1000, 1000));
  EXPECT_FALSE(PlausibleZipSize(std::uint64_t{1} << 40, 1000));
  EXPECT_TRUE(PlausibleZipSize(UINT64_MAX, UINT64_MAX));
}

}  // namespace
}  // namespace elephas
