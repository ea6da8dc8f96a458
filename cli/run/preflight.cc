#include "cli/run/preflight.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "common/manifest/fields.h"

namespace elephas::cli {

namespace {

namespace fs = std::filesystem;

// Why `path` cannot be read as a file; nullopt when it can.
std::optional<std::string> WhyUnreadable(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return errno == ENOENT ? "there is no file " + path
                           : path + " cannot be read: " + std::strerror(errno);
  }
  struct stat status{};
  const bool known = fstat(fd, &status) == 0;
  close(fd);
  if (known && S_ISREG(status.st_mode)) return std::nullopt;
  return path + (known && S_ISDIR(status.st_mode) ? " is a folder, not a file" : " is not a file");
}

// Why nothing can be written below `path`, which need not exist yet; nullopt when it can.
std::optional<std::string> WhyUnwritable(const std::string& path) {
  fs::path existing = path;
  std::error_code error;
  while (!fs::exists(existing, error) && existing.has_relative_path())
    existing = existing.parent_path();
  if (!fs::is_directory(existing, error)) return existing.string() + " is not a folder";
  if (access(existing.c_str(), W_OK | X_OK) == 0) return std::nullopt;
  return existing.string() + " cannot be written: " + std::strerror(errno);
}

}  // namespace

std::vector<ManifestProblem> LocalProblems(const ParsedManifest& manifest, const std::string& file,
                                           const std::string& base, bool resume) {
  const JobSpec& spec = manifest.spec;
  std::vector<ManifestProblem> problems;
  const auto report = [&](const char* path, const std::string& message) {
    const auto line = manifest.lines.find(path);
    problems.push_back({file, line == manifest.lines.end() ? 0 : line->second, path, message});
  };
  const auto check = [&](const char* path, const std::string& uri, auto&& why_not) {
    const auto resolved = ResolveUri(uri, base);
    const auto reason = resolved.ok() ? why_not(*resolved) : resolved.status().message();
    if (reason) report(path, *reason);
  };
  if (spec.model.config_map) {
    report("spec.model.configMapRef",
           "is for clusters; a local run takes spec.model.uri or inline");
  }
  if (spec.model.uri) check("spec.model.uri", *spec.model.uri, WhyUnreadable);
  if (spec.model.weights_uri)
    check("spec.model.weights.uri", *spec.model.weights_uri, WhyUnreadable);
  check("spec.data.uri", spec.data.uri, WhyUnreadable);
  check("spec.output.uri", PlacesOf(spec).folder_uri, WhyUnwritable);
  if (spec.checkpoint) check("spec.checkpoint.uri", spec.checkpoint->uri, WhyUnwritable);
  if (resume && !spec.checkpoint) report("spec.checkpoint", "is needed by --resume");
  return problems;
}

std::vector<std::string> LocalNotes(const ParsedManifest& manifest) {
  std::vector<std::string> notes;
  for (const manifest::FieldInfo& field : manifest::ManifestFields()) {
    if (field.scope == manifest::Scope::kEverywhere || !manifest.lines.contains(field.path))
      continue;
    notes.push_back(std::string(field.path) + (field.scope == manifest::Scope::kClusterOnly
                                                   ? " has a meaning on clusters only"
                                                   : " has no effect: " + std::string(field.doc)));
  }
  return notes;
}

}  // namespace elephas::cli
