#include "common/manifest/job_spec.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

#include "common/manifest/check.h"
#include "common/manifest/fields.h"
#include "common/manifest/metadata.h"
#include "common/manifest/rules.h"
#include "common/yaml/yaml_tree.h"

namespace elephas {

namespace {

using manifest::Checked;
using manifest::NodePtr;
using manifest::Place;

// "spec.fit.epochs" as its parts; "\." is a dot inside a part. Empty when a part is.
std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\' && i + 1 < path.size() && path[i + 1] == '.') {
      parts.back() += path[++i];
    } else if (path[i] == '.') {
      parts.emplace_back();
    } else {
      parts.back() += path[i];
    }
  }
  const bool empty_part =
      std::any_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); });
  return empty_part ? std::vector<std::string>() : parts;
}

std::string SourceName(const ManifestOverride& override) {
  return "--set " + manifest::Printable(override.path + "=" + override.value);
}

// What removes a field: nothing after the '=', or YAML's own word for it.
bool MeansNothing(std::string_view value) {
  const auto first = value.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return true;
  value = value.substr(first, value.find_last_not_of(" \t\r\n") + 1 - first);
  return value == "null" || value == "~";
}

// Returns the tree with the override in it; `root` itself and a problem when it does not fit.
NodePtr ApplyOverride(const NodePtr& root, const ManifestOverride& override, int source,
                      std::vector<ManifestProblem>& problems) {
  const std::string name = SourceName(override), shown = manifest::Printable(override.path);
  const std::vector<std::string> path = SplitPath(override.path);
  if (path.empty()) {
    problems.push_back({name, 0, shown, "is not a path like spec.fit.epochs"});
    return root;
  }
  NodePtr value;
  if (MeansNothing(override.value)) {
    auto nothing = std::make_shared<manifest::Node>();
    nothing->plain = true;
    nothing->place = {source, 0};
    value = std::move(nothing);
  } else {
    manifest::YamlText text = manifest::ReadYaml(override.value, name, source, false, shown);
    std::move(text.problems.begin(), text.problems.end(), std::back_inserter(problems));
    if (text.root == nullptr) return root;
    value = std::move(text.root);
  }
  std::string problem;
  NodePtr changed = manifest::WithValueAt(root, path, value, {source, 0}, &problem);
  if (changed != nullptr) return changed;
  problems.push_back({name, 0, shown, std::move(problem)});
  return root;
}

// Defaults that depend on other fields.
void FillComputedDefaults(nlohmann::json& document) {
  nlohmann::json& spec = document["spec"];
  if (!spec["data"].contains("partitions")) {
    spec["data"]["partitions"] = 4 * spec["workers"]["replicas"].get<std::int64_t>();
  }
}

void Store(const Checked& checked, JobSpec& spec) {
  for (const manifest::FieldInfo& field : manifest::ManifestFields()) {
    if (field.store == nullptr) continue;
    const nlohmann::json& value = checked.Get(field.path);
    if (!value.is_null()) field.store(spec, value);
  }
}

// kubectl apply keeps what it sent in an annotation, beside the others.
void WarnOfSize(const manifest::Node& root, const Checked& checked, std::string_view file,
                ParsedManifest& parsed) {
  constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
  std::size_t annotations = 0;
  if (const nlohmann::json& given = checked.Get("metadata.annotations"); given.is_object()) {
    for (const auto& [key, value] : given.items()) {
      if (key == kLastApplied) return;  // it has fitted, and is replaced
      annotations += key.size() + value.get_ref<const std::string&>().size();
    }
  }
  const std::size_t bytes = manifest::JsonBytes(root) + 1;
  if (bytes + kLastApplied.size() + annotations <= manifest::kMaxAnnotationBytes) return;
  std::string message =
      "has " + std::to_string(bytes) + " bytes as JSON, too many for the annotation of ";
  message += std::to_string(manifest::kMaxAnnotationBytes);
  message +=
      " bytes in which kubectl apply keeps it: use elephas submit or kubectl apply --server-side, "
      "or put the model into a ConfigMap (spec.model.configMapRef)";
  parsed.warnings.push_back({std::string(file), 0, "", std::move(message)});
}

