// Errors of an API server, in kubectl's words.
#pragma once

#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "common/base/mutex.h"
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
  mutable Mutex mutex_;
  std::deque<nlohmann::json> last_ ELEPHAS_GUARDED_BY(mutex_);  // the newest first
};

// What to print: "Error from server (NotFound): …", "The ElephasJob "digits" is invalid: …",
// "Unable to connect to the server: …". `refusal` is what RefusalKeeper found.
std::string KubectlError(const Status& error, const nlohmann::json& refusal);

}  // namespace elephas::cli
