#include "paramserver/store/parameter_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "paramserver/testing/core_fixture.h"

namespace elephas {
namespace {

using testing::ElementsAre;

class ParameterStoreTest : public testing::Test {
 protected:
  // Elements 10 to 15 of an arena; the first three are trained.
  void SetUp() override { store_.Set(Floats(pool_, {1, 2, 3, 4, 5}), {}, Version(7), 3); }
  void WithSlots(const std::vector<std::vector<float>>& slots) {
    std::vector<std::shared_ptr<FloatBuffer>> buffers;
    for (const auto& slot : slots) buffers.push_back(Floats(pool_, slot));
    store_.Set(Floats(pool_, {1, 2, 3, 4, 5}), std::move(buffers), Version(7), 3);
  }
  std::vector<float> Parameters() { return Values(*store_.parameters()); }
  std::vector<float> Slot(std::size_t i) { return Values(*store_.slots()[i]); }

  BufferPool pool_;
  ParameterStore store_{{10, 15}, 3, pool_};
};

TEST_F(ParameterStoreTest, HoldsWhatItWasGiven) {
  EXPECT_TRUE(store_.initialised());
  EXPECT_FALSE(ParameterStore({0, 1}, 1, pool_).initialised());
  EXPECT_EQ(store_.version(), Version(7));
  EXPECT_EQ(store_.iterations(), 3);
  EXPECT_THAT(Parameters(), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(ParameterStoreTest, SubtractMakesTheNextSnapshotAndPublishShowsIt) {
  const SharedFloats before = store_.parameters();
  ParameterStore::Next next = store_.Subtract(std::vector<float>{1, 1, 1, -1, 0});
  EXPECT_THAT(Parameters(), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(store_.version(), Version(7));
  store_.Publish(std::move(next));
  EXPECT_THAT(Parameters(), ElementsAre(0, 1, 2, 5, 5));
  EXPECT_THAT(Values(*before), ElementsAre(1, 2, 3, 4, 5)) << "a reader's snapshot has changed";
  EXPECT_EQ(store_.version(), Version(8));
  EXPECT_EQ(store_.iterations(), 3);
}

TEST_F(ParameterStoreTest, AverageSubtractsTheMeanDeltaAndTakesTheMeanSlots) {
  WithSlots({{9, 9, 9}});
  Round::Contribution mean{Floats(pool_, {1, 1, 1, 1, 1}), {Floats(pool_, {4, 5, 6})}, 20};
  store_.Publish(store_.Average(mean));
  EXPECT_THAT(Parameters(), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(Slot(0), ElementsAre(4, 5, 6));
  EXPECT_EQ(store_.iterations(), 23);
  EXPECT_EQ(store_.version(), Version(8));
}

TEST_F(ParameterStoreTest, StepRunsTheOptimizerOnWhatIsTrainedAndSubtractsTheRest) {
  WithSlots({{1, 1, 1}});
  const auto optimizer =
      Optimizer::FromConfig(
          {{"class_name", "SGD"}, {"config", {{"learning_rate", 0.5}, {"momentum", 0.5}}}})
          .value();
  const std::vector<WeightSlice> weights{{"w", 0, 3}};
  Round::Contribution mean{Floats(pool_, {2, 4, 6, 1, -1}), {}, 1};
  store_.Publish(store_.Step(*optimizer, weights, mean));
  // velocity = 0.5 * 1 - 0.5 * gradient; parameter += velocity
  EXPECT_THAT(Slot(0), ElementsAre(-0.5, -1.5, -2.5));
  EXPECT_THAT(Parameters(), ElementsAre(0.5, 0.5, 0.5, 3, 6));
  EXPECT_EQ(store_.iterations(), 4);
}

// Writes down what it was called with.
class FakeOptimizer : public Optimizer {
 public:
  [[nodiscard]] nlohmann::json Config() const override { return {}; }
  [[nodiscard]] std::vector<std::string> SlotNames() const override { return {"count"}; }
  [[nodiscard]] double LearningRate(std::int64_t) const override { return 1; }
  [[nodiscard]] bool NeedsWholeGradient() const override { return false; }
  void Finalize(std::span<float>, std::span<const std::span<float>>) const override {}
  [[nodiscard]] std::vector<std::vector<std::string>> SlotGroups() const override { return {}; }
  [[nodiscard]] std::vector<float> TrailingScalars(std::int64_t) const override { return {}; }
  [[nodiscard]] bool HasSchedule() const override { return false; }
  void Step(std::int64_t iteration, std::span<float> parameters, std::span<float> gradients,
            std::span<const std::span<float>> slots,
            std::span<const WeightSlice> weights) const override {
    last_iteration = iteration;
    last_weights = static_cast<std::int64_t>(weights.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameters[i] -= gradients[i];
      slots[0][i] += 1;
    }
  }
  mutable std::int64_t last_iteration = -1, last_weights = -1;
};

TEST_F(ParameterStoreTest, TheOptimizerIsToldHowManyStepsCameBefore) {
  WithSlots({{0, 0, 0}});
  const FakeOptimizer optimizer;
  Round::Contribution mean{Floats(pool_, {0, 0, 0, 0, 0}), {}, 1};
  store_.Publish(store_.Step(optimizer, std::vector<WeightSlice>{{"a", 0, 1}, {"b", 1, 2}}, mean));
  EXPECT_EQ(optimizer.last_iteration, 3);
  EXPECT_EQ(optimizer.last_weights, 2);
}

TEST_F(ParameterStoreTest, SlotsThatAReaderHoldsAreCopiedAndOthersChangeInPlace) {
  WithSlots({{0, 0, 0}});
  const FakeOptimizer optimizer;
  const float* memory = store_.slots()[0]->floats().data();
  const auto step = [&] {
    Round::Contribution mean{Floats(pool_, {0, 0, 0, 0, 0}), {}, 1};
    store_.Publish(store_.Step(optimizer, {}, mean));
  };
  step();
  EXPECT_EQ(store_.slots()[0]->floats().data(), memory);
  const std::vector<SharedFloats> checkpoint = store_.slots();
  step();
  step();
  EXPECT_THAT(Values(*checkpoint[0]), ElementsAre(1, 1, 1));
  EXPECT_THAT(Slot(0), ElementsAre(3, 3, 3));
  EXPECT_NE(store_.slots()[0]->floats().data(), memory);
}

// The reader's last look and the change in place are on different threads: under the thread
// sanitizer this fails when nothing orders them.
TEST_F(ParameterStoreTest, AReaderThatLetsGoOfASlotIsDoneWithIt) {
  WithSlots({{0, 0, 0}});
  const FakeOptimizer optimizer;
  for (int round = 0; round < 300; ++round) {
    std::vector<SharedFloats> held = store_.slots();
    const auto expected = static_cast<float>(round);
    std::jthread reader([held = std::move(held), expected]() mutable {
      EXPECT_THAT(Values(*held[0]), ElementsAre(expected, expected, expected));
      held.clear();
    });
    Round::Contribution mean{Floats(pool_, {0, 0, 0, 0, 0}), {}, 1};
    store_.Publish(store_.Step(optimizer, {}, mean));
  }
  EXPECT_THAT(Slot(0), ElementsAre(300, 300, 300));
}

TEST_F(ParameterStoreTest, ARangeWithoutTrainedElementsOrWithoutAnyWorks) {
  ParameterStore rest({3, 5}, 0, pool_);
  rest.Set(Floats(pool_, {1, 2}), {Floats(pool_, {})}, Version(0), 0);
  const FakeOptimizer optimizer;
  Round::Contribution mean{Floats(pool_, {1, 1}), {}, 1};
  rest.Publish(rest.Step(optimizer, {}, mean));
  EXPECT_THAT(Values(*rest.parameters()), ElementsAre(0, 1));

  ParameterStore nothing({5, 5}, 0, pool_);
  nothing.Set(Floats(pool_, {}), {}, Version(0), 0);
  nothing.Publish(nothing.Subtract({}));
  EXPECT_EQ(nothing.version(), Version(1));
}

// ---------------------------------------------------------------- hogwild

TEST(HogwildTest, ManyThreadsWithoutALockLoseNothing) {
  constexpr int kThreads = 8;
  constexpr int kUpdates = 400;
  BufferPool pool;
  const auto shared = Floats(pool, std::vector<float>(257, 0));
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&shared] {
      const std::vector<float> delta(257, 1.0F);
      for (int i = 0; i < kUpdates; ++i) SubtractInPlace(shared->floats(), delta);
    });
  }
  std::vector<float> copy(257);
  CopyShared(shared->floats(), copy);  // may look at any time
  for (const float value : copy) {
    EXPECT_LE(value, 0);
    EXPECT_GE(value, -kThreads * kUpdates);
  }
  threads.clear();
  EXPECT_THAT(Values(*shared), testing::Each(-kThreads * kUpdates));
}

TEST(AllFiniteTest, FindsEveryNanAndInfinity) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> values(1000, 1.0F);
  values[3] = std::numeric_limits<float>::max();
  values[4] = std::numeric_limits<float>::denorm_min();
  values[5] = -0.0F;
  EXPECT_TRUE(AllFinite(values));
  EXPECT_TRUE(AllFinite({}));
  for (const float bad : {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(),
                          -std::numeric_limits<float>::signaling_NaN()}) {
    for (const std::size_t place : {0U, 500U, 999U}) {
      std::vector<float> one = values;
      one[place] = bad;
      EXPECT_FALSE(AllFinite(one));
    }
  }
}

}  // namespace
}  // namespace elephas