// `warn`: also of what concerns only files.
ParsedManifest ParseTree(manifest::YamlText yaml, std::string_view file,
                         const std::vector<ManifestOverride>& overrides, bool warn) {
  ParsedManifest parsed;
  if (yaml.root == nullptr) {
    parsed.problems = std::move(yaml.problems);
    return parsed;
  }

  // The file's problems, then those of each override.
  std::size_t untold = yaml.untold;
  std::vector<std::vector<ManifestProblem>> by_source(1 + overrides.size());
  by_source[0] = std::move(yaml.problems);
  NodePtr root = std::move(yaml.root);
  for (std::size_t i = 0; i < overrides.size(); ++i) {
    root = ApplyOverride(root, overrides[i], static_cast<int>(i) + 1, by_source[i + 1]);
  }

  Checked checked = manifest::CheckFields(*root);
  if (checked.document.is_object()) manifest::CheckRules(checked);
  for (manifest::LocatedProblem& problem : checked.problems) {
    const auto source = static_cast<std::size_t>(problem.place.source);
    by_source[source].push_back(
        {source == 0 ? std::string(file) : SourceName(overrides[source - 1]), problem.place.line,
         std::move(problem.path), std::move(problem.message)});
  }
  // Both passes over the file go from top to bottom; together they must, too.
  std::multimap<int, ManifestProblem> in_file;
  for (ManifestProblem& problem : by_source[0]) in_file.emplace(problem.line, std::move(problem));
  by_source[0].clear();
  for (auto& [line, problem] : in_file) by_source[0].push_back(std::move(problem));
  for (auto& problems : by_source) {
    std::move(problems.begin(), problems.end(), std::back_inserter(parsed.problems));
  }

  untold += checked.untold;
  if (untold > 0) {
    parsed.problems.push_back(
        {std::string(file), 0, "", "and " + std::to_string(untold) + " more problems"});
  }

  if (parsed.problems.empty()) {
    if (warn) WarnOfSize(*root, checked, file, parsed);
    FillComputedDefaults(checked.document);
    Store(checked, parsed.spec);
  }
  // What the cluster keeps beside the manifest is none of the programs' business.
  if (checked.document.is_object()) {
    checked.document.erase("status");
    if (checked.document.contains("metadata")) checked.document["metadata"].erase("managedFields");
  }
  parsed.document = std::move(checked.document);
  for (const auto& [path, place] : checked.places) {
    if (place.source == 0 && !path.empty()) parsed.lines.emplace(path, place.line);
  }
  return parsed;
}

template <typename Parse>
ParsedManifest Guarded(std::string_view file, const Parse& parse) {
  try {
    return parse();
  } catch (const std::exception& error) {  // out of memory; nothing else is known to come here
    ParsedManifest parsed;
    parsed.problems.push_back(
        {std::string(file), 0, "", std::string("cannot be read: ") + error.what()});
    return parsed;
  }
}

Result<std::string> PercentDecoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    const char* begin = text.data() + i + 1;
    const char* end = text.data() + std::min(i + 3, text.size());
    const auto [last, error] = std::from_chars(begin, end, value, 16);
    if (error != std::errc() || last != begin + 2 || value == 0) {
      return Invalid("'" + manifest::Printable(text) +
                     "' has a '%' without two hexadecimal digits");
    }
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

// Characters before "://"; empty when `uri` is a path.
std::string_view SchemeOf(std::string_view uri) {
  const auto end = uri.find("://");
  if (end == std::string_view::npos || end == 0) return {};
  const std::string_view scheme = uri.substr(0, end);
  const bool valid = std::all_of(scheme.begin(), scheme.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.';
  });
  return valid ? scheme : std::string_view();
}

}  // namespace

Result<ManifestOverride> ParseOverride(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos) {
    return Invalid("'" + manifest::Printable(text) +
                   "' has no '='; write it like spec.fit.epochs=3");
  }
  if (equals == 0) {
    return Invalid("'" + manifest::Printable(text) +
                   "' names no field; write it like spec.fit.epochs=3");
  }
  return ManifestOverride{std::string(text.substr(0, equals)),
                          std::string(text.substr(equals + 1))};
}

ParsedManifest ParseManifest(std::string_view text, std::string_view file,
                             const std::vector<ManifestOverride>& overrides) {
  return Guarded(file, [&] {
    return ParseTree(manifest::ReadYaml(text, file, 0, true, ""), file, overrides, true);
  });
}

ParsedManifest ParseManifestJson(const nlohmann::json& document, std::string_view file) {
  return Guarded(file,
                 [&] { return ParseTree(manifest::ReadJson(document, file), file, {}, false); });
}

Result<std::string> ResolveUri(std::string_view uri, std::string_view base) {
  if (uri.empty()) return Invalid("must not be empty");
  const std::string_view scheme = SchemeOf(uri);
  if (scheme.empty()) {
    if (uri.front() == '/' || base.empty()) return std::string(uri);
    return std::string(base) + (base.back() == '/' ? "" : "/") + std::string(uri);
  }
  if (scheme != "file") {
    return Invalid("the scheme '" + manifest::Printable(scheme) +
                   "' is not supported; use a path or file:///path");
  }
  std::string_view rest = uri.substr(std::string_view("file://").size());
  if (rest.starts_with("localhost/")) rest.remove_prefix(std::string_view("localhost").size());
  if (!rest.starts_with('/')) {
    return Invalid("'" + manifest::Printable(uri) + "' must have an absolute path: file:///path");
  }
  return PercentDecoded(rest);
}

bool NamesModelFile(std::string_view uri) {
  return uri.ends_with(".keras") || uri.ends_with(".h5");
}

OutputPlaces PlacesOf(const JobSpec& spec) {
  const std::string& uri = spec.output_uri;
  if (spec.task != TaskKind::kTrain || !NamesModelFile(uri)) {
    return {uri, "model.keras", "best.keras"};
  }
  const auto slash = uri.rfind('/');
  OutputPlaces places;
  places.model_file = slash == std::string::npos ? uri : uri.substr(slash + 1);
  places.folder_uri = slash == std::string::npos ? "." : uri.substr(0, slash + 1);
  places.best_file = uri.ends_with(".h5") ? "best.h5" : "best.keras";
  return places;
}

}  // namespace elephas
