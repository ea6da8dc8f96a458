// The bearer token of the next request, whichever way it comes.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/result.h"
#include "kube/config/rest_config.h"

namespace elephas::kube {

// Thread-safe.
class Credentials {
 public:
  // `clock` outlives it.
  Credentials(const RestConfig& config, const Clock& clock);

  // "Bearer …", "Basic …", or empty when there are none (a client certificate, or nobody at all). A
  // token file is read again every minute, as service account tokens are renewed long before they
  // expire; while it cannot be read the last token serves. kUnauthorized: there is none.
  Result<std::string> Authorization();

  // The server did not accept `authorization` (401): forgets it. True when asking again may give
  // another one, so that the request is worth one more try.
  bool Rejected(const std::string& authorization);

 private:
  Status ReadFile() ELEPHAS_REQUIRES(mutex_);
  Status RunPlugin() ELEPHAS_REQUIRES(mutex_);

  const Clock& clock_;
  const std::string token_file_;
  const std::optional<ExecPlugin> exec_;
  const std::string server_;
  Mutex mutex_;
  std::string authorization_ ELEPHAS_GUARDED_BY(mutex_);
  Clock::TimePoint read_at_ ELEPHAS_GUARDED_BY(mutex_){};
  // Of a plugin's token; 0: it did not say.
  std::int64_t expires_millis_ ELEPHAS_GUARDED_BY(mutex_) = 0;
};

// What a credential plugin printed (an ExecCredential).
struct ExecCredential {
  std::string token;
  std::string client_cert_pem, client_key_pem;
  std::int64_t expires_millis = 0;  // 0: it does not say
};
// kInvalid says what is wrong with it.
Result<ExecCredential> ParseExecCredential(std::string_view text, std::string_view api_version);
// Runs the plugin, at most for `timeout`; its standard error is ours, so that it can tell a person
// what to do. kNotFound, with the plugin's own hint, when it is not installed.
Result<ExecCredential> RunExecPlugin(const ExecPlugin& plugin, std::chrono::milliseconds timeout);

}  // namespace elephas::kube
