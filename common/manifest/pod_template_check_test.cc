// Pod templates that are refused, each with the exact place and message, and what is taken.
#include "common/manifest/pod_template_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "common/manifest/pod_template_schema.h"
#include "common/manifest/testing/manifest.h"

namespace elephas::manifest {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> WrongWith(json pod_template) {
  std::vector<std::string> lines;
  for (const TemplateProblem& problem : CheckPodTemplate(pod_template, "worker")) {
    lines.push_back(problem.path + ": " + problem.message);
  }
  return lines;
}

struct BadTemplate {
  const char* name;
  const char* text;
  std::vector<std::string> problems;
};

class BadTemplateTest : public ::testing::TestWithParam<BadTemplate> {};

TEST_P(BadTemplateTest, IsRefusedWithPathAndReason) {
  EXPECT_THAT(WrongWith(json::parse(GetParam().text)), ElementsAreArray(GetParam().problems));
}

const BadTemplate kTypes[] = {
    {"AnUnknownFieldSuggestsTheNearest",
     R"({"spec": {"contaners": []}})",
     {"spec.contaners: unknown field; did you mean 'containers'?"}},
    {"AnUnknownFieldLikeNothingKnown",
     R"({"spec": {"banana": 1}})",
     {"spec.banana: unknown field"}},
    {"AnUnknownFieldCountsWhenItIsNull",
     R"({"spec": {"priorityClass": null}})",
     {"spec.priorityClass: unknown field; did you mean 'priorityClassName'?"}},
    {"AFieldOfTheSpecInTheTemplate",
     R"({"volumes": []})",
     {"volumes: unknown field; did you mean spec.volumes?"}},
    {"AFieldOfAContainerInTheSpec",
     R"({"spec": {"volumeMounts": []}})",
     {"spec.volumeMounts: unknown field; did you mean containers[].volumeMounts?"}},
    {"AFieldDeepInAProbe",
     R"({"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": 1, "pth": "/"}}}]}})",
     {"spec.containers[0].livenessProbe.httpGet.pth: unknown field; did you mean 'path'?"}},
    {"AFieldOfAVolumeThatFewHave",
     R"({"spec": {"volumes": [{"name": "a", "cephfs": {"monitors": ["m"], "patth": "/"}}]}})",
     {"spec.volumes[0].cephfs.patth: unknown field; did you mean 'path'?"}},
    {"ContainersThatArePutIntoARunningPod",
     R"({"spec": {"ephemeralContainers": []}})",
     {"spec.ephemeralContainers: unknown field"}},
    {"TextForABoolean",
     R"({"spec": {"hostNetwork": "yes"}})",
     {"spec.hostNetwork: must be true or false, not the text 'yes'"}},
    {"ANumberForText",
     R"({"spec": {"volumes": [{"name": 5}]}})",
     {"spec.volumes[0].name: must be text, not 5; put it in quotes"}},
    {"ANumberForAVariable",
     R"({"spec": {"containers": [{"env": [{"name": "A", "value": 1}]}]}})",
     {"spec.containers[0].env[0].value: must be text, not 1; put it in quotes"}},
    {"TextForAMount",
     R"({"spec": {"containers": [{"volumeMounts": ["x"]}]}})",
     {"spec.containers[0].volumeMounts[0]: must be a mapping, not the text 'x'"}},
    {"TextForResources",
     R"({"spec": {"containers": [{"resources": "x"}]}})",
     {"spec.containers[0].resources: must be a mapping, not the text 'x'"}},
    {"AMappingForAList",
     R"({"spec": {"containers": {}}})",
     {"spec.containers: must be a list, not a mapping"}},
    {"NothingForAnEntryOfAList",
     R"({"spec": {"tolerations": [null]}})",
     {"spec.tolerations[0]: must be a mapping, not nothing"}},
    {"AListForAMapping",
     R"({"spec": {"nodeSelector": ["a"]}})",
     {"spec.nodeSelector: must be a mapping, not a list"}},
    {"ABooleanInAMapping",
     R"({"spec": {"nodeSelector": {"a": true}}})",
     {"spec.nodeSelector.a: must be text, not true; put it in quotes"}},
    {"TheSpecIsText", R"({"spec": "x"})", {"spec: must be a mapping, not the text 'x'"}},
    {"AFractionForAnInteger",
     R"({"spec": {"terminationGracePeriodSeconds": 1.5}})",
     {"spec.terminationGracePeriodSeconds: must be an integer, not 1.5"}},
    {"AnIntegerThatIsTooLarge",
     R"({"spec": {"priority": 3000000000}})",
     {"spec.priority: must be an integer of 32 bits, not 3000000000"}},
    {"AnIntegerThatIsLargerThanAny",
     R"({"spec": {"activeDeadlineSeconds": 18446744073709551615}})",
     {"spec.activeDeadlineSeconds: must be an integer of 64 bits, not 18446744073709551615"}},
    {"AnAmountThatIsNone",
     R"({"spec": {"containers": [{"resources": {"limits": {"memory": "1GB"}}}]}})",
     {"spec.containers[0].resources.limits.memory: must be an amount such as 2, 500m or 1Gi, not "
      "the text '1GB'"}},
    {"AFractionForAnAmount",
     R"({"spec": {"containers": [{"resources": {"limits": {"cpu": 0.5}}}]}})",
     {"spec.containers[0].resources.limits.cpu: must be an amount such as 2, 500m or 1Gi, not 0.5; "
      "put it in quotes"}},
    {"AnAmountThatIsAList",
     R"({"spec": {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": []}}]}})",
     {"spec.volumes[0].emptyDir.sizeLimit: must be an amount such as 2, 500m or 1Gi, not a list"}},
    {"AMappingForAPort",
     R"({"spec": {"containers": [{"livenessProbe": {"tcpSocket": {"port": {}}}}]}})",
     {"spec.containers[0].livenessProbe.tcpSocket.port: must be an integer or text, not a "
      "mapping"}},
    {"AWordThatIsNone",
     R"({"spec": {"containers": [{"imagePullPolicy": "always"}]}})",
     {"spec.containers[0].imagePullPolicy: must be one of Always, IfNotPresent, Never, not "
      "'always'; did you mean 'Always'?"}},
    {"AMountWithoutAPath",
     R"({"spec": {"containers": [{"volumeMounts": [{"name": "a"}]}]}})",
     {"spec.containers[0].volumeMounts[0].mountPath: is required"}},
    {"AVolumeWithoutAName",
     R"({"spec": {"volumes": [{"name": null, "emptyDir": {}}]}})",
     {"spec.volumes[0].name: is required"}},
    {"AnInitContainerWithoutAName",
     R"({"spec": {"initContainers": [{"image": "a"}]}})",
     {"spec.initContainers[0].name: is required"}},
};
INSTANTIATE_TEST_SUITE_P(Types, BadTemplateTest, ::testing::ValuesIn(kTypes),
                         [](const auto& row) { return row.param.name; });

