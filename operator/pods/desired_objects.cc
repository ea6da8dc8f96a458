#include "operator/pods/desired_objects.h"

#include "common/base/names.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "common/manifest/fields.h"
#include "operator/state/owner.h"

namespace elephas {

namespace {

using nlohmann::json;

// What a Service may be called, unlike an ElephasJob: RFC 1035, so no dot and no digit first.
bool IsServiceName(std::string_view name) {
  return !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
         name.find('.') == std::string_view::npos;
}

json Metadata(const Job& job, std::string name) {
  return {{"namespace", job.ns},
          {"name", std::move(name)},
          {"labels", ObjectLabels(job, names::kJobComponent)},
          {"ownerReferences", OwnerReferences(job)}};
}

json PodsOf(const Job& job) {
  return {{std::string(names::kAppInstance), job.name}, {std::string(names::kJobUid), job.uid}};
}

json TcpPort(std::string_view name) { return {{"protocol", "TCP"}, {"port", name}}; }

json InNamespace(std::string_view name) {
  return {{"matchLabels", {{"kubernetes.io/metadata.name", name}}}};
}

}  // namespace

std::string SecretName(const Job& job) { return job.name + "-job"; }

std::string ServiceName(const Job& job) {
  if (IsServiceName(job.name)) return job.name + "-paramserver";
  std::string short_uid = job.uid;
  std::erase(short_uid, '-');
  return "ej-" + short_uid.substr(0, 12);
}

std::string NetworkPolicyName(const Job& job) { return job.name; }

json SelectorLabels(const Job& job, std::string_view component) {
  json labels = PodsOf(job);
  labels[std::string(names::kAppComponent)] = component;
  return labels;
}

json ObjectLabels(const Job& job, std::string_view component) {
  return {{std::string(names::kAppName), names::kAppNameValue},
          {std::string(names::kAppInstance), job.name},
          {std::string(names::kAppComponent), component},
          {std::string(names::kAppManagedBy), names::kManagedByValue},
          {std::string(names::kJobUid), job.uid}};
}

json OwnerReferences(const Job& job) {
  return json::array({{{"apiVersion", manifest::kApiVersion},
                       {"kind", manifest::kKind},
                       {"name", job.name},
                       {"uid", job.uid},
                       {"controller", true},
                       {"blockOwnerDeletion", true}}});
}

bool IsOwned(const json& object, const Job& job) {
  const auto owner = ControllerOf(object);
  return owner && !job.uid.empty() && owner->uid == job.uid;
}

json PinnedManifest(const Job& job) {
  json manifest = job.document;
  manifest["metadata"] = {{"name", job.name}, {"namespace", job.ns}};
  json& spec = manifest["spec"];
  spec["workers"].erase("template");
  spec["parameterServers"].erase("template");
  // The key is mounted as a file.
  if (job.spec.model.config_map) {
    spec["model"].erase("configMapRef");
    std::string path(names::kModelFolder);
    path.append("/").append(names::kModelFile);
    spec["model"]["uri"] = std::move(path);
  }
  return manifest;
}

json MakeSecret(const Job& job, std::string_view token) {
  return {{"apiVersion", "v1"},
          {"kind", "Secret"},
          {"metadata", Metadata(job, SecretName(job))},
          {"type", "Opaque"},
          {"immutable", true},
          {"stringData",
           {{std::string(names::kTokenKey), token},
            {std::string(names::kManifestKey), JsonText(PinnedManifest(job))}}}};
}

json MakeService(const Job& job) {
  return {{"apiVersion", "v1"},
          {"kind", "Service"},
          {"metadata", Metadata(job, ServiceName(job))},
          {"spec",
           {{"clusterIP", "None"},
            // Servers must find each other before they are ready.
            {"publishNotReadyAddresses", true},
            {"selector", SelectorLabels(job, names::kParamserver)},
            {"ports", json::array({{{"name", "http"},
                                    {"protocol", "TCP"},
                                    {"port", ServerPort(job.spec)},
                                    {"targetPort", "http"}}})}}}};
}

json MakeNetworkPolicy(const Job& job, const Settings& settings) {
  json ingress =
      json::array({{{"from", json::array({{{"podSelector", {{"matchLabels", PodsOf(job)}}}}})}}});
  if (!settings.operator_namespace.empty()) {
    const json peer{{"namespaceSelector", InNamespace(settings.operator_namespace)},
                    {"podSelector",
                     {{"matchLabels", {{std::string(names::kAppName), names::kManagedByValue}}}}}};
    ingress.push_back({{"from", json::array({peer})}, {"ports", json::array({TcpPort("http")})}});
  }
  json monitoring = json::array();
  for (const std::string& name : settings.monitoring_namespaces) {
    monitoring.push_back({{"namespaceSelector", InNamespace(name)}});
  }
  if (!monitoring.empty()) {
    ingress.push_back({{"from", std::move(monitoring)},
                       {"ports", json::array({TcpPort("http"), TcpPort("metrics")})}});
  }
  return {{"apiVersion", "networking.k8s.io/v1"},
          {"kind", "NetworkPolicy"},
          {"metadata", Metadata(job, NetworkPolicyName(job))},
          {"spec",
           {{"podSelector", {{"matchLabels", PodsOf(job)}}},
            {"policyTypes", json::array({"Ingress"})},
            {"ingress", std::move(ingress)}}}};
}

}  // namespace elephas
