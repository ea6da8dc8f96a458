#include "operator/pods/desired_pods.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/storage/mounted_path.h"
#include "operator/pods/desired_objects.h"
#include "operator/pods/pod_template_merge.h"
#include "operator/testing/builders.h"

namespace elephas {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

json Find(const json& list, const std::string& name) {
  for (const json& entry : list) {
    if (entry.value("name", "") == name) return entry;
  }
  return nullptr;
}

json ContainerOf(const json& pod) { return pod["spec"]["containers"][0]; }

TEST(DesiredPods, AServerWhole) {
  Settings settings;
  settings.paramserver_image = "reg/ps:1";
  settings.image_pull_secrets = {"pull"};
  const json pod = MakePod(MakeJob("digits").Servers(2), settings, PodRole::kServer, 1, 0, 0);
  const json expected = json::parse(R"({
    "apiVersion": "v1", "kind": "Pod",
    "metadata": {
      "name": "digits-paramserver-1", "namespace": "default",
      "labels": {
        "app.kubernetes.io/name": "elephas", "app.kubernetes.io/instance": "digits",
        "app.kubernetes.io/component": "paramserver",
        "app.kubernetes.io/managed-by": "elephas-operator",
        "elephas.dev/job-uid": "uid-digits", "elephas.dev/index": "1", "elephas.dev/attempt": "0"},
      "ownerReferences": [{"apiVersion": "elephas.dev/v1alpha1", "kind": "ElephasJob",
        "name": "digits", "uid": "uid-digits", "controller": true, "blockOwnerDeletion": true}]},
    "spec": {
      "restartPolicy": "OnFailure", "automountServiceAccountToken": false,
      "enableServiceLinks": false, "terminationGracePeriodSeconds": 30,
      "hostname": "paramserver-1", "subdomain": "digits-paramserver",
      "imagePullSecrets": [{"name": "pull"}],
      "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
        "fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"}},
      "tolerations": [
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
         "tolerationSeconds": 30},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
         "tolerationSeconds": 30}],
      "containers": [{
        "name": "paramserver", "image": "reg/ps:1", "imagePullPolicy": "IfNotPresent",
        "args": ["--job", "/etc/elephas/manifest.json", "--uid", "uid-digits", "--index", "1",
          "--base", "/data", "--address", "0.0.0.0", "--port", "4000",
          "--token-file", "/etc/elephas/token",
          "--url", "http://paramserver-1.digits-paramserver.default.svc:4000",
          "--exit-when-done", "--termination-log", "/dev/termination-log",
          "--coordinator", "http://paramserver-0.digits-paramserver.default.svc:4000"],
        "env": [
          {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
          {"name": "ELEPHAS_LOG_FORMAT", "value": "json"}],
        "ports": [{"name": "http", "containerPort": 4000, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 2,
          "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10,
          "timeoutSeconds": 5, "failureThreshold": 6},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
          "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
          {"name": "elephas-job", "mountPath": "/etc/elephas", "readOnly": true},
          {"name": "tmp", "mountPath": "/tmp"},
          {"name": "data", "mountPath": "/data"}]}],
      "volumes": [
        {"name": "elephas-job", "secret": {"secretName": "digits-job", "defaultMode": 288,
          "items": [{"key": "token", "path": "token"},
                    {"key": "manifest.json", "path": "manifest.json"}]}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "digits"}}]}})");
  EXPECT_EQ(pod, expected) << json::diff(expected, pod).dump(2);
}

