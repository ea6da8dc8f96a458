// The edge of a unit of work: one reconcile, one question to a server, one object of a watch.
//
// Nothing of ours throws on purpose, but a library may, and a defect of ours must cost the one job
// that met it, not the process and with it every namespace. So each thread runs its units of work
// in Guarded; what comes out of one is logged, counted and a Status like any other.
#pragma once

#include <string_view>
#include <type_traits>

#include "common/base/result.h"
#include "kube/observer.h"

namespace elephas::kube {

// For the catch-all of Guarded: kInternal, with the exception that is being handled in words. Never
// throws.
Status CaughtException(ClientObserver& observer, std::string_view where, std::string_view about);

// What `work` answers (a Status or a Result; a work without an answer is ok), or kInternal when it
// throws. `where` is one of the words in docs/metrics.md, `about` what was worked on.
template <typename Work>
auto Guarded(ClientObserver& observer, std::string_view where, std::string_view about,
             const Work& work) {
  constexpr bool kSilent = std::is_void_v<std::invoke_result_t<const Work&>>;
  using Answer = std::conditional_t<kSilent, Status, std::invoke_result_t<const Work&>>;
  try {
    if constexpr (kSilent) {
      work();
      return Answer();
    } else {
      return Answer(work());
    }
  } catch (...) {
    return Answer(CaughtException(observer, where, about));
  }
}

}  // namespace elephas::kube
