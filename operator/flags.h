// The command line of elephas-operator.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "operator/state/settings.h"

namespace elephas {

struct OperatorFlags {
  Settings settings;
  std::vector<std::string> namespaces;  // empty: all
  std::string kubeconfig;               // empty: a pod's own, or the user's
  std::uint16_t port = 8080;            // /healthz, /readyz, /metrics; 0: any free one
  std::string address = "0.0.0.0";
  int concurrency = 4;
  bool leader_elect = false;
  std::string lease_name = "elephas-operator", lease_namespace;
  std::string identity;  // of this replica; empty: the host's name
  std::string log_level, log_format;
  bool print_crd = false;
};

// Prints help or what is wrong with the command line; `exit_code` says how to end when there are no
// flags: 0 after --help, 2 after bad usage. Environment variables stand in for flags that a pod
// sets.
std::optional<OperatorFlags> ParseOperatorFlags(int argc, char** argv, int& exit_code);

}  // namespace elephas
