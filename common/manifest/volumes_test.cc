#include "common/manifest/volumes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/utf8.h"
#include "common/manifest/testing/manifest.h"
#include "common/storage/mounted_path.h"

namespace elephas {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

using Check = std::vector<ManifestProblem> (*)(const ParsedManifest&, std::string_view);

std::vector<std::string> Told(Check check, const std::map<int, std::string>& lines) {
  const ParsedManifest manifest = ParseManifest(Manifest(lines), "job.yaml");
  EXPECT_THAT(Problems(manifest), IsEmpty());
  std::vector<std::string> told;
  for (const ManifestProblem& problem : check(manifest, "job.yaml")) {
    told.push_back(ToString(problem));
  }
  return told;
}

// The fields that are told.
std::vector<std::string> Lost(const std::map<int, std::string>& lines) {
  std::vector<std::string> fields;
  for (const std::string& line : Told(&LostResults, lines)) {
    const auto begin = line.find("spec."), end = line.find(": '");
    fields.push_back(line.substr(begin, end - begin));
  }
  return fields;
}

constexpr char kData[] = "  workers: {template: {spec: {volumes: [{name: data, emptyDir: {}}]}}}";

TEST(JobVolumes, ARelativeOutputNeedsAVolume) {
  EXPECT_THAT(
      Told(&LostResults, {}),
      ElementsAre("job.yaml:7: spec.output.uri: 'out' is /data/out in the pods, where no volume is "
                  "mounted; it would be lost with the pod. Give spec.workers.template a volume "
                  "called data, for example {spec: {volumes: [{name: data, persistentVolumeClaim: "
                  "{claimName: NAME}}]}}"));
  EXPECT_THAT(Lost({{8, kData}}), IsEmpty());
  EXPECT_THAT(Lost({{7, "  output: {uri: /mnt/out}"}}), IsEmpty());
  EXPECT_THAT(Lost({{7, "  output: {uri: 'file:///mnt/out'}"}}), IsEmpty());
}

TEST(JobVolumes, ACheckpointTooAndTheServersTakeTheWorkersVolume) {
  EXPECT_THAT(Lost({{8, "  checkpoint: {uri: ckpt}"}}),
              ElementsAre("spec.output.uri", "spec.checkpoint.uri"));
  EXPECT_THAT(Lost({{8, kData}, {9, "  checkpoint: {uri: ckpt}"}}), IsEmpty());
  EXPECT_THAT(
      Lost(
          {{8, "  checkpoint: {uri: ckpt}"},
           {9, "  parameterServers: {template: {spec: {volumes: [{name: data, emptyDir: {}}]}}}"}}),
      ElementsAre("spec.output.uri"));
}

std::string Mounted(const char* mounts) {
  return std::string(
             "  workers: {template: {spec: {volumes: [{name: a, emptyDir: {}}, {name: data, "
             "emptyDir: {}}], containers: [{volumeMounts: [") +
         mounts + "]}]}}}";
}

TEST(JobVolumes, MountsAreComparedAsWhatTheyMean) {
  EXPECT_THAT(Lost({{8, Mounted("{name: a, mountPath: /data/out}, {name: data, mountPath: /x}")}}),
              IsEmpty());
  EXPECT_THAT(Lost({{8, Mounted("{name: data, mountPath: '/data//'}")}}), IsEmpty());
  EXPECT_THAT(
      Lost({{7, "  output: {uri: './/a/./b'}"}, {8, Mounted("{name: data, mountPath: /data/a/}")}}),
      IsEmpty());
  // The template has put the volume elsewhere.
  EXPECT_THAT(Lost({{8, Mounted("{name: data, mountPath: /x}")}}), ElementsAre("spec.output.uri"));
  EXPECT_THAT(Lost({{8, Mounted("{name: data, mountPath: /dat}")}}),
              ElementsAre("spec.output.uri"));
  // Out of the volume again.
  EXPECT_THAT(Lost({{7, "  output: {uri: ../x}"}, {8, kData}}), ElementsAre("spec.output.uri"));
  EXPECT_THAT(Lost({{7, "  output: {uri: a/../../x}"}, {8, kData}}),
              ElementsAre("spec.output.uri"));
}

TEST(JobVolumes, AnotherContainersMountsDoNotCount) {
  EXPECT_THAT(
      Lost({{8,
             "  workers: {template: {spec: {containers: [{name: side, volumeMounts: [{name: "
             "a, mountPath: /data}]}]}}}"}}),
      ElementsAre("spec.output.uri"));
}

TEST(JobVolumes, OnAClusterResultsStayBelowTheirFolder) {
  EXPECT_THAT(
      Told(&ClusterProblems, {{7, "  output: {uri: ../x}"}, {8, "  checkpoint: {uri: a/../b}"}}),
      ElementsAre("job.yaml:8: spec.checkpoint.uri: must not have '..' in it: on a cluster it "
                  "starts at /data, and stays on the volume there",
                  "job.yaml:7: spec.output.uri: must not have '..' in it: on a cluster it starts "
                  "at /data, and stays on the volume there"));
  for (const char* uri : {"out", "a..b", "..a/b", "...", "/a/../b", "file:///a/../b"}) {
    EXPECT_THAT(Told(&ClusterProblems, {{7, std::string("  output: {uri: '") + uri + "'}"}}),
                IsEmpty())
        << uri;
  }
}

TEST(TooLargeForCluster, CountsWhatGoesIntoTheSecret) {
  ParsedManifest manifest = ParseManifest(Manifest({{8, kData}}), "job.yaml");
  ASSERT_THAT(Problems(manifest), IsEmpty());
  const std::size_t own = JsonText(manifest.document).size() -
                          JsonText(manifest.document["spec"]["workers"]["template"]).size() -
                          std::string_view(R"("template":,)").size();
  const auto told = [&](std::size_t bytes) {
    // `,"padding":"…"` beside the other fields of the spec.
    manifest.document["spec"]["padding"] = std::string(bytes - own - 13, 'x');
    std::vector<std::string> lines;
    for (const auto& problem : TooLargeForCluster(manifest, "job.yaml")) {
      lines.push_back(ToString(problem));
    }
    return lines;
  };
  EXPECT_THAT(told(1'000'000), IsEmpty());
  EXPECT_THAT(
      told(1'000'001),
      ElementsAre(AllOf(StartsWith("job.yaml: the job is too large for the cluster to hold: "
                                   "it has 1000001 bytes without its templates, more than "
                                   "1000000; "),
                        HasSubstr("spec.model.uri"))));
  // A template's size is the API server's business.
  manifest.document["spec"].erase("padding");
  manifest.document["spec"]["workers"]["template"]["metadata"] = std::string(1'500'000, 'x');
  EXPECT_THAT(TooLargeForCluster(manifest, "job.yaml"), IsEmpty());
}

TEST(MountedPath, IsWhatThePathMeans) {
  EXPECT_EQ(NormalPath("/"), "/");
  EXPECT_EQ(NormalPath("/a/./b//c/"), "/a/b/c");
  EXPECT_EQ(NormalPath("/a/../../b"), "/b");
  EXPECT_EQ(NormalPath("/.."), "/");
  EXPECT_EQ(NormalPath("a"), "");
  EXPECT_EQ(NormalPath(""), "");
  EXPECT_TRUE(IsAtOrBelow("/a/b", "/a"));
  EXPECT_TRUE(IsAtOrBelow("/a", "/a/"));
  EXPECT_TRUE(IsAtOrBelow("/a", "/"));
  EXPECT_FALSE(IsAtOrBelow("/ab", "/a"));
  EXPECT_FALSE(IsAtOrBelow("/a/../b", "/a"));
  EXPECT_FALSE(IsAtOrBelow("/a", ""));
}

}  // namespace
}  // namespace elephas
