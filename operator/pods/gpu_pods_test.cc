#include <gtest/gtest.h>

#include "operator/pods/desired_pods.h"
#include "operator/testing/builders.h"

namespace elephas {
namespace {

using nlohmann::json;

json WorkerOf(const Job& job, const Settings& settings = {}) {
  return MakePod(job, settings, PodRole::kWorker, 0, 0, 0);
}

json ContainerOf(const json& pod) { return pod["spec"]["containers"][0]; }

json Named(const json& list, const std::string& field, const std::string& name) {
  for (const json& entry : list) {
    if (entry.value(field, "") == name) return entry;
  }
  return nullptr;
}

TEST(GpuPods, ADeviceOfCudaAsksForAGpuAndGetsTheImageForIt) {
  Settings settings;
  settings.worker_cuda_image = "cuda:1";
  const json pod = WorkerOf(MakeJob("digits").Set("/spec/workers/device", "cuda"), settings);
  EXPECT_EQ(ContainerOf(pod)["resources"]["limits"]["nvidia.com/gpu"], 1);
  EXPECT_EQ(ContainerOf(pod)["image"], "cuda:1");
  const json own = WorkerOf(
      MakeJob("digits")
          .Set("/spec/workers/device", "cuda")
          .Set("/spec/workers/template/spec/containers",
               json::parse(
                   R"([{"image": "mine", "resources": {"limits": {"nvidia.com/gpu": 2}}}])")),
      settings);
  EXPECT_EQ(ContainerOf(own)["resources"]["limits"]["nvidia.com/gpu"], 2);
  EXPECT_EQ(ContainerOf(own)["image"], "mine");
}

TEST(GpuPods, WhereNcclMayBeUsedItFindsMemoryAndNeighbours) {
  const json pod = WorkerOf(
      MakeJob("digits").Set("/spec/workers/device", "cuda").Set("/spec/mode", "synchronous"));
  EXPECT_EQ(Named(ContainerOf(pod)["volumeMounts"], "mountPath", "/dev/shm"),
            (json{{"name", "elephas-shm"}, {"mountPath", "/dev/shm"}}));
  EXPECT_EQ(Named(pod["spec"]["volumes"], "name", "elephas-shm")["emptyDir"],
            (json{{"medium", "Memory"}, {"sizeLimit", "1Gi"}}));
  EXPECT_EQ(Named(ContainerOf(pod)["env"], "name", "NCCL_DEBUG")["value"], "WARN");
  const json& wishes =
      pod["spec"]["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
  ASSERT_EQ(wishes.size(), 2U);
  EXPECT_EQ(wishes[0], json::parse(R"({"weight": 100, "podAffinityTerm": {
    "topologyKey": "kubernetes.io/hostname",
    "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": "digits",
      "app.kubernetes.io/component": "worker", "elephas.dev/job-uid": "uid-digits"}}}})"));
  EXPECT_EQ(wishes[1]["podAffinityTerm"]["topologyKey"], "topology.kubernetes.io/zone");
}

TEST(GpuPods, WhereItIsNotUsedNothingIsAdded) {
  const auto plain = [](const json& pod) {
    return Named(ContainerOf(pod)["volumeMounts"], "mountPath", "/dev/shm").is_null() &&
           Named(ContainerOf(pod)["env"], "name", "NCCL_DEBUG").is_null() &&
           !pod["spec"].contains("affinity");
  };
  const auto cuda = [] { return MakeJob("digits").Set("/spec/workers/device", "cuda"); };
  EXPECT_TRUE(plain(WorkerOf(MakeJob("digits").Set("/spec/mode", "synchronous"))));
  EXPECT_TRUE(plain(WorkerOf(cuda().Set("/spec/mode", "asynchronous"))));
  EXPECT_TRUE(
      plain(WorkerOf(cuda().Set("/spec/mode", "synchronous").Set("/spec/transport", "rest"))));
}

TEST(GpuPods, WhatTheTemplateSaysStays) {
  const json pod = WorkerOf(MakeJob("digits")
                                .Set("/spec/workers/device", "cuda")
                                .Set("/spec/mode", "synchronous")
                                .Set("/spec/workers/template/spec", json::parse(R"({
            "affinity": {"nodeAffinity": {}},
            "volumes": [{"name": "big", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}],
            "containers": [{
              "name": "worker",
              "env": [{"name": "NCCL_DEBUG", "value": "INFO"}, {"name": "NCCL_IB_HCA", "value": "mlx5"}],
              "resources": {"limits": {"nvidia.com/gpu": 1, "rdma/ib": 1}},
              "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}},
              "volumeMounts": [{"name": "big", "mountPath": "/dev/shm"}]}]})")));
  const json container = ContainerOf(pod);
  EXPECT_EQ(pod["spec"]["affinity"], json::parse(R"({"nodeAffinity": {}})"));
  EXPECT_EQ(Named(container["volumeMounts"], "mountPath", "/dev/shm")["name"], "big");
  EXPECT_TRUE(Named(pod["spec"]["volumes"], "name", "elephas-shm").is_null());
  EXPECT_EQ(Named(container["env"], "name", "NCCL_DEBUG")["value"], "INFO");
  EXPECT_EQ(Named(container["env"], "name", "NCCL_IB_HCA")["value"], "mlx5");
  EXPECT_EQ(container["resources"]["limits"]["rdma/ib"], 1);
  EXPECT_EQ(container["securityContext"]["capabilities"]["add"], json::array({"IPC_LOCK"}));
}

}  // namespace
}  // namespace elephas
