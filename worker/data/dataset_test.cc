#include "worker/data/dataset.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/base/testing/test_folder.h"
#include "common/manifest/data_formats.h"
#include "worker/files/npy_writer.h"
#include "worker/files/zip_writer.h"

namespace elephas {
namespace {

using nlohmann::json;

class DatasetTest : public testing::Test {
 protected:
  static std::string Npy(const std::vector<std::int64_t>& shape, const std::vector<float>& values) {
    return NpyHeader(shape) +
           std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  }
  [[nodiscard]] std::string WriteNpz(
      std::string_view name,
      const std::vector<std::pair<std::string, std::string>>& members) const {
    std::vector<ZipMember> zip;
    zip.reserve(members.size());
    for (const auto& [member, text] : members) {
      zip.push_back({member, std::as_bytes(std::span(text))});
    }
    EXPECT_TRUE(WriteZip(folder_.Path(name), zip).ok());
    return folder_.Path(name);
  }
  static std::string Refusal(const std::string& path, const JobSpec::Data& data = {},
                             const DatasetHints& hints = {}) {
    const Result<Dataset> dataset = LoadDataset(path, data, hints);
    return dataset.ok() ? "" : dataset.status().message();
  }

  TestFolder folder_;
};

// What the manifest takes can be read, and nothing else.
TEST_F(DatasetTest, EveryFormatOfTheManifestHasAReader) {
  std::string readable;
  for (const std::string_view ending : EndingsOf([](const DataFormat&) { return true; }, true)) {
    readable.append(readable.empty() ? "" : ", ").append(ending);
  }
  const std::string refusal = Refusal(folder_.Write("x.txt", "1"));
  EXPECT_TRUE(refusal.ends_with("readable are " + readable)) << refusal;
}

TEST_F(DatasetTest, TheExtensionChoosesTheReader) {
  JobSpec::Data labelled;
  labelled.labels = {"y"};
  EXPECT_TRUE(LoadDataset(folder_.Write("a.CSV", "x,y\n1,2\n"), labelled, {}).ok());
  EXPECT_TRUE(LoadDataset(folder_.Write("a.libsvm", "1 1:2\n"), {}, {}).ok());
  EXPECT_TRUE(LoadDataset(folder_.Write("a.svm", "1 1:2\n"), {}, {}).ok());
  EXPECT_TRUE(LoadDataset(folder_.Write("a.npy", Npy({1}, {1})), {}, {.need_labels = false}).ok());
  const std::string npz = WriteNpz("a.npz", {{"x.npy", Npy({1}, {1})}, {"y.npy", Npy({1}, {1})}});
  EXPECT_TRUE(LoadDataset(npz, {}, {}).ok());
  const std::string path = folder_.Write("a.parquet", "PAR1");
  EXPECT_EQ(Refusal(path), path +
                               ": cannot tell the format by the name; readable are .npz, .npy, "
                               ".csv, .libsvm, .svm");
}

TEST_F(DatasetTest, MissingFilesAndFoldersAreTold) {
  const Result<Dataset> missing = LoadDataset(folder_.Path("no.csv"), {}, {});
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_EQ(missing.status().message(), folder_.Path("no.csv") + ": no such file");
  EXPECT_NE(Refusal(folder_.Path("")).find("is a folder"), std::string::npos);
}

TEST_F(DatasetTest, RowsAreNamedByLineOrNumber) {
  JobSpec::Data data;
  data.labels = {"y"};
  const Result<Dataset> csv = LoadDataset(folder_.Write("d.csv", "x,y\n1,2\n\n3,4\n"), data, {});
  ASSERT_TRUE(csv.ok());
  EXPECT_EQ(csv->RowName(1), "d.csv:4");
  const Result<Dataset> npy =
      LoadDataset(folder_.Write("d.npy", Npy({2}, {1, 2})), {}, {.need_labels = false});
  ASSERT_TRUE(npy.ok());
  EXPECT_EQ(npy->RowName(1), "d.npy, row 1");
  EXPECT_EQ(npy->rows, 2);
}

TEST_F(DatasetTest, AnNpzIsReadByNamesOrAsXAndY) {
  const std::string path = WriteNpz("d.npz", {{"x.npy", Npy({2, 1}, {1, 2})},
                                              {"y.npy", Npy({2}, {3, 4})},
                                              {"other.npy", Npy({7}, {1, 2, 3, 4, 5, 6, 7})},
                                              {"note.txt", "hello"}});
  const Result<Dataset> plain = LoadDataset(path, {}, {});
  ASSERT_TRUE(plain.ok()) << plain.status().message();
  EXPECT_EQ(plain->features[0].floats()[1], 2);
  EXPECT_EQ(plain->labels[0].floats()[1], 4);

  JobSpec::Data mapped;
  mapped.features = {{"in_b", "x"}, {"in_a", "y"}};
  mapped.labels = {"y", "x"};
  const Result<Dataset> named = LoadDataset(path, mapped, {});
  ASSERT_TRUE(named.ok()) << named.status().message();
  EXPECT_EQ(named->feature_keys, (std::vector<std::string>{"in_a", "in_b"}));
  EXPECT_EQ(named->features[0].name, "y");
  EXPECT_EQ(named->labels.size(), 2U);
  EXPECT_TRUE(named->label_keys.empty());

  JobSpec::Data data;
  data.features = {"z"};
  EXPECT_EQ(Refusal(path, data), "d.npz: no array 'z'; arrays are: x, y, other");
  data.features = {{"in", {"x", "y"}}};
  EXPECT_EQ(Refusal(path, data), "spec.data.features.in: must name one array of an .npz file");
  data.features = {"x", "other"};
  EXPECT_EQ(Refusal(path, data), "d.npz: array 'other' has 7 rows, 'x' has 2");
}

TEST_F(DatasetTest, PredictNeedsNoLabels) {
  const std::string path = WriteNpz("d.npz", {{"x.npy", Npy({1}, {1})}});
  EXPECT_EQ(Refusal(path), "d.npz: no array 'y'; arrays are: x");
  const Result<Dataset> dataset = LoadDataset(path, {}, {.need_labels = false});
  ASSERT_TRUE(dataset.ok()) << dataset.status().message();
  EXPECT_TRUE(dataset->labels.empty());
}

TEST_F(DatasetTest, BrokenArchivesAreRefused) {
  const std::string whole = WriteNpz("d.npz", {{"x.npy", Npy({2}, {1, 2})}});
  std::string text = ReadWholeFile(whole, 1 << 20).value();
  EXPECT_NE(Refusal(folder_.Write("cut.npz", text.substr(0, text.size() / 2))).find("zip archive"),
            std::string::npos);
  EXPECT_NE(Refusal(folder_.Write("text.npz", "hello")).find("zip archive"), std::string::npos);
  // One flipped bit of the data: the checksum tells.
  const std::size_t at = text.find("\x80\x3f");
  ASSERT_NE(at, std::string::npos);
  text[at] = '\x00';
  EXPECT_NE(Refusal(folder_.Write("bad.npz", text)).find("CRC"), std::string::npos)
      << Refusal(folder_.Path("bad.npz"));
  EXPECT_NE(Refusal(WriteNpz("lie.npz", {{"x.npy", NpyHeader({1 << 30, 1 << 20})}}))
                .find("its shape needs 4503599627370496 bytes of data, the archive has 0"),
            std::string::npos)
      << Refusal(folder_.Path("lie.npz"));
  EXPECT_NE(Refusal(WriteNpz("not.npz", {{"x.npy", "hello"}})).find("is not an .npy array"),
            std::string::npos);
}

TEST_F(DatasetTest, ColumnsWithoutNamesCannotBeSelected) {
  JobSpec::Data data;
  data.features = {"a"};
  const std::string npy = folder_.Write("d.npy", Npy({1}, {1}));
  EXPECT_EQ(Refusal(npy, data, {.need_labels = false}),
            "spec.data.features: columns of an .npy file have no names; leave it out");
  EXPECT_EQ(Refusal(npy),
            "d.npy: an .npy file holds features only; put features and labels as x and y into an "
            ".npz file");
  data.features = nullptr;
  data.labels = {"a"};
  EXPECT_EQ(Refusal(folder_.Write("d.svm", "1 1:1\n"), data),
            "spec.data.labels: columns of a libsvm file have no names; leave it out");
}

TEST_F(DatasetTest, AnEmptyFileOfAnyFormatIsRefused) {
  for (const char* name : {"e.csv", "e.npy", "e.npz", "e.libsvm"}) {
    EXPECT_NE(Refusal(folder_.Write(name, ""), {}, {.need_labels = false}), "") << name;
  }
}

// An archive of a megabyte became an array of a gigabyte.
TEST_F(DatasetTest, AnArrayThatFillsMemoryIsRefusedBeforeItIsInflated) {
  const std::string x = Npy({4096, 64}, std::vector<float>(std::size_t{4096} * 64));
  const std::string y = Npy({4096}, std::vector<float>(4096));
  const std::string path = WriteNpz("big.npz", {{"x.npy", x}, {"y.npy", y}});
  const auto with = [&](std::uint64_t bytes) {
    return Refusal(path, {}, {.memory = {.bytes = bytes, .limit = "the container's 1.0 MiB"}});
  };
  EXPECT_EQ(with(std::uint64_t{2} << 20), "");
  EXPECT_EQ(with(std::uint64_t{1000} << 10),
            "big.npz: array 'x': as numbers, it would take 1.0 MiB of memory, and 1000.0 KiB are "
            "left of the "
            "container's 1.0 MiB: raise resources.limits.memory in spec.workers.template, or read "
            "less");
  // The first fits, both do not.
  EXPECT_NE(with((std::uint64_t{1} << 20) + 100)
                .find("big.npz: array 'y': as numbers, it would take 16.0 KiB"),
            std::string::npos);
}

TEST_F(DatasetTest, AnArrayThatIsConvertedCountsAsWhatItBecomes) {
  std::string doubles = NpyHeader({1000});
  doubles.replace(doubles.find("<f4"), 3, "<f8");
  doubles.append(1000 * sizeof(double), '\0');
  const std::string path = folder_.Write("d.npy", doubles);
  const auto with = [&](std::uint64_t bytes) {
    return Refusal(path, {}, {.need_labels = false, .memory = {.bytes = bytes}});
  };
  EXPECT_EQ(with(4000), "");
  EXPECT_EQ(with(3999),
            "d.npy: its numbers, converted, would take 3.9 KiB of memory, and 3.9 KiB are left");
}

}  // namespace
}  // namespace elephas
