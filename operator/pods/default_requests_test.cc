#include "operator/pods/default_requests.h"

#include <gtest/gtest.h>

#include "operator/pods/desired_pods.h"
#include "operator/testing/builders.h"

namespace elephas {
namespace {

using nlohmann::json;

json ResourcesWith(const char* resources, const char* pod_resources = nullptr,
                   const char* name = "worker") {
  MakeJob job("digits");
  job.Set("/spec/workers/template/spec/containers",
          json::array({{{"name", name}, {"resources", json::parse(resources)}}}));
  if (pod_resources != nullptr) {
    job.Set("/spec/workers/template/spec/resources", json::parse(pod_resources));
  }
  const json pod = MakePod(job, Settings{}, PodRole::kWorker, 0, 0, 0);
  return pod["spec"]["containers"][0].value("resources", json::object());
}

// `limits: {cpu: 100m}` failed the job for good: our own request of 250m is more than that.
TEST(DefaultRequests, YieldToALowerLimitOfTheTemplate) {
  EXPECT_EQ(ResourcesWith(R"({"limits": {"cpu": "100m"}})"),
            json::parse(R"({"limits": {"cpu": "100m"}, "requests": {"memory": "256Mi"}})"));
  EXPECT_EQ(ResourcesWith(R"({"limits": {"cpu": "0.1", "memory": "1e8"}})"),
            json::parse(R"({"limits": {"cpu": "0.1", "memory": "1e8"}})"));
  EXPECT_EQ(ResourcesWith(R"({"limits": {"memory": "262144Ki"}})")["requests"]["memory"], "256Mi");
  EXPECT_EQ(ResourcesWith(R"({"limits": {"memory": "256M"}})")["requests"],
            (json{{"cpu", "250m"}}));
}

TEST(DefaultRequests, StayBelowALimitThatIsNotLower) {
  EXPECT_EQ(ResourcesWith(R"({"limits": {"cpu": "250m", "memory": "1Gi"}})")["requests"],
            json::parse(R"({"cpu": "250m", "memory": "256Mi"})"));
  EXPECT_EQ(ResourcesWith(R"({"limits": {"cpu": 2}})")["requests"]["cpu"], "250m");
}

TEST(DefaultRequests, WhatTheTemplateAsksForIsNotOurs) {
  // It cannot work, and the API server says why.
  const json both = ResourcesWith(R"({"limits": {"cpu": "100m"}, "requests": {"cpu": "1"}})");
  EXPECT_EQ(both["requests"]["cpu"], "1");
}

TEST(DefaultRequests, ATemplateThatContradictsItselfIsRefused) {
  const auto check = [](const char* containers) {
    return CheckPods(
        MakeJob("digits").Set("/spec/workers/template/spec/containers", json::parse(containers)),
        Settings{});
  };
  const Status status = check(
      R"([{"name": "worker"}, {"name": "side", "image": "x", "resources": {"requests": {"cpu": 1}, "limits": {"cpu": "900m"}}}])");
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_EQ(status.message(),
            "spec.workers.template.spec.containers[1].resources.requests.cpu: is more than the "
            "limit of the same container");
  EXPECT_TRUE(
      check(R"([{"resources": {"requests": {"cpu": "1000m"}, "limits": {"cpu": 1}}}])").ok());
  EXPECT_TRUE(
      check(R"([{"resources": {"requests": {"cpu": "1"}, "limits": {"memory": 1}}}])").ok());
}

TEST(DefaultRequests, YieldToResourcesOfTheWholePod) {
  EXPECT_EQ(ResourcesWith("{}", R"({"limits": {"cpu": "100m"}})")["requests"],
            (json{{"memory", "256Mi"}}));
  EXPECT_FALSE(
      ResourcesWith("{}", R"({"requests": {"cpu": 1, "memory": "1Gi"}})").contains("requests"));
}

TEST(DefaultRequests, AreDroppedWithoutTheTemplatesOwn) {
  const Job job =
      MakeJob("digits").Set("/spec/workers/template/spec/containers",
                            json::parse(R"([{"resources": {"requests": {"memory": "1Gi"}}}])"));
  json pod = MakePod(job, Settings{}, PodRole::kWorker, 0, 0, 0);
  EXPECT_TRUE(DropDefaultRequests(job, PodRole::kWorker, pod));
  EXPECT_EQ(pod["spec"]["containers"][0]["resources"],
            json::parse(R"({"requests": {"memory": "1Gi"}})"));
  EXPECT_FALSE(DropDefaultRequests(job, PodRole::kWorker, pod));
  json server = MakePod(job, Settings{}, PodRole::kServer, 0, 0, 0);
  EXPECT_TRUE(DropDefaultRequests(job, PodRole::kServer, server));
  EXPECT_EQ(server["spec"]["containers"][0]["resources"], json::object());
}

TEST(DefaultRequests, ARefusalForAmountsIsKnownByTheServersWords) {
  for (
      const char* words :
      {R"(Pod "a" is invalid: spec.containers[0].resources.requests: Invalid value: "250m": must be less than or equal to cpu limit of 100m)",
       R"(pods "a" is forbidden: minimum cpu usage per Container is 500m, but request is 250m)",
       R"(pods "a" is forbidden: maximum memory usage per Pod is 1Gi, but limit is 2Gi)",
       R"(pods "a" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000)"}) {
    EXPECT_TRUE(IsAboutAmounts(words)) << words;
  }
  for (
      const char* words :
      {R"(pods "a" is forbidden: exceeded quota: q, requested: cpu=250m, used: cpu=0, limited: cpu=100m)",
       R"(Pod "a" is invalid: spec.containers[1].image: Required value)"}) {
    EXPECT_FALSE(IsAboutAmounts(words)) << words;
  }
}

}  // namespace
}  // namespace elephas
