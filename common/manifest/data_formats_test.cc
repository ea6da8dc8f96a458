#include "common/manifest/data_formats.h"

#include <gtest/gtest.h>

#include "common/manifest/fields.h"

namespace elephas {
namespace {

bool Any(const DataFormat& /*format*/) { return true; }
bool WithoutNames(const DataFormat& format) { return !format.has_names; }

TEST(DataFormats, AFileIsToldByItsEnding) {
  ASSERT_NE(DataFormatOf("x.npz"), nullptr);
  EXPECT_EQ(DataFormatOf("folder/x.svm")->ending, ".libsvm");
  EXPECT_EQ(DataFormatOf(".csv"), nullptr);  // an ending of nothing
  EXPECT_EQ(DataFormatOf("x.csv.gz"), nullptr);
  EXPECT_EQ(DataFormatOf(""), nullptr);
}

TEST(DataFormats, PatternsAndSentencesNameEachEndingOnce) {
  EXPECT_EQ(EndingsPattern(Any), "npz|npy|csv|libsvm|svm");
  EXPECT_EQ(EndingsPattern(WithoutNames), "npy|libsvm|svm");
  EXPECT_EQ(EndingsInWords(Any, true), ".npz, .npy, .csv, .libsvm or .svm");
  EXPECT_EQ(EndingsInWords(WithoutNames, false), ".npy or .libsvm");
}

TEST(DataFormats, TheManifestsReferenceNamesEachOfThem) {
  const manifest::FieldInfo* uri = manifest::FindField("spec.data.uri");
  ASSERT_NE(uri, nullptr);
  for (const DataFormat& format : DataFormats()) {
    EXPECT_NE(uri->doc.find(format.ending), std::string_view::npos) << format.ending;
  }
}

}  // namespace
}  // namespace elephas
