#include "paramserver/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/protocol/safetensors.h"
#include "paramserver/checkpoint/writer.h"
#include "paramserver/testing/core_fixture.h"

namespace elephas {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "elephas-checkpoint-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  void TearDown() override { fs::remove_all(path_); }

  static constexpr Incarnation kIncarnation{1700000000000};

  CheckpointFolder Open(const std::string& uid = "uid-1", std::int64_t shard = 0,
                        std::int64_t shards = 1) {
    return CheckpointFolder::Open(path_.string(), uid, shard, shards).value();
  }
  Checkpoint Sample(std::int64_t cut, const std::string& uid = "uid-1") {
    Checkpoint checkpoint;
    checkpoint.uid = uid;
    checkpoint.cut = cut;
    checkpoint.version = Version(40 + cut);
    checkpoint.iterations = 17;
    checkpoint.incarnation = kIncarnation;
    checkpoint.seed = 18446744073709551615U;
    checkpoint.layout = {{"weights", "\"checksum\":\"00000000\""}};  // must not be mistaken for it
    checkpoint.plan = {{"partitions", 4}};
    checkpoint.ledger = {{"closedTasks", cut}};
    checkpoint.parameters = Floats(pool_, {1, -2, 3.5F});
    checkpoint.slots = {Floats(pool_, {4, 5}), Floats(pool_, {6, 7})};
    checkpoint.slot_names = {"velocity", "momentum"};
    return checkpoint;
  }
  void Save(std::int64_t cut, std::int64_t keep = 10, const std::string& uid = "uid-1") {
    const Status saved = Open(uid).Save(Sample(cut, uid), keep).status();
    ASSERT_TRUE(saved.ok()) << saved.message();
  }
  std::vector<std::int64_t> Whole(const std::string& uid = "uid-1") {
    CheckpointFolder::Search found = Open(uid).Find();
    warnings_ = std::move(found.broken);
    return std::move(found.whole);
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(path_)) {
      if (!entry.is_directory()) names.push_back(entry.path().lexically_relative(path_).string());
    }
    std::ranges::sort(names);
    return names;
  }
  static std::string Name(std::int64_t cut, Incarnation incarnation = kIncarnation) {
    return CheckpointName(cut, incarnation, 0, 1);
  }
  fs::path File(std::int64_t cut, const std::string& uid = "uid-1") const {
    return path_ / uid / Name(cut);
  }
  // As it was when all runs wrote into one folder.
  void MakeFlat(std::int64_t cut, const std::string& uid) const {
    fs::rename(File(cut, uid),
               path_ / ("checkpoint-0000000" + std::to_string(cut) + "-shard-0-of-1.safetensors"));
  }
  static std::string Read(const fs::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static void Write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }

  fs::path path_;
  BufferPool pool_;
  std::vector<std::string> warnings_;
};

TEST_F(CheckpointTest, WhatIsLoadedIsWhatWasSaved) {
  Save(3);
  EXPECT_THAT(Whole(), ElementsAre(3));
  const Result<Checkpoint> loaded = Open().Load(3, pool_);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const Checkpoint saved = Sample(3);
  EXPECT_EQ(loaded->uid, saved.uid);
  EXPECT_EQ(loaded->cut, saved.cut);
  EXPECT_EQ(loaded->version, saved.version);
  EXPECT_EQ(loaded->iterations, saved.iterations);
  EXPECT_EQ(loaded->incarnation, saved.incarnation);
  EXPECT_EQ(loaded->seed, saved.seed);
  EXPECT_EQ(loaded->layout, saved.layout);
  EXPECT_EQ(loaded->plan, saved.plan);
  EXPECT_EQ(loaded->ledger, saved.ledger);
  EXPECT_EQ(Values(*loaded->parameters), Values(*saved.parameters));
  EXPECT_EQ(loaded->slot_names, saved.slot_names);
  ASSERT_EQ(loaded->slots.size(), 2U);
  EXPECT_THAT(Values(*loaded->slots[0]), ElementsAre(4, 5));
  EXPECT_THAT(Values(*loaded->slots[1]), ElementsAre(6, 7));
}

