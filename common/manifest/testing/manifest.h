// A small valid manifest whose lines tests replace.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/manifest/job_spec.h"

namespace elephas {

// A valid manifest of seven lines in which lines can be replaced; lines from 8 on are added below
// `spec`.
inline std::string Manifest(const std::map<int, std::string>& lines) {
  std::map<int, std::string> all = {
      {1, "apiVersion: elephas.dev/v1alpha1"},
      {2, "kind: ElephasJob"},
      {3, "metadata: {name: digits}"},
      {4, "spec:"},
      {5, "  model: {uri: model.keras}"},
      {6, "  data: {uri: digits.npz}"},
      {7, "  output: {uri: out}"},
  };
  for (const auto& [line, text] : lines) all[line] = text;
  std::string text;
  int next = 1;
  for (const auto& [line, content] : all) {
    for (; next < line; ++next) text += "\n";
    text += content + "\n";
    next += 1 + static_cast<int>(std::count(content.begin(), content.end(), '\n'));
  }
  return text;
}

inline std::vector<std::string> Problems(const ParsedManifest& parsed) {
  std::vector<std::string> lines;
  for (const ManifestProblem& problem : parsed.problems) lines.push_back(ToString(problem));
  return lines;
}

inline std::vector<std::string> ProblemsOf(std::string_view text,
                                           const std::vector<ManifestOverride>& overrides = {}) {
  return Problems(ParseManifest(text, "job.yaml", overrides));
}

}  // namespace elephas
