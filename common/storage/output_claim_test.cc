#include "common/storage/output_claim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/atomic_file.h"

namespace elephas {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const OutputOwner kDigits{"uid-1", "digits", "ml"}, kClicks{"uid-2", "clicks"};
constexpr OutputClaimOptions kHasty{
    .refresh = milliseconds(5000), .silence = milliseconds(30000), .patience = milliseconds(0)};

class OutputClaimTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elephas-claim-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    folder_ = root_ + "/deep/out";
  }
  void TearDown() override { fs::remove_all(root_); }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_, error)) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }
  Result<OutputClaim> Take(const OutputOwner& owner) {
    return OutputClaim::Take(folder_, owner, kHasty);
  }
  // As if processes of another machine had made it, so long ago.
  void MoveToAnotherMachine(const std::string& name, std::chrono::seconds age) {
    const std::string path = folder_ + "/" + name;
    std::string text = ReadWholeFile(path, 4096).value();
    const std::size_t boot = text.find("\"boot\":\"") + 8;
    text.replace(boot, text.find('"', boot) - boot, "another-machine");
    std::ofstream(path, std::ios::trunc) << text;
    fs::last_write_time(path, fs::file_time_type::clock::now() - age);
  }
  std::string root_, folder_;
};

TEST_F(OutputClaimTest, WhatIsReleasedLeavesNothing) {
  auto claim = Take(kDigits);
  ASSERT_TRUE(claim.ok()) << claim.status().message();
  EXPECT_THAT(Names(), ElementsAre(".elephas-owner-1.json"));
  EXPECT_TRUE(claim->Refresh().ok());
  claim->Release();
  EXPECT_TRUE(fs::is_empty(root_)) << "the folders that were made for it go too";
}

TEST_F(OutputClaimTest, WhoComesWhileTheLastOneEndsWaitsForIt) {
  auto last = Take(kDigits);
  auto next = std::async(std::launch::async, [&] {
    return OutputClaim::Take(folder_, kClicks, {.patience = std::chrono::minutes(10)});
  });
  // It is probably waiting by now; if not, it finds the folder free.
  EXPECT_EQ(next.wait_for(milliseconds(50)), std::future_status::timeout);
  last->Release();
  const Result<OutputClaim> claim = next.get();
  ASSERT_TRUE(claim.ok()) << claim.status().message();
  EXPECT_EQ(Take(kDigits).status().code(), Code::kConflict);
}

TEST_F(OutputClaimTest, FoldersThatWereThereOrHoldSomethingStay) {
  fs::create_directories(root_ + "/deep");
  auto claim = Take(kDigits);
  std::ofstream(folder_ + "/model.keras") << "model";
  claim->Release();
  EXPECT_THAT(Names(), ElementsAre("model.keras"));
  fs::remove_all(folder_);
  claim = Take(kDigits);
  claim->Release();
  EXPECT_FALSE(fs::exists(folder_));
  EXPECT_TRUE(fs::exists(root_ + "/deep"));
}

TEST_F(OutputClaimTest, ASecondJobIsRefusedWithTheFirstOnesName) {
  auto claim = Take(kDigits);
  const auto refused = Take(kClicks);
  ASSERT_EQ(refused.status().code(), Code::kConflict);
  for (const char* part : {"/deep/out", "job 'digits' of namespace 'ml'", "uid-1"}) {
    EXPECT_THAT(refused.status().message(), HasSubstr(part));
  }
  EXPECT_EQ(Names().size(), 1U);
  EXPECT_TRUE(claim->Refresh().ok());
  claim->Release();
  EXPECT_TRUE(Take(kClicks).ok());
}

TEST_F(OutputClaimTest, ProcessesOfOneJobShareAClaim) {
  auto first = Take(kDigits);
  auto second = Take(kDigits);
  ASSERT_TRUE(second.ok()) << second.status().message();
  {
    const OutputClaim gone = *std::move(first);
  }
  EXPECT_EQ(Take(kClicks).status().code(), Code::kConflict) << "the second still holds it";
  second->Release();
  EXPECT_TRUE(Take(kClicks).ok());
}

