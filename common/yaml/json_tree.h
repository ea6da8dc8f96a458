// JSON as a manifest's tree; only for yaml_tree.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "common/yaml/tree_builder.h"

namespace elephas::manifest {

// Puts the object that `text` begins with into `builder` and returns where it ends. 0: it begins
// with no JSON (then the builder is of no use any more). Throws a Refusal for JSON that is no
// manifest's.
std::size_t BuildFromJsonText(std::string_view text, TreeBuilder& builder);
void BuildFromJson(const nlohmann::json& document, TreeBuilder& builder);

}  // namespace elephas::manifest
