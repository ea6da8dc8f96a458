// The program itself against an API server on a socket: kubeconfig, TLS, exit codes, kubectl's
// name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/base/atomic_file.h"
#include "common/base/testing/fake_clock.h"
#include "kube/testing/fake_api_server.h"

namespace elephas::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Outcome {
  int exit_code = -1;
  std::string text;  // both streams
};

class ClusterProgramTest : public testing::Test {
 public:
  ~ClusterProgramTest() override { std::filesystem::remove_all(folder_); }

 protected:
  ClusterProgramTest() {
    std::filesystem::create_directories(folder_);
    EXPECT_TRUE(WriteWholeFile(folder_ + "/config", server_.Kubeconfig()).ok());
    EXPECT_TRUE(WriteWholeFile(folder_ + "/job.yaml",
                               "apiVersion: elephas.dev/v1alpha1\nkind: ElephasJob\n"
                               "metadata: {name: digits}\nspec:\n  model: {uri: m.json}\n"
                               "  compile: {loss: mse}\n  data: {uri: d.npz}\n"
                               "  output: {uri: /out}\n")
                    .ok());
  }

  Outcome Run(const std::string& arguments, const std::string& program = "elephas") {
    const char* bin = std::getenv("ELEPHAS_BIN_DIR");
    const std::string command = "cd '" + folder_ + "' && KUBECONFIG=config '" +
                                std::string(bin == nullptr ? "bin" : bin) + "/" + program + "' " +
                                arguments + " 2>&1";
    Outcome outcome;
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> piece{};
    while (const std::size_t got = fread(piece.data(), 1, piece.size(), pipe)) {
      outcome.text.append(piece.data(), got);
    }
    const int status = pclose(pipe);
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }

  FakeClock clock_;
  kube::FakeClient objects_{clock_};
  kube::FakeApiServer server_{objects_, {.token = "secret"}};
  const std::string folder_ = testing::TempDir() + "/elephas_cluster_program_" +
                              testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(ClusterProgramTest, SubmitGetLogsAndDelete) {
  Outcome outcome = Run("submit job.yaml --set spec.fit.epochs=3 -n team");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_EQ(outcome.text, "elephasjob.elephas.dev/digits created\n");
  const auto job = objects_.Find(kube::kElephasJob, {"team", "digits"});
  ASSERT_TRUE(job.has_value());
  // As it was written: the defaults are the cluster's.
  EXPECT_EQ((*job)["spec"], (json{{"model", {{"uri", "m.json"}}},
                                  {"compile", {{"loss", "mse"}}},
                                  {"data", {{"uri", "d.npz"}}},
                                  {"fit", {{"epochs", 3}}},
                                  {"output", {{"uri", "/out"}}}}));

  outcome = Run("get -n team", "kubectl-elephas");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, HasSubstr("NAME     STATE"));

  outcome = Run("logs digits -n team");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.text, HasSubstr("has no such pods"));

  outcome = Run("delete digits -n team --wait");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_FALSE(objects_.Find(kube::kElephasJob, {"team", "digits"}));
}

TEST_F(ClusterProgramTest, ResultsThatNoVolumeKeepsAreAWarning) {
  const Outcome outcome = Run("submit job.yaml --set spec.output.uri=out");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_THAT(outcome.text, testing::StartsWith("job.yaml: warning: spec.output.uri: 'out' is "
                                                "/data/out in the pods, where no volume"));
  EXPECT_THAT(outcome.text, testing::EndsWith("elephasjob.elephas.dev/digits created\n"));
}

TEST_F(ClusterProgramTest, ResultsThatLeaveTheirFolderReachNoServer) {
  const Outcome outcome = Run("submit job.yaml --set spec.output.uri=../out");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.text, HasSubstr("spec.output.uri: must not have '..' in it"));
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(ClusterProgramTest, AWrongManifestReachesNoServer) {
  const Outcome outcome = Run("submit job.yaml --set spec.fit.epochs=none");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.text, HasSubstr("spec.fit.epochs"));
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(ClusterProgramTest, TheClustersRulesAreToldVerbatim) {
  const auto refuse = [](const kube::FakeApiServer::Request& request,
                         kube::FakeApiServer::Answer& answer) {
    if (request.method != "PATCH") return false;
    answer.Send(
        422,
        json{{"kind", "Status"},
             {"reason", "Invalid"},
             {"message", "ElephasJob.elephas.dev \"digits\" is invalid"},
             {"details",
              {{"kind", "ElephasJob"},
               {"name", "digits"},
               {"causes",
                {{{"field", "spec.mode"}, {"message", "Invalid value: mode cannot change"}}}}}},
             {"code", 422}}
            .dump());
    return true;
  };
  server_.Once(refuse);
  const Outcome outcome = Run("submit job.yaml");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.text,
            "The ElephasJob \"digits\" is invalid: spec.mode: Invalid value: mode cannot change\n");
}

TEST_F(ClusterProgramTest, AMissingJobIsWordedAsByKubectl) {
  const Outcome outcome = Run("get nothing");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.text,
            "Error from server (NotFound): elephasjobs.elephas.dev \"nothing\" not found\n");
}

TEST_F(ClusterProgramTest, WrongCredentialsAndNoServer) {
  server_.SetToken("another");
  Outcome outcome = Run("get");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.text, "error: You must be logged in to the server (Unauthorized)\n");
  outcome = Run("get --kubeconfig none");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.text, HasSubstr("none"));
  outcome = Run("get --context none");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.text, HasSubstr("context \"none\" does not exist"));
}

TEST_F(ClusterProgramTest, FollowPrintsProgressAndEndsWithTheJob) {
  std::jthread cluster([this] {
    if (!objects_.WaitForWatches(kube::kElephasJob, 1)) return;
    objects_.PutStatus(kube::kElephasJob, {"default", "digits"},
                       {{"conditions",
                         {{{"type", "Running"},
                           {"status", "True"},
                           {"reason", "Training"},
                           {"message", "1 of 1 workers run"}}}},
                        {"epoch", 1},
                        {"epochs", 1},
                        {"progress", 90},
                        {"metrics", {{"loss", 0.25}}}});
    objects_.PutStatus(kube::kElephasJob, {"default", "digits"},
                       {{"conditions",
                         {{{"type", "Failed"},
                           {"status", "True"},
                           {"reason", "WorkerError"},
                           {"message", "out of luck"}}}},
                        {"epoch", 1}});
  });
  const Outcome outcome = Run("submit job.yaml --follow");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.text, HasSubstr("Training: 1 of 1 workers run\nEpoch 1/1  loss 0.2500\n"));
  EXPECT_THAT(outcome.text, HasSubstr("digits failed: out of luck (WorkerError)"));
}

}  // namespace
}  // namespace elephas::cli
