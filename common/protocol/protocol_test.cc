#include "common/protocol/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace elephas {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Lease AnyLease() {
  Lease lease;
  lease.id = LeaseId(5);
  lease.incarnation = Incarnation(1700000000000);
  lease.task = {WorkKind::kTrain, Epoch(3), Partition(2)};
  lease.batches = {1, 4};
  lease.rows = {20, 30};
  lease.version = Version(9);
  lease.expires_in_seconds = 15;
  return lease;
}

UpdateHeader AnyUpdate() {
  UpdateHeader header;
  header.incarnation = Incarnation(1700000000000);
  header.lease = LeaseId(5);
  header.task = {WorkKind::kTrain, Epoch(3), Partition(2)};
  header.batches = {1, 4};
  header.base = Version(9);
  header.examples = 10;
  header.steps = 3;
  header.metrics = {{{"loss", {"mean", {0.1, 10}}}}, {}};
  return header;
}

TEST(ProtocolTest, EveryKindOfWorkHasOneWord) {
  for (const WorkKind kind : {WorkKind::kTrain, WorkKind::kValidate, WorkKind::kEvaluate,
                              WorkKind::kPredict, WorkKind::kFinalize}) {
    EXPECT_EQ(WorkKindFromWord(Word(kind)).value(), kind);
  }
  EXPECT_THAT(WorkKindFromWord("dance").status().message(), HasSubstr("'dance' is no task"));
}

TEST(ProtocolTest, TasksAreNamedByWhatTheyHave) {
  EXPECT_EQ(ToString(TaskId{WorkKind::kTrain, Epoch(3), Partition(5)}),
            "train epoch 3 partition 5");
  EXPECT_EQ(ToString(TaskId{WorkKind::kPredict, Epoch(0), Partition(5)}), "predict partition 5");
  EXPECT_EQ(ToString(TaskId{WorkKind::kFinalize, Epoch(0), Partition(0)}), "finalize");
}

TEST(ProtocolTest, ALeaseSurvivesTheWayThroughJson) {
  const json written = ToJson(AnyLease());
  EXPECT_EQ(written, json::parse(R"({"lease": 5, "incarnation": 1700000000000, "task": "train",
    "epoch": 3, "partition": 2, "batches": [1, 4], "rows": [20, 30], "version": 9,
    "expiresInSeconds": 15.0})"));
  const Result<Lease> read = LeaseFromJson(json::parse(written.dump()));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(ToJson(*read), written);
}

TEST(ProtocolTest, AnUpdateSurvivesTheWayThroughJson) {
  const json written = ToJson(AnyUpdate());
  const Result<UpdateHeader> read = UpdateHeaderFromJson(json::parse(written.dump()));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->metrics, AnyUpdate().metrics);
  EXPECT_EQ(read->task, AnyUpdate().task);
  EXPECT_EQ(ToJson(*read), written);
}

struct Refusal {
  std::string name;
  std::string path;
  json value;
  std::string message;
};
void PrintTo(const Refusal& one, std::ostream* out) { *out << one.name; }

class UpdateRefusalTest : public testing::TestWithParam<Refusal> {};

INSTANTIATE_TEST_SUITE_P(
    , UpdateRefusalTest,
    testing::Values(
        Refusal{"AnUnknownTask", "/task", "dance", "'dance' is no task"},
        Refusal{"ATaskThatIsANumber", "/task", 1, "'task' must be a string"},
        Refusal{"NoLease", "/lease", 0, "'lease' is 0"},
        Refusal{"ANegativeEpoch", "/epoch", -1, "'epoch' is -1"},
        Refusal{"AHugePartition", "/partition", 1LL << 60, "'partition' is"},
        Refusal{"BatchesBackwards", "/batches", {4, 1}, "'batches' must be [first, last]"},
        Refusal{"NegativeBatches", "/batches", {-1, 1}, "'batches' must be [first, last]"},
        Refusal{"FractionalBatches", "/batches", {0.5, 1}, "'batches' must be [first, last]"},
        Refusal{"ThreeBatches", "/batches", {0, 1, 2}, "'batches' must be [first, last]"},
        Refusal{"BatchesBeyondInt64",
                "/batches",
                {0, 18446744073709551615U},
                "'batches' must be [first, last]"},
        Refusal{"BatchesThatAreText", "/batches", "all", "'batches' must be [first, last]"},
        Refusal{"NegativeExamples", "/examples", -5, "'examples' is -5"},
        Refusal{"FractionalSteps", "/steps", 0.5, "'steps' must be an integer"},
        Refusal{"MetricsThatAreAnObject", "/metrics", json::object(),
                "'metrics' must be an array with one entry per epoch"},
        Refusal{"AMetricThatIsANumber", "/metrics/0/loss", 3, "metric 'loss': must be an object"},
        Refusal{"AMetricWithoutKind", "/metrics/0/loss", {{"values", {1, 2}}}, "'kind' is missing"},
        Refusal{
            "ValuesThatAreText", "/metrics/0/loss/values", {"many"}, "'values' must hold numbers"},
        Refusal{"ValuesThatAreNoArray", "/metrics/0/loss/values", 3, "'values' must be an array"},
        Refusal{"EpochMetricsThatAreAnArray", "/metrics/0", json::array(),
                "metrics must be an object"}),
    [](const auto& each) { return each.param.name; });

