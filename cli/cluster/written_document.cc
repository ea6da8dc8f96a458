#include "cli/cluster/written_document.h"

#include "common/yaml/yaml_tree.h"

namespace elephas::cli {

namespace {

using nlohmann::json;

Result<json> Read(std::string_view text) {
  const manifest::YamlText yaml = manifest::ReadYaml(text, "", 0, false, "");
  if (yaml.root == nullptr) {
    return Invalid(yaml.problems.empty() ? "not YAML" : yaml.problems.front().message);
  }
  return manifest::JsonOf(*yaml.root);
}

// The parts of "spec.fit.epochs"; "\." is a dot inside a part.
std::vector<std::string> PartsOf(std::string_view path) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path.substr(i).starts_with("\\.")) {
      parts.back() += path[++i];
    } else if (path[i] == '.') {
      parts.emplace_back();
    } else {
      parts.back() += path[i];
    }
  }
  return parts;
}

// What takes a field out: nothing after the '=', or YAML's own words for it.
bool MeansNothing(std::string_view value) {
  const auto first = value.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return true;
  value = value.substr(first, value.find_last_not_of(" \t\r\n") + 1 - first);
  return value == "null" || value == "~";
}

Status Override(json& document, const ManifestOverride& override) {
  json value;
  if (!MeansNothing(override.value)) {
    ELEPHAS_ASSIGN_OR_RETURN(value, Read(override.value));
  }
  const std::vector<std::string> parts = PartsOf(override.path);
  json* at = &document;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    // What is to be taken out need not be there.
    if (value.is_null() && (!at->is_object() || !at->contains(parts[i]))) return OkStatus();
    at = &(*at)[parts[i]];
    if (at->is_null()) *at = json::object();
    if (!at->is_object()) return Invalid("--set " + override.path + ": goes through no mapping");
  }
  if (value.is_null()) {
    at->erase(parts.back());
  } else {
    (*at)[parts.back()] = std::move(value);
  }
  return OkStatus();
}

}  // namespace

Result<json> WrittenDocument(std::string_view text,
                             const std::vector<ManifestOverride>& overrides) {
  ELEPHAS_ASSIGN_OR_RETURN(json document, Read(text));
  if (!document.is_object()) return Invalid("the manifest is no mapping");
  for (const ManifestOverride& override : overrides) {
    ELEPHAS_RETURN_IF_ERROR(Override(document, override));
  }
  // What a cluster keeps beside the manifest is not sent back to it.
  document.erase("status");
  if (const auto metadata = document.find("metadata");
      metadata != document.end() && metadata->is_object()) {
    for (const char* field : {"managedFields", "uid", "resourceVersion", "creationTimestamp",
                              "generation", "selfLink"}) {
      metadata->erase(field);
    }
  }
  return document;
}

}  // namespace elephas::cli
