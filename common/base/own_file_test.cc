#include "common/base/own_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "common/base/atomic_file.h"

namespace elephas {
namespace {

namespace fs = std::filesystem;

class OwnFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/own_file_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    std::ofstream(folder_ + "/victim") << "precious";
  }
  ~OwnFileTest() override { fs::remove_all(folder_); }
  [[nodiscard]] std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  // What writing "new" to the file says; "" when it worked.
  [[nodiscard]] std::string Write(const std::string& name, int flags) const {
    const Result<int> fd = OpenOwnFile(Path(name), O_WRONLY | O_CREAT | flags);
    if (!fd.ok()) return fd.status().message();
    EXPECT_EQ(::write(*fd, "new", 3), 3);
    ::close(*fd);
    return "";
  }
  [[nodiscard]] std::string Text(const std::string& name) const {
    return ReadWholeFile(Path(name), 100).value();
  }
  std::string folder_;
};

TEST_F(OwnFileTest, AFileIsMadeAppendedToAndTruncated) {
  EXPECT_EQ(Write("own", O_EXCL), "");
  EXPECT_EQ(Write("own", O_APPEND), "");
  EXPECT_EQ(Text("own"), "newnew");
  EXPECT_EQ(Write("own", O_TRUNC), "");
  EXPECT_EQ(Text("own"), "new");
  struct stat info{};
  ASSERT_EQ(::stat(Path("own").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600);
}

TEST_F(OwnFileTest, ALinkIsNotFollowed) {
  fs::create_symlink(Path("victim"), Path("link"));
  fs::create_symlink(Path("nothing"), Path("dangling"));
  fs::create_hard_link(Path("victim"), Path("second"));
  for (const int flags : {0, O_APPEND, O_TRUNC}) {
    EXPECT_EQ(Write("link", flags), Path("link") + ": is a link, and is not followed");
    EXPECT_EQ(Write("dangling", flags), Path("dangling") + ": is a link, and is not followed");
    EXPECT_EQ(Write("second", flags), Path("second") + ": is the file of another name, too");
  }
  EXPECT_EQ(Text("victim"), "precious");
  EXPECT_FALSE(fs::exists(Path("nothing")));
}

TEST_F(OwnFileTest, WhatIsNoFileIsRefusedWithoutWaiting) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_NE(Write("pipe", 0), "");
  EXPECT_EQ(OpenOwnFile(folder_, O_RDONLY).status().message(), folder_ + ": is not a file");
  EXPECT_EQ(OpenOwnFile(Path("missing"), O_RDONLY).status().code(), Code::kInternal);
}

}  // namespace
}  // namespace elephas
