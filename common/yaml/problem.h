// What is wrong with a manifest's text.
#pragma once

#include <string>

namespace elephas {

// One thing that is wrong with a manifest.
struct ManifestProblem {
  std::string file;     // as given by the caller
  int line = 0;         // from 1; 0 when the text has no such place
  std::string path;     // "spec.fit.epochs"
  std::string message;  // what is wrong and what would be right
};
// "job.yaml:12: spec.fit.epochs: must be at least 1"
std::string ToString(const ManifestProblem& problem);

}  // namespace elephas
