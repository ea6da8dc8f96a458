#include "cli/run/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <regex>

namespace elephas::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

unsigned Mode(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777U;
}

const ProcessId kWorker{Role::kWorker, 0};

TEST(RunFolderTest, IsPrivateAndGoesAway) {
  std::string path;
  {
    auto folder = RunFolder::Create("", "digits");
    ASSERT_TRUE(folder.ok());
    path = folder->path();
    ASSERT_TRUE(folder->Prepare("{}").ok());
    EXPECT_EQ(Mode(path), 0700U);
    EXPECT_EQ(Mode(folder->TokenFile()), 0600U);
    EXPECT_EQ(Mode(folder->JobFile()), 0600U);
    EXPECT_TRUE(std::regex_match(folder->token(), std::regex("[0-9a-f]{64}")));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(RunFolderTest, AKeptFolderLosesItsToken) {
  std::string path;
  {
    auto folder = RunFolder::Create("", "digits");
    ASSERT_TRUE(folder.ok() && folder->Prepare("{}").ok());
    path = folder->path();
    folder->Keep();
  }
  EXPECT_TRUE(fs::exists(path + "/job.json"));
  EXPECT_FALSE(fs::exists(path + "/token"));
  fs::remove_all(path);
}

TEST(RunFolderTest, AGivenFolderStaysWithoutTheLogsOfBefore) {
  const std::string path = ::testing::TempDir() + "run-folder-given/deep";
  fs::remove_all(path);
  fs::create_directories(path);
  for (const char* name : {"worker-7.log", "paramserver-0.port", "notes.txt"})
    std::ofstream(path + "/" + name) << "1";
  {
    auto folder = RunFolder::Create(path, "digits");
    ASSERT_TRUE(folder.ok()) << folder.status().message();
    EXPECT_FALSE(fs::exists(path + "/worker-7.log"));
    EXPECT_EQ(folder->ReadPort(0), std::nullopt);
    EXPECT_EQ(Mode(path), 0700U);
  }
  EXPECT_TRUE(fs::exists(path + "/notes.txt"));
  fs::remove_all(path);
}

TEST(RunFolderTest, AFileIsNoFolder) {
  const std::string path = ::testing::TempDir() + "run-folder-file";
  std::ofstream(path) << "x";
  EXPECT_FALSE(RunFolder::Create(path, "digits").ok());
  fs::remove(path);
}

TEST(RunFolderTest, ReadsThePortOnceItIsThere) {
  auto folder = RunFolder::Create("", "digits");
  ASSERT_TRUE(folder.ok());
  EXPECT_EQ(folder->ReadPort(0), std::nullopt);
  std::ofstream(folder->PortFile(0)) << "40123\n";
  EXPECT_EQ(folder->ReadPort(0), 40123);
  std::ofstream(folder->PortFile(0)) << "99999999\n";
  EXPECT_EQ(folder->ReadPort(0), std::nullopt);
}

TEST(RunFolderTest, TheLogsTailIsItsLastLines) {
  auto folder = RunFolder::Create("", "digits");
  ASSERT_TRUE(folder.ok());
  EXPECT_THAT(folder->LogTail(kWorker, 2), IsEmpty());
  std::ofstream log(folder->LogFile(kWorker));
  for (int i = 0; i < 5000; ++i) log << "line " << i << "\n\n";
  log << "the end";
  log.close();
  EXPECT_THAT(folder->LogTail(kWorker, 2), ElementsAre("line 4999", "the end"));
}

TEST(NewUidTest, IsARandomUuid) {
  const auto one = NewUid(), other = NewUid();
  ASSERT_TRUE(one.ok() && other.ok());
  EXPECT_TRUE(std::regex_match(
      *one, std::regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")))
      << *one;
  EXPECT_NE(*one, *other);
}

}  // namespace
}  // namespace elephas::cli
