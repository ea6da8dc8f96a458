#include "common/yaml/problem.h"

namespace elephas {

std::string ToString(const ManifestProblem& problem) {
  std::string text = problem.file;
  if (problem.line > 0) text += ":" + std::to_string(problem.line);
  if (!problem.path.empty()) text += ": " + problem.path;
  return text + ": " + problem.message;
}

}  // namespace elephas
