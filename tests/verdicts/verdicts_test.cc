// The manifests of this folder, as the programs judge them: bad-* is refused, ok-* accepted.
// test_manifests.py gives the same files to a real API server.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/manifest/job_spec.h"

namespace elephas {
namespace {

std::filesystem::path Folder() {
  const char* source = std::getenv("ELEPHAS_SOURCE_DIR");
  return std::filesystem::path(source == nullptr ? ELEPHAS_SOURCE_DIR : source) / "tests" /
         "verdicts";
}

std::vector<std::string> ManifestFiles() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(Folder())) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class VerdictTest : public ::testing::TestWithParam<std::string> {};

TEST_P(VerdictTest, IsWhatTheNameOfTheFileSays) {
  const std::string& name = GetParam();
  std::ifstream file(Folder() / (name + ".yaml"));
  std::stringstream text;
  text << file.rdbuf();
  const ParsedManifest parsed = ParseManifest(text.str(), name + ".yaml");
  std::string problems;
  for (const ManifestProblem& problem : parsed.problems) problems += ToString(problem) + "\n";
  const bool ok = name.starts_with("ok-");
  // strict-*: kubectl drops a part of it without a word, and we do not.
  ASSERT_TRUE(ok || name.starts_with("bad-") || name.starts_with("strict-")) << name;
  EXPECT_EQ(parsed.problems.empty(), ok) << problems;
}

INSTANTIATE_TEST_SUITE_P(Files, VerdictTest, ::testing::ValuesIn(ManifestFiles()),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::replace_if(
                               name.begin(), name.end(),
                               [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace elephas
