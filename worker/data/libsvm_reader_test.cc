#include "worker/data/libsvm_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace elephas {
namespace {

const MemoryBudget kMemory{.bytes = 1 << 20};

std::vector<float> Floats(const Array& array) {
  return {array.floats(), array.floats() + array.rows() * array.row_elements()};
}

TEST(LibsvmReaderTest, RowsBecomeDense) {
  const Result<Dataset> data = ReadLibsvm(
      "t.svm", "# a comment\n+1 qid:3 1:0.5 3:-2 # last\r\n\n-1\n0 2:1e1\n", {.memory = kMemory});
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->features[0].shape, (std::vector<std::int64_t>{3, 3}));
  EXPECT_EQ(Floats(data->features[0]), (std::vector<float>{0.5, 0, -2, 0, 0, 0, 0, 10, 0}));
  const Array& labels = data->labels[0];
  ASSERT_EQ(labels.type, ElementType::kInt64);
  EXPECT_EQ(std::vector<std::int64_t>(labels.ints(), labels.ints() + 3),
            (std::vector<std::int64_t>{1, -1, 0}));
  EXPECT_EQ(data->lines, (std::vector<std::int64_t>{2, 4, 5}));
}

TEST(LibsvmReaderTest, TheModelsWidthRules) {
  const Result<Dataset> data =
      ReadLibsvm("t.svm", "1.5 1:1\n", {.libsvm_width = 4, .memory = kMemory});
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(Floats(data->features[0]), (std::vector<float>{1, 0, 0, 0}));
  EXPECT_EQ(data->labels[0].type, ElementType::kFloat32);
  EXPECT_EQ(data->labels[0].floats()[0], 1.5F);
}

TEST(LibsvmReaderTest, PredictTakesLinesWithoutLabels) {
  const Result<Dataset> data =
      ReadLibsvm("t.svm", "1:2 2:3\nx 1:4\n", {.need_labels = false, .memory = kMemory});
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(Floats(data->features[0]), (std::vector<float>{2, 3, 4, 0}));
  EXPECT_TRUE(data->labels.empty());
}

struct Bad {
  const char* name;
  const char* text;
  const char* message;
};

class BadLibsvmTest : public testing::TestWithParam<Bad> {};

TEST_P(BadLibsvmTest, IsRefusedNamingTheLine) {
  const Result<Dataset> data =
      ReadLibsvm("t.svm", GetParam().text, {.libsvm_width = 8, .memory = kMemory});
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.status().code(), Code::kInvalid);
  EXPECT_EQ(data.status().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Files, BadLibsvmTest,
    testing::Values(
        Bad{"Empty", "", "t.svm: holds no rows"},
        Bad{"OnlyComments", "# a\n\n", "t.svm: holds no rows"},
        Bad{"NoLabel", "1:2\n", "t.svm:1: the line does not start with a label"},
        Bad{"BadLabel", "1 1:1\na 1:1\n", "t.svm:2: label: 'a' is not a number"},
        Bad{"SeveralLabels", "1,2 1:1\n", "t.svm:1: label: '1,2' is not a number"},
        Bad{"NanLabel", "nan 1:1\n", "t.svm:1: label: 'nan' is not a finite number"},
        Bad{"IndexZero", "1 0:1\n", "t.svm:1: index 0: indices start at 1"},
        Bad{"NegativeIndex", "1 -2:1\n", "t.svm:1: index -2: indices start at 1"},
        Bad{"Descending", "1 3:1 2:1\n", "t.svm:1: index 2 comes after 3: indices must ascend"},
        Bad{"Twice", "1 3:1 3:1\n", "t.svm:1: index 3 comes after 3: indices must ascend"},
        Bad{"BeyondTheModel", "1 9:1\n", "t.svm:1: index 9: the model takes 8 features"},
        Bad{"BadIndex", "1 a:1\n", "t.svm:1: 'a' is not a number, where index:value is expected"},
        Bad{"NoColon", "1 5\n", "t.svm:1: '5' is not a number, where index:value is expected"},
        Bad{"BadValue", "1 2:x\n", "t.svm:1: index 2: 'x' is not a number"},
        Bad{"EmptyValue", "1 2:\n", "t.svm:1: index 2: '' is not a number"},
        Bad{"InfiniteValue", "1 2:inf\n", "t.svm:1: index 2: 'inf' is not a finite number"},
        Bad{"QidLate", "1 1:1 qid:2\n",
            "t.svm:1: 'qid' is not a number, where index:value is expected"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(LibsvmReaderTest, AnIndexThatWouldFillMemoryIsRefused) {
  const Result<Dataset> data =
      ReadLibsvm("t.svm", "1 9000000000000000000:1\n", {.memory = kMemory});
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(
      data.status().message(),
      "t.svm: 1 rows of 9000000000000000000 features, as dense rows, would take 16384.0 PiB of "
      "memory, and 1.0 MiB are left");
  EXPECT_FALSE(ReadLibsvm("t.svm", "1 300000:1\n", {.memory = kMemory}).ok());
  EXPECT_FALSE(ReadLibsvm("t.svm", "1 1:1\n", {.libsvm_width = 300000, .memory = kMemory}).ok());
}

TEST(LibsvmReaderTest, EntriesThatFillMemoryAreRefusedWhileTheyAreRead) {
  std::string text;
  for (int row = 0; row < 2000; ++row) {
    text.append("1");
    for (int i = 1; i <= 50; ++i) text.append(" ").append(std::to_string(i)).append(":1");
    text.append("\n");
  }
  const MemoryBudget small{.bytes = 1 << 17};
  const Result<Dataset> data = ReadLibsvm("t.svm", text, {.memory = small});
  ASSERT_FALSE(data.ok());
  EXPECT_NE(data.status().message().find("rows would take"), std::string::npos)
      << data.status().message();
  EXPECT_TRUE(ReadLibsvm("t.svm", text, {.memory = {.bytes = 4 << 20}}).ok());
}

}  // namespace
}  // namespace elephas
