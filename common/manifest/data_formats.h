// The formats of datasets, each one row: the manifest's parser and rules, the cluster's rules and
// the worker's registry of readers are made from this table or tested against it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elephas {

struct DataFormat {
  std::string_view ending;             // of the file's name: ".npz"
  std::string_view other_ending = {};  // another one that means the same; may be empty
  bool has_labels = true;              // a file can hold labels, so it can be trained with
  bool has_names = true;               // arrays or columns have names, so some can be chosen
  bool labels_are_chosen = false;  // nothing but spec.data.labels tells which columns are labels
};

// In the order in which messages name them.
std::span<const DataFormat> DataFormats();

// The format of a file called so; null when it has none of the endings, or nothing before it.
const DataFormat* DataFormatOf(std::string_view uri);

// Of the formats for which `wanted` holds, in the table's order.
using FormatTest = bool (*)(const DataFormat& format);
// Their endings; `all`: with the other ones.
std::vector<std::string_view> EndingsOf(FormatTest wanted, bool all);
// "npz|npy|csv|libsvm|svm": every ending without its dot, for a regular expression.
std::string EndingsPattern(FormatTest wanted);
// ".npy or .libsvm", for a sentence; `all` as above.
std::string EndingsInWords(FormatTest wanted, bool all);

}  // namespace elephas
