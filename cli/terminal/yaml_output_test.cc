#include "cli/terminal/yaml_output.h"

#include <gtest/gtest.h>

#include "cli/cluster/written_document.h"

namespace elephas::cli {
namespace {

using nlohmann::json;

TEST(YamlOutputTest, LooksAsKubectlPrintsIt) {
  EXPECT_EQ(YamlOf({{"apiVersion", "v1"},
                    {"metadata", {{"name", "a"}, {"labels", json::object()}}},
                    {"spec", {{"epochs", 3}, {"loss", nullptr}, {"metrics", {"accuracy"}}}}}),
            "apiVersion: v1\n"
            "metadata:\n"
            "  labels: {}\n"
            "  name: a\n"
            "spec:\n"
            "  epochs: 3\n"
            "  loss: null\n"
            "  metrics:\n"
            "    - accuracy\n");
}

TEST(YamlOutputTest, IsReadBackAsWhatItWas) {
  const json object{{"text",
                     {"true", "no", "12", "1.5", "", "~", "null", "a: b", "# c", "- d", "\"q\"",
                      "two\nlines", "0x10", "12:30", "tab\there", "2026-03-01T12:00:00Z"}},
                    {"numbers", {1, -2, 0.25, 1e300}},
                    {"others", {true, false, nullptr, json::array(), json::object()}},
                    {"yes", {{"1", "key that looks like a number"}}}};
  const auto read = WrittenDocument(YamlOf(object), {});
  ASSERT_TRUE(read.ok()) << read.status().message() << "\n" << YamlOf(object);
  EXPECT_EQ(*read, object);
}

}  // namespace
}  // namespace elephas::cli