const BadTemplate kOurs[] = {
    {"RestartPolicy",
     R"({"spec": {"restartPolicy": "Always"}})",
     {"spec.restartPolicy: is the operator's to set; leave it out"}},
    {"NamesInTheNetwork",
     R"({"spec": {"hostname": "x", "subdomain": "y"}})",
     {"spec.hostname: is the operator's to set; leave it out",
      "spec.subdomain: is the operator's to set; leave it out"}},
    {"ArgumentsOfOurContainer",
     R"({"spec": {"containers": [{"args": ["x"], "tty": true}]}})",
     {"spec.containers[0].args: is the operator's to set; leave it out",
      "spec.containers[0].tty: is the operator's to set; leave it out"}},
    {"AContainerWithoutANameBesideOthers",
     R"({"spec": {"containers": [{"name": "a"}, {"image": "b"}]}})",
     {"spec.containers[1].name: is required where there are several containers; ours is 'worker'"}},
    {"OurVariable",
     R"({"spec": {"containers": [{"name": "worker", "env": [{"name": "POD_NAME"}]}]}})",
     {"spec.containers[0].env[0].name: 'POD_NAME' is the operator's; take another"}},
    {"OurMountHoweverItIsWritten",
     R"({"spec": {"containers": [{"volumeMounts": [{"name": "a", "mountPath": "/etc//elephas/"}]}]}})",
     {"spec.containers[0].volumeMounts[0].mountPath: '/etc//elephas/' is the operator's; take "
      "another"}},
    {"OurVolume",
     R"({"spec": {"volumes": [{"name": "elephas-job", "emptyDir": {}}]}})",
     {"spec.volumes[0].name: 'elephas-job' is the operator's; take another"}},
    {"AName",
     R"({"metadata": {"name": "x"}})",
     {"metadata.name: is the operator's to set; leave it out"}},
    {"FieldsOfMetadata",
     R"({"metadata": {"finalizers": ["a"], "lables": {}}})",
     {"metadata.lables: unknown field; did you mean 'labels'?",
      "metadata.finalizers: is the operator's to set; leave it out"}},
    {"OurLabels",
     R"({"metadata": {"labels": {"elephas.dev/index": "9"},
                      "annotations": {"app.kubernetes.io/name": "x"}}})",
     {"metadata.annotations.app.kubernetes.io/name: is the operator's to set; leave it out",
      "metadata.labels.elephas.dev/index: is the operator's to set; leave it out"}},
    {"LabelsThatAreNone",
     R"({"metadata": {"labels": {"a b": "x", "b": "-", "c": 1}}})",
     {"metadata.labels.c: must be text, not 1; put it in quotes",
      "metadata.labels.a b: is no key that Kubernetes takes: letters, digits, '-', '_' and '.', at "
      "most 63, after a domain and '/' if you like",
      "metadata.labels.b: must be letters, digits, '-', '_' and '.', at most 63, beginning and "
      "ending with a letter or digit, not '-'"}},
};
INSTANTIATE_TEST_SUITE_P(Ours, BadTemplateTest, ::testing::ValuesIn(kOurs),
                         [](const auto& row) { return row.param.name; });

