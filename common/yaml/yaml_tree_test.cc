#include "common/yaml/yaml_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>

namespace elephas::manifest {
namespace {

using nlohmann::json;

YamlText Read(std::string_view text) { return ReadYaml(text, "job.yaml", 0, true, ""); }

std::string OnlyProblem(std::string_view text) {
  const YamlText yaml = Read(text);
  EXPECT_EQ(yaml.root, nullptr);
  EXPECT_EQ(yaml.problems.size(), 1U);
  return yaml.problems.empty() ? "" : ToString(yaml.problems.front());
}

std::optional<json> Scalar(const std::string& text) {
  const YamlText yaml = Read("a: " + text);
  EXPECT_NE(yaml.root, nullptr) << text;
  return yaml.root == nullptr ? std::nullopt : ScalarValue(*yaml.root->entries.at(0).value);
}

// What kubectl's own code said of each text; tests/manifests/test_reader.py makes the table.
TEST(ReadYaml, SaysWhatKubectlReads) {
  const char* source = std::getenv("ELEPHAS_SOURCE_DIR");
  std::ifstream file(std::string(source == nullptr ? "." : source) +
                     "/tests/manifests/kubectl_reads.json");
  const json rows = json::parse(file);
  ASSERT_GT(rows.size(), 500U);
  for (const json& row : rows) {
    const YamlText yaml = Read(row[0].get<std::string>());
    const auto value = yaml.root == nullptr ? Invalid("refused") : JsonOf(*yaml.root);
    const bool taken = value.ok() && yaml.problems.empty() && value->is_object();
    EXPECT_EQ(taken, !row[1].is_null()) << row[0];
    if (taken && !row[1].is_null()) {
      EXPECT_EQ(value->dump(), row[1].dump()) << row[0];
    }
  }
}

TEST(Scalars, NumbersThatJsonCannotHoldAreRefused) {
  for (const char* text : {".inf", "-.INF", "+.Inf", ".nan"}) {
    EXPECT_EQ(Scalar(text), std::nullopt) << text;
  }
  EXPECT_EQ(Scalar("1e999"), json("1e999"));  // kubectl takes it for text
}

TEST(Scalars, QuotedOnesAreText) {
  EXPECT_EQ(Scalar("'3'"), json("3"));
  EXPECT_EQ(Scalar("\"true\""), json("true"));
  EXPECT_EQ(Scalar("!!str 3"), json("3"));
  EXPECT_EQ(Scalar("''"), json(""));
  EXPECT_EQ(Scalar("|\n  two\n  lines"), json("two\nlines\n"));
}

TEST(ReadYaml, EveryNodeKnowsItsLine) {
  const YamlText yaml = Read("a:\n  - x\n  - {b: y}\nc: |\n  t\n");
  ASSERT_NE(yaml.root, nullptr);
  const auto& entries = yaml.root->entries;
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].place.line, 1);
  EXPECT_EQ(entries[0].value->items.at(0)->place.line, 2);
  EXPECT_EQ(entries[0].value->items.at(1)->entries.at(0).place.line, 3);
  EXPECT_EQ(entries[1].place.line, 4);
}

TEST(ReadYaml, BytesThatAreNotUtf8AreRefused) {
  for (const std::string_view bad : {"a: \xff", "a: \xc0\xaf", "a: \xed\xa0\x80",
                                     "a: \xf4\x90\x80\x80", "a: \xe2\x82", "\xff\xfe="}) {
    EXPECT_EQ(OnlyProblem(bad), "job.yaml: is not UTF-8 text");
  }
  EXPECT_EQ(OnlyProblem(std::string_view("a: 1\nb: \0", 9)), "job.yaml:2: holds a NUL character");
}

TEST(ReadYaml, AByteOrderMarkIsSkipped) {
  const YamlText yaml = Read(
      "\xef\xbb\xbf"
      "a: 1");
  ASSERT_NE(yaml.root, nullptr);
  EXPECT_EQ(yaml.root->entries.at(0).key, "a");
}

TEST(ReadYaml, NothingIsNoManifest) {
  for (const char* text : {"", "\n\n", "# only a comment\n", "---\n", "null\n"}) {
    EXPECT_EQ(OnlyProblem(text), "job.yaml:1: is empty") << text;
  }
}

TEST(ReadYaml, DeepNestingIsRefused) {
  for (const auto& [open, close] :
       {std::pair("[", "]"), std::pair("{a: ", "}"), std::pair("- ", "")}) {
    for (const int depth : {129, 600, 100000}) {
      std::string text;
      for (int i = 0; i < depth; ++i) text += open;
      text += "1";
      for (int i = 0; i < depth; ++i) text += close;
      EXPECT_EQ(OnlyProblem(text), "job.yaml:1: nested deeper than 128 levels") << depth << open;
    }
  }
}

TEST(ReadYaml, AliasesThatMultiplyAreRefusedAtOnce) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) text += ", " + before;
    text += "]\n";
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(OnlyProblem(text), "job.yaml:5: aliases stand for more than a manifest may hold");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(ReadYaml, AliasesOfLongTextAreCountedByTheirBytes) {
  std::string text = "a: &a " + std::string(1 << 20, 'x') + "\nb:\n";
  for (int i = 0; i < 40; ++i) text += "- *a\n";
  EXPECT_EQ(OnlyProblem(text), "job.yaml:19: aliases stand for more than a manifest may hold");
}

TEST(ReadYaml, AnAliasInsideItsOwnAnchorIsRefused) {
  EXPECT_EQ(OnlyProblem("a: &a [*a]"), "job.yaml:1: an alias inside its own anchor");
}

TEST(ReadYaml, AVeryLargeFileIsRefused) {
  EXPECT_EQ(OnlyProblem(std::string((8 << 20) + 1, 'a')), "job.yaml: is larger than 8 MiB");
}

TEST(ReadYaml, TooManyValuesAreRefused) {
  std::string text = "a: [";
  for (int i = 0; i < 500'001; ++i) text += "1,";
  EXPECT_EQ(OnlyProblem(text + "1]"), "job.yaml:1: more than 500000 values");
}

TEST(PrintableText, IsOneBoundedLine) {
  EXPECT_EQ(Printable("a\nb\t\x01"), "a\\nb\\t\\x01");
  EXPECT_EQ(Printable(std::string(61, 'a')), std::string(60, 'a') + "…");
  EXPECT_EQ(Printable(std::string(59, 'a') + "äb"), std::string(59, 'a') + "ä…");
}

}  // namespace
}  // namespace elephas::manifest
