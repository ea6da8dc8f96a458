#include "worker/data/csv_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace elephas {
namespace {

using nlohmann::json;

JobSpec::Data Columns(json features, json labels) {
  JobSpec::Data data;
  data.features = std::move(features);
  data.labels = std::move(labels);
  return data;
}

const DatasetHints kTrain;
const DatasetHints kPredict{.need_labels = false};

Result<Dataset> Read(std::string_view text, json features = nullptr,
                     json labels = json::array({"label"}), const DatasetHints& hints = kTrain) {
  return ReadCsv("digits.csv", text, Columns(std::move(features), std::move(labels)), hints);
}

std::vector<float> Floats(const Array& array) {
  const std::int64_t count = array.rows() * array.row_elements();
  return {array.floats(), array.floats() + count};
}
std::vector<std::int64_t> Ints(const Array& array) {
  const std::int64_t count = array.rows() * array.row_elements();
  return {array.ints(), array.ints() + count};
}
using Shape = std::vector<std::int64_t>;

TEST(CsvReaderTest, EveryColumnButTheLabelIsAFeature) {
  const Result<Dataset> data = Read("a,label,b\n1,7,2.5\n-3,8,+4e1\n");
  ASSERT_TRUE(data.ok()) << data.status().message();
  ASSERT_EQ(data->features.size(), 1U);
  EXPECT_EQ(data->features[0].shape, (Shape{2, 2}));
  EXPECT_EQ(Floats(data->features[0]), (std::vector<float>{1, 2.5, -3, 40}));
  ASSERT_EQ(data->labels.size(), 1U);
  EXPECT_EQ(data->labels[0].shape, Shape{2});
  EXPECT_EQ(Ints(data->labels[0]), (std::vector<std::int64_t>{7, 8}));
  EXPECT_EQ(data->lines, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(data->rows, 2);
  EXPECT_TRUE(data->feature_keys.empty());
}

TEST(CsvReaderTest, ListedColumnsComeInTheListsOrderAndOthersAreNotLookedAt) {
  const Result<Dataset> data =
      Read("id,a,b,label\nrow one,1,2,0\n\"x,\ny\",3,4,1\n", json{"b", "a"}, "label");
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(Floats(data->features[0]), (std::vector<float>{2, 1, 4, 3}));
  EXPECT_EQ(data->lines, (std::vector<std::int64_t>{2, 3}));
}

TEST(CsvReaderTest, AMapMakesOneArrayPerModelInputAndOutput) {
  const Result<Dataset> data =
      Read("a,b,c,y1,y2\n1,2,3,4,5.5\n", json{{"wide", {"a", "c"}}, {"deep", "b"}},
           json{{"first", "y1"}, {"second", {"y2", "y1"}}});
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->feature_keys, (std::vector<std::string>{"deep", "wide"}));
  EXPECT_EQ(data->features[0].shape, (Shape{1, 1}));
  EXPECT_EQ(Floats(data->features[1]), (std::vector<float>{1, 3}));
  EXPECT_EQ(data->label_keys, (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(Ints(data->labels[0]), (std::vector<std::int64_t>{4}));
  EXPECT_EQ(data->labels[1].shape, (Shape{1, 2}));
  EXPECT_EQ(Floats(data->labels[1]), (std::vector<float>{5.5, 4}));
}

TEST(CsvReaderTest, OneFractionMakesALabelColumnFloat) {
  const Result<Dataset> data = Read("a,label\n1,1\n1,2.5\n1,3\n");
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->labels[0].type, ElementType::kFloat32);
  EXPECT_EQ(Floats(data->labels[0]), (std::vector<float>{1, 2.5, 3}));
}

TEST(CsvReaderTest, IntegerLabelsKeepAllTheirDigits) {
  const Result<Dataset> data = Read("a,label\n1,9007199254740993\n");
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(Ints(data->labels[0]), (std::vector<std::int64_t>{9007199254740993}));
}

TEST(CsvReaderTest, LineEndsQuotesBlanksAndTheByteOrderMarkDoNotMatter) {
  for (const char* text : {
           "a,label\n1,2\n3,4\n",
           "a,label\n1,2\n3,4",
           "a,label\r\n1,2\r\n3,4\r\n",
           "a,label\r\n1,2\r\n3,4\r",
           "\xEF\xBB\xBF"
           "a,label\n1,2\n3,4\n",
           "\n\na,label\n\n1,2\r\n\r\n3,4\n\n\n",
           "\"a\",\"label\"\n\"1\",\"2\"\n\"3\",4\n",
           " a , label\n 1\t,2 \n3, 4\n",
       }) {
    const Result<Dataset> data = Read(text);
    ASSERT_TRUE(data.ok()) << text << data.status().message();
    EXPECT_EQ(Floats(data->features[0]), (std::vector<float>{1, 3})) << text;
    EXPECT_EQ(Ints(data->labels[0]), (std::vector<std::int64_t>{2, 4})) << text;
  }
}

TEST(CsvReaderTest, QuotedNamesMayHoldCommasAndQuotes) {
  const Result<Dataset> data = Read("\"a,\"\"b\"\"\",label\n1,2\n", json::array({"a,\"b\""}));
  ASSERT_TRUE(data.ok()) << data.status().message();
}

TEST(CsvReaderTest, NumbersTooSmallForFloatBecomeSubnormalOrZero) {
  const Result<Dataset> data = Read("a,b,label\n1e-42,-1e-9999,0\n");
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(Floats(data->features[0]), (std::vector<float>{1e-42F, -0.0F}));
}

TEST(CsvReaderTest, PredictTakesFilesWithAndWithoutLabels) {
  const Result<Dataset> with = Read("a,label\n1,\n2,x\n", nullptr, json{"label"}, kPredict);
  ASSERT_TRUE(with.ok()) << with.status().message();
  EXPECT_EQ(Floats(with->features[0]), (std::vector<float>{1, 2}));
  EXPECT_TRUE(with->labels.empty());
  const Result<Dataset> without = Read("a,b\n1,2\n", nullptr, json::array({"label"}), kPredict);
  ASSERT_TRUE(without.ok()) << without.status().message();
  EXPECT_EQ(without->features[0].shape, (Shape{1, 2}));
}

TEST(CsvReaderTest, AnAutoencoderMayNameTheSameColumnsTwice) {
  const Result<Dataset> data = Read("a,b\n1,2.5\n", json{"a", "b"}, json{"a", "b"});
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(Floats(data->features[0]), Floats(data->labels[0]));
}

struct Bad {
  const char* name;
  const char* text;
  const char* message;
  json features = nullptr;
  json labels = json::array({"label"});
};
void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.name; }

class BadCsvTest : public testing::TestWithParam<Bad> {};

TEST_P(BadCsvTest, IsRefusedNamingLineAndColumn) {
  const Result<Dataset> data = Read(GetParam().text, GetParam().features, GetParam().labels);
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.status().code(), Code::kInvalid);
  EXPECT_EQ(data.status().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Files, BadCsvTest,
    testing::Values(
        Bad{"NotANumber", "p3,label\n1,0\nabc,1\n",
            "digits.csv:3: column 'p3': 'abc' is not a number"},
        Bad{"NumberWithTail", "p3,label\n1x,0\n",
            "digits.csv:2: column 'p3': '1x' is not a number"},
        Bad{"Hexadecimal", "p3,label\n0x10,0\n",
            "digits.csv:2: column 'p3': '0x10' is not a number"},
        Bad{"TwoSigns", "p3,label\n+-1,0\n", "digits.csv:2: column 'p3': '+-1' is not a number"},
        Bad{"CommaAsDecimalPoint", "p3,label\n\"1,5\",0\n",
            "digits.csv:2: column 'p3': '1,5' is not a number"},
        Bad{"Nan", "p3,label\nnan,0\n", "digits.csv:2: column 'p3': 'nan' is not a finite number"},
        Bad{"Infinity", "p3,label\n1,0\n-inf,0\n",
            "digits.csv:3: column 'p3': '-inf' is not a finite number"},
        Bad{"NanLabel", "p3,label\n1,NaN\n",
            "digits.csv:2: column 'label': 'NaN' is not a finite number"},
        Bad{"TooLarge", "p3,label\n1e39,0\n",
            "digits.csv:2: column 'p3': '1e39' is too large for float32"},
        Bad{"FarTooLarge", "p3,label\n-1e999,0\n",
            "digits.csv:2: column 'p3': '-1e999' is too large for float32"},
        Bad{"EmptyFeature", "p2,p3,label\n1,,0\n", "digits.csv:2: column 'p3': the cell is empty"},
        Bad{"EmptyLabel", "p3,label\n1,\n", "digits.csv:2: column 'label': the cell is empty"},
        Bad{"BlankLabel", "p3,label\n1,  \n", "digits.csv:2: column 'label': the cell is empty"},
        Bad{"ControlCharacters", "p3,label\n\x01\x1b[2J\xff,0\n",
            "digits.csv:2: column 'p3': '??[2J?' is not a number"},
        Bad{"TooFewCells", "p2,p3,label\n1,2,3\n1,2\n",
            "digits.csv:3: 2 cells, the header has 3 columns"},
        Bad{"TooManyCells", "p3,label\n1,2,3,4\n",
            "digits.csv:2: 4 cells, the header has 2 columns"},
        Bad{"LineAfterQuotedNewline", "id,p3,label\n\"a\nb\",1,0\nx,y,0\n",
            "digits.csv:4: column 'p3': 'y' is not a number", json::array({"p3"})},
        Bad{"OpenQuote", "p3,label\n1,0\n\"1,0\n",
            "digits.csv:3: a quote is opened and never closed"},
        Bad{"QuoteInside", "p3,label\n1\"2\",0\n",
            "digits.csv:2: a quote inside a cell that does not start with one"},
        Bad{"TextAfterQuote", "p3,label\n\"1\"2,0\n",
            "digits.csv:2: characters after a closing quote"},
        Bad{"Empty", "", "digits.csv: is empty"},
        Bad{"OnlyNewlines", "\n\r\n\n", "digits.csv: is empty"},
        Bad{"HeaderOnly", "p3,label\n", "digits.csv: holds no rows, only a header"},
        Bad{"DuplicateColumn", "p3,label,p3\n1,2,3\n", "digits.csv:1: two columns are named 'p3'"},
        Bad{"UnnamedColumn", ",p3,label\n0,1,2\n",
            "digits.csv:1: column 1 has no name in the header"},
        Bad{"MissingLabel", "p3,class\n1,2\n",
            "digits.csv: no column 'label'; columns are: p3, class"},
        Bad{"MissingFeature", "p3,label\n1,2\n",
            "digits.csv: no column 'p4'; columns are: p3, label", json{"p3", "p4"}},
        Bad{"NoLabels", "p3,label\n1,2\n",
            "digits.csv: spec.data.labels must name the label columns; columns are: p3, label",
            nullptr, nullptr},
        Bad{"SelectedTwice", "p3,label\n1,2\n", "digits.csv: column 'p3' is selected twice",
            json{"p3", "p3"}},
        Bad{"OnlyLabels", "label\n1\n",
            "digits.csv: every column is a label, none is left as a feature"},
        Bad{"Utf16", "\xFF\xFEp\x01", "digits.csv: is UTF-16 text; save it as UTF-8"},
        Bad{"FeaturesOfNumbers", "p3,label\n1,2\n", "spec.data.features: must hold names",
            json{1, 2}},
        Bad{"FeaturesNumber", "p3,label\n1,2\n",
            "spec.data.features: must be a name or a list of names", 5}),
    [](const auto& row) { return std::string(row.param.name); });

// Five million columns took a gigabyte before the first row.
TEST(CsvReaderTest, AHeaderThatFillsMemoryIsRefusedWhileItIsRead) {
  std::string text = "label";
  for (int i = 0; i < 10000; ++i) text.append(",c").append(std::to_string(i));
  const DatasetHints hints{.memory = {.bytes = 1 << 20, .limit = "the container's 2.0 MiB"}};
  const Result<Dataset> data = Read(text, nullptr, {"label"}, hints);
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.status().code(), Code::kInvalid);
  EXPECT_NE(data.status().message().find("digits.csv: a header of more than "), std::string::npos);
  EXPECT_NE(data.status().message().find("are left of the container's 2.0 MiB"), std::string::npos);
}

TEST(CsvReaderTest, RowsThatFillMemoryAreRefusedWhileTheyAreRead) {
  std::string text = "a,label\n";
  for (int i = 0; i < 20000; ++i) text.append("1,2\n");
  const auto with = [&](std::uint64_t bytes) {
    return Read(text, nullptr, {"label"}, {.memory = {.bytes = bytes}}).status().message();
  };
  EXPECT_EQ(with(std::uint64_t{1} << 20), "");
  EXPECT_NE(with(std::uint64_t{1} << 17).find("digits.csv: the first "), std::string::npos);
}

}  // namespace
}  // namespace elephas
