#include "operator/pods/desired_pods.h"

#include "common/base/names.h"
#include "common/json/json_at.h"
#include "common/manifest/volumes.h"
#include "operator/pods/default_requests.h"
#include "operator/pods/desired_objects.h"
#include "operator/pods/gpu_pods.h"
#include "operator/pods/pod_template_merge.h"

namespace elephas {

namespace {

using nlohmann::json;

// The account that images from scratch and distroless ones call nonroot.
constexpr int kUser = 65532;
// A node that does not answer is noticed after about 40 s. Workers are replaceable, so theirs go at
// once; a server comes back faster on its node than elsewhere, so it may wait a little.
constexpr int kWorkerTolerationSeconds = 0;
constexpr int kServerTolerationSeconds = 30;
constexpr int kWorkerMetricsPort = 9400;
constexpr int kWorkerGraceSeconds = 15;
constexpr int kServerGraceSeconds = 30;

std::string TemplatePath(PodRole role) {
  return role == PodRole::kServer ? "spec.parameterServers.template" : "spec.workers.template";
}

const json& TemplateOf(const Job& job, PodRole role) {
  return role == PodRole::kServer ? job.spec.parameter_servers.pod_template
                                  : job.spec.workers.pod_template;
}

std::string ServerUrl(const Job& job, std::int64_t index) {
  return "http://" + ServerHost(job, index) + ":" + std::to_string(ServerPort(job.spec));
}

json ServerArguments(const Job& job, std::int64_t index) {
  const std::string folder = std::string(names::kSecretFolder) + "/";
  json arguments{"--job",
                 folder + std::string(names::kManifestKey),
                 "--uid",
                 job.uid,
                 "--index",
                 std::to_string(index),
                 "--base",
                 names::kDataFolder,
                 "--address",
                 "0.0.0.0",
                 "--port",
                 std::to_string(ServerPort(job.spec)),
                 "--token-file",
                 folder + std::string(names::kTokenKey),
                 "--url",
                 ServerUrl(job, index),
                 "--exit-when-done",
                 "--termination-log",
                 names::kTerminationLog};
  if (index > 0) {
    arguments.push_back("--coordinator");
    arguments.push_back(ServerUrl(job, 0));
  }
  return arguments;
}

json WorkerArguments(const Job& job) {
  return {"--server",       ServerUrl(job, 0),
          "--name",         "$(POD_NAME)",
          "--base",         names::kDataFolder,
          "--token-file",   std::string(names::kSecretFolder) + "/" + std::string(names::kTokenKey),
          "--metrics-port", std::to_string(kWorkerMetricsPort)};
}

json Variable(std::string_view name, std::string_view value) {
  return {{"name", name}, {"value", value}};
}

json Environment(const Job& job, PodRole role) {
  json out = json::array();
  out.push_back(
      {{"name", "POD_NAME"}, {"valueFrom", {{"fieldRef", {{"fieldPath", "metadata.name"}}}}}});
  out.push_back(Variable("ELEPHAS_LOG_FORMAT", "json"));
  if (role == PodRole::kWorker) {
    // More spinning threads than idle cores make LibTorch many times slower.
    out.push_back(Variable("OMP_NUM_THREADS", std::to_string(job.spec.workers.threads)));
    out.push_back(Variable("OMP_WAIT_POLICY", "passive"));
  }
  return out;
}

json Probe(const char* path, int period_seconds, int failures) {
  return {{"httpGet", {{"path", path}, {"port", "http"}}},
          {"periodSeconds", period_seconds},
          {"timeoutSeconds", 5},
          {"failureThreshold", failures}};
}

json Container(const Job& job, const Settings& settings, PodRole role, std::int64_t index) {
  const bool server = role == PodRole::kServer;
  json container{
      {"name", Word(role)},
      {"image", server ? settings.paramserver_image : settings.worker_image},
      {"imagePullPolicy", settings.image_pull_policy},
      {"args", server ? ServerArguments(job, index) : WorkerArguments(job)},
      {"env", Environment(job, role)},
      {"resources", DefaultResources(job, role)},
      {"terminationMessagePath", names::kTerminationLog},
      // A worker that ends without a message has said why in its last lines.
      {"terminationMessagePolicy", "FallbackToLogsOnError"},
      {"securityContext",
       {{"allowPrivilegeEscalation", false},
        {"readOnlyRootFilesystem", true},
        {"capabilities", {{"drop", json::array({"ALL"})}}}}},
      {"volumeMounts",
       json::array(
           {{{"name", "elephas-job"}, {"mountPath", names::kSecretFolder}, {"readOnly", true}},
            {{"name", "tmp"}, {"mountPath", "/tmp"}}})}};
  if (server) {
    container["ports"] = json::array(
        {{{"name", "http"}, {"containerPort", ServerPort(job.spec)}, {"protocol", "TCP"}}});
    container["readinessProbe"] = Probe("/readyz", 2, 3);
    container["livenessProbe"] = Probe("/healthz", 10, 6);
  } else {
    container["ports"] = json::array(
        {{{"name", "metrics"}, {"containerPort", kWorkerMetricsPort}, {"protocol", "TCP"}}});
  }
  if (!server && job.spec.model.config_map) {
    container["volumeMounts"].push_back(
        {{"name", "elephas-model"}, {"mountPath", names::kModelFolder}, {"readOnly", true}});
  }
  return container;
}

json Volumes(const Job& job, PodRole role) {
  json items = json::array({{{"key", names::kTokenKey}, {"path", names::kTokenKey}}});
  if (role == PodRole::kServer) {
    items.push_back({{"key", names::kManifestKey}, {"path", names::kManifestKey}});
  }
  json volumes = json::array(
      {{{"name", "elephas-job"},
        {"secret", {{"secretName", SecretName(job)}, {"defaultMode", 0440}, {"items", items}}}},
       {{"name", "tmp"}, {"emptyDir", json::object()}}});
  if (role == PodRole::kWorker && job.spec.model.config_map) {
    volumes.push_back({{"name", "elephas-model"},
                       {"configMap",
                        {{"name", job.spec.model.config_map->name},
                         {"items", json::array({{{"key", job.spec.model.config_map->key},
                                                 {"path", names::kModelFile}}})}}}});
  }
  return volumes;
}

json Tolerations(PodRole role) {
  json out = json::array();
  for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    out.push_back({{"key", key},
                   {"operator", "Exists"},
                   {"effect", "NoExecute"},
                   {"tolerationSeconds", role == PodRole::kServer ? kServerTolerationSeconds
                                                                  : kWorkerTolerationSeconds}});
  }
  return out;
}

// The pod without what its template says, its name and its attempt.
json BasePod(const Job& job, const Settings& settings, PodRole role, std::int64_t index) {
  const bool server = role == PodRole::kServer;
  json labels = ObjectLabels(job, Word(role));
  labels[std::string(names::kIndex)] = std::to_string(index);
  json spec{{"restartPolicy", server ? "OnFailure" : "Never"},
            {"automountServiceAccountToken", false},
            {"enableServiceLinks", false},
            {"terminationGracePeriodSeconds", server ? kServerGraceSeconds : kWorkerGraceSeconds},
            {"securityContext",
             {{"runAsNonRoot", true},
              {"runAsUser", kUser},
              {"runAsGroup", kUser},
              {"fsGroup", kUser},
              {"fsGroupChangePolicy", "OnRootMismatch"},
              {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
            {"containers", json::array({Container(job, settings, role, index)})},
            {"volumes", Volumes(job, role)},
            {"tolerations", Tolerations(role)}};
  if (server) {
    spec["hostname"] = "paramserver-" + std::to_string(index);
    spec["subdomain"] = ServiceName(job);
  }
  for (const std::string& secret : settings.image_pull_secrets) {
    spec["imagePullSecrets"].push_back({{"name", secret}});
  }
  if (!settings.priority_class.empty()) spec["priorityClassName"] = settings.priority_class;
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata",
           {{"namespace", job.ns},
            {"labels", std::move(labels)},
            {"ownerReferences", OwnerReferences(job)}}},
          {"spec", std::move(spec)}};
}

json* NamedEntry(json& list, std::string_view name) {
  for (json& entry : list) {
    if (Says(entry, "name", name)) return &entry;
  }
  return nullptr;
}

json& OurContainer(json& pod, PodRole role) {
  return *NamedEntry(pod["spec"]["containers"], Word(role));
}

// The `data` volume of the workers' template: servers write their checkpoints to the same place.
json SharedDataVolume(const Job& job) {
  const json& volumes = At(job.spec.workers.pod_template, "/spec/volumes");
  if (!volumes.is_array()) return nullptr;
  for (const json& volume : volumes) {
    if (Says(volume, "name", names::kDataVolume)) return volume;
  }
  return nullptr;
}

void MountData(const Job& job, PodRole role, json& pod) {
  json& volumes = pod["spec"]["volumes"];
  if (NamedEntry(volumes, names::kDataVolume) == nullptr) {
    json shared = role == PodRole::kServer ? SharedDataVolume(job) : json();
    if (shared.is_null()) return;
    volumes.push_back(std::move(shared));
  }
  json& mounts = OurContainer(pod, role)["volumeMounts"];
  for (const json& mount : mounts) {
    if (Says(mount, "name", names::kDataVolume) || Says(mount, "mountPath", names::kDataFolder)) {
      return;
    }
  }
  mounts.push_back({{"name", names::kDataVolume}, {"mountPath", names::kDataFolder}});
}

// The last lines of an init container that fails become its message, as those of ours do.
void QuoteInitContainers(json& pod) {
  const auto containers = pod["spec"].find("initContainers");
  if (containers == pod["spec"].end() || !containers->is_array()) return;
  for (json& container : *containers) {
    if (container.is_object() && !container.contains("terminationMessagePolicy")) {
      container["terminationMessagePolicy"] = "FallbackToLogsOnError";
    }
  }
}

Result<json> MergedPod(const Job& job, const Settings& settings, PodRole role, std::int64_t index) {
  auto merged =
      MergePodTemplate(BasePod(job, settings, role, index), TemplateOf(job, role), Word(role));
  if (!merged.ok()) return Invalid(TemplatePath(role) + "." + merged.status().message());
  json pod = *std::move(merged);
  YieldToLimits(job, role, pod);
  QuoteInitContainers(pod);
  MountData(job, role, pod);
  if (role == PodRole::kWorker) PrepareForGpu(job, settings, pod, OurContainer(pod, role));
  // On the host's network a pod would otherwise not find the servers by their names.
  json& spec = pod["spec"];
  if (BoolIn(MemberOf(spec, "hostNetwork")) && !spec.contains("dnsPolicy")) {
    spec["dnsPolicy"] = "ClusterFirstWithHostNet";
  }
  return pod;
}

}  // namespace

std::string ServerHost(const Job& job, std::int64_t index) {
  return "paramserver-" + std::to_string(index) + "." + ServiceName(job) + "." + job.ns + ".svc";
}

std::string PodName(const Job& job, PodRole role, std::int64_t index, std::int64_t attempt) {
  return PodName(job.name, role, index, attempt);
}

Status CheckPods(const Job& job, const Settings& settings) {
  for (const PodRole role : {PodRole::kServer, PodRole::kWorker}) {
    const Status amounts = CheckAmounts(TemplateOf(job, role));
    if (!amounts.ok()) return Invalid(TemplatePath(role) + "." + amounts.message());
    const auto pod = MergedPod(job, settings, role, 0);
    if (!pod.ok()) return pod.status();
  }
  const std::vector<ManifestProblem> lost = LostResults(job.spec);
  if (lost.empty()) return OkStatus();
  return NotFound(lost.front().path + ": " + lost.front().message);
}

json MakePod(const Job& job, const Settings& settings, PodRole role, std::int64_t index,
             std::int64_t attempt, std::int64_t failures, std::int64_t failures_in_a_row) {
  json pod = MergedPod(job, settings, role, index).value();
  json& metadata = pod["metadata"];
  metadata["name"] = PodName(job, role, index, attempt);
  metadata["labels"][std::string(names::kAttempt)] = std::to_string(attempt);
  if (failures > 0) {
    metadata["annotations"][std::string(names::kFailures)] = std::to_string(failures);
  }
  if (failures_in_a_row > 0) {
    metadata["annotations"][std::string(names::kFailuresInARow)] =
        std::to_string(failures_in_a_row);
  }
  return pod;
}

}  // namespace elephas
