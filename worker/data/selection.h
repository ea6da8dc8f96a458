// Which columns or arrays of a file are features and which are labels, as the manifest says.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas {

// One model input or output and the names in the file that make it.
struct SelectedArray {
  std::string key;  // the model's input (output) name; empty when the manifest gives no map
  std::vector<std::string> names;  // never empty
};

struct Selection {
  bool given = false;  // false: the manifest says nothing (null or an empty list or map)
  bool map = false;
  std::vector<SelectedArray> arrays;  // one per name of a list; a map's in the order of its keys
};

// `json`: null, a name, a list of names, or a map from model name to a name or a list of names.
// `field` ("spec.data.features") starts the message when it is something else.
Result<Selection> ParseSelection(const nlohmann::json& value, std::string_view field);

}  // namespace elephas