TEST(DesiredPods, AReplacementOfAWorker) {
  const json pod = MakePod(MakeJob("digits"), Settings{}, PodRole::kWorker, 1, 3, 2);
  EXPECT_EQ(pod["metadata"]["name"], "digits-worker-1-3");
  EXPECT_EQ(pod["metadata"]["labels"]["elephas.dev/attempt"], "3");
  EXPECT_EQ(pod["metadata"]["annotations"]["elephas.dev/failures"], "2");
  EXPECT_EQ(pod["spec"]["restartPolicy"], "Never");
  EXPECT_FALSE(pod["spec"].contains("hostname"));
  EXPECT_EQ(ContainerOf(pod)["args"],
            json::array({"--server", "http://paramserver-0.digits-paramserver.default.svc:4000",
                         "--name", "$(POD_NAME)", "--base", "/data", "--token-file",
                         "/etc/elephas/token", "--metrics-port", "9400"}));
  // A worker reads the token only; the server tells it the manifest.
  EXPECT_EQ(Find(pod["spec"]["volumes"], "elephas-job")["secret"]["items"].size(), 1U);
  // What the operator writes is what it reads.
  const auto decoded = DecodePod(pod);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->role, PodRole::kWorker);
  EXPECT_EQ(decoded->index, 1);
  EXPECT_EQ(decoded->attempt, 3);
  EXPECT_EQ(decoded->failures, 2);
  EXPECT_EQ(decoded->job, "digits");
  EXPECT_EQ(decoded->owner_uid, "uid-digits");
}

TEST(DesiredPods, AModelInAConfigMapIsMountedAndNamedInTheManifest) {
  const Job job =
      MakeJob("digits").Set("/spec/model", {{"configMapRef", {{"name", "m"}, {"key", "k.json"}}}});
  const json pod = MakePod(job, Settings{}, PodRole::kWorker, 0, 0, 0);
  EXPECT_EQ(Find(pod["spec"]["volumes"], "elephas-model")["configMap"],
            json::parse(R"({"name": "m", "items": [{"key": "k.json", "path": "model.json"}]})"));
  const json manifest = PinnedManifest(job);
  EXPECT_EQ(manifest["spec"]["model"], (json{{"uri", "/etc/elephas-model/model.json"}}));
  EXPECT_FALSE(manifest["spec"]["workers"].contains("template"));
  EXPECT_TRUE(ParseManifest(manifest.dump(), "pinned").problems.empty());
}

TEST(DesiredPods, ThePinnedManifestHoldsTheNumberOfPartitions) {
  const Job job = MakeJob("digits").Set("/spec/data", {{"uri", "d.npz"}}).Workers(3);
  EXPECT_EQ(PinnedManifest(job)["spec"]["data"]["partitions"], 12);
}

TEST(DesiredPods, OnTheHostsNetworkServersAreStillFound) {
  const auto policy_of = [](const char* overlay) {
    return MakePod(MakeJob("digits").Set("/spec/workers/template/spec", json::parse(overlay)),
                   Settings{}, PodRole::kWorker, 0, 0, 0)["spec"]
        .value("dnsPolicy", "");
  };
  EXPECT_EQ(policy_of(R"({"hostNetwork": true})"), "ClusterFirstWithHostNet");
  EXPECT_EQ(policy_of(R"({"hostNetwork": true, "dnsPolicy": "Default"})"), "Default");
  EXPECT_EQ(policy_of("{}"), "");
}

TEST(DesiredPods, ATemplateIsMerged) {
  const json overlay = json::parse(R"({
    "metadata": {"labels": {"team": "vision"}, "annotations": {"a": "b"}, "creationTimestamp": null},
    "spec": {
      "nodeSelector": {"disk": "ssd"}, "priorityClassName": "high", "schedulerName": "mine",
      "tolerations": [{"key": "gpu", "operator": "Exists"}],
      "securityContext": {"fsGroup": 5},
      "volumes": [{"name": "data", "nfs": {"server": "s", "path": "/"}}, {"name": "tmp", "emptyDir": {"medium": "Memory"}}],
      "initContainers": [{"name": "fetch", "image": "fetcher"}],
      "containers": [
        {"name": "worker", "env": [{"name": "ELEPHAS_LOG_FORMAT", "value": "text"}, {"name": "X", "value": "1"}],
         "resources": {"limits": {"memory": "1Gi"}, "requests": {"cpu": "2"}},
         "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "digits"}]},
        {"name": "sidecar", "image": "side"}]}})");
  const Job job = MakeJob("digits").Set("/spec/workers/template", overlay);
  ASSERT_TRUE(CheckPods(job, Settings{}).ok());
  const json pod = MakePod(job, Settings{}, PodRole::kWorker, 0, 0, 0);
  EXPECT_EQ(pod["metadata"]["labels"]["team"], "vision");
  EXPECT_EQ(pod["metadata"]["annotations"], (json{{"a", "b"}}));
  const json& spec = pod["spec"];
  EXPECT_EQ(spec["nodeSelector"], (json{{"disk", "ssd"}}));
  EXPECT_EQ(spec["priorityClassName"], "high");
  EXPECT_EQ(spec["schedulerName"], "mine");
  EXPECT_EQ(spec["tolerations"].size(), 3U);
  EXPECT_EQ(spec["securityContext"]["fsGroup"], 5);
  EXPECT_EQ(spec["securityContext"]["runAsNonRoot"], true);
  EXPECT_EQ(Find(spec["volumes"], "tmp")["emptyDir"], (json{{"medium", "Memory"}}));
  EXPECT_EQ(spec["initContainers"][0]["image"], "fetcher");
  ASSERT_EQ(spec["containers"].size(), 2U);
  const json& ours = spec["containers"][0];
  EXPECT_EQ(Find(ours["env"], "ELEPHAS_LOG_FORMAT")["value"], "text");
  EXPECT_EQ(Find(ours["env"], "X")["value"], "1");
  EXPECT_EQ(
      ours["resources"],
      json::parse(R"({"limits": {"memory": "1Gi"}, "requests": {"cpu": "2", "memory": "256Mi"}})"));
  EXPECT_EQ(ours["volumeMounts"].size(), 3U);
  // The server gets the same volume, to write its checkpoints to.
  const json server = MakePod(job, Settings{}, PodRole::kServer, 0, 0, 0);
  EXPECT_EQ(Find(server["spec"]["volumes"], "data")["nfs"]["server"], "s");
}

