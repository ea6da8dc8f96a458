// What every fuzz target checks besides not crashing.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common/base/result.h"

namespace elephas {

// Aborts, so that libFuzzer keeps the input.
inline void FuzzCheck(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

// A refusal says why, in text that can travel as JSON.
inline void FuzzCheckRefusal(const Status& status) {
  FuzzCheck(!status.ok() && !status.message().empty(), "a refusal without a reason");
  const std::string text = nlohmann::json(status.message())
                               .dump(-1, ' ', false, nlohmann::json::error_handler_t::ignore);
  FuzzCheck(nlohmann::json::parse(text) == status.message(), "a message that is not UTF-8");
}

}  // namespace elephas
