#include "operator/rules/refusal_policy.h"

#include <gtest/gtest.h>

#include "operator/testing/builders.h"

namespace elephas {
namespace {

Refusal RefusedWith(Status status, std::int64_t at = kStart, std::int64_t since = 0) {
  return {std::move(status), "Pod digits-worker-0", at, since};
}

TEST(RefusalPolicy, OnlyWhatTheSpecAloneCausesIsForGood) {
  struct Case {
    Status status;
    bool for_good;
  };
  const Case cases[] = {
      {Invalid("Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown "
               "field \"spec.priorityClass\""),
       true},
      {Invalid("Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string "
               "into Go struct field PodSpec.spec.hostNetwork of type bool"),
       true},
      {Exists("there is a Pod digits-worker-0 that does not belong to this job"), true},
      // A LimitRange's default limit; it failed the job, also after the LimitRange was gone.
      {Invalid("Pod \"digits-worker-0\" is invalid: spec.containers[0].resources.requests: Invalid "
               "value: \"250m\": must be less than or equal to cpu limit of 100m"),
       false},
      // A webhook's container.
      {Invalid("Pod \"digits-worker-0\" is invalid: spec.containers[1].image: Required value"),
       false},
      {Invalid("pods \"digits-worker-0\" is forbidden: ValidatingAdmissionPolicy 'p' with binding "
               "'b' denied request: no"),
       false},
      {Forbidden("exceeded quota: compute"), false},
      {Gone("Pod digits-worker-0 of an earlier job is being deleted"), false},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(IsForGood(RefusedWith(test.status)), test.for_good) << test.status.message();
  }
}

TEST(RefusalPolicy, TriesBecomeRarer) {
  const auto pause = [](const Status& status, std::int64_t lasted) {
    return RetryAtMs(RefusedWith(status, kStart + lasted, kStart)) - kStart - lasted;
  };
  const Status quota = Forbidden("exceeded quota: compute"), going = Gone("is being deleted");
  EXPECT_EQ(pause(quota, 0), 10'000);
  EXPECT_EQ(pause(quota, 20'000), 20'000);
  EXPECT_EQ(pause(quota, 3'600'000), 60'000);
  EXPECT_EQ(pause(going, 0), 1'000);
  EXPECT_EQ(pause(going, 4'000), 4'000);
  EXPECT_EQ(pause(going, 3'600'000), 10'000);
  EXPECT_EQ(RetryAtMs(RefusedWith(quota)), kStart + 10'000);
}

TEST(RefusalPolicy, WhatGoesAwayIsAskedForWithEveryEvent) {
  EXPECT_FALSE(WaitsForItsTime(RefusedWith(Gone("is being deleted"))));
  EXPECT_TRUE(WaitsForItsTime(RefusedWith(Forbidden("exceeded quota: compute"))));
}

}  // namespace
}  // namespace elephas
