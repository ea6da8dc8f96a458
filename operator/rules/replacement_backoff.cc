#include "operator/rules/replacement_backoff.h"

#include <algorithm>

#include "operator/rules/failure_policy.h"

namespace elephas {

namespace {

// As the kubelet and the Job controller have it.
constexpr std::int64_t kFirstPauseMs = 10'000, kLongestPauseMs = 300'000;

// Workers call themselves as their pods are called.
bool HasContributed(const Pod& pod, const Observed& observed) {
  return observed.progress && observed.progress->contributors.contains(pod.name);
}

// Is there another index whose pods have failed without having done anything?
bool OthersFail(const Pod& pod, const Observed& observed) {
  const auto workers = LatestPods(observed.pods, PodRole::kWorker);
  return std::any_of(workers.begin(), workers.end(), [&](const Pod* other) {
    return other->index != pod.index && !HasContributed(*other, observed) &&
           FailuresInARow(*other, observed) > 0;
  });
}

}  // namespace

std::int64_t FailuresInARow(const Pod& pod, const Observed& observed) {
  const std::int64_t before = HasContributed(pod, observed) ? 0 : pod.failures_in_a_row;
  return before + (CountsAsFailure(pod) ? 1 : 0);
}

std::int64_t PauseMs(std::int64_t failures_in_a_row) {
  if (failures_in_a_row < 2) return 0;
  std::int64_t pause = kFirstPauseMs;
  for (std::int64_t i = 2; i < failures_in_a_row && pause < kLongestPauseMs; ++i) pause *= 2;
  return std::min(pause, kLongestPauseMs);
}

std::int64_t PauseOfMs(const Pod& pod, const Observed& observed) {
  const std::int64_t failures = FailuresInARow(pod, observed);
  const bool first = failures == 1 && CountsAsFailure(pod) && !HasContributed(pod, observed);
  return PauseMs(first && OthersFail(pod, observed) ? 2 : failures);
}

std::int64_t ReplaceAtMs(const Pod& pod, const Observed& observed, std::int64_t now_ms) {
  if (!CountsAsFailure(pod)) return 0;
  const std::int64_t died = DeathTimeMs(pod);
  // A node whose clock is ahead must not make the job wait for it.
  return (died <= now_ms ? died : pod.created_ms) + PauseOfMs(pod, observed);
}

}  // namespace elephas
