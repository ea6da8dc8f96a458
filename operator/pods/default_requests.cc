#include "operator/pods/default_requests.h"

#include <algorithm>
#include <array>
#include <string>

#include "common/json/json_at.h"
#include "operator/state/quantity.h"

namespace elephas {

namespace {

using nlohmann::json;
using std::string_view_literals::operator""sv;

// Our container in a pod or a pod's template; null: there is none. Json: json or const json.
template <typename Json>
Json* ContainerOf(Json& pod, PodRole role) {
  const json::json_pointer at("/spec/containers");
  if (!pod.contains(at) || !pod.at(at).is_array()) return nullptr;
  auto& containers = pod.at(at);
  // A lone container without a name is ours.
  if (containers.size() == 1 && containers[0].is_object() && !containers[0].contains("name")) {
    return &containers[0];
  }
  for (auto& container : containers) {
    if (TextAt(container, "/name") == Word(role)) return &container;
  }
  return nullptr;
}

// Does the template itself say how much of the resource our container asks for?
bool TemplateAsks(const Job& job, PodRole role, const std::string& resource) {
  const json& overlay = role == PodRole::kServer ? job.spec.parameter_servers.pod_template
                                                 : job.spec.workers.pod_template;
  const json* container = ContainerOf(overlay, role);
  if (container == nullptr) return false;
  const json& requests = At(*container, "/resources/requests");
  return requests.is_object() && requests.contains(resource);
}

// Must the default make room for what is said of the container or of the whole pod?
bool IsTooMuch(const json& pod, const json& container, const std::string& resource,
               const json& request) {
  for (const char* amounts : {"/spec/resources/requests", "/spec/resources/limits"}) {
    const json& whole = At(pod, amounts);
    if (whole.is_object() && whole.contains(resource)) return true;
  }
  const json& limits = At(container, "/resources/limits");
  if (!limits.is_object() || !limits.contains(resource)) return false;
  const auto limit = QuantityOf(limits.at(resource)), ours = QuantityOf(request);
  return limit && ours && *limit < *ours;
}

// Takes out of our container the defaults for which `out` says so.
template <typename Predicate>
bool EraseDefaults(const Job& job, PodRole role, json& pod, const Predicate& out) {
  json* container = ContainerOf(pod, role);
  if (container == nullptr || !At(*container, "/resources/requests").is_object()) return false;
  json& requests = (*container)["resources"]["requests"];
  const json defaults = DefaultResources(job, role)["requests"];
  bool erased = false;
  for (const auto& [resource, amount] : defaults.items()) {
    if (!requests.contains(resource) || TemplateAsks(job, role, resource)) continue;
    if (!out(*container, resource, amount)) continue;
    requests.erase(resource);
    erased = true;
  }
  if (requests.empty()) (*container)["resources"].erase("requests");
  return erased;
}

}  // namespace

Status CheckAmounts(const json& pod_template) {
  for (const std::string list : {"containers", "initContainers"}) {
    const json& containers = At(pod_template, ("/spec/" + list).c_str());
    if (!containers.is_array()) continue;
    for (std::size_t i = 0; i < containers.size(); ++i) {
      const json& requests = At(containers[i], "/resources/requests");
      const json& limits = At(containers[i], "/resources/limits");
      if (!requests.is_object() || !limits.is_object()) continue;
      for (const auto& [resource, request] : requests.items()) {
        if (!limits.contains(resource)) continue;
        const auto asked = QuantityOf(request), allowed = QuantityOf(limits.at(resource));
        if (!asked || !allowed || *asked <= *allowed) continue;
        std::string path = "spec." + list + "[";
        path.append(std::to_string(i)).append("].resources.requests.").append(resource);
        return Invalid(path + ": is more than the limit of the same container");
      }
    }
  }
  return OkStatus();
}

json DefaultResources(const Job& job, PodRole role) {
  if (role == PodRole::kServer) return {{"requests", {{"cpu", "100m"}, {"memory", "64Mi"}}}};
  const std::string cpu = std::to_string(250 * job.spec.workers.threads) + "m";
  return {{"requests", {{"cpu", cpu}, {"memory", "256Mi"}}}};
}

void YieldToLimits(const Job& job, PodRole role, json& pod) {
  EraseDefaults(job, role, pod,
                [&](const json& container, const std::string& resource, const json& amount) {
                  return IsTooMuch(pod, container, resource, amount);
                });
}

bool DropDefaultRequests(const Job& job, PodRole role, json& pod) {
  return EraseDefaults(job, role, pod,
                       [](const json&, const std::string&, const json&) { return true; });
}

bool IsAboutAmounts(std::string_view refusal) {
  // The words of the API server's validation and of its LimitRanger.
  constexpr std::array kWords{"must be less than or equal to"sv, " per Container "sv,
                              " per Pod "sv};
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view words) {
    return refusal.find(words) != std::string_view::npos;
  });
}

}  // namespace elephas
