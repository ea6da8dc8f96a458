// Where the API server is and who we are: from inside a pod, or from kubeconfig files.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace elephas::kube {

// A program that hands out credentials (kubeconfig's user.exec).
struct ExecPlugin {
  std::string api_version;  // client.authentication.k8s.io/v1 or /v1beta1
  std::string command;
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;
  std::string install_hint;
};

struct RestConfig {
  std::string server;  // https://host:port, with a path where the server is behind one
  std::string ns;      // the namespace of commands that name none
  std::string user_agent = "elephas";

  // The authorities that are trusted: PEM text, or a file that is read again for every connection.
  // Both empty: those of the system.
  std::string ca_pem, ca_file;
  bool insecure = false;        // accept any certificate
  std::string tls_server_name;  // what the certificate must be for; empty: the server's host

  // At most one of a token, a token file (read again as it changes), user and password, a plugin.
  std::string token, token_file, username, password;
  std::optional<ExecPlugin> exec;
  std::string client_cert_pem, client_key_pem;  // PEM text, for TLS client authentication
  std::string impersonate_user, impersonate_uid;
  std::vector<std::string> impersonate_groups;
};

// Reads an environment variable; empty when it is not set.
using Environment = std::function<std::string(const char* name)>;
Environment ProcessEnvironment();

// A pod's own: KUBERNETES_SERVICE_HOST and _PORT, and the service account mounted at `folder`.
// kNotFound outside a pod.
Result<RestConfig> InClusterConfig(
    const Environment& environment,
    const std::string& folder = "/var/run/secrets/kubernetes.io/serviceaccount");

struct KubeconfigOptions {
  // --kubeconfig; empty: $KUBECONFIG (several, separated by ':'), or ~/.kube/config.
  std::string path = {};
  std::string context = {};             // --context; empty: current-context
  std::string cluster = {}, user = {};  // instead of the context's
  std::string ns = {};                  // instead of the context's
};

// As kubectl reads them: of several files the first one to name a cluster, user, context or the
// current context wins; relative file names start at the file that names them; missing files named
// by $KUBECONFIG are skipped. Without any file a pod's own configuration, so that the command line
// works in a pod. kInvalid names the file and the field, kNotFound says that there is no
// configuration.
Result<RestConfig> LoadKubeconfig(const KubeconfigOptions& options, const Environment& environment);

// One kubeconfig's text. `file` is for messages and for relative names in it. Exposed for tests and
// fuzzing; LoadKubeconfig is made of these.
struct KubeconfigText {
  std::string file, text;
};
Result<RestConfig> ResolveKubeconfig(const std::vector<KubeconfigText>& texts,
                                     const KubeconfigOptions& options);

}  // namespace elephas::kube
