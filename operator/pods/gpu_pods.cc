#include "operator/pods/gpu_pods.h"

#include <string_view>

#include "common/base/names.h"
#include "common/json/json_at.h"
#include "operator/pods/desired_objects.h"

namespace elephas {

namespace {

using nlohmann::json;

// NCCL keeps buffers between the ranks of one node there; without a volume a container has 64 MiB.
constexpr char kSharedMemory[] = "/dev/shm";
constexpr char kSharedMemorySize[] = "1Gi";

bool AsksForGpu(const json& container) {
  for (const char* at :
       {"/resources/limits/nvidia.com~1gpu", "/resources/requests/nvidia.com~1gpu"}) {
    if (container.contains(json::json_pointer(at))) return true;
  }
  return false;
}

bool HasEntry(const json& list, std::string_view field, std::string_view value) {
  for (const json& entry : list) {
    if (Says(entry, field, value)) return true;
  }
  return false;
}

void AddSharedMemory(json& pod, json& container) {
  if (HasEntry(container["volumeMounts"], "mountPath", kSharedMemory)) return;
  // The template's own volume of that name need not be one in memory.
  constexpr char kVolume[] = "elephas-shm";
  pod["spec"]["volumes"].push_back(
      {{"name", kVolume}, {"emptyDir", {{"medium", "Memory"}, {"sizeLimit", kSharedMemorySize}}}});
  container["volumeMounts"].push_back({{"name", kVolume}, {"mountPath", kSharedMemory}});
}

// The same node first, then the same zone. Only a wish: a group works over any network.
json NearOtherWorkers(const Job& job) {
  json terms = json::array();
  int weight = 100;
  for (const char* key : {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}) {
    terms.push_back({{"weight", weight},
                     {"podAffinityTerm",
                      {{"labelSelector", {{"matchLabels", SelectorLabels(job, names::kWorker)}}},
                       {"topologyKey", key}}}});
    weight /= 2;
  }
  return {{"podAffinity", {{"preferredDuringSchedulingIgnoredDuringExecution", terms}}}};
}

bool MayUseNccl(const Job& job) {
  return job.spec.task == TaskKind::kTrain && job.spec.mode == Mode::kSynchronous &&
         job.spec.transport != Transport::kRest;
}

}  // namespace

void PrepareForGpu(const Job& job, const Settings& settings, json& pod, json& container) {
  if (job.spec.workers.device == Device::kCuda && !AsksForGpu(container)) {
    container["resources"]["limits"]["nvidia.com/gpu"] = 1;
  }
  if (!AsksForGpu(container)) return;
  const bool default_image = Says(container, "image", settings.worker_image);
  if (default_image && !settings.worker_cuda_image.empty()) {
    container["image"] = settings.worker_cuda_image;
  }
  if (!MayUseNccl(job)) return;
  AddSharedMemory(pod, container);
  if (!HasEntry(container["env"], "name", "NCCL_DEBUG")) {
    container["env"].push_back({{"name", "NCCL_DEBUG"}, {"value", "WARN"}});
  }
  if (!pod["spec"].contains("affinity")) pod["spec"]["affinity"] = NearOtherWorkers(job);
}

}  // namespace elephas
