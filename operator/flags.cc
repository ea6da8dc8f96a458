#include "operator/flags.h"

#include <CLI/CLI.hpp>

#include "common/base/program.h"
#include "common/base/version.h"

namespace elephas {

namespace {

// What the operator serves and which jobs are its own.
void AddServiceFlags(CLI::App& app, OperatorFlags& flags) {
  app.add_option("--namespace", flags.namespaces,
                 "namespace whose jobs are run; repeatable, all when left out")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->envname("ELEPHAS_NAMESPACES");
  app.add_option("--kubeconfig", flags.kubeconfig,
                 "kubeconfig file; left out: the pod's service account, or the user's file");
  app.add_option("--address", flags.address, "address of health and metrics")
      ->capture_default_str();
  app.add_option("--port", flags.port, "port of /healthz, /readyz and /metrics; 0: any free one")
      ->capture_default_str()
      ->envname("ELEPHAS_PORT");
  app.add_option("--concurrency", flags.concurrency, "jobs that are worked on at the same time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
}

// What the jobs' pods get.
void AddPodFlags(CLI::App& app, Settings& settings, bool& no_network_policy) {
  const auto image = [&](const char* name, std::string& value, const char* what, const char* env) {
    app.add_option(name, value, what)->capture_default_str()->envname(env);
  };
  image("--paramserver-image", settings.paramserver_image, "image of parameter servers",
        "ELEPHAS_PARAMSERVER_IMAGE");
  image("--worker-image", settings.worker_image, "image of workers", "ELEPHAS_WORKER_IMAGE");
  image("--worker-cuda-image", settings.worker_cuda_image, "image of workers that ask for a GPU",
        "ELEPHAS_WORKER_CUDA_IMAGE");
  app.add_option("--image-pull-policy", settings.image_pull_policy, "of the jobs' images")
      ->check(CLI::IsMember({"Always", "IfNotPresent", "Never"}))
      ->capture_default_str();
  app.add_option("--image-pull-secret", settings.image_pull_secrets,
                 "Secret in the job's namespace; repeatable")
      ->allow_extra_args(false);
  app.add_option("--priority-class", settings.priority_class,
                 "PriorityClass of pods whose template names none");
  app.add_option("--monitoring-namespace", settings.monitoring_namespaces,
                 "namespace that may read parameter servers' metrics; repeatable")
      ->allow_extra_args(false);
  app.add_flag("--no-network-policy", no_network_policy, "make no NetworkPolicy for each job");
}

void AddProcessFlags(CLI::App& app, OperatorFlags& flags) {
  app.add_flag("--leader-elect", flags.leader_elect, "work only while holding the Lease");
  app.add_option("--lease-name", flags.lease_name, "name of the Lease")->capture_default_str();
  app.add_option("--lease-namespace", flags.lease_namespace, "where the Lease and the operator are")
      ->envname("POD_NAMESPACE");
  app.add_option("--identity", flags.identity, "this replica's name; left out: the host's")
      ->envname("POD_NAME");
  app.add_option("--log-format", flags.log_format, "text or json (ELEPHAS_LOG_FORMAT)")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_option("--log-level", flags.log_level,
                 "debug, info, warning, error or off (ELEPHAS_LOG_LEVEL)")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
  app.add_flag("--print-crd", flags.print_crd,
               "print the definition of ElephasJob for kubectl apply, and end");
}

}  // namespace

std::optional<OperatorFlags> ParseOperatorFlags(int argc, char** argv, int& exit_code) {
  OperatorFlags flags;
  bool no_network_policy = false;
  CLI::App app("Runs ElephasJobs on Kubernetes.", "elephas-operator");
  app.set_version_flag("--version", VersionLine("elephas-operator"));
  AddServiceFlags(app, flags);
  AddPodFlags(app, flags.settings, no_network_policy);
  AddProcessFlags(app, flags);
  try {
    app.parse(argc, argv);
    if (flags.leader_elect && flags.lease_namespace.empty()) {
      throw CLI::ValidationError("--lease-namespace", "is needed by --leader-elect");
    }
  } catch (const CLI::ParseError& error) {
    exit_code = app.exit(error) == 0 ? kExitSuccess : kExitUsage;
    return std::nullopt;
  }
  flags.settings.network_policy = !no_network_policy;
  flags.settings.operator_namespace = flags.lease_namespace;
  return flags;
}

}  // namespace elephas
