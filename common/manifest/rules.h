// The rules of a manifest that concern several fields, or more than a field's type: one table with
// a check for the programs and the same in CEL for a cluster. The CRD's rules and the chart's
// admission policy are made from it, and a test gives generated manifests to both.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/manifest/check.h"

namespace elephas::manifest {

// Who tells a cluster's users.
enum class RuleHome : std::uint8_t {
  kServer,      // the API server itself: names, versions
  kDefinition,  // the CRD, whose rules see what has a type
  kPolicy,      // the admission policy, which also sees what is kept as it is written
};

struct Rule {
  std::string name;  // "nccl-is-synchronous"; each once
  RuleHome home = RuleHome::kDefinition;
  std::string section;  // kDefinition: where the rule stands; `self` of `cel` is the value there
  std::string path;     // the field to blame
  std::string cel;      // holds for what is right; empty for kServer
  std::string message;  // what would be right; the programs may add what stands there instead
  // Reports to `checked` what is wrong. Null: the row before it, or the field's type, covers it.
  void (*check)(Checked& checked, const Rule& rule) = nullptr;
};

// In reading order.
std::span<const Rule> ManifestRules();

// The policy looks into no list and no mapping with more entries: an API server's time for that
// grows with their square. The operator does, before the first pod.
inline constexpr int kMostVisited = 2000;

// What the policy's rules call variables.NAME; each may use those before it.
struct PolicyVariable {
  std::string name, cel;
};
std::span<const PolicyVariable> PolicyVariables();

// Adds to `checked.problems`. A rule is silent about fields that have been reported already.
void CheckRules(Checked& checked);

}  // namespace elephas::manifest
