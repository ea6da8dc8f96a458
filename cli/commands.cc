#include "cli/commands.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <optional>
#include <random>
#include <stop_token>
#include <string_view>
#include <thread>

#include "cli/cluster/cluster_commands.h"
#include "cli/cluster/written_document.h"
#include "cli/run/local_run.h"
#include "cli/run/preflight.h"
#include "cli/terminal/reporter.h"
#include "common/base/atomic_file.h"
#include "common/base/terminal_text.h"
#include "common/manifest/volumes.h"
#include "kube/rest/rest_client.h"

namespace elephas::cli {

namespace {

constexpr std::uint64_t kMaxManifestBytes = std::uint64_t{64}
                                            << 20;  // the parser has its own bound

void Print(const std::vector<ManifestProblem>& problems) {
  for (const ManifestProblem& problem : problems) {
    std::cerr << TerminalText(ToString(problem)) << "\n";
  }
}

struct Loaded {
  std::string text;
  ParsedManifest manifest;
};

// Does a cluster take a manifest that is good here? Prints every problem.
bool GoodForClusters(const Options& options, const ParsedManifest& manifest) {
  const std::string file = options.manifest == "-" ? "<stdin>" : options.manifest;
  const auto problems = ClusterProblems(manifest, file);
  Print(problems);
  if (options.command == Options::Command::kValidate && !options.for_cluster) {
    return problems.empty();
  }
  const auto too_large = TooLargeForCluster(manifest, file);
  Print(too_large);
  const bool good = problems.empty() && too_large.empty();
  auto lost = LostResults(manifest, file);
  if (options.for_cluster) {
    Print(lost);
    return good && lost.empty();
  }
  for (ManifestProblem& warning : lost) warning.path.insert(0, "warning: ");
  Print(lost);
  return good;
}

// Reads the manifest; nullopt, with every problem printed, when there is no valid one.
std::optional<Loaded> Load(const Options& options) {
  const bool standard_input = options.manifest == "-";
  auto text = standard_input
                  ? Result<std::string>(std::string(std::istreambuf_iterator<char>(std::cin), {}))
                  : ReadWholeFile(options.manifest, kMaxManifestBytes);
  if (!text.ok()) {
    std::cerr << "elephas: " << TerminalText(text.status().message()) << "\n";
    return std::nullopt;
  }
  ParsedManifest manifest =
      ParseManifest(*text, standard_input ? "<stdin>" : options.manifest, options.overrides);
  for (const ManifestProblem& warning : manifest.warnings) {
    std::cerr << "warning: " << ToString(warning) << "\n";
  }
  if (manifest.problems.empty()) return Loaded{*std::move(text), std::move(manifest)};
  Print(manifest.problems);
  return std::nullopt;
}

// A job without a name gets what a cluster would give it: metadata.generateName and five letters
// and digits.
void MakeUpName(ParsedManifest& manifest) {
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  constexpr int kLength = 5;
  if (!manifest.spec.name.empty()) return;
  std::random_device random;
  std::uniform_int_distribution<std::size_t> index(0, kAlphabet.size() - 1);
  std::string name = manifest.spec.generate_name;
  for (int i = 0; i < kLength; ++i) name += kAlphabet[index(random)];
  manifest.document["metadata"]["name"] = name;
  manifest.spec.name = std::move(name);
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

// Ends what is being waited for on Ctrl-C, instead of the process. Before threads start: they
// inherit the mask.
class Interruption {
 public:
  Interruption() {
    sigemptyset(&signals_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals_, signal);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    watcher_ = std::jthread([this](const std::stop_token& done) {
      constexpr timespec kLookAgain{0, 50'000'000};
      while (!done.stop_requested()) {
        if (sigtimedwait(&signals_, nullptr, &kLookAgain) > 0) return (void)source_.request_stop();
      }
    });
  }
  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  sigset_t signals_{};
  std::stop_source source_;
  std::jthread watcher_;  // last: it uses the others
};

// The command, once there is a client.
int RunWith(const Options& options, const std::optional<Loaded>& loaded, const Cluster& cluster) {
  switch (options.command) {
    case Options::Command::kSubmit: {
      auto document = WrittenDocument(loaded->text, options.overrides);
      if (!document.ok()) {
        std::cerr << "elephas: " << TerminalText(document.status().message()) << "\n";
        return kExitUsage;
      }
      const auto reporter = MakeReporter(HowToReport(options), std::cout, std::cerr);
      return Submit(options, loaded->manifest, *std::move(document), *reporter, cluster);
    }
    case Options::Command::kGet:
      return GetJobs(options, cluster);
    case Options::Command::kLogs:
      return PrintLogs(options, cluster);
    default:
      return DeleteJob(options, cluster);
  }
}

}  // namespace

int Validate(const Options& options) {
  const auto loaded = Load(options);
  if (!loaded || !GoodForClusters(options, loaded->manifest)) return kExitUsage;
  std::cout << options.manifest << ": valid\n";
  return kExitSuccess;
}

int RunJob(const Options& options) {
  auto loaded = Load(options);
  if (!loaded) return kExitUsage;
  MakeUpName(loaded->manifest);
  const ParsedManifest* manifest = &loaded->manifest;
  LocalRunOptions local;
  local.base = BaseFolder(options);
  const auto problems = LocalProblems(*manifest, options.manifest, local.base, options.resume);
  if (!problems.empty()) {
    Print(problems);
    return kExitUsage;
  }
  if (!options.quiet) {
    for (const std::string& note : LocalNotes(*manifest)) {
      std::cerr << "note: " << TerminalText(note) << "\n";
    }
  }
  const std::string& job = manifest->spec.name;
  if (manifest->spec.run_policy.suspend) {
    if (options.json) {
      std::cout << nlohmann::json{{"event", "suspended"}, {"job", job}} << "\n";
    } else {
      std::cout << job << ": spec.runPolicy.suspend is true, nothing was started\n";
    }
    return kExitSuccess;
  }
  local.run_folder = options.run_folder;
  local.resume = options.resume;
  local.lease_seconds = options.lease_seconds;
  local.metrics_port = options.metrics_port;
  local.resume_hint = ResumeHint(options);
  const auto reporter = MakeReporter(HowToReport(options), std::cout, std::cerr);
  const auto exit_code = RunLocally(*manifest, local, *reporter);
  if (exit_code.ok()) return *exit_code;
  std::cerr << "elephas: " << TerminalText(exit_code.status().message()) << "\n";
  return kExitFailure;
}

int RunOnCluster(const Options& options) {
  std::optional<Loaded> loaded;
  if (options.command == Options::Command::kSubmit) {
    loaded = Load(options);
    if (!loaded || !GoodForClusters(options, loaded->manifest)) return kExitUsage;
  }
  // Everything else simply ends on Ctrl-C.
  std::optional<Interruption> interruption;
  if (options.command == Options::Command::kSubmit && options.follow) interruption.emplace();
  auto config = kube::LoadKubeconfig({.path = options.cluster.kubeconfig,
                                      .context = options.cluster.context,
                                      .cluster = options.cluster.cluster,
                                      .user = options.cluster.user,
                                      .ns = options.cluster.ns},
                                     kube::ProcessEnvironment());
  if (!config.ok()) {
    std::cerr << "error: " << TerminalText(config.status().message()) << "\n";
    return kExitUsage;
  }
  RefusalKeeper refusals;
  const auto client = kube::MakeRestClient(*config, refusals);
  if (!client.ok()) {
    std::cerr << "error: " << TerminalText(client.status().message()) << "\n";
    return kExitUsage;
  }
  const SystemClock clock;
  return RunWith(options, loaded,
                 {.client = **client,
                  .refusals = refusals,
                  .clock = clock,
                  .ns = config->ns,
                  .out = std::cout,
                  .err = std::cerr,
                  .stop = interruption ? interruption->token() : std::stop_token()});
}

int RunCommand(const Options& options) {
  switch (options.command) {
    case Options::Command::kRun:
      return RunJob(options);
    case Options::Command::kValidate:
      return Validate(options);
    default:
      return RunOnCluster(options);
  }
}

}  // namespace elephas::cli
