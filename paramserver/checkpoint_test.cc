#include "paramserver/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "common/safetensors.h"
#include "paramserver/checkpoint_writer.h"
#include "paramserver/core_test_support.h"

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
    checkpoint.incarnation = Incarnation(1700000000000);
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
    warnings_.clear();
    return Open(uid).WholeCuts([&](const std::string& text) { warnings_.push_back(text); });
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_)) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }
  fs::path File(std::int64_t cut) const {
    return path_ / ("checkpoint-0000000" + std::to_string(cut) + "-shard-0-of-1.safetensors");
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

TEST_F(CheckpointTest, CheckpointsOfAnotherRunAreNotOursAndGoWithOurFirst) {
  Save(7);
  EXPECT_THAT(Whole("uid-2"), IsEmpty());
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_THAT(Whole(""), ElementsAre(7)) << "resuming takes those of any run";
  Save(1, 3, "uid-2");
  EXPECT_THAT(Whole("uid-2"), ElementsAre(1));
  EXPECT_EQ(Files().size(), 1U);
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
  for (std::int64_t cut = 1; cut <= 4; ++cut) Save(cut);
  Open().RemoveAfter(2, "uid-2");
  EXPECT_THAT(Whole(), ElementsAre(1, 2, 3, 4));
  Open().RemoveAfter(2, "uid-1");
  EXPECT_THAT(Whole(), ElementsAre(1, 2));
}

TEST_F(CheckpointTest, ServersShareAFolderWithoutTouchingEachOther) {
  ASSERT_TRUE(Open("uid-1", 0, 2).Save(Sample(1), 1).ok());
  ASSERT_TRUE(Open("uid-1", 1, 2).Save(Sample(2), 1).ok());
  const auto quiet = [](const std::string&) {};
  EXPECT_THAT(Open("uid-1", 0, 2).WholeCuts(quiet), ElementsAre(1));
  EXPECT_THAT(Open("uid-1", 1, 2).WholeCuts(quiet), ElementsAre(2));
  EXPECT_THAT(Open("uid-1", 0, 1).WholeCuts(quiet), IsEmpty());
}

TEST_F(CheckpointTest, WhatAKilledProcessLeftUnfinishedIsRemovedAtTheNextStart) {
  Save(1);
  const std::string ours = ".checkpoint-00000002-shard-0-of-1.safetensors.123-0.tmp";
  const std::string neighbours = ".checkpoint-00000002-shard-1-of-2.safetensors.123-0.tmp";
  Write(path_ / ours, "half");
  Write(path_ / neighbours, "half");
  Write(path_ / "notes.txt", "a person's");
  Open();
  EXPECT_THAT(Files(), ElementsAre(neighbours, File(1).filename().string(), "notes.txt"));
}

TEST_F(CheckpointTest, OtherFilesInTheFolderAreLeftAlone) {
  for (const char* name : {"checkpoint-.safetensors", "checkpoint-x-shard-0-of-1.safetensors",
                           "checkpoint-shard-0-of-1.safetensors", "model.safetensors"}) {
    Write(path_ / name, "text");
  }
  Save(1, 1);
  EXPECT_THAT(Whole(), ElementsAre(1));
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_EQ(Files().size(), 5U);
}

TEST_F(CheckpointTest, ACutThatIsNotThereIsNotFound) {
  EXPECT_EQ(Open().Load(9, pool_).status().code(), Code::kNotFound);
}

TEST_F(CheckpointTest, AFolderThatCannotBeMadeIsAnErrorThatNamesIt) {
  Write(path_ / "file", "text");
  const auto opened = CheckpointFolder::Open((path_ / "file" / "ckpt").string(), "uid-1", 0, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().code(), Code::kInternal);
  EXPECT_THAT(opened.status().message(), HasSubstr((path_ / "file" / "ckpt").string()));
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
