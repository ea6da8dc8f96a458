// Files for tests, in a folder that goes away.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/atomic_file.h"

namespace elephas {

class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "elephas-data-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string Path(std::string_view name) const { return (path_ / name).string(); }
  // Writes and returns the path.
  [[nodiscard]] std::string Write(std::string_view name, std::string_view text) const {
    EXPECT_TRUE(WriteWholeFile(Path(name), text).ok());
    return Path(name);
  }
  [[nodiscard]] std::size_t FileCount() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      count += entry.is_regular_file() ? 1U : 0U;
    }
    return count;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace elephas