// common/manifest/pod_template_check_test.cc has every kind.
TEST(DesiredPods, ATemplateThatWouldBreakTheJobIsAProblemOfTheTemplate) {
  const Job job = MakeJob("digits").Set("/spec/workers/template/spec/hostname", "x");
  EXPECT_EQ(job.problems,
            "spec.workers.template.spec.hostname: is the operator's to set; leave it out");
  EXPECT_TRUE(job.only_template_problems);
  const Job another =
      MakeJob("digits").Set("/spec/workers/template/spec/hostname", "x").Set("/spec/fit/epochs", 0);
  EXPECT_FALSE(another.only_template_problems);
  EXPECT_FALSE(Job(MakeJob("digits")).only_template_problems);
}

TEST(DesiredPods, NoTemplateIsMergedUnchecked) {
  const auto merged =
      MergePodTemplate(json::object(), {{"spec", {{"hostNetwork", "yes"}}}}, "worker");
  EXPECT_EQ(merged.status().code(), Code::kInvalid);
  EXPECT_EQ(merged.status().message(),
            "spec.hostNetwork: must be true or false, not the text 'yes'");
}

TEST(DesiredPods, ANullTakesAwayWhatIsOursToGiveAndNothingElse) {
  const Job job = MakeJob("digits").Set("/spec/workers/template", json::parse(R"({
      "metadata": null,
      "spec": {"tolerations": null, "securityContext": {"fsGroup": null}, "volumes": null,
               "containers": [{"env": null, "image": null,
                               "resources": {"requests": {"cpu": null}}}]}})"));
  ASSERT_EQ(job.problems, "");
  const json pod = MakePod(job, Settings{}, PodRole::kWorker, 0, 0, 0);
  const json plain = MakePod(MakeJob("digits"), Settings{}, PodRole::kWorker, 0, 0, 0);
  EXPECT_EQ(pod["metadata"], plain["metadata"]);
  EXPECT_FALSE(pod["spec"].contains("tolerations"));
  EXPECT_FALSE(pod["spec"]["securityContext"].contains("fsGroup"));
  EXPECT_EQ(pod["spec"]["securityContext"]["runAsNonRoot"], true);
  EXPECT_EQ(ContainerOf(pod)["env"], ContainerOf(plain)["env"]);
  EXPECT_EQ(ContainerOf(pod)["image"], ContainerOf(plain)["image"]);
  EXPECT_EQ(ContainerOf(pod)["resources"]["requests"], (json{{"memory", "256Mi"}}));
}

