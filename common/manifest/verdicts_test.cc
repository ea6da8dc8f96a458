// tests/verdicts holds manifests on which `elephas validate` and a cluster must agree: ok-* is
// taken by both, bad-* by none. strict-* is taken by kubectl, which drops a part of it without a
// word, and not by us.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/manifest/job_spec.h"
#include "common/manifest/testing/manifest.h"

namespace elephas {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> Files() {
  const char* source = std::getenv("ELEPHAS_SOURCE_DIR");
  std::vector<fs::path> files;
  for (const auto& entry :
       fs::directory_iterator(fs::path(source == nullptr ? "." : source) / "tests" / "verdicts")) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Verdicts, OfEveryFileAreWhatItsNameSays) {
  const std::vector<fs::path> files = Files();
  ASSERT_GT(files.size(), 90U);
  for (const fs::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::string name = path.filename().string();
    const auto problems = Problems(ParseManifest(text, name));
    if (name.starts_with("ok-")) {
      EXPECT_THAT(problems, testing::IsEmpty()) << name;
    } else {
      EXPECT_TRUE(name.starts_with("bad-") || name.starts_with("strict-")) << name;
      EXPECT_THAT(problems, testing::Not(testing::IsEmpty())) << name;
    }
  }
}

}  // namespace
}  // namespace elephas
