#include "common/manifest/data_formats.h"

#include <array>

namespace elephas {

namespace {

constexpr std::array kDataFormats{
    DataFormat{.ending = ".npz"},
    DataFormat{.ending = ".npy", .has_labels = false, .has_names = false},
    DataFormat{.ending = ".csv", .labels_are_chosen = true},
    DataFormat{.ending = ".libsvm", .other_ending = ".svm", .has_names = false},
};

bool HasEnding(std::string_view uri, std::string_view ending) {
  return !ending.empty() && uri.size() > ending.size() && uri.ends_with(ending);
}

}  // namespace

std::span<const DataFormat> DataFormats() { return kDataFormats; }

const DataFormat* DataFormatOf(std::string_view uri) {
  for (const DataFormat& format : kDataFormats) {
    if (HasEnding(uri, format.ending) || HasEnding(uri, format.other_ending)) return &format;
  }
  return nullptr;
}

std::vector<std::string_view> EndingsOf(FormatTest wanted, bool all) {
  std::vector<std::string_view> endings;
  for (const DataFormat& format : kDataFormats) {
    if (!wanted(format)) continue;
    endings.push_back(format.ending);
    if (all && !format.other_ending.empty()) endings.push_back(format.other_ending);
  }
  return endings;
}

std::string EndingsPattern(FormatTest wanted) {
  std::string pattern;
  for (const std::string_view ending : EndingsOf(wanted, true)) {
    if (!pattern.empty()) pattern.append("|");
    pattern.append(ending.substr(1));
  }
  return pattern;
}

std::string EndingsInWords(FormatTest wanted, bool all) {
  const std::vector<std::string_view> endings = EndingsOf(wanted, all);
  std::string words;
  for (std::size_t i = 0; i < endings.size(); ++i) {
    if (i > 0) words.append(i + 1 == endings.size() ? " or " : ", ");
    words.append(endings[i]);
  }
  return words;
}

}  // namespace elephas
