// What a reconcile reads: the jobs and pods as the watches last told them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "kube/client.h"
#include "operator/state/pod.h"

namespace elephas {

// Thread-safe.
class ClusterView {
 public:
  virtual ~ClusterView() = default;
  // The ElephasJob; kNotFound when there is none. Other codes: one that is not held, because it is
  // large, could not be read.
  [[nodiscard]] virtual Result<nlohmann::json> FindJob(const kube::ObjectName& name) const = 0;
  // The pods that the job with that uid controls, in any order.
  [[nodiscard]] virtual std::vector<Pod> PodsOf(const std::string& ns,
                                                const std::string& job_uid) const = 0;
};

}  // namespace elephas
