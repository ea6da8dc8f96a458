#include "cli/command_line/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace elephas::cli {
namespace {

using ::testing::HasSubstr;

struct Parsed {
  std::variant<Options, int> result;
  std::string out, err;
};

Parsed Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "elephas");
  std::ostringstream out, err;
  auto result = ParseCommandLine(static_cast<int>(arguments.size()), arguments.data(), out, err);
  return {std::move(result), out.str(), err.str()};
}

TEST(CommandLine, RunTakesItsOptions) {
  const Parsed parsed =
      Parse({"run", "--set", "spec.fit.epochs=3", "job.yaml", "--set", "spec.data.labels=[a, b]",
             "--resume", "--run-dir", "logs", "--json"});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.err;
  const auto& options = std::get<Options>(parsed.result);
  EXPECT_EQ(options.command, Options::Command::kRun);
  EXPECT_EQ(options.manifest, "job.yaml");
  ASSERT_EQ(options.overrides.size(), 2U);
  EXPECT_EQ(options.overrides[0].value, "3");
  EXPECT_EQ(options.overrides[1].value, "[a, b]");
  EXPECT_TRUE(options.resume && options.json && !options.quiet);
  EXPECT_EQ(options.run_folder, "logs");
  EXPECT_FALSE(options.lease_seconds.has_value());
}

TEST(CommandLine, ValidateTakesOverrides) {
  const Parsed parsed = Parse({"validate", "job.yaml", "--set", "spec.mode=hogwild"});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.err;
  EXPECT_EQ(std::get<Options>(parsed.result).command, Options::Command::kValidate);
  EXPECT_EQ(std::get<Options>(parsed.result).overrides.size(), 1U);
  EXPECT_FALSE(std::get<Options>(parsed.result).for_cluster);
}

TEST(CommandLine, ValidateAsksForWhatAClusterNeedsWhenItIsToldTo) {
  const Parsed parsed = Parse({"validate", "job.yaml", "--for-cluster"});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.err;
  EXPECT_TRUE(std::get<Options>(parsed.result).for_cluster);
}

TEST(CommandLine, SubmitTakesTheManifestAndTheCluster) {
  const Parsed parsed =
      Parse({"submit", "job.yaml", "--set", "spec.fit.epochs=3", "-f", "-n", "team", "--context",
             "prod", "--kubeconfig", "k", "--force-conflicts"});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.err;
  const auto& options = std::get<Options>(parsed.result);
  EXPECT_EQ(options.command, Options::Command::kSubmit);
  EXPECT_EQ(options.manifest, "job.yaml");
  EXPECT_EQ(options.overrides.size(), 1U);
  EXPECT_EQ(options.cluster.ns, "team");
  EXPECT_EQ(options.cluster.context, "prod");
  EXPECT_EQ(options.cluster.kubeconfig, "k");
  EXPECT_TRUE(options.follow && options.force_conflicts);
}

TEST(CommandLine, GetLogsAndDeleteTakeNames) {
  Parsed parsed = Parse({"get", "a", "b", "-o", "yaml", "-l", "team=vision"});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.err;
  EXPECT_EQ(std::get<Options>(parsed.result).names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(std::get<Options>(parsed.result).output, "yaml");
  EXPECT_EQ(std::get<Options>(parsed.result).selector, "team=vision");

  parsed = Parse({"logs", "a", "--role", "worker", "--index", "0", "-f"});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.err;
  EXPECT_EQ(std::get<Options>(parsed.result).command, Options::Command::kLogs);
  EXPECT_EQ(std::get<Options>(parsed.result).role, "worker");
  EXPECT_EQ(std::get<Options>(parsed.result).index, 0);
  EXPECT_EQ(std::get<Options>(parsed.result).tail, std::nullopt);

  parsed = Parse({"delete", "a", "--wait"});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.err;
  EXPECT_EQ(std::get<Options>(parsed.result).command, Options::Command::kDelete);
  EXPECT_TRUE(std::get<Options>(parsed.result).wait);
}

TEST(CommandLine, AsAPluginItCallsItselfSo) {
  const char* arguments[] = {"/usr/bin/kubectl-elephas", "--help"};
  std::ostringstream out, err;
  EXPECT_EQ(std::get<int>(ParseCommandLine(2, arguments, out, err)), 0);
  EXPECT_THAT(out.str(), HasSubstr("kubectl elephas"));
}

TEST(CommandLine, MistakesAreUsageErrors) {
  const std::pair<std::vector<const char*>, const char*> rows[] = {
      {{}, "subcommand is required"},
      {{"run"}, "manifest is required"},
      {{"run", "job.yaml", "--epochs", "3"}, "--epochs"},
      {{"run", "job.yaml", "--set", "spec.fit.epochs"}, "'spec.fit.epochs' has no '='"},
      {{"run", "job.yaml", "--json", "--quiet"}, "excludes"},
      {{"validate", "job.yaml", "--resume"}, "--resume"},
      {{"submit"}, "manifest is required"},
      {{"submit", "job.yaml", "--resume"}, "--resume"},
      {{"get", "-o", "xml"}, "xml"},
      {{"logs"}, "name is required"},
      {{"logs", "a", "--role", "driver"}, "driver"},
      {{"logs", "a", "--index", "-1"}, "index"},
      {{"delete"}, "names is required"},
  };
  for (const auto& [arguments, message] : rows) {
    const Parsed parsed = Parse(arguments);
    ASSERT_TRUE(std::holds_alternative<int>(parsed.result)) << message;
    EXPECT_EQ(std::get<int>(parsed.result), 2) << message;
    EXPECT_THAT(parsed.err, HasSubstr(message));
    EXPECT_EQ(parsed.out, "");
  }
}

TEST(CommandLine, HelpAndVersionSucceed) {
  const Parsed help = Parse({"run", "--help"});
  EXPECT_EQ(std::get<int>(help.result), 0);
  EXPECT_THAT(help.out, HasSubstr("Exit codes:"));
  EXPECT_THAT(help.out, HasSubstr("--set PATH=VALUE"));
  EXPECT_EQ(help.err, "");
  const Parsed version = Parse({"--version"});
  EXPECT_EQ(std::get<int>(version.result), 0);
  EXPECT_THAT(version.out, ::testing::StartsWith("elephas 0."));
}

}  // namespace
}  // namespace elephas::cli