TEST_F(CheckpointTest, AServerMayHaveNoParametersAndEmptySlots) {
  Checkpoint checkpoint = Sample(1);
  checkpoint.parameters = Floats(pool_, {});
  checkpoint.slots = {Floats(pool_, {}), Floats(pool_, {})};
  ASSERT_TRUE(Open().Save(checkpoint, 3).ok());
  EXPECT_THAT(Whole(), ElementsAre(1));
  const Result<Checkpoint> loaded = Open().Load(1, pool_);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_TRUE(loaded->parameters->floats().empty());
  EXPECT_EQ(loaded->slots.size(), 2U);
}

TEST_F(CheckpointTest, AnyToolReadsTheFile) {
  Save(1);
  const Result<safetensors::File> file = safetensors::ReadFile(File(1).string());
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->header.metadata.at("uid"), "uid-1");
  ASSERT_NE(file->header.Find("slot/momentum"), nullptr);
  EXPECT_EQ(file->header.Find("parameters")->shape, (std::vector<std::int64_t>{3}));
}

TEST_F(CheckpointTest, AFileCutOffAnywhereIsNotWhole) {
  Save(1);
  const std::string bytes = Read(File(1));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    Write(File(1), bytes.substr(0, length));
    ASSERT_THAT(Whole(), IsEmpty()) << "cut off after " << length << " bytes";
    ASSERT_EQ(warnings_.size(), 1U);
    ASSERT_THAT(warnings_[0], HasSubstr(File(1).string()));
    ASSERT_FALSE(Open().Load(1, pool_).ok());
  }
  Write(File(1), bytes + '\0');
  EXPECT_THAT(Whole(), IsEmpty());
  Write(File(1), bytes);
  EXPECT_THAT(Whole(), ElementsAre(1));
}

TEST_F(CheckpointTest, AFlippedBitAnywhereIsFound) {
  Save(1);
  const std::string bytes = Read(File(1));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string broken = bytes;
    broken[i] = static_cast<char>(broken[i] ^ (1 << (i % 8)));
    Write(File(1), broken);
    ASSERT_THAT(Whole(), IsEmpty()) << "bit flipped in byte " << i << " of " << bytes.size();
    ASSERT_FALSE(Open().Load(1, pool_).ok()) << i;
  }
}

TEST_F(CheckpointTest, ABrokenFileDoesNotHideAnOlderWholeOne) {
  Save(1);
  Save(2);
  Write(File(2), Read(File(2)).substr(0, 100));
  EXPECT_THAT(Whole(), ElementsAre(1));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("truncated")));
}

TEST_F(CheckpointTest, OnlyTheNewestAreKept) {
  for (std::int64_t cut = 1; cut <= 5; ++cut) Save(cut, 2);
  EXPECT_THAT(Whole(), ElementsAre(4, 5));
  EXPECT_EQ(Files().size(), 2U);
}

TEST_F(CheckpointTest, CheckpointsOfAnotherRunAreNotOursAndStay) {
  Save(7);
  EXPECT_THAT(Whole("uid-2"), IsEmpty());
  EXPECT_THAT(warnings_, IsEmpty());
  for (std::int64_t cut = 1; cut <= 4; ++cut) Save(cut, 1, "uid-2");
  EXPECT_THAT(Whole("uid-2"), ElementsAre(4));
  EXPECT_THAT(Whole(), ElementsAre(7));
  EXPECT_THAT(Files(), ElementsAre("uid-1/" + Name(7), "uid-2/" + Name(4)));
}

