// Calls that found no server are tried again for a little while; then the worker joins anew.
#pragma once

#include <chrono>
#include <thread>

#include "common/base/result.h"

namespace elephas {

inline const Status& StatusOf(const Status& status) { return status; }
template <typename T>
Status StatusOf(const Result<T>& result) {
  return result.status();
}

// The first result of `call`, which returns a Status or a Result, that is not an error that may
// pass; or the last of six, tried over about 0.6 s.
template <typename Function>
auto Retrying(Function&& call) {
  constexpr int kAttempts = 6;
  auto pause = std::chrono::milliseconds(20);
  for (int attempt = 1;; ++attempt) {
    auto result = call();
    if (result.ok() || !StatusOf(result).retryable() || attempt == kAttempts) return result;
    std::this_thread::sleep_for(pause);
    pause *= 2;
  }
}

}  // namespace elephas
