// How the operator is set up, as far as the objects that it makes depend on it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace elephas {

struct Settings {
  std::string paramserver_image = "elephas-paramserver:latest";
  std::string worker_image = "elephas-worker:latest";
  std::string worker_cuda_image;  // of workers that ask for a GPU; empty: worker_image
  std::string image_pull_policy = "IfNotPresent";
  std::vector<std::string> image_pull_secrets;
  std::string priority_class;  // of pods whose template names none; may be empty
  // Where the operator itself runs, for the job's NetworkPolicy; empty: outside of the cluster.
  std::string operator_namespace;
  std::vector<std::string> monitoring_namespaces;  // may read a server's metrics
  bool network_policy = true;
};

}  // namespace elephas
