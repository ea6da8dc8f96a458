// The CustomResourceDefinition of ElephasJob, made from the table of the manifest's fields so that
// the cluster and the command line cannot disagree.
//
// `make generate` writes the files in the tree after a change.
#pragma once

#include <nlohmann/json.hpp>

namespace elephas {

nlohmann::ordered_json MakeCrd();

// The rules that hold between fields, and those that keep fields from changing, as
// x-kubernetes-validations of the section at `path` ("" is the whole object). Null when there are
// none.
nlohmann::ordered_json CrdRules(std::string_view path);

// What the definition's own rules cannot see, because it keeps Keras' words, names and pod
// templates as they are written: matchConditions, variables and validations of the chart's
// ValidatingAdmissionPolicy.
nlohmann::ordered_json PolicyRules();

}  // namespace elephas
