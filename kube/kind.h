// The kinds of Kubernetes objects that Elephas reads and writes, as data.
#pragma once

#include <string>
#include <string_view>

namespace elephas::kube {

struct Kind {
  std::string_view group;  // empty: the core group
  std::string_view version;
  std::string_view plural;  // as in paths
  std::string_view kind;    // as in manifests
  bool namespaced = true;
  bool has_status = false;  // has a status subresource

  // "v1", "apps/v1": what stands under apiVersion.
  [[nodiscard]] std::string ApiVersion() const;
  // "pods", "elephasjobs.elephas.dev": how the API server and kubectl name it in messages.
  [[nodiscard]] std::string Resource() const;

  friend bool operator==(const Kind&, const Kind&) = default;
};

inline constexpr Kind kElephasJob{"elephas.dev", "v1alpha1", "elephasjobs",
                                  "ElephasJob",  true,       true};
inline constexpr Kind kPod{"", "v1", "pods", "Pod", true, true};
inline constexpr Kind kService{"", "v1", "services", "Service", true, true};
inline constexpr Kind kSecret{"", "v1", "secrets", "Secret"};
inline constexpr Kind kConfigMap{"", "v1", "configmaps", "ConfigMap"};
inline constexpr Kind kEvent{"", "v1", "events", "Event"};
inline constexpr Kind kPersistentVolumeClaim{
    "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true, true};
inline constexpr Kind kResourceQuota{"", "v1", "resourcequotas", "ResourceQuota", true, true};
inline constexpr Kind kNamespace{"", "v1", "namespaces", "Namespace", false, true};
inline constexpr Kind kNode{"", "v1", "nodes", "Node", false, true};
inline constexpr Kind kLease{"coordination.k8s.io", "v1", "leases", "Lease"};
inline constexpr Kind kNetworkPolicy{"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"};
inline constexpr Kind kCustomResourceDefinition{
    "apiextensions.k8s.io",     "v1",  "customresourcedefinitions",
    "CustomResourceDefinition", false, true};

}  // namespace elephas::kube
