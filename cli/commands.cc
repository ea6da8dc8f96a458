#include "cli/commands.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <string_view>

#include "cli/local_run.h"
#include "cli/preflight.h"
#include "cli/reporter.h"
#include "common/atomic_file.h"

namespace elephas::cli {

namespace {

constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{64}
                                            << 20;  // the parser has its own bound

void Print(const std::vector<ManifestProblem>& problems) {
  for (const ManifestProblem& problem : problems) std::cerr << ToString(problem) << "\n";
}

// Reads the manifest; nullopt, with every problem printed, when there is no valid one.
std::optional<ParsedManifest> Load(const Options& options) {
  const bool standard_input = options.manifest == "-";
  auto text = standard_input
                  ? Result<std::string>(std::string(std::istreambuf_iterator<char>(std::cin), {}))
                  : ReadWholeFile(options.manifest, kMaxManifestBytes);
  if (!text.ok()) {
    std::cerr << "elephas: " << text.status().message() << "\n";
    return std::nullopt;
  }
  ParsedManifest manifest =
      ParseManifest(*text, standard_input ? "<stdin>" : options.manifest, options.overrides);
  if (manifest.problems.empty()) return manifest;
  Print(manifest.problems);
  return std::nullopt;
}

// The folder that the manifest's paths start from.
std::string BaseFolder(const Options& options) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path folder =
      options.manifest == "-" ? fs::path() : fs::path(options.manifest).parent_path();
  const fs::path absolute = fs::absolute(folder.empty() ? fs::path(".") : folder, error);
  return (error ? folder : absolute.lexically_normal()).string();
}

bool IsSet(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

std::size_t TerminalWidth() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

ReporterOptions HowToReport(const Options& options) {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb";
  ReporterOptions how;
  how.width = TerminalWidth;
  if (options.json) {
    how.style = ReportStyle::kJson;
  } else if (options.quiet) {
    how.style = ReportStyle::kQuiet;
  } else if (isatty(STDOUT_FILENO) != 0 && !dumb) {
    how.style = ReportStyle::kTerminal;
    how.colour = !IsSet("NO_COLOR");
  }
  return how;
}

// The command again, with --resume.
std::string ResumeHint(const Options& options) {
  std::string hint = "elephas run " + options.manifest + " --resume";
  for (const ManifestOverride& override : options.overrides) {
    hint += " --set '" + override.path + "=" + override.value + "'";
  }
  return hint;
}

}  // namespace

int Validate(const Options& options) {
  if (!Load(options)) return kExitUsage;
  std::cout << options.manifest << ": valid\n";
  return kExitDone;
}

int RunJob(const Options& options) {
  const auto manifest = Load(options);
  if (!manifest) return kExitUsage;
  LocalRunOptions local;
  local.base = BaseFolder(options);
  const auto problems = LocalProblems(*manifest, options.manifest, local.base, options.resume);
  if (!problems.empty()) {
    Print(problems);
    return kExitUsage;
  }
  if (!options.quiet) {
    for (const std::string& note : LocalNotes(*manifest)) std::cerr << "note: " << note << "\n";
  }
  const std::string& job = manifest->spec.name;
  if (manifest->spec.run_policy.suspend) {
    if (options.json) {
      std::cout << nlohmann::json{{"event", "suspended"}, {"job", job}} << "\n";
    } else {
      std::cout << job << ": spec.runPolicy.suspend is true, nothing was started\n";
    }
    return kExitDone;
  }
  local.run_folder = options.run_folder;
  local.resume = options.resume;
  local.lease_seconds = options.lease_seconds;
  local.metrics_port = options.metrics_port;
  local.resume_hint = ResumeHint(options);
  const auto reporter = MakeReporter(HowToReport(options), std::cout, std::cerr);
  const auto exit_code = RunLocally(*manifest, local, *reporter);
  if (exit_code.ok()) return *exit_code;
  std::cerr << "elephas: " << exit_code.status().message() << "\n";
  return kExitFailed;
}

}  // namespace elephas::cli
