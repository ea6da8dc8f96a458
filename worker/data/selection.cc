#include "worker/data/selection.h"

#include <utility>

namespace elephas {

namespace {

using nlohmann::json;

Result<std::vector<std::string>> ReadNames(const json& value, const std::string& field) {
  std::vector<std::string> names;
  if (value.is_string()) {
    names.push_back(value.get<std::string>());
  } else if (value.is_array()) {
    for (const json& name : value) {
      if (!name.is_string()) return Invalid(field + ": must hold names");
      names.push_back(name.get<std::string>());
    }
  } else {
    return Invalid(field + ": must be a name or a list of names");
  }
  return names;
}

}  // namespace

Result<Selection> ParseSelection(const json& value, std::string_view field) {
  const std::string where(field);
  Selection selection;
  if (value.is_null()) return selection;
  if (value.is_object()) {
    for (const auto& [key, names] : value.items()) {
      if (key.empty()) return Invalid(where + ": a name is empty");
      SelectedArray array;
      array.key = key;
      ELEPHAS_ASSIGN_OR_RETURN(array.names, ReadNames(names, where + "." + key));
      if (array.names.empty()) return Invalid(where + "." + key + ": names nothing");
      selection.arrays.push_back(std::move(array));
    }
    selection.map = true;
  } else {
    ELEPHAS_ASSIGN_OR_RETURN(std::vector<std::string> names, ReadNames(value, where));
    for (std::string& name : names) selection.arrays.push_back({{}, {std::move(name)}});
  }
  selection.given = !selection.arrays.empty();
  return selection;
}

}  // namespace elephas
