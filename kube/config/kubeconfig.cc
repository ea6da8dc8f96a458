#include <algorithm>
#include <filesystem>
#include <set>

#include "common/base/atomic_file.h"
#include "common/base/base64.h"
#include "common/yaml/yaml_tree.h"
#include "kube/config/rest_config.h"

namespace elephas::kube {

namespace {

using manifest::Entry;
using manifest::Node;
using manifest::NodePtr;

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{4} << 20;

// A part of a kubeconfig that knows where it stands.
struct Part {
  std::string file;
  std::string path;  // "users[admin].user"
  NodePtr node;
  int line = 0;  // of what it is in, for what is missing

  [[nodiscard]] bool present() const {
    return node != nullptr && !(node->kind == Node::Kind::kScalar && node->plain &&
                                (node->text.empty() || node->text == "null" || node->text == "~"));
  }
  [[nodiscard]] Status Error(std::string_view message) const {
    std::string where = file;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): shared_ptr's own comparison confuses it
    const int at = node != nullptr ? node->place.line : line;
    if (at > 0) where += ":" + std::to_string(at);
    return Invalid(where + ": " + (path.empty() ? "" : path + ": ") + std::string(message));
  }
  // The field, not present() when there is none.
  [[nodiscard]] Part Field(std::string_view name) const {
    Part part{file, manifest::JoinPath(path, name), nullptr, node ? node->place.line : line};
    if (node == nullptr || node->kind != Node::Kind::kMapping) return part;
    for (const Entry& entry : node->entries) {
      if (entry.key == name) part.node = entry.value;
    }
    return part;
  }
  [[nodiscard]] Result<std::string> Text() const {
    if (!present()) return std::string();
    if (node->kind != Node::Kind::kScalar) return Error("must be text");
    return node->text;
  }
  [[nodiscard]] Result<bool> Bool() const {
    if (!present()) return false;
    if (node->kind == Node::Kind::kScalar && node->plain) {
      if (node->text == "true") return true;
      if (node->text == "false") return false;
    }
    return Error("must be true or false");
  }
  [[nodiscard]] Result<std::vector<Part>> Items() const {
    std::vector<Part> items;
    if (!present()) return items;
    if (node->kind != Node::Kind::kSequence) return Error("must be a list");
    for (std::size_t i = 0; i < node->items.size(); ++i) {
      items.push_back({file, path + "[" + std::to_string(i) + "]", node->items[i], 0});
    }
    return items;
  }
  [[nodiscard]] Status MustBeMapping() const {
    if (!present() || node->kind == Node::Kind::kMapping) return OkStatus();
    return Error("must be a mapping");
  }
};

// The named entry of a list such as `clusters`: the first file that has it wins.
Result<Part> FindNamed(const std::vector<Part>& roots, std::string_view list,
                       std::string_view inner, const std::string& name) {
  for (const Part& root : roots) {
    ELEPHAS_ASSIGN_OR_RETURN(const auto items, root.Field(list).Items());
    for (const Part& item : items) {
      ELEPHAS_RETURN_IF_ERROR(item.MustBeMapping());
      ELEPHAS_ASSIGN_OR_RETURN(const std::string its_name, item.Field("name").Text());
      if (its_name != name) continue;
      Part part = item.Field(inner);
      part.path = std::string(list) + "[" + name + "]." + std::string(inner);
      ELEPHAS_RETURN_IF_ERROR(part.MustBeMapping());
      return part;
    }
  }
  return NotFound(std::string(inner) + " \"" + name + "\" does not exist");
}

std::string Beside(const std::string& file, const std::string& name) {
  namespace fs = std::filesystem;
  const fs::path path(name);
  return path.is_absolute() ? name : (fs::path(file).parent_path() / path).string();
}

// FIELD-data in base 64, or the file that FIELD names; the data wins, as in kubectl.
Result<std::string> Pem(const Part& part, const std::string& field) {
  const Part data = part.Field(field + "-data");
  ELEPHAS_ASSIGN_OR_RETURN(const std::string encoded, data.Text());
  if (!encoded.empty()) {
    auto decoded = DecodeBase64(encoded);
    if (!decoded) return data.Error("is not base64");
    return *std::move(decoded);
  }
  ELEPHAS_ASSIGN_OR_RETURN(const std::string name, part.Field(field).Text());
  if (name.empty()) return std::string();
  auto text = ReadWholeFile(Beside(part.file, name), kMaxFileBytes);
  if (!text.ok()) return part.Field(field).Error(text.status().message());
  return text;
}

Status ReadCluster(const Part& cluster, RestConfig& config) {
  ELEPHAS_ASSIGN_OR_RETURN(config.server, cluster.Field("server").Text());
  if (config.server.empty()) return cluster.Field("server").Error("is missing");
  if (config.server.find("://") == std::string::npos) config.server = "https://" + config.server;
  if (!config.server.starts_with("https://") && !config.server.starts_with("http://")) {
    return cluster.Field("server").Error("must begin with https:// or http://");
  }
  ELEPHAS_ASSIGN_OR_RETURN(config.insecure, cluster.Field("insecure-skip-tls-verify").Bool());
  ELEPHAS_ASSIGN_OR_RETURN(config.tls_server_name, cluster.Field("tls-server-name").Text());
  ELEPHAS_ASSIGN_OR_RETURN(config.ca_pem, Pem(cluster, "certificate-authority"));
  if (config.insecure && !config.ca_pem.empty()) {
    return cluster.Error("insecure-skip-tls-verify and a certificate authority exclude each other");
  }
  if (cluster.Field("proxy-url").present()) {
    return cluster.Field("proxy-url").Error("proxies are not supported");
  }
  return OkStatus();
}

Result<ExecPlugin> ReadExec(const Part& part) {
  ExecPlugin exec;
  ELEPHAS_RETURN_IF_ERROR(part.MustBeMapping());
  ELEPHAS_ASSIGN_OR_RETURN(exec.api_version, part.Field("apiVersion").Text());
  if (exec.api_version != "client.authentication.k8s.io/v1" &&
      exec.api_version != "client.authentication.k8s.io/v1beta1") {
    return part.Field("apiVersion")
        .Error("must be client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1");
  }
  ELEPHAS_ASSIGN_OR_RETURN(exec.command, part.Field("command").Text());
  if (exec.command.empty()) return part.Field("command").Error("is missing");
  // A name with a slash is a file, and starts at the kubeconfig; any other is looked up in PATH.
  if (exec.command.find('/') != std::string::npos) exec.command = Beside(part.file, exec.command);
  ELEPHAS_ASSIGN_OR_RETURN(exec.install_hint, part.Field("installHint").Text());
  ELEPHAS_ASSIGN_OR_RETURN(const auto args, part.Field("args").Items());
  for (const Part& arg : args) {
    ELEPHAS_ASSIGN_OR_RETURN(exec.args.emplace_back(), arg.Text());
  }
  ELEPHAS_ASSIGN_OR_RETURN(const auto variables, part.Field("env").Items());
  for (const Part& variable : variables) {
    auto& [name, value] = exec.env.emplace_back();
    ELEPHAS_ASSIGN_OR_RETURN(name, variable.Field("name").Text());
    ELEPHAS_ASSIGN_OR_RETURN(value, variable.Field("value").Text());
    if (name.empty()) return variable.Field("name").Error("is missing");
  }
  return exec;
}

Status ReadUser(const Part& user, RestConfig& config) {
  ELEPHAS_ASSIGN_OR_RETURN(config.client_cert_pem, Pem(user, "client-certificate"));
  ELEPHAS_ASSIGN_OR_RETURN(config.client_key_pem, Pem(user, "client-key"));
  if (config.client_cert_pem.empty() != config.client_key_pem.empty()) {
    return user.Error("a client certificate and its key belong together; one is missing");
  }
  ELEPHAS_ASSIGN_OR_RETURN(config.token, user.Field("token").Text());
  ELEPHAS_ASSIGN_OR_RETURN(config.token_file, user.Field("tokenFile").Text());
  if (!config.token_file.empty()) config.token_file = Beside(user.file, config.token_file);
  // The file is what is renewed, so it wins, as in kubectl.
  if (!config.token_file.empty()) config.token.clear();
  ELEPHAS_ASSIGN_OR_RETURN(config.username, user.Field("username").Text());
  ELEPHAS_ASSIGN_OR_RETURN(config.password, user.Field("password").Text());
  const bool has_token = !config.token.empty() || !config.token_file.empty();
  if (has_token && !config.username.empty()) {
    return user.Error("a token and a username exclude each other");
  }
  if (const Part exec = user.Field("exec"); exec.present()) {
    ELEPHAS_ASSIGN_OR_RETURN(config.exec, ReadExec(exec));
    // What stands in the file itself comes first, as in kubectl.
    if (has_token || !config.username.empty()) config.exec.reset();
  }
  if (user.Field("auth-provider").present()) {
    return user.Field("auth-provider")
        .Error("auth-provider is not supported; kubectl has dropped it for exec");
  }
  ELEPHAS_ASSIGN_OR_RETURN(config.impersonate_user, user.Field("as").Text());
  ELEPHAS_ASSIGN_OR_RETURN(config.impersonate_uid, user.Field("as-uid").Text());
  ELEPHAS_ASSIGN_OR_RETURN(const auto groups, user.Field("as-groups").Items());
  for (const Part& group : groups) {
    ELEPHAS_ASSIGN_OR_RETURN(config.impersonate_groups.emplace_back(), group.Text());
  }
  if (user.Field("as-user-extra").present()) {
    return user.Field("as-user-extra").Error("is not supported");
  }
  return OkStatus();
}

Result<std::vector<Part>> ParseAll(const std::vector<KubeconfigText>& texts) {
  std::vector<Part> roots;
  for (const KubeconfigText& text : texts) {
    // kubectl takes an empty file for an empty configuration.
    if (text.text.find_first_not_of(" \t\r\n") == std::string::npos) continue;
    const manifest::YamlText yaml = manifest::ReadYaml(text.text, text.file, 0, true, "");
    if (yaml.root == nullptr) {
      return Invalid(yaml.problems.empty() ? text.file + ": not YAML"
                                           : ToString(yaml.problems.front()));
    }
    Part root{text.file, "", yaml.root, 0};
    if (!root.present()) continue;
    ELEPHAS_RETURN_IF_ERROR(root.MustBeMapping());
    ELEPHAS_ASSIGN_OR_RETURN(const std::string kind, root.Field("kind").Text());
    if (!kind.empty() && kind != "Config") return root.Field("kind").Error("must be Config");
    roots.push_back(std::move(root));
  }
  return roots;
}

std::vector<std::string> KubeconfigFiles(const KubeconfigOptions& options,
                                         const Environment& environment) {
  if (!options.path.empty()) return {options.path};
  std::vector<std::string> files;
  const std::string listed = environment("KUBECONFIG");
  for (std::size_t begin = 0; begin <= listed.size();) {
    const std::size_t end = std::min(listed.find(':', begin), listed.size());
    std::string file = listed.substr(begin, end - begin);
    if (!file.empty() && std::find(files.begin(), files.end(), file) == files.end()) {
      files.push_back(std::move(file));
    }
    begin = end + 1;
  }
  const std::string home = environment("HOME");
  if (files.empty() && !home.empty()) files.push_back(home + "/.kube/config");
  return files;
}

}  // namespace

