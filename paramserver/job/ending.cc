#include "paramserver/job/ending.h"

#include <utility>

namespace elephas {

bool JobEnding::Fail(const std::string& reason, const std::string& message) {
  if (failed_) return false;
  failed_ = true;
  reason_ = reason;
  message_ = message;
  return true;
}

void JobEnding::SetOutputs(std::vector<std::string> outputs) { outputs_ = std::move(outputs); }

}  // namespace elephas