TEST_F(CheckpointTest, TheCheckpointsOfARunThatIsContinuedCountUpToItsCut) {
  for (std::int64_t cut = 1; cut <= 4; ++cut) Save(cut);
  CheckpointFolder folder = Open("uid-2");
  ASSERT_EQ(folder.OtherRuns().size(), 1U);
  EXPECT_EQ(folder.OtherRuns()[0].uid, "uid-1");
  EXPECT_EQ(folder.OtherRuns()[0].cut, 4);
  folder.Continue("uid-1", 3);
  EXPECT_THAT(folder.Find().whole, ElementsAre(1, 2, 3));
  EXPECT_EQ(folder.Load(3, pool_)->uid, "uid-1");
  // The claim tells whoever starts next, whatever other runs there are by then.
  ASSERT_TRUE(folder.Claim(kIncarnation, 3).ok());
  Save(9, 10, "uid-3");
  EXPECT_EQ(Open("uid-2").run(), "uid-1");
  Checkpoint own = Sample(4, "uid-2");
  own.incarnation = folder.claimed();
  ASSERT_TRUE(folder.Save(own, 1).ok());
  EXPECT_THAT(Open("uid-2").Find().whole, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(Open("uid-2").Load(4, pool_)->uid, "uid-2");
  EXPECT_THAT(Whole(), ElementsAre(1, 2, 3, 4));
}

TEST_F(CheckpointTest, TheRunThatWasStartedLastIsTheFirstOfTheOthers) {
  Save(9, 10, "uid-2");
  Checkpoint later = Sample(1, "uid-3");
  later.incarnation = Incarnation(kIncarnation.value() + 1);
  ASSERT_TRUE(Open("uid-3").Save(later, 1).ok());
  ASSERT_TRUE(Open("uid-4", 1, 2).Save(Sample(5, "uid-4"), 1).ok());
  Open("uid-5");
  const std::vector<CheckpointFolder::Run> others = Open().OtherRuns();
  ASSERT_EQ(others.size(), 3U) << "a run without checkpoints is none";
  EXPECT_EQ(others[0].uid, "uid-3");
  EXPECT_EQ(others[1].uid, "uid-2");
  EXPECT_EQ(others[2].cut, 0) << "of a job with another number of servers";
}

// Files that an earlier version wrote, all runs into one folder.
TEST_F(CheckpointTest, FilesOfTheOldLayoutAreReadAndNeverChanged) {
  for (const std::int64_t cut : {3, 4}) {
    Save(cut);
    MakeFlat(cut, "uid-1");
  }
  EXPECT_THAT(Whole(), ElementsAre(3, 4)) << "our own: the program was replaced while we ran";
  CheckpointFolder folder = Open();
  EXPECT_GT(folder.Claim(Incarnation(1), 4).value(), kIncarnation);
  Checkpoint next = Sample(5);
  next.incarnation = folder.claimed();
  ASSERT_TRUE(folder.Save(next, 1).ok());
  EXPECT_THAT(Whole(), ElementsAre(3, 4, 5));
  CheckpointFolder other = Open("uid-2");
  ASSERT_EQ(other.OtherRuns().size(), 1U);
  other.Continue("uid-1", 4);
  EXPECT_THAT(other.Find().whole, ElementsAre(3, 4));
}

// With `keep: 1` a newer file of a course of events that was given up once pushed out the
// checkpoint that had just been written.
TEST_F(CheckpointTest, SavingRemovesNewerCutsThatWereGivenUp) {
  Save(4);
  Save(6);
  Save(5, 1);
  EXPECT_THAT(Whole(), ElementsAre(5));
}

TEST_F(CheckpointTest, GoingBackRemovesWhatIsNewerAndOurs) {
  for (std::int64_t cut = 1; cut <= 4; ++cut) {
    Save(cut);
    Save(cut, 10, "uid-2");
  }
  CheckpointFolder folder = Open();
  ASSERT_TRUE(folder.Claim(Incarnation(1), 2).ok());
  EXPECT_THAT(folder.Find().whole, ElementsAre(1, 2)) << "what the claim hides no longer counts";
  EXPECT_TRUE(fs::exists(File(3)));
  folder.RemoveGivenUp(folder.claimed());
  EXPECT_FALSE(fs::exists(File(3)));
  EXPECT_THAT(Whole(), ElementsAre(1, 2));
  EXPECT_THAT(Whole("uid-2"), ElementsAre(1, 2, 3, 4));
}

// ---------------------------------------------------------------- the fence

// A node was cut off from the network and its server lived on; its volume was mounted elsewhere.
TEST_F(CheckpointTest, AServerThatWasSucceededLeavesTheSuccessorsCheckpointsAlone) {
  CheckpointFolder old = Open();
  ASSERT_TRUE(old.Claim(kIncarnation, 0).ok());
  Checkpoint checkpoint = Sample(1);
  checkpoint.incarnation = old.claimed();
  ASSERT_TRUE(old.Save(checkpoint, 1).ok());

  CheckpointFolder successor = Open();
  ASSERT_TRUE(successor.Claim(kIncarnation, 1).ok());
  ASSERT_GT(successor.claimed(), old.claimed());
  for (std::int64_t cut = 2; cut <= 4; ++cut) {
    Checkpoint next = Sample(cut);
    next.incarnation = successor.claimed();
    ASSERT_TRUE(successor.Save(next, 10).ok());
  }
  checkpoint = Sample(2);
  checkpoint.incarnation = old.claimed();
  const Status fenced = old.Save(checkpoint, 1).status();
  EXPECT_EQ(fenced.code(), Code::kConflict);
  EXPECT_THAT(fenced.message(), HasSubstr("has taken over"));
  old.RemoveGivenUp(old.claimed());
  EXPECT_THAT(Whole(), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(Open().Load(2, pool_)->incarnation, successor.claimed());
}

// A network file system may show a claim late: then names alone have to keep them apart.
TEST_F(CheckpointTest, AFileOfAnOlderIncarnationThatComesLateDoesNotCount) {
  CheckpointFolder successor = Open();
  ASSERT_TRUE(successor.Claim(Incarnation(kIncarnation.value() + 1), 1).ok());
  const fs::path claim =
      path_ / "uid-1" /
      ("incarnation-" + std::to_string(successor.claimed().value()) + "-shard-0-of-1.json");
  for (std::int64_t cut = 2; cut <= 4; ++cut) {
    Checkpoint next = Sample(cut);
    next.incarnation = successor.claimed();
    ASSERT_TRUE(successor.Save(next, 10).ok());
  }
  fs::rename(claim, path_ / "not seen yet");
  Save(1, 10);
  Save(2, 1);
  Save(5, 1);
  EXPECT_TRUE(fs::exists(path_ / "uid-1" / Name(3, successor.claimed())));
  fs::rename(path_ / "not seen yet", claim);
  EXPECT_THAT(Whole(), ElementsAre(2, 3, 4));
  EXPECT_EQ(Open().Load(2, pool_)->incarnation, successor.claimed());
}

TEST_F(CheckpointTest, IncarnationsGrowWhateverTheClockSays) {
  Incarnation last;
  for (const std::int64_t clock : {5000, 4000, 1, 4000, 6000, 5000, 5000}) {
    CheckpointFolder folder = Open();
    const Result<Incarnation> claimed = folder.Claim(Incarnation(clock), std::nullopt);
    ASSERT_TRUE(claimed.ok()) << claimed.status().message();
    EXPECT_GT(*claimed, last);
    EXPECT_GE(claimed->value(), clock);
    last = *claimed;
  }
  EXPECT_EQ(Files().size(), 1U) << "claims that say nothing any more are removed";
}

TEST_F(CheckpointTest, ProcessesThatStartAtOnceClaimDifferentIncarnations) {
  constexpr int kProcesses = 8, kEach = 20;
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<std::int64_t> claimed;
  for (int i = 0; i < kProcesses; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < kEach; ++k) {
        CheckpointFolder folder = Open();
        const Result<Incarnation> incarnation = folder.Claim(kIncarnation, 0);
        ASSERT_TRUE(incarnation.ok()) << incarnation.status().message();
        const std::lock_guard lock(mutex);
        claimed.push_back(incarnation->value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::ranges::sort(claimed);
  EXPECT_EQ(std::ranges::unique(claimed).size(), 0U);
}

TEST_F(CheckpointTest, AnIncarnationThatIsTakenIsRefused) {
  CheckpointFolder one = Open(), two = Open();
  ASSERT_TRUE(one.ClaimExactly(kIncarnation, 0).ok());
  EXPECT_EQ(two.ClaimExactly(kIncarnation, 0).code(), Code::kConflict);
  EXPECT_EQ(two.ClaimExactly(Incarnation(kIncarnation.value() - 1), 0).code(), Code::kConflict);
  EXPECT_TRUE(one.CheckFence(one.claimed()).ok());
}

// A peer of its own that started again made an old server 0 choose anew.
TEST_F(CheckpointTest, WhoeverWasSucceededDoesNotTakeOverInItsTurn) {
  CheckpointFolder old = Open(), successor = Open();
  ASSERT_TRUE(old.Claim(kIncarnation, 0).ok());
  ASSERT_TRUE(successor.Claim(kIncarnation, 0).ok());
  EXPECT_EQ(old.Claim(Incarnation(kIncarnation.value() + 99), 0).status().code(), Code::kConflict);
  EXPECT_EQ(old.ClaimExactly(Incarnation(kIncarnation.value() + 99), 0).code(), Code::kConflict);
  EXPECT_TRUE(successor.Claim(kIncarnation, 0).ok());
}

TEST_F(CheckpointTest, AClaimMayBeTriedAgainByWhoeverMadeIt) {
  CheckpointFolder folder = Open();
  ASSERT_TRUE(folder.ClaimExactly(kIncarnation, 2).ok());
  EXPECT_TRUE(folder.ClaimExactly(kIncarnation, 2).ok());
}

// ---------------------------------------------------------------- the folder

TEST_F(CheckpointTest, AUidThatIsNoFoldersNameIsRefused) {
  for (const std::string uid : {"", "..", "../uid-1", "a/b", ".hidden", "a b"}) {
    EXPECT_EQ(CheckpointFolder::Open(path_.string(), uid, 0, 1).status().code(), Code::kInvalid)
        << uid;
  }
}

TEST_F(CheckpointTest, ServersShareAFolderWithoutTouchingEachOther) {
  ASSERT_TRUE(Open("uid-1", 0, 2).Save(Sample(1), 1).ok());
  ASSERT_TRUE(Open("uid-1", 1, 2).Save(Sample(2), 1).ok());
  EXPECT_THAT(Open("uid-1", 0, 2).Find().whole, ElementsAre(1));
  EXPECT_THAT(Open("uid-1", 1, 2).Find().whole, ElementsAre(2));
  EXPECT_THAT(Open("uid-1", 0, 1).Find().whole, IsEmpty());
}

TEST_F(CheckpointTest, WhatAKilledProcessLeftUnfinishedIsRemovedAtTheNextStart) {
  Save(1);
  const std::string ours = ".checkpoint-00000002-incarnation-7-shard-0-of-1.safetensors.12.tmp";
  const std::string neighbours =
      ".checkpoint-00000002-incarnation-7-shard-1-of-2.safetensors.1.tmp";
  fs::create_directories(path_ / "uid-2");
  for (const char* folder : {"uid-1", "uid-2"}) Write(path_ / folder / ours, "half");
  Write(path_ / "uid-1" / neighbours, "half");
  Write(path_ / "uid-1" / "notes.txt", "a person's");
  Open();
  EXPECT_THAT(Files(), ElementsAre("uid-1/" + neighbours, "uid-1/" + Name(1), "uid-1/notes.txt",
                                   "uid-2/" + ours));
}

TEST_F(CheckpointTest, OtherFilesInTheFolderAreLeftAlone) {
  for (const char* name : {"checkpoint-.safetensors", "checkpoint-x-shard-0-of-1.safetensors",
                           "checkpoint-shard-0-of-1.safetensors", "model.safetensors"}) {
    Write(path_ / name, "text");
    fs::create_directories(path_ / "uid-1");
    Write(path_ / "uid-1" / name, "text");
  }
  Save(1, 1);
  EXPECT_THAT(Whole(), ElementsAre(1));
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_EQ(Files().size(), 9U);
}

TEST_F(CheckpointTest, ACutThatIsNotThereIsNotFound) {
  EXPECT_EQ(Open().Load(9, pool_).status().code(), Code::kNotFound);
}

TEST_F(CheckpointTest, AFolderThatCannotBeMadeIsAnErrorThatNamesIt) {
  Write(path_ / "file", "text");
  const auto opened = CheckpointFolder::Open((path_ / "file" / "ckpt").string(), "uid-1", 0, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), Code::kForbidden);
  EXPECT_THAT(opened.status().message(), HasSubstr((path_ / "file" / "ckpt").string()));
  EXPECT_THAT(opened.status().message(), HasSubstr("user " + std::to_string(::geteuid())));
}

// A limit on the file's size stands in for a full disk: both fail in write().
TEST_F(CheckpointTest, ADiskThatTakesNoMoreIsAnErrorAndLeavesTheOldOnesWhole) {
  Save(1);
  struct rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit tight = before;
  tight.rlim_cur = 200;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const Status saved = Open().Save(Sample(2), 1).status();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(saved.code(), Code::kInternal);
  EXPECT_THAT(saved.message(), HasSubstr(File(2).string()));
  EXPECT_THAT(Whole(), ElementsAre(1));
  EXPECT_EQ(Files().size(), 1U);
}

// ---------------------------------------------------------------- the writer's thread

TEST_F(CheckpointTest, TheWriterWritesInTheBackgroundAndTellsHowItWent) {
  std::vector<std::string> told;
  CheckpointWriter writer(Open(), 10, [&](const CheckpointWriter::Report& report) {
    told.push_back(std::to_string(report.cut) + (report.status.ok() ? " ok" : " failed"));
    if (report.status.ok()) {
      EXPECT_EQ(report.bytes, fs::file_size(File(report.cut)));
    }
  });
  writer.Submit(Sample(1), /*may_replace=*/false);
  writer.Submit(Sample(2), /*may_replace=*/false);
  writer.Drain();
  EXPECT_THAT(told, ElementsAre("1 ok", "2 ok"));
  EXPECT_THAT(Whole(), ElementsAre(1, 2));
  fs::remove_all(path_);
  Write(path_, "in the way");
  writer.Submit(Sample(3), false);
  writer.Drain();
  EXPECT_EQ(told.back(), "3 failed");
}

TEST_F(CheckpointTest, TheWriterMaySkipAllButTheNewestWhenItIsTooSlow) {
  {
    CheckpointWriter writer(Open(), 100, [](const CheckpointWriter::Report&) {});
    for (std::int64_t cut = 1; cut <= 9; ++cut) writer.Submit(Sample(cut), /*may_replace=*/true);
  }  // what waits is written before it goes
  EXPECT_EQ(Whole().back(), 9);
}

TEST_F(CheckpointTest, TheWriterGivesBuffersBackBeforeItTells) {
  std::weak_ptr<const FloatBuffer> parameters;
  bool gone = false;
  CheckpointWriter writer(Open(), 10,
                          [&](const CheckpointWriter::Report&) { gone = parameters.expired(); });
  Checkpoint checkpoint = Sample(1);
  parameters = checkpoint.parameters;
  writer.Submit(std::move(checkpoint), false);
  writer.Drain();
  EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace elephas
