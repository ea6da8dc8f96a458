#include "common/manifest/volumes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/base/names.h"
#include "common/base/utf8.h"
#include "common/storage/mounted_path.h"

namespace elephas {

namespace {

using nlohmann::json;

constexpr char kOutput[] = "spec.output.uri";
constexpr char kCheckpoint[] = "spec.checkpoint.uri";

bool IsRelative(std::string_view uri) {
  const auto path = ResolveUri(uri, names::kDataFolder);
  return path.ok() && *path != uri && !uri.starts_with("file://");
}

// `..` as a part of the path, not as "a..b".
bool ClimbsUp(std::string_view path) {
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return false;
}

// The template's list at the pointer; empty when there is none.
const json& ListAt(const json& pod_template, const char* pointer) {
  static const json kEmpty = json::array();
  const json::json_pointer at(pointer);
  if (!pod_template.is_object() || !pod_template.contains(at)) return kEmpty;
  const json& list = pod_template.at(at);
  return list.is_array() ? list : kEmpty;
}

std::string TextOf(const json& object, std::string_view name) {
  if (!object.is_object()) return "";
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool HasDataVolume(const json& pod_template) {
  const json& volumes = ListAt(pod_template, "/spec/volumes");
  return std::any_of(volumes.begin(), volumes.end(), [](const json& volume) {
    return TextOf(volume, "name") == names::kDataVolume;
  });
}

// What the template mounts into our container: name of the volume and path.
std::vector<std::pair<std::string, std::string>> MountsOf(const json& pod_template,
                                                          std::string_view container) {
  std::vector<std::pair<std::string, std::string>> mounts;
  for (const json& entry : ListAt(pod_template, "/spec/containers")) {
    const std::string name = TextOf(entry, "name");
    if (!name.empty() && name != container) continue;
    for (const json& mount : ListAt(entry, "/volumeMounts")) {
      mounts.emplace_back(TextOf(mount, "name"), TextOf(mount, "mountPath"));
    }
  }
  return mounts;
}

// As operator/pods/desired_pods.cc mounts: what the template says, and a volume called data at /data
// unless the template has put it, or another, somewhere.
bool IsOnVolume(const std::string& path, const json& pod_template, bool data,
                std::string_view container) {
  auto mounts = MountsOf(pod_template, container);
  const bool placed = std::any_of(mounts.begin(), mounts.end(), [](const auto& mount) {
    return mount.first == names::kDataVolume || NormalPath(mount.second) == names::kDataFolder;
  });
  if (data && !placed) mounts.emplace_back(names::kDataVolume, names::kDataFolder);
  return std::any_of(mounts.begin(), mounts.end(),
                     [&](const auto& mount) { return IsAtOrBelow(path, mount.second); });
}

ManifestProblem Lost(const char* field, const std::string& uri, const std::string& path,
                     const char* template_path) {
  std::string message = "'" + uri + "' is ";
  message.append(path)
      .append(" in the pods, where no volume is mounted; it would be lost with the pod. Give ")
      .append(template_path)
      .append(
          " a volume called data, for example {spec: {volumes: [{name: data, "
          "persistentVolumeClaim: {claimName: NAME}}]}}");
  return {"", 0, field, std::move(message)};
}

void Locate(const ParsedManifest& manifest, std::string_view file,
            std::vector<ManifestProblem>& problems) {
  for (ManifestProblem& problem : problems) {
    problem.file = file;
    const auto line = manifest.lines.find(problem.path);
    if (line != manifest.lines.end()) problem.line = line->second;
  }
}

}  // namespace

std::vector<ManifestProblem> ClusterProblems(const ParsedManifest& manifest,
                                             std::string_view file) {
  std::vector<ManifestProblem> problems;
  const auto check = [&](const char* field, const std::string& uri) {
    if (!IsRelative(uri) || !ClimbsUp(uri)) return;
    problems.push_back({"", 0, field,
                        "must not have '..' in it: on a cluster it starts at /data, and stays on "
                        "the volume there"});
  };
  const JobSpec& spec = manifest.spec;
  if (spec.checkpoint) check(kCheckpoint, spec.checkpoint->uri);
  check(kOutput, spec.output_uri);
  Locate(manifest, file, problems);
  return problems;
}

std::vector<ManifestProblem> LostResults(const JobSpec& spec) {
  const json& workers = spec.workers.pod_template;
  const json& servers = spec.parameter_servers.pod_template;
  std::vector<ManifestProblem> problems;
  const auto check = [&](const char* field, const std::string& uri, bool of_servers) {
    if (!IsRelative(uri)) return;
    const std::string path = NormalPath(*ResolveUri(uri, names::kDataFolder));
    // Servers take the workers' volume unless they have one of their own.
    const bool data = HasDataVolume(workers) || (of_servers && HasDataVolume(servers));
    if (IsOnVolume(path, of_servers ? servers : workers, data,
                   of_servers ? names::kParamserver : names::kWorker)) {
      return;
    }
    problems.push_back(Lost(
        field, uri, path, of_servers ? "spec.parameterServers.template" : "spec.workers.template"));
  };
  check(kOutput, spec.output_uri, false);
  if (spec.checkpoint) check(kCheckpoint, spec.checkpoint->uri, true);
  return problems;
}

std::vector<ManifestProblem> LostResults(const ParsedManifest& manifest, std::string_view file) {
  std::vector<ManifestProblem> problems = LostResults(manifest.spec);
  Locate(manifest, file, problems);
  return problems;
}

std::string TooLargeMessage(const std::string& what) {
  return "the job is too large for the cluster to hold: " + what +
         "; put the model into a file or a ConfigMap (spec.model.uri, spec.model.configMapRef), or "
         "make the templates smaller";
}

std::vector<ManifestProblem> TooLargeForCluster(const ParsedManifest& manifest,
                                                std::string_view file) {
  const json& document = manifest.document;
  std::size_t bytes = JsonText(document).size();
  // The texts of both templates are a part of it, unless the operator has taken them out already.
  for (const char* path : {"/spec/workers/template", "/spec/parameterServers/template"}) {
    const json::json_pointer pointer(path);
    if (document.contains(pointer)) {
      bytes -= JsonText(document[pointer]).size() + std::string_view(R"("template":,)").size();
    }
  }
  if (bytes <= kMaxClusterManifestBytes) return {};
  return {{std::string(file), 0, "",
           TooLargeMessage("it has " + std::to_string(bytes) + " bytes without its templates, " +
                           "more than " + std::to_string(kMaxClusterManifestBytes))}};
}

}  // namespace elephas