TEST(PodTemplateCheck, TakesWhatPodsMayHave) {
  EXPECT_THAT(WrongWith(json::parse(R"({
    "metadata": {"creationTimestamp": null, "labels": {"team": "", "example.com/a": "b_c.d"},
                 "annotations": {"note": "anything at all"}},
    "spec": {
      "hostNetwork": true, "priority": -5, "dnsPolicy": "", "nodeSelector": {"a": "b"},
      "tolerations": [{"operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 30}],
      "securityContext": {"fsGroup": 5, "supplementalGroups": [1, 2], "sysctls": []},
      "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}},
      "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "e", "ephemeral": {"volumeClaimTemplate": {"metadata": {"name": "x"}, "spec": {
          "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1.5Gi"}}}}}}],
      "initContainers": [{"name": "proxy", "image": "p", "restartPolicy": "Always", "args": ["x"]}],
      "containers": [
        {"name": "worker", "command": ["sh"], "resources": {"limits": {"cpu": 2, "memory": "1e3",
         "nvidia.com/gpu": 1}}, "livenessProbe": {"httpGet": {"port": "http"}}},
        {"name": "side", "args": ["x"], "tty": true, "env": [{"name": "POD_NAME", "value": "y"}]}]}})")),
              IsEmpty());
}

TEST(PodTemplateCheck, AmountsAreThoseOfKubernetes) {
  const auto good = [](const char* text) {
    return WrongWith({{"spec", {{"overhead", {{"cpu", text}}}}}}).empty();
  };
  for (const char* text : {"1", "0.5", ".5", "5.", "+1", "-1", "100m", "1Ki", "2Ei", "1k", "1e3",
                           "1E+3", "1e-3", "1e.5", "1n", "1u", "1E"}) {
    EXPECT_TRUE(good(text)) << text;
  }
  for (const char* text : {"", ".", "m", "1 ", " 1", "1GB", "1K", "1mi", "1e", "1e+", "1ee3", "1ki",
                           "0x1", "1,5", "--1", "1i"}) {
    EXPECT_FALSE(good(text)) << text;
  }
}

TEST(PodTemplateCheck, NullsThatMeanNothingAreTakenOutAndOthersStay) {
  json pod_template = json::parse(R"({
    "metadata": null,
    "spec": {"volumes": null, "tolerations": null, "nodeSelector": {"a": null},
             "containers": [{"image": null, "resources": {"requests": {"cpu": null}}}]}})");
  EXPECT_THAT(CheckPodTemplate(pod_template, "worker"), IsEmpty());
  EXPECT_EQ(pod_template, json::parse(R"({
    "spec": {"tolerations": null, "nodeSelector": {},
             "containers": [{"resources": {"requests": {"cpu": null}}}]}})"));
}