TEST_P(UpdateRefusalTest, NamesTheCulprit) {
  json input = ToJson(AnyUpdate());
  input[json::json_pointer(GetParam().path)] = GetParam().value;
  const Result<UpdateHeader> read = UpdateHeaderFromJson(input);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().code(), Code::kInvalid);
  EXPECT_THAT(read.status().message(), HasSubstr(GetParam().message));
}

TEST(ProtocolTest, EveryFieldOfALeaseAndAnUpdateIsNeededAndNoOtherIsKnown) {
  const auto refuses = [](const json& whole, auto read) {
    for (const auto& [name, value] : whole.items()) {
      json less = whole;
      less.erase(name);
      EXPECT_THAT(read(less).status().message(), HasSubstr("'" + name + "' is missing"));
    }
    json more = whole;
    more["extra"] = 1;
    EXPECT_THAT(read(more).status().message(), HasSubstr("unknown field 'extra'"));
    EXPECT_EQ(read(json::array()).status().code(), Code::kInvalid);
  };
  refuses(ToJson(AnyLease()), LeaseFromJson);
  refuses(ToJson(AnyUpdate()), UpdateHeaderFromJson);
}

TEST(MetricSumsTest, SumsAreAddedByNameAndElement) {
  MetricSums total{{"loss", {"mean", {1, 2}}}};
  ASSERT_TRUE(
      AddMetrics(total, {{"loss", {"mean", {0.5, 1}}}, {"accuracy", {"mean", {3, 4}}}}).ok());
  EXPECT_EQ(total, (MetricSums{{"loss", {"mean", {1.5, 3}}}, {"accuracy", {"mean", {3, 4}}}}));
}

TEST(MetricSumsTest, AShapeThatChangesIsAConflictThatChangesNothing) {
  MetricSums total{{"accuracy", {"mean", {1, 2}}}, {"loss", {"mean", {1, 2}}}};
  const MetricSums before = total;
  const MetricSums longer{{"accuracy", {"mean", {1, 2}}}, {"loss", {"mean", {1, 2, 3}}}};
  EXPECT_EQ(AddMetrics(total, longer).code(), Code::kConflict);
  const MetricSums other{{"accuracy", {"mean", {1, 2}}}, {"loss", {"histogram", {1, 2}}}};
  EXPECT_EQ(AddMetrics(total, other).code(), Code::kConflict);
  EXPECT_EQ(total, before);
}

TEST(MetricSumsTest, AMeanIsTheSumOverTheCount) {
  EXPECT_EQ(MetricValue({"mean", {3, 4}}).value(), 0.75);
  EXPECT_TRUE(std::isnan(MetricValue({"mean", {0, 0}}).value()));
  EXPECT_EQ(MetricValue({"mean", {3}}).status().code(), Code::kInvalid);
  EXPECT_EQ(MetricValue({"median", {3, 4}}).status().code(), Code::kInvalid);
}

TEST(MetricSumsTest, EveryDoubleSurvivesTheWayThroughJson) {
  const MetricSums sums{{"loss", {"mean", {0.1, 1e-300, -0.0, 1.0 / 3, 5e15}}},
                        {"odd", {"mean", {kInfinity, -kInfinity, std::nan("")}}}};
  const Result<MetricSums> read = MetricSumsFromJson(json::parse(ToJson(sums).dump()));
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->at("loss"), sums.at("loss"));
  EXPECT_TRUE(std::signbit(read->at("loss").values[2]));
  EXPECT_EQ(read->at("odd").values[0], kInfinity);
  EXPECT_EQ(read->at("odd").values[1], -kInfinity);
  EXPECT_TRUE(std::isnan(read->at("odd").values[2]));
}

}  // namespace
}  // namespace elephas
