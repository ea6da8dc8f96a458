#include "kube/config/credentials.h"

#include "common/base/atomic_file.h"
#include "common/base/base64.h"

namespace elephas::kube {

namespace {

constexpr std::uint64_t kMaxTokenBytes = std::uint64_t{1} << 20;
constexpr std::chrono::minutes kReadAgain{1};
constexpr std::chrono::minutes kPluginTimeout{1};
constexpr std::int64_t kRenewMillis = 10'000;  // before a plugin's token expires

std::string Trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

}  // namespace

Credentials::Credentials(const RestConfig& config, const Clock& clock)
    : clock_(clock), token_file_(config.token_file), exec_(config.exec), server_(config.server) {
  if (!config.token.empty()) {
    authorization_ = "Bearer " + config.token;
  } else if (!config.username.empty()) {
    authorization_ = "Basic " + EncodeBase64(config.username + ":" + config.password);
  }
}

Result<std::string> Credentials::Authorization() {
  const MutexLock lock(mutex_);
  if (!token_file_.empty()) {
    if (authorization_.empty() || clock_.Now() - read_at_ >= kReadAgain) {
      if (const Status read = ReadFile(); !read.ok() && authorization_.empty()) return read;
    }
  } else if (exec_) {
    const bool expired =
        expires_millis_ > 0 && clock_.UnixMillis() + kRenewMillis >= expires_millis_;
    if (authorization_.empty() || expired) ELEPHAS_RETURN_IF_ERROR(RunPlugin());
  }
  return authorization_;
}

bool Credentials::Rejected(const std::string& authorization) {
  const MutexLock lock(mutex_);
  if (token_file_.empty() && !exec_) return false;
  if (authorization_ != authorization) return true;  // another thread has renewed it
  if (!token_file_.empty()) {
    // The same token again would only be refused again.
    return ReadFile().ok() && authorization_ != authorization;
  }
  authorization_.clear();
  return true;
}

Status Credentials::ReadFile() {
  read_at_ = clock_.Now();
  const auto text = ReadWholeFile(token_file_, kMaxTokenBytes);
  if (!text.ok()) return Unauthorized(text.status().message());
  const std::string token = Trimmed(*text);
  if (token.empty()) return Unauthorized(token_file_ + " is empty");
  authorization_ = "Bearer " + token;
  return OkStatus();
}

Status Credentials::RunPlugin() {
  const auto credential = RunExecPlugin(*exec_, kPluginTimeout);
  if (!credential.ok()) return Unauthorized(credential.status().message());
  if (credential->token.empty()) {
    return Unauthorized(exec_->command +
                        " gave no token; client certificates of plugins are not "
                        "supported");
  }
  authorization_ = "Bearer " + credential->token;
  expires_millis_ = credential->expires_millis;
  return OkStatus();
}

}  // namespace elephas::kube
