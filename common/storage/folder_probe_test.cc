#include "common/storage/folder_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace elephas {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class FolderProbeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elephas-probe-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string folder_;
};

TEST_F(FolderProbeTest, AFolderThatCanBeWrittenStaysAsItWas) {
  EXPECT_FALSE(ProbeFolder(folder_).has_value());
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(FolderProbeTest, WhatIsMissingOrNoFolderIsNamed) {
  std::ofstream(folder_ + "/file") << "text";
  const auto file = ProbeFolder(folder_ + "/file");
  ASSERT_TRUE(file.has_value());
  EXPECT_TRUE(file->lasting);
  EXPECT_THAT(file->message, HasSubstr(folder_ + "/file cannot be written: Not a directory"));
  const auto missing = ProbeFolder(folder_ + "/missing");
  ASSERT_TRUE(missing.has_value());
  EXPECT_FALSE(missing->lasting) << "a volume may still be mounted";
}

// As a pod whose volume belongs to root. A child process, because the change cannot be undone.
TEST_F(FolderProbeTest, AnotherUsersFolderIsNamedWithBothUsers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  fs::permissions(folder_, fs::perms(0755));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::setgid(65532) != 0 || ::setuid(65532) != 0) _exit(2);
    const auto problem = ProbeFolder(folder_);
    const bool told =
        problem && problem->lasting &&
        problem->message.find("user 65532, group 65532") != std::string::npos &&
        problem->message.find("belongs to user 0, group 0, mode 755") != std::string::npos;
    _exit(told ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(FolderProbeTest, OnlyWhatAPersonMustMendLasts) {
  for (const int error : {EACCES, EPERM, EROFS, ENOSPC, EDQUOT, ENOTDIR}) {
    EXPECT_TRUE(ProblemOf(folder_, error).lasting) << error;
  }
  for (const int error : {EIO, ESTALE, ENOENT, EINTR, ENOMEM, EMFILE}) {
    EXPECT_FALSE(ProblemOf(folder_, error).lasting) << error;
  }
}

}  // namespace
}  // namespace elephas
