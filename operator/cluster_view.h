// What a reconcile reads: the jobs and pods as the watches last told them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "operator/kube/client.h"
#include "operator/pod.h"

namespace elephas {

// Thread-safe.
class ClusterView {
 public:
  virtual ~ClusterView() = default;
  // The ElephasJob; nullopt when there is none.
  [[nodiscard]] virtual std::optional<nlohmann::json> FindJob(
      const kube::ObjectName& name) const = 0;
  // The pods whose label says that they belong to the job with that uid, in any order.
  [[nodiscard]] virtual std::vector<Pod> PodsOf(const std::string& ns,
                                                const std::string& job_uid) const = 0;
};

}  // namespace elephas
