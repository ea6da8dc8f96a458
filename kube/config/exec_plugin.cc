#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "common/base/timestamp.h"
#include "common/base/utf8.h"
#include "common/json/json_at.h"
#include "common/json/json_bounds.h"
#include "kube/config/credentials.h"

extern char** environ;  // POSIX has it in no header

namespace elephas::kube {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxOutputBytes = std::size_t{1} << 20;

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Ours, with the plugin's variables and what the protocol asks for in place of ours.
std::vector<std::string> PluginEnvironment(const ExecPlugin& plugin) {
  std::vector<std::pair<std::string, std::string>> own = plugin.env;
  own.emplace_back("KUBERNETES_EXEC_INFO",
                   JsonText({{"apiVersion", plugin.api_version},
                             {"kind", "ExecCredential"},
                             {"spec", {{"interactive", isatty(STDIN_FILENO) != 0}}}}));
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    bool replaced = false;
    for (const auto& [name, value] : own) replaced = replaced || text.starts_with(name + "=");
    if (!replaced) variables.emplace_back(text);
  }
  for (const auto& [name, value] : own) variables.push_back(name + "=" + value);
  return variables;
}

// A child process whose standard output is read. Not left behind: killed when it has not ended.
class Child {
 public:
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (output_ >= 0) close(output_);
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
  }

  // An errno, 0 when it runs.
  int Start(const ExecPlugin& plugin) {
    std::array<int, 2> pipe_ends{};
    if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return errno;
    output_ = pipe_ends[0];
    std::vector<std::string> words{plugin.command};
    words.insert(words.end(), plugin.args.begin(), plugin.args.end());
    std::vector<std::string> variables = PluginEnvironment(plugin);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
    const int error = posix_spawnp(&pid_, plugin.command.c_str(), &actions, nullptr,
                                   Pointers(words).data(), Pointers(variables).data());
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_ends[1]);
    if (error != 0) pid_ = -1;
    return error;
  }

  Result<std::string> ReadAll(std::chrono::steady_clock::time_point deadline) {
    std::string text;
    std::array<char, 4096> piece{};
    for (;;) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      pollfd wait{output_, POLLIN, 0};
      const int ready = left.count() <= 0 ? 0 : poll(&wait, 1, static_cast<int>(left.count()));
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) return Timeout("it did not answer in time");
      const ssize_t got = read(output_, piece.data(), piece.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Internal(std::strerror(errno));
      if (got == 0) return text;
      text.append(piece.data(), static_cast<std::size_t>(got));
      if (text.size() > kMaxOutputBytes) return Invalid("it printed too much");
    }
  }

  // Its wait status, once it has closed its output.
  int Wait() {
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

}  // namespace

Result<ExecCredential> ParseExecCredential(std::string_view text, std::string_view api_version) {
  const auto parsed = ParseBounded(text, {.bytes = kMaxOutputBytes});
  if (!parsed.ok() || !parsed->is_object()) {
    return Invalid("it printed something that is not JSON");
  }
  const json& object = *parsed;
  if (TextAt(object, "/kind") != "ExecCredential") return Invalid("it printed no ExecCredential");
  if (TextAt(object, "/apiVersion") != api_version) {
    return Invalid("it answers in apiVersion \"" + TextAt(object, "/apiVersion") +
                   "\", the kubeconfig asks for \"" + std::string(api_version) + "\"");
  }
  ExecCredential credential;
  credential.token = TextAt(object, "/status/token");
  credential.client_cert_pem = TextAt(object, "/status/clientCertificateData");
  credential.client_key_pem = TextAt(object, "/status/clientKeyData");
  if (credential.token.empty() && credential.client_cert_pem.empty()) {
    return Invalid("it gave neither a token nor a client certificate");
  }
  const std::string expires = TextAt(object, "/status/expirationTimestamp");
  if (!expires.empty()) {
    const auto millis = ParseTime(expires);
    if (!millis) return Invalid("its expirationTimestamp \"" + expires + "\" is no time");
    credential.expires_millis = *millis;
  }
  return credential;
}

Result<ExecCredential> RunExecPlugin(const ExecPlugin& plugin, std::chrono::milliseconds timeout) {
  const std::string who = "credential plugin " + plugin.command;
  Child child;
  if (const int error = child.Start(plugin); error != 0) {
    std::string message = who + ": " + std::strerror(error);
    if (!plugin.install_hint.empty()) message += "\n" + plugin.install_hint;
    return error == ENOENT ? NotFound(std::move(message)) : Internal(std::move(message));
  }
  const auto text = child.ReadAll(std::chrono::steady_clock::now() + timeout);
  if (!text.ok()) return text.status().Annotate(who);
  const int status = child.Wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Invalid(who + (WIFEXITED(status)
                              ? " ended with exit code " + std::to_string(WEXITSTATUS(status))
                              : " was killed by signal " + std::to_string(WTERMSIG(status))));
  }
  auto credential = ParseExecCredential(*text, plugin.api_version);
  if (!credential.ok()) return credential.status().Annotate(who);
  return credential;
}

}  // namespace elephas::kube
