#include "cli/options.h"

#include <CLI/CLI.hpp>

#include "cli/supervision.h"

#ifndef ELEPHAS_VERSION
#error "ELEPHAS_VERSION comes from CMake"
#endif

namespace elephas::cli {

namespace {

constexpr const char* kAbout =
    "Distributed training of Keras models, without Spark and without TensorFlow.";

constexpr const char* kFooter =
    "Examples:\n"
    "  elephas validate job.yaml\n"
    "  elephas run job.yaml\n"
    "  elephas run job.yaml --set spec.fit.epochs=3 --set spec.workers.replicas=4\n";

constexpr const char* kRunAbout =
    "Runs the job here: parameter servers and workers as processes of this machine";

constexpr const char* kRunFooter =
    "Paths in the manifest start from the manifest's folder. A worker or server that dies is\n"
    "started again, up to spec.runPolicy.backoffLimit times; Ctrl-C stops every process.\n"
    "With spec.runPolicy.suspend: true nothing is started.\n"
    "\nExit codes:\n"
    "  0    done (also: suspended)\n"
    "  1    the job failed\n"
    "  2    the manifest or the command line is wrong; nothing was started\n"
    "  130  stopped by Ctrl-C (143 by SIGTERM, 129 by SIGHUP)\n";

constexpr const char* kValidateFooter =
    "Reads no other file and needs no cluster; the verdict is the cluster's. Every problem is\n"
    "a line on standard error: file:line: field: message.\n"
    "\nExit codes:\n"
    "  0    the manifest is valid\n"
    "  2    it is not, or the command line is wrong\n";

void AddManifestOptions(CLI::App& command, Options& options, std::vector<std::string>& settings) {
  command
      .add_option("manifest", options.manifest,
                  "The ElephasJob, YAML or JSON; - reads standard input")
      ->required()
      ->type_name("FILE");
  // One value each: `--set a=1 job.yaml` must not swallow the file.
  command
      .add_option("--set", settings,
                  "Sets a field, as YAML; nothing after '=' takes it out. Repeatable")
      ->type_name("PATH=VALUE")
      ->allow_extra_args(false);
}

}  // namespace

std::variant<Options, int> ParseCommandLine(int argc, const char* const* argv, std::ostream& out,
                                            std::ostream& err) {
  Options options;
  std::vector<std::string> settings;
  double lease_seconds = 0;
  CLI::App app(kAbout, "elephas");
  app.footer(kFooter);
  app.set_version_flag("--version", "elephas " ELEPHAS_VERSION);
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return "elephas: " + std::string(error.what()) + "\nSee " + failed->get_display_name() +
           " --help\n";
  });

  CLI::App* run = app.add_subcommand("run", kRunAbout);
  AddManifestOptions(*run, options, settings);
  run->add_flag("--json", options.json, "Events as JSON, one object per line on standard output");
  run->add_flag("--quiet", options.quiet, "Only errors and the result")->excludes("--json");
  run->add_flag("--resume", options.resume,
                "Goes on from the newest checkpoint under spec.checkpoint.uri");
  run->add_option("--run-dir", options.run_folder, "Keeps logs and job document in this folder")
      ->type_name("DIR");
  run->add_option("--metrics-port", options.metrics_port,
                  "Serves metrics for Prometheus: server 0 on this port, further servers and then\n"
                  "workers on the ports after it")
      ->check(CLI::Range(1, 65535))
      ->type_name("PORT");
  CLI::Option* lease = run->add_option("--lease-seconds", lease_seconds)
                           ->check(CLI::Range(0.05, 86400.0))
                           ->group("");  // for tests: not in the help
  run->footer(kRunFooter);

  CLI::App* validate = app.add_subcommand("validate", "Checks the manifest and runs nothing");
  AddManifestOptions(*validate, options, settings);
  validate->footer(kValidateFooter);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? kExitDone : kExitUsage;
  }
  for (const std::string& setting : settings) {
    auto override = ParseOverride(setting);
    if (!override.ok()) {
      err << "elephas: --set " << override.status().message() << "\n";
      return kExitUsage;
    }
    options.overrides.push_back(*std::move(override));
  }
  options.command = run->parsed() ? Options::Command::kRun : Options::Command::kValidate;
  if (lease->count() > 0) options.lease_seconds = lease_seconds;
  return options;
}

}  // namespace elephas::cli
