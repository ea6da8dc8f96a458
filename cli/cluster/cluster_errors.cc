#include "cli/cluster/cluster_errors.h"

#include <algorithm>

#include "common/json/json_at.h"

namespace elephas::cli {

namespace {

using nlohmann::json;

// The ElephasJob "digits" is invalid: spec.mode: Invalid value: …
std::string InvalidText(const json& refusal) {
  std::string text = "The " + TextAt(refusal, "/details/kind") + " \"" +
                     TextAt(refusal, "/details/name") + "\" is invalid";
  const json& causes = refusal["details"]["causes"];
  const auto cause_text = [](const json& cause) {
    const std::string field = TextAt(cause, "/field");
    return (field.empty() || field == "<nil>" ? "" : field + ": ") + TextAt(cause, "/message");
  };
  if (causes.size() == 1) return text + ": " + cause_text(causes[0]);
  text += ": ";
  for (const json& cause : causes) text += "\n* " + cause_text(cause);
  return text;
}

}  // namespace

void RefusalKeeper::Refused(const json& status) {
  const MutexLock lock(mutex_);
  constexpr std::size_t kMost = 8;
  last_.push_front(status);
  if (last_.size() > kMost) last_.pop_back();
}

json RefusalKeeper::Find(const Status& error) const {
  const MutexLock lock(mutex_);
  const auto found = std::find_if(last_.begin(), last_.end(), [&](const json& refusal) {
    return error.message() == TextAt(refusal, "/message");
  });
  return found == last_.end() ? json() : *found;
}

std::string KubectlError(const Status& error, const json& refusal) {
  const json::json_pointer causes{"/details/causes"};
  const std::string reason = TextAt(refusal, "/reason");
  if (reason == "Invalid" && refusal.contains(causes) && refusal.at(causes).is_array() &&
      !refusal.at(causes).empty()) {
    return InvalidText(refusal);
  }
  switch (error.code()) {
    case Code::kUnauthorized:
      return "error: You must be logged in to the server (" + error.message() + ")";
    case Code::kNotFound:
      // The path itself is unknown: nobody has told this cluster what an ElephasJob is.
      if (error.message() == "the server could not find the requested resource") {
        return "error: the server doesn't have a resource type \"elephasjobs\": is the operator "
               "installed? (helm install elephas charts/elephas-operator)";
      }
      break;
    case Code::kUnavailable:
    case Code::kTimeout:
      if (refusal.is_null()) return "Unable to connect to the server: " + error.message();
      break;
    default:
      break;
  }
  if (refusal.is_null()) return "error: " + error.message();
  return "Error from server" + (reason.empty() ? "" : " (" + reason + ")") + ": " + error.message();
}

}  // namespace elephas::cli
