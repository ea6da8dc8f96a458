// Errors of an API server, in kubectl's words.
#pragma once

#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "kube/observer.h"

namespace elephas::cli {

// Keeps the last refusals whole, because a Status has only its message.
class RefusalKeeper final : public kube::ClientObserver {
 public:
  void Refused(const nlohmann::json& status) override;
  // The refusal whose message this error has; null for an error of another kind.
  [[nodiscard]] nlohmann::json Find(const Status& error) const;

 private:
  mutable std::mutex mutex_;
  std::deque<nlohmann::json> last_;  // the newest first; guarded by mutex_
};

// What to print: "Error from server (NotFound): …", "The ElephasJob "digits" is invalid: …",
// "Unable to connect to the server: …". `refusal` is what RefusalKeeper found.
std::string KubectlError(const Status& error, const nlohmann::json& refusal);

}  // namespace elephas::cli
