#include "common/base/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/mutex.h"

namespace {

elephas::Mutex synced_mutex;
std::vector<std::string> synced ELEPHAS_GUARDED_BY(synced_mutex);  // what fsync() was called for

std::vector<std::string> TakeSynced() {
  const elephas::MutexLock lock(synced_mutex);
  return std::exchange(synced, {});
}

}  // namespace

// In place of the C library's: what a crash of the machine would spare shows no other way.
extern "C" int fsync(int fd) {
  std::error_code error;
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const std::string path = std::filesystem::read_symlink(link, error).string();
  {
    const elephas::MutexLock lock(synced_mutex);
    synced.push_back(path);
  }
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace elephas {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elephas-atomic-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string Path(const std::string& name) const {
    return (folder_ / name).string();
  }
  [[nodiscard]] std::size_t FileCount() const {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      if (entry.is_regular_file()) ++count;
    }
    return count;
  }

  fs::path folder_;
};

TEST_F(AtomicFileTest, NothingIsThereBeforeCommitAndAllOfItAfter) {
  Result<AtomicFile> file = AtomicFile::Create(Path("a/b/out.json"));
  ASSERT_TRUE(file.ok()) << file.status().message();
  ASSERT_TRUE(file->Write("hello ").ok());
  ASSERT_TRUE(file->Write("world").ok());
  EXPECT_FALSE(fs::exists(Path("a/b/out.json")));
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(ReadWholeFile(Path("a/b/out.json"), 100).value(), "hello world");
  EXPECT_EQ(FileCount(), 1U);
}

