// The CustomResourceDefinition of ElephasJob, made from the table of the manifest's fields so that
// the cluster and the command line cannot disagree.
//
// After a change: elephas-operator --print-crd, into crds/elephasjobs.yaml and the chart's copy.
#pragma once

#include <nlohmann/json.hpp>

namespace elephas {

nlohmann::ordered_json MakeCrd();

// The rules that hold between fields, and those that keep fields from changing, as
// x-kubernetes-validations of the section at `path` ("" is the whole object). Null when there are
// none.
nlohmann::ordered_json CrdRules(std::string_view path);

}  // namespace elephas