// What `elephas validate` warns of is what ends the job: both look for the mounts that pods get.
TEST(DesiredPods, ResultsAreLostExactlyWhereNoVolumeIsMounted) {
  const char* templates[] = {
      R"({"volumes": [{"name": "data", "emptyDir": {}}]})",
      R"({"volumes": [{"name": "other", "emptyDir": {}}]})",
      R"({"volumes": [{"name": "data", "emptyDir": {}}],
          "containers": [{"volumeMounts": [{"name": "data", "mountPath": "/x"}]}]})",
      R"({"volumes": [{"name": "data", "emptyDir": {}}, {"name": "a", "emptyDir": {}}],
          "containers": [{"volumeMounts": [{"name": "a", "mountPath": "/data/"}]}]})",
      R"({"volumes": [{"name": "a", "emptyDir": {}}],
          "containers": [{"name": "worker", "volumeMounts": [{"name": "a", "mountPath": "/data/out"}]}]})",
      R"({"volumes": [{"name": "a", "emptyDir": {}}],
          "containers": [{"name": "side", "image": "s", "volumeMounts": [{"name": "a", "mountPath": "/data"}]}]})",
  };
  int lost = 0;
  for (const char* text : templates) {
    const Job job = MakeJob("digits").Set("/spec/workers/template", {{"spec", json::parse(text)}});
    ASSERT_EQ(job.problems, "") << text;
    bool mounted = false;
    const json pod = MakePod(job, Settings{}, PodRole::kWorker, 0, 0, 0);
    const json container = ContainerOf(pod);
    for (const json& mount : container["volumeMounts"]) {
      mounted = mounted || IsAtOrBelow("/data/out", mount["mountPath"].get<std::string>());
    }
    EXPECT_EQ(CheckPods(job, Settings{}).ok(), mounted) << text;
    lost += mounted ? 0 : 1;
  }
  EXPECT_EQ(lost, 3);
}

TEST(DesiredPods, ResultsStayBelowTheirFolder) {
  const Job job = MakeJob("digits").Set("/spec/output/uri", "../x");
  EXPECT_EQ(job.problems,
            "spec.output.uri: must not have '..' in it: on a cluster it starts at /data, and stays "
            "on the volume there");
}

TEST(DesiredPods, PathsOutsideOfDataNeedNoVolumeCalledData) {
  const Job absolute = MakeJob("digits")
                           .Set("/spec/workers", {{"replicas", 1}})
                           .Set("/spec/output/uri", "file:///mnt/out");
  EXPECT_TRUE(CheckPods(absolute, Settings{}).ok());
  const Job checkpoint = MakeJob("digits")
                             .Set("/spec/workers", {{"replicas", 1}})
                             .Set("/spec/output/uri", "/mnt/out")
                             .Set("/spec/checkpoint", {{"uri", "ckpt"}});
  EXPECT_EQ(CheckPods(checkpoint, Settings{}).code(), Code::kNotFound);
}

TEST(DesiredObjects, AServiceHasANameThatServicesMayHave) {
  EXPECT_EQ(ServiceName(MakeJob("digits")), "digits-paramserver");
  EXPECT_EQ(ServiceName(MakeJob("a.b").Set("/metadata/uid", "01234567-89ab-cdef-0123")),
            "ej-0123456789ab");
  EXPECT_EQ(ServiceName(MakeJob("1st").Set("/metadata/uid", "01234567-89ab-cdef-0123")),
            "ej-0123456789ab");
}

TEST(DesiredObjects, TheNetworkPolicyLetsInOnlyWhoNeedsTo) {
  Settings settings;
  settings.operator_namespace = "elephas-system";
  settings.monitoring_namespaces = {"monitoring"};
  const json ingress = MakeNetworkPolicy(MakeJob("digits"), settings)["spec"]["ingress"];
  EXPECT_EQ(ingress, json::parse(R"([
    {"from": [{"podSelector": {"matchLabels": {
        "app.kubernetes.io/instance": "digits", "elephas.dev/job-uid": "uid-digits"}}}]},
    {"from": [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elephas-system"}},
         "podSelector": {"matchLabels": {"app.kubernetes.io/name": "elephas-operator"}}}],
     "ports": [{"protocol": "TCP", "port": "http"}]},
    {"from": [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
     "ports": [{"protocol": "TCP", "port": "http"}, {"protocol": "TCP", "port": "metrics"}]}])"));
}

}  // namespace
}  // namespace elephas
