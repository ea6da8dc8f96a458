#include "kube/config/rest_config.h"

#include <cstdlib>

#include "common/base/atomic_file.h"

namespace elephas::kube {

namespace {

constexpr std::uint64_t kMaxAccountFileBytes = std::uint64_t{1} << 20;

}  // namespace

Environment ProcessEnvironment() {
  return [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
}

Result<RestConfig> InClusterConfig(const Environment& environment, const std::string& folder) {
  std::string host = environment("KUBERNETES_SERVICE_HOST");
  const std::string port = environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return NotFound(
        "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  }
  RestConfig config;
  // cpprestsdk cannot connect to an IPv6 address, so there it is the name that every API server
  // has.
  if (host.find(':') != std::string::npos) host = "kubernetes.default.svc";
  config.server = "https://" + host + ":" + port;
  config.ca_file = folder + "/ca.crt";
  config.token_file = folder + "/token";
  // A pod without a service account token cannot talk to the API server; say so at the start.
  for (const std::string& file : {config.ca_file, config.token_file}) {
    const auto text = ReadWholeFile(file, kMaxAccountFileBytes);
    if (!text.ok()) return text.status().Annotate("the pod's service account");
  }
  auto ns = ReadWholeFile(folder + "/namespace", kMaxAccountFileBytes);
  config.ns = ns.ok() ? *std::move(ns) : "default";
  while (!config.ns.empty() && config.ns.back() == '\n') config.ns.pop_back();
  return config;
}

}  // namespace elephas::kube