TEST_F(AtomicFileTest, WithoutCommitTheOldFileStaysAndNothingIsLeft) {
  ASSERT_TRUE(WriteWholeFile(Path("out"), "old").ok());
  {
    Result<AtomicFile> file = AtomicFile::Create(Path("out"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Write("new").ok());
    AtomicFile moved = std::move(file).value();
    EXPECT_EQ(ReadWholeFile(Path("out"), 100).value(), "old");
  }
  EXPECT_EQ(ReadWholeFile(Path("out"), 100).value(), "old");
  EXPECT_EQ(FileCount(), 1U);
}

TEST_F(AtomicFileTest, WriteAtExtendsTheFileWithZeros) {
  Result<AtomicFile> file = AtomicFile::Create(Path("out"));
  ASSERT_TRUE(file.ok());
  const std::string tail = "tail";
  ASSERT_TRUE(file->WriteAt(3, std::as_bytes(std::span(tail))).ok());
  ASSERT_TRUE(file->WriteAt(0, std::as_bytes(std::span(tail).first(1))).ok());
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(ReadWholeFile(Path("out"), 100).value(), std::string("t\0\0tail", 7));
  EXPECT_FALSE(file->Commit().ok());
}

TEST_F(AtomicFileTest, WritersOfOneNameDoNotMixTheirBytes) {
  std::vector<std::thread> writers;
  for (int i = 0; i < 8; ++i) {
    writers.emplace_back([&, i] {
      const std::string text(10000, static_cast<char>('a' + i));
      for (int round = 0; round < 20; ++round) {
        const Status status = WriteWholeFile(Path("out"), text);
        EXPECT_TRUE(status.ok()) << status.message();
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string text = ReadWholeFile(Path("out"), 1 << 20).value();
  EXPECT_EQ(text, std::string(10000, text[0]));
  EXPECT_EQ(FileCount(), 1U);
}

TEST_F(AtomicFileTest, WhatAKilledWriterLeftGoesAwayLater) {
  const std::string old_leftover = Path(".out.0123456789abcdef.tmp");
  const std::string fresh_leftover = Path(".out.fedcba9876543210.tmp");
  const std::vector<std::string> others = {Path(".other.0123456789abcdef.tmp"), Path(".out.tmp"),
                                           Path(".out.json.0123456789abcdef.tmp"),
                                           Path(".out.0123456789abcdef.rows")};
  const auto hour_ago = fs::file_time_type::clock::now() - std::chrono::hours(1);
  ASSERT_TRUE(WriteWholeFile(fresh_leftover, "half").ok());
  ASSERT_TRUE(WriteWholeFile(old_leftover, "half").ok());
  fs::last_write_time(old_leftover, hour_ago);
  for (const std::string& path : others) {
    ASSERT_TRUE(WriteWholeFile(path, "half").ok());
    fs::last_write_time(path, hour_ago);
  }
  ASSERT_TRUE(WriteWholeFile(Path("out"), "whole").ok());
  EXPECT_FALSE(fs::exists(old_leftover));
  EXPECT_TRUE(fs::exists(fresh_leftover));
  for (const std::string& path : others) EXPECT_TRUE(fs::exists(path)) << path;
}

TEST_F(AtomicFileTest, AFullDiskIsToldAndLeavesNothing) {
  // A file-size limit stands for the disk: both make write() fail half-way.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = WriteWholeFile(Path("out"), std::string(10000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_NE(status.message().find("File too large"), std::string::npos) << status.message();
  EXPECT_EQ(FileCount(), 0U);
}

TEST_F(AtomicFileTest, AFolderInTheWayIsAnError) {
  fs::create_directory(Path("folder"));
  EXPECT_EQ(WriteWholeFile(Path("folder"), "x").code(), Code::kInternal);
  ASSERT_TRUE(WriteWholeFile(Path("file"), "x").ok());
  EXPECT_EQ(WriteWholeFile(Path("file/below"), "x").code(), Code::kInternal);
  EXPECT_EQ(ReadWholeFile(Path("folder"), 10).status().code(), Code::kInternal);
}

TEST_F(AtomicFileTest, ReadingStopsAtTheLimit) {
  ASSERT_TRUE(WriteWholeFile(Path("file"), "12345").ok());
  EXPECT_TRUE(ReadWholeFile(Path("file"), 5).ok());
  EXPECT_EQ(ReadWholeFile(Path("file"), 4).status().code(), Code::kInvalid);
  EXPECT_EQ(ReadWholeFile(Path("missing"), 4).status().code(), Code::kNotFound);
  EXPECT_EQ(ReadWholeFile("/dev/zero", 100000).status().code(), Code::kInvalid);
}

TEST_F(AtomicFileTest, FoldersThatAreMadeAreSyncedIntoTheirParents) {
  fs::create_directory(Path("there"));
  (void)TakeSynced();
  const auto made = MakeFolders(Path("there/a/b/"));
  ASSERT_TRUE(made.ok()) << made.status().message();
  EXPECT_EQ(*made, (std::vector<std::string>{Path("there/a"), Path("there/a/b")}));
  EXPECT_EQ(TakeSynced(), (std::vector<std::string>{Path("there"), Path("there/a")}));
  EXPECT_TRUE(MakeFolders(Path("there/a/b"))->empty());
  EXPECT_TRUE(TakeSynced().empty());
  ASSERT_TRUE(WriteWholeFile(Path("new/file"), "text").ok());
  const auto all = TakeSynced();
  ASSERT_EQ(all.size(), 3U) << "the folder into its parent, the file, the file into the folder";
  EXPECT_EQ(all[0], folder_);
  EXPECT_EQ(all[2], Path("new"));
}

TEST_F(AtomicFileTest, AFolderThatCannotBeMadeNamesWhatIsInTheWay) {
  ASSERT_TRUE(WriteWholeFile(Path("file"), "text").ok());
  for (const char* folder : {"file", "file/below"}) {
    const Status status = MakeFolders(Path(folder)).status();
    EXPECT_EQ(status.code(), Code::kInternal);
    EXPECT_EQ(status.message(), Path(folder) + ": Not a directory");
  }
}

TEST_F(AtomicFileTest, AFileIsCreatedOnceByWhoeverIsFirst) {
  EXPECT_TRUE(CreateWholeFile(Path("claim"), "mine").value());
  EXPECT_FALSE(CreateWholeFile(Path("claim"), "yours").value());
  EXPECT_EQ(ReadWholeFile(Path("claim"), 100).value(), "mine");
  EXPECT_EQ(FileCount(), 1U);
  std::vector<std::thread> threads;
  Mutex mutex;
  int created = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const bool first = CreateWholeFile(Path("race"), std::to_string(i)).value();
      const MutexLock lock(mutex);
      created += first ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(created, 1);
}

}  // namespace
}  // namespace elephas
