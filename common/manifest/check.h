// Checks a manifest's tree field by field against the table, and fills in defaults.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/manifest/job_spec.h"
#include "common/yaml/yaml_tree.h"

namespace elephas::manifest {

// Of one kind of mistake in one mapping; how many more there are is told in one line.
inline constexpr std::size_t kMostReports = 8;

struct LocatedProblem {
  Place place;
  std::string path, message;
};

// What the check makes; the rules that concern several fields add to its problems.
class Checked {
 public:
  nlohmann::json document;  // known, well-typed fields with constant defaults; null when left out
  std::vector<LocatedProblem> problems;              // kMaxProblems at most
  std::size_t untold = 0;                            // problems beyond them
  std::map<std::string, Place, std::less<>> places;  // of fields that were written

  // The field's value; null when it was left out or is wrong.
  [[nodiscard]] const nlohmann::json& Get(std::string_view path) const;
  // Has the field, something below it or something above it been reported already?
  [[nodiscard]] bool IsWrong(std::string_view path) const;
  // Takes a problem in, or counts it.
  void Add(LocatedProblem problem);
  // Reports at the field's line, or where its nearest written parent is.
  void Report(std::string_view path, std::string message);
};

Checked CheckFields(const Node& root);

}  // namespace elephas::manifest
