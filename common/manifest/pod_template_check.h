// What a pod template of the manifest may say: Kubernetes' own types (pod_template_schema.h),
// without what is the operator's to set. The parser, the CRD and the operator share it.
#pragma once

#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/names.h"

namespace elephas::manifest {

// What the job's working depends on, so that no template may set it.
inline constexpr std::array<std::string_view, 3> kOursInSpec{"restartPolicy", "hostname",
                                                             "subdomain"};
inline constexpr std::array<std::string_view, 4> kOursInContainer{"args", "terminationMessagePath",
                                                                  "stdin", "tty"};
inline constexpr std::array<std::string_view, 1> kOurVariables{"POD_NAME"};
inline constexpr std::array<std::string_view, 2> kOurVolumes{"elephas-job", "elephas-model"};
inline constexpr std::array<std::string_view, 2> kOurMounts{names::kSecretFolder,
                                                            names::kModelFolder};
inline constexpr std::array<std::string_view, 4> kOurLabels{
    names::kAppName, names::kAppInstance, names::kAppComponent, names::kAppManagedBy};
inline constexpr std::string_view kOurLabelPrefix = "elephas.dev/";

// The API server has to know how often the rules about these run at most.
inline constexpr std::size_t kMaxContainers = 64;
inline constexpr std::size_t kMaxVolumes = 256;
inline constexpr std::size_t kMaxVariables = 1024;
inline constexpr std::size_t kMaxMounts = 256;
inline constexpr std::size_t kMaxLabels = 256;  // and annotations

// Kubernetes' own forms of a label's value, and of a quantity; for the CRD.
inline constexpr std::size_t kMaxLabelValue = 63;
inline constexpr std::string_view kLabelValuePattern =
    "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
inline constexpr std::string_view kQuantityPattern =
    R"(^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))?$)";

struct TemplateProblem {
  // From the template to the place: keys, and indices of lists in digits.
  std::vector<std::string> steps;
  std::string path;  // the same to be read: "spec.containers[0].image"
  std::string message;
};

// Everything that is wrong with a template (an object), and takes nulls out of it that mean
// nothing, as the API server does. `container` is the name of our container in the pod.
std::vector<TemplateProblem> CheckPodTemplate(nlohmann::json& pod_template,
                                              std::string_view container);

// Does a null there take away what the operator would set? Everywhere else it means nothing.
// `pattern`: a path with [] for any index, and {} for any key of a mapping from text.
bool NullTakesAway(std::string_view pattern);
inline constexpr std::size_t kPlacesWhereNullTakesAway = 15;

}  // namespace elephas::manifest
