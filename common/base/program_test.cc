#include "common/base/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <string>

#include "common/base/testing/test_folder.h"

namespace elephas {
namespace {

using ::testing::HasSubstr;

std::string Read(const TestFolder& folder, const std::string& text) {
  const Result<std::string> token = ReadToken(folder.Write("token", text));
  return token.ok() ? "good: " + *token : token.status().message();
}

TEST(ReadToken, TakesOneVisibleLineAndNothingElse) {
  const TestFolder folder;
  EXPECT_THAT(ReadToken(folder.Path("none")).status().message(), HasSubstr("none"));
  EXPECT_EQ(Read(folder, "s3cret"), "good: s3cret");
  EXPECT_EQ(Read(folder, "s3cret\n"), "good: s3cret");
  EXPECT_EQ(Read(folder, "s3cret\r\n"), "good: s3cret");
  EXPECT_THAT(Read(folder, ""), HasSubstr("the token is empty"));
  EXPECT_THAT(Read(folder, "\n"), HasSubstr("the token is empty"));
  for (const char* wrong : {"two words", "two\nlines\n", "\tx", "schl\xC3\xBCssel", " "}) {
    EXPECT_THAT(Read(folder, wrong), HasSubstr("one line of visible characters")) << wrong;
  }
  EXPECT_THAT(Read(folder, std::string(5000, 'a')), HasSubstr("token"));
}

TEST(BlockSignals, WhatIsBlockedWaitsToBeFetched) {
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  const sigset_t blocked = BlockSignals({SIGUSR1});
  raise(SIGUSR1);  // would end the process otherwise
  int signal = 0;
  EXPECT_EQ(sigwait(&blocked, &signal), 0);
  EXPECT_EQ(signal, SIGUSR1);
  EXPECT_EQ(sigismember(&blocked, SIGTERM), 0);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace
}  // namespace elephas