TEST(PodTemplateCheck, AThousandMistakesAreNotTold) {
  json pod_template;
  for (int i = 0; i < 1000; ++i) pod_template["spec"]["tolerations"].push_back("x");
  const auto lines = WrongWith(pod_template);
  ASSERT_EQ(lines.size(), 51U);
  EXPECT_THAT(lines.back(), HasSubstr("and more is wrong with this template"));
}

TEST(PodTemplateCheck, ListsThatRulesGoThroughHaveABound) {
  json pod_template;
  for (int i = 0; i < 257; ++i) {
    pod_template["spec"]["volumes"].push_back({{"name", "v" + std::to_string(i)}});
  }
  EXPECT_THAT(WrongWith(pod_template),
              ElementsAre("spec.volumes: must have at most 256 entries, not 257"));
}

TEST(PodTemplateInAManifest, IsRefusedWithItsLine) {
  EXPECT_THAT(ProblemsOf(Manifest({{8,
                                    "  workers:\n"
                                    "    template:\n"
                                    "      metadata: {labels: {a.b/c: [1]}}\n"
                                    "      spec:\n"
                                    "        contaners: []\n"
                                    "        volumes:\n"
                                    "        - {name: a}\n"
                                    "        - emptyDir: {}\n"
                                    "  parameterServers: {template: {spec: {hostname: x}}}"}})),
              ElementsAre("job.yaml:10: spec.workers.template.metadata.labels.a.b/c: must be text, "
                          "not a list",
                          "job.yaml:12: spec.workers.template.spec.contaners: unknown field; did "
                          "you mean 'containers'?",
                          "job.yaml:15: spec.workers.template.spec.volumes[1].name: is required",
                          "job.yaml:16: spec.parameterServers.template.spec.hostname: is the "
                          "operator's to set; leave it out"));
}

TEST(PodTemplateInAManifest, OurContainerHasTheNameOfItsRole) {
  EXPECT_THAT(ProblemsOf(Manifest({{8,
                                    "  workers: {template: {spec: {containers: [{name: "
                                    "paramserver, args: [x]}]}}}\n"
                                    "  parameterServers: {template: {spec: {containers: [{name: "
                                    "paramserver, args: [x]}]}}}"}})),
              ElementsAre("job.yaml:9: spec.parameterServers.template.spec.containers[0].args: is "
                          "the operator's to set; leave it out"));
}

TEST(PodTemplateInAManifest, WithoutAnythingInItIsEmpty) {
  const std::vector<std::string> empty{"job.yaml:8: spec.workers.template: is empty"};
  EXPECT_EQ(ProblemsOf(Manifest({{8, "  workers: {template: {}}"}})), empty);
  EXPECT_EQ(ProblemsOf(Manifest({{8, "  workers: {template: {spec: null}}"}})), empty);
  EXPECT_EQ(ProblemsOf(Manifest({{8, "  workers: {template: null}"}})), std::vector<std::string>());
}

TEST(PodTemplateTypes, EveryPlaceWhereANullTakesAwayIsAField) {
  std::set<std::string> patterns;
  const std::function<void(const PodType&, const std::string&)> walk =
      [&](const PodType& type, const std::string& path) {
        for (const PodField& field : type.fields) {
          std::string at = path;
          if (!at.empty()) at += ".";
          at += field.name;
          patterns.insert(at);
          if (field.shape == PodField::Shape::kMap) patterns.insert(at + ".{}");
          if (field.shape == PodField::Shape::kList) at += "[]";
          if (field.type != nullptr) walk(*field.type, at);
        }
      };
  walk(PodTemplateType(), "");
  EXPECT_GT(patterns.size(), 900U);
  std::size_t count = 0;
  for (const std::string& pattern : patterns) count += NullTakesAway(pattern) ? 1 : 0;
  EXPECT_EQ(count, kPlacesWhereNullTakesAway);
}

// scripts/pod_template_schema.py reads that version; tests/chart compares what it makes.
TEST(PodTemplateTypes, AreThoseOfTheTestClustersKubernetes) {
  const char* source = std::getenv("ELEPHAS_SOURCE_DIR");
  std::ifstream file(std::string(source == nullptr ? "." : source) +
                     "/tests/cluster/programs/go.mod");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("k8s.io/kubernetes " + PodTemplateVersion() + "\n"))
      << "run scripts/pod_template_schema.py";
}

}  // namespace
}  // namespace elephas::manifest