// kill -9: the kernel lets go of the lock, whatever the file says.
TEST_F(OutputClaimTest, AProcessThatWasKilledBlocksNobody) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto claim = Take(kDigits);
    (void)!::write(pipe_ends[1], claim.ok() ? "y" : "n", 1);
    for (;;) ::pause();
  }
  char told = 0;
  ASSERT_EQ(::read(pipe_ends[0], &told, 1), 1);
  ASSERT_EQ(told, 'y');
  EXPECT_EQ(Take(kClicks).status().code(), Code::kConflict);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const auto claim = Take(kClicks);
  ASSERT_TRUE(claim.ok()) << claim.status().message();
  EXPECT_THAT(Names(), ElementsAre(".elephas-owner-2.json"));
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

TEST_F(OutputClaimTest, AClaimOfAnotherMachineLastsAsLongAsItIsRefreshed) {
  {
    const auto gone = Take(kDigits);
  }
  MoveToAnotherMachine(".elephas-owner-1.json", std::chrono::seconds(20));
  EXPECT_EQ(Take(kClicks).status().code(), Code::kConflict);
  MoveToAnotherMachine(".elephas-owner-1.json", std::chrono::seconds(40));
  EXPECT_TRUE(Take(kClicks).ok());
}

TEST_F(OutputClaimTest, WhenSeveralMachinesHoldAClaimNoLockSaysThatNobodyDoes) {
  {
    const auto gone = Take(kDigits);
  }
  MoveToAnotherMachine(".elephas-owner-1.json", std::chrono::seconds(0));
  {
    const auto here_too = Take(kDigits);
  }
  EXPECT_EQ(Take(kClicks).status().code(), Code::kConflict);
}

TEST_F(OutputClaimTest, AJobWhoseFolderWasTakenOverHearsWhoDidIt) {
  auto claim = Take(kDigits);
  // It was stopped for long, and its lock could not be seen.
  std::ofstream(folder_ + "/.elephas-owner-2.json") << R"({"uid": "uid-2", "name": "clicks"})";
  const Status lost = claim->Refresh();
  EXPECT_EQ(lost.code(), Code::kConflict);
  EXPECT_THAT(lost.message(), HasSubstr("job 'clicks'"));
  claim->Release();
  EXPECT_THAT(Names(), ElementsAre(".elephas-owner-2.json"));
}

TEST_F(OutputClaimTest, AClaimThatSomebodyRemovedIsToldApart) {
  auto claim = Take(kDigits);
  fs::remove(folder_ + "/.elephas-owner-1.json");
  EXPECT_EQ(claim->Refresh().code(), Code::kNotFound);
}

TEST_F(OutputClaimTest, AFileThatSaysNothingIsHeldUntilItIsOld) {
  fs::create_directories(folder_);
  const std::string path = folder_ + "/.elephas-owner-7.json";
  std::ofstream(path) << "{";
  EXPECT_EQ(Take(kClicks).status().code(), Code::kConflict);
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::minutes(5));
  EXPECT_TRUE(Take(kClicks).ok());
  EXPECT_THAT(Names(), ElementsAre(".elephas-owner-8.json"));
}

TEST_F(OutputClaimTest, OfJobsThatStartAtOnceOneGetsTheFolder) {
  for (int round = 0; round < 20; ++round) {
    std::vector<std::optional<Result<OutputClaim>>> claims(6);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < claims.size(); ++i) {
      threads.emplace_back([&, i] {
        claims[i].emplace(Take({"uid-" + std::to_string(i), "job-" + std::to_string(i)}));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(std::ranges::count_if(claims, [](const auto& claim) { return claim->ok(); }), 1);
    for (auto& claim : claims) {
      if (claim->ok()) (*claim)->Release();
    }
  }
}

TEST_F(OutputClaimTest, AFolderThatCannotBeWrittenIsForbiddenAndNamesTheUser) {
  std::ofstream(root_ + "/deep") << "a file";
  const auto refused = Take(kDigits);
  EXPECT_EQ(refused.status().code(), Code::kForbidden);
  EXPECT_THAT(refused.status().message(), HasSubstr("/deep/out cannot be written"));
  EXPECT_THAT(refused.status().message(), HasSubstr("user " + std::to_string(::geteuid())));
}

TEST_F(OutputClaimTest, WhatAJobLeftBehindIsRemovedByItsUid) {
  {
    const auto gone = Take(kDigits);
  }
  OutputClaim::Remove(folder_, "uid-2");
  EXPECT_EQ(Names().size(), 1U);
  OutputClaim::Remove(folder_, "uid-1");
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_FALSE(fs::exists(folder_));
}

}  // namespace
}  // namespace elephas