Result<RestConfig> ResolveKubeconfig(const std::vector<KubeconfigText>& texts,
                                     const KubeconfigOptions& options) {
  ELEPHAS_ASSIGN_OR_RETURN(const std::vector<Part> roots, ParseAll(texts));
  std::string context_name = options.context;
  for (const Part& root : roots) {
    if (!context_name.empty()) break;
    ELEPHAS_ASSIGN_OR_RETURN(context_name, root.Field("current-context").Text());
  }

  Part context;
  if (!context_name.empty()) {
    ELEPHAS_ASSIGN_OR_RETURN(context, FindNamed(roots, "contexts", "context", context_name));
  } else if (options.cluster.empty()) {
    return NotFound("no context: set current-context in the kubeconfig, or give --context");
  }
  ELEPHAS_ASSIGN_OR_RETURN(std::string cluster, context.Field("cluster").Text());
  ELEPHAS_ASSIGN_OR_RETURN(std::string user, context.Field("user").Text());
  if (!options.cluster.empty()) cluster = options.cluster;
  if (!options.user.empty()) user = options.user;

  RestConfig config;
  ELEPHAS_ASSIGN_OR_RETURN(config.ns, context.Field("namespace").Text());
  if (!options.ns.empty()) config.ns = options.ns;
  if (config.ns.empty()) config.ns = "default";
  if (cluster.empty()) return context.Error("names no cluster");
  ELEPHAS_ASSIGN_OR_RETURN(const Part cluster_part,
                           FindNamed(roots, "clusters", "cluster", cluster));
  ELEPHAS_RETURN_IF_ERROR(ReadCluster(cluster_part, config));
  if (!user.empty()) {
    ELEPHAS_ASSIGN_OR_RETURN(const Part user_part, FindNamed(roots, "users", "user", user));
    ELEPHAS_RETURN_IF_ERROR(ReadUser(user_part, config));
  }
  return config;
}

Result<RestConfig> LoadKubeconfig(const KubeconfigOptions& options,
                                  const Environment& environment) {
  std::vector<KubeconfigText> texts;
  std::string missing;
  for (const std::string& file : KubeconfigFiles(options, environment)) {
    auto text = ReadWholeFile(file, kMaxFileBytes);
    if (text.status().code() == Code::kNotFound && options.path.empty()) {
      missing += (missing.empty() ? "" : ", ") + file;
      continue;
    }
    if (!text.ok()) return text.status();
    texts.push_back({file, *std::move(text)});
  }
  if (!texts.empty()) return ResolveKubeconfig(texts, options);
  if (options.context.empty()) {
    if (auto in_pod = InClusterConfig(environment); in_pod.ok()) {
      if (!options.ns.empty()) in_pod->ns = options.ns;
      return in_pod;
    }
  }
  return NotFound("no kubeconfig" + (missing.empty() ? "" : " (looked for " + missing + ")") +
                  ": set KUBECONFIG or give --kubeconfig");
}

}  // namespace elephas::kube
