// The one loop in which a request waits for something to change.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <type_traits>

#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace elephas {

// Calls `ask`, with `mutex` held, until it returns a value, which is returned then. Waits meanwhile
// for `changed`, or for the moment by `clock` that `next` names (nothing: none), because time alone
// changes things then. Empty: `wait` is over, and `ask` was asked after that too.
template <typename Ask, typename Next>
std::invoke_result_t<Ask&> LongPoll(Mutex& mutex, CondVar& changed, const Clock& clock,
                                    std::chrono::milliseconds wait, Ask ask, Next next)
    ELEPHAS_REQUIRES(mutex) {
  using Steady = std::chrono::steady_clock;
  const Steady::time_point deadline = Steady::now() + wait;
  for (;;) {
    if (auto answer = ask()) return answer;
    Steady::time_point until = deadline;
    if (const std::optional<Clock::TimePoint> moment = next()) {
      const Clock::TimePoint::duration left =
          std::max<Clock::TimePoint::duration>(*moment - clock.Now(), std::chrono::milliseconds(1));
      until = std::min(until, Steady::now() + std::chrono::duration_cast<Steady::duration>(left));
    }
    if (Steady::now() >= deadline) return std::nullopt;
    changed.WaitUntil(mutex, until);
  }
}

}  // namespace elephas
