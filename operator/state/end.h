// How a job ended, as one value.
#pragma once

#include <optional>
#include <string>

#include "operator/state/progress.h"

namespace elephas {

struct JobEnd {
  bool succeeded = false;
  std::string reason;                // one word, for programs
  std::string message;               // what happened and what to do, for people
  std::optional<Progress> progress;  // the final numbers, where they are known
};

}  // namespace elephas
