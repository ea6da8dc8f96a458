#include "cli/command_line/options.h"

#include <CLI/CLI.hpp>

#include "cli/run/supervision.h"
#include "common/base/version.h"

namespace elephas::cli {

namespace {

constexpr const char* kAbout =
    "Distributed training of Keras models, without Spark and without TensorFlow.";

constexpr const char* kFooter =
    "Examples:\n"
    "  elephas validate job.yaml\n"
    "  elephas run job.yaml\n"
    "  elephas run job.yaml --set spec.fit.epochs=3 --set spec.workers.replicas=4\n"
    "  elephas submit job.yaml --follow\n"
    "  elephas get\n"
    "  elephas logs digits --role worker --index 0 -f\n";

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
    "Reads no other file and needs no cluster; the verdict is the API server's. Every problem is\n"
    "a line on standard error: file:line: field: message. What is a good job here but not on a\n"
    "cluster, where pods keep relative paths only on a volume, --for-cluster refuses too.\n"
    "\nExit codes:\n"
    "  0    the manifest is valid\n"
    "  2    it is not, or the command line is wrong\n";

constexpr const char* kSubmitFooter =
    "Checks the manifest as `elephas validate` does, then applies it (server-side). Files that it\n"
    "names are not sent along: their paths start in the pods' volumes. Results that no volume\n"
    "would keep are a warning: the operator ends such a job with NoVolume.\n"
    "\nExit codes:\n"
    "  0    submitted; with --follow: the job succeeded\n"
    "  1    the cluster did not take it, or the job failed\n"
    "  2    the manifest or the command line is wrong; nothing was changed\n"
    "  130  --follow was stopped by Ctrl-C; the job goes on\n";

constexpr const char* kLogsFooter =
    "Of several pods each line begins with its pod's name. --follow ends when the containers "
    "end.\n";

void AddClusterOptions(CLI::App& command, Options& options) {
  Options::Cluster& cluster = options.cluster;
  command
      .add_option("--kubeconfig", cluster.kubeconfig, "Instead of $KUBECONFIG and ~/.kube/config")
      ->type_name("FILE");
  command.add_option("--context", cluster.context, "Instead of the kubeconfig's current context")
      ->type_name("NAME");
  command.add_option("--cluster", cluster.cluster, "Instead of the context's")->type_name("NAME");
  command.add_option("--user", cluster.user, "Instead of the context's")->type_name("NAME");
  command.add_option("-n,--namespace", cluster.ns, "Instead of the context's")->type_name("NAME");
}

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

CLI::App* AddRun(CLI::App& app, Options& options, std::vector<std::string>& settings,
                 double& lease_seconds) {
  CLI::App* run = app.add_subcommand("run", kRunAbout);
  AddManifestOptions(*run, options, settings);
  run->add_flag("--json", options.json, "Events as JSON, one object per line on standard output");
  run->add_flag("--quiet", options.quiet, "Only errors and the result")->excludes("--json");
  run->add_flag("--resume", options.resume,
                "Goes on from the checkpoints of the run that was started last below\n"
                "spec.checkpoint.uri, and says which; they stay as they are");
  run->add_option("--run-dir", options.run_folder, "Keeps logs and job document in this folder")
      ->type_name("DIR");
  run->add_option("--metrics-port", options.metrics_port,
                  "Serves metrics for Prometheus: server 0 on this port, further servers and then\n"
                  "workers on the ports after it")
      ->check(CLI::Range(1, 65535))
      ->type_name("PORT");
  run->add_option("--lease-seconds", lease_seconds)
      ->check(CLI::Range(0.05, 86400.0))
      ->group("");  // for tests: not in the help
  run->footer(kRunFooter);
  return run;
}

CLI::App* AddValidate(CLI::App& app, Options& options, std::vector<std::string>& settings) {
  CLI::App* validate = app.add_subcommand("validate", "Checks the manifest and runs nothing");
  AddManifestOptions(*validate, options, settings);
  validate->add_flag("--for-cluster", options.for_cluster,
                     "Also what the operator refuses: results that no volume would keep, a job\n"
                     "that is too large to be held");
  validate->footer(kValidateFooter);
  return validate;
}

CLI::App* AddSubmit(CLI::App& app, Options& options, std::vector<std::string>& settings) {
  CLI::App* submit = app.add_subcommand("submit", "Runs the job on a cluster");
  AddManifestOptions(*submit, options, settings);
  AddClusterOptions(*submit, options);
  submit->add_flag("-f,--follow", options.follow, "Shows the job until it is over, as run does");
  submit->add_flag("--json", options.json,
                   "Events as JSON, one object per line on standard output");
  submit->add_flag("--quiet", options.quiet, "Only errors and the result")->excludes("--json");
  submit->add_flag("--force-conflicts", options.force_conflicts,
                   "Takes over fields that kubectl or others have set");
  submit->footer(kSubmitFooter);
  return submit;
}

CLI::App* AddGet(CLI::App& app, Options& options) {
  CLI::App* get = app.add_subcommand("get", "Shows jobs of a cluster");
  get->add_option("names", options.names, "All of the namespace when left out")->type_name("NAME");
  AddClusterOptions(*get, options);
  CLI::Option* all = get->add_flag("-A,--all-namespaces", options.all_namespaces);
  all->description("Those of every namespace");
  get->add_option("-l,--selector", options.selector, "Only those with these labels")
      ->type_name("LABELS");
  get->add_option("-o,--output", options.output, "Instead of a table")
      ->check(CLI::IsMember({"wide", "name", "json", "yaml"}))
      ->type_name("wide|name|json|yaml");
  return get;
}

CLI::App* AddLogs(CLI::App& app, Options& options, std::int64_t& index, std::int64_t& tail) {
  CLI::App* logs = app.add_subcommand("logs", "Prints what a job's pods have logged");
  logs->add_option("name", options.names, "The job")->required()->expected(1)->type_name("NAME");
  AddClusterOptions(*logs, options);
  logs->add_option("--role", options.role, "Only workers, or only parameter servers")
      ->check(CLI::IsMember({"worker", "paramserver"}))
      ->type_name("worker|paramserver");
  logs->add_option("--index", index, "Only the pods of this number, from 0")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  logs->add_option("--tail", tail, "Only the last lines")
      ->check(CLI::NonNegativeNumber)
      ->type_name("N");
  logs->add_flag("-f,--follow", options.follow, "Goes on as more is logged");
  logs->add_flag("-p,--previous", options.previous, "Of the container's run before this one");
  logs->add_flag("--timestamps", options.timestamps, "With the time of each line");
  logs->footer(kLogsFooter);
  return logs;
}

CLI::App* AddDelete(CLI::App& app, Options& options) {
  CLI::App* remove = app.add_subcommand("delete", "Ends jobs and takes their pods away");
  remove->add_option("names", options.names, "The jobs")->required()->type_name("NAME");
  AddClusterOptions(*remove, options);
  remove->add_flag("--wait", options.wait, "Until the job and all of its pods are gone");
  remove->add_flag("--ignore-not-found", options.ignore_not_found, "A missing job is no error");
  return remove;
}

}  // namespace

std::variant<Options, int> ParseCommandLine(int argc, const char* const* argv, std::ostream& out,
                                            std::ostream& err) {
  Options options;
  std::vector<std::string> settings;
  double lease_seconds = 0;
  std::int64_t index = 0, tail = 0;
  // kubectl finds its plugins by this name.
  const std::string_view program = argc > 0 ? std::string_view(argv[0]) : std::string_view();
  const bool plugin = program.substr(program.rfind('/') + 1) == "kubectl-elephas";
  CLI::App app(kAbout, plugin ? "kubectl elephas" : "elephas");
  app.footer(kFooter);
  app.set_version_flag("--version", VersionLine("elephas"));
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return "elephas: " + std::string(error.what()) + "\nSee " + failed->get_display_name() +
           " --help\n";
  });

  const CLI::App* run = AddRun(app, options, settings, lease_seconds);
  const CLI::App* validate = AddValidate(app, options, settings);
  const CLI::App* submit = AddSubmit(app, options, settings);
  const CLI::App* get = AddGet(app, options);
  const CLI::App* logs = AddLogs(app, options, index, tail);
  const CLI::App* remove = AddDelete(app, options);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? kExitSuccess : kExitUsage;
  }
  for (const std::string& setting : settings) {
    auto override = ParseOverride(setting);
    if (!override.ok()) {
      err << "elephas: --set " << override.status().message() << "\n";
      return kExitUsage;
    }
    options.overrides.push_back(*std::move(override));
  }
  const std::pair<const CLI::App*, Options::Command> commands[] = {
      {run, Options::Command::kRun},       {validate, Options::Command::kValidate},
      {submit, Options::Command::kSubmit}, {get, Options::Command::kGet},
      {logs, Options::Command::kLogs},     {remove, Options::Command::kDelete}};
  for (const auto& [command, value] : commands) {
    if (command->parsed()) options.command = value;
  }
  if (logs->count("--index") > 0) options.index = index;
  if (logs->count("--tail") > 0) options.tail = tail;
  if (run->count("--lease-seconds") > 0) options.lease_seconds = lease_seconds;
  return options;
}

}  // namespace elephas::cli
