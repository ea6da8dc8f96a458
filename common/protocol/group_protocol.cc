#include "common/protocol/group_protocol.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/json/reader.h"

namespace elephas {

namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 4> kPlaceWords{"wait", "rest", "connect", "train"};

Result<Range> RangeFromJson(const json& value, std::string_view where) {
  const Status wrong = Invalid(std::string(where) + ": 'batches' must be [first, last]");
  if (!value.is_array() || value.size() != 2) return wrong;
  for (const json& end : value) {
    if (!end.is_number_integer() || end < 0 || end > kMaxCount) return wrong;
  }
  const Range range{value[0].get<std::int64_t>(), value[1].get<std::int64_t>()};
  if (range.size() <= 0) return wrong;
  return range;
}

void ReadHeader(JsonReader& reader, GroupCommitHeader& header) {
  header.incarnation = Incarnation(reader.Int("incarnation", 0, kMaxCount));
  header.generation = Generation(reader.Int("generation", 1, kMaxCount));
  header.worker = reader.String("worker");
  header.base = Version(reader.Int("base", 0, kMaxCount));
  header.target = Version(reader.Int("version", 0, kMaxCount));
}

Status CheckHeader(const GroupCommitHeader& header) {
  if (header.target > header.base) return OkStatus();
  return Invalid("commit: 'version' must be greater than 'base'");
}

Result<GroupStep> StepFromJson(const json& value) {
  JsonReader reader(value, "step");
  GroupStep step;
  step.partition = Partition(reader.Int("partition", 0, kMaxCount));
  const json& batches = reader.Any("batches");
  step.examples = reader.Int("examples", 0, kMaxCount);
  const json& metrics = reader.Any("metrics");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_ASSIGN_OR_RETURN(step.batches, RangeFromJson(batches, "step"));
  if (!metrics.is_array()) return Invalid("step: 'metrics' must be an array");
  for (const json& entry : metrics) {
    ELEPHAS_ASSIGN_OR_RETURN(MetricSums sums, MetricSumsFromJson(entry));
    step.metrics.push_back(std::move(sums));
  }
  return step;
}

}  // namespace

json ToJson(const GroupPlace& place) {
  return {{"state", kPlaceWords.at(static_cast<std::size_t>(place.state))},
          {"generation", place.generation.value()},
          {"rank", place.rank},
          {"world", place.world},
          {"id", ToHex(place.id)},
          {"rounds", place.rounds},
          {"version", place.version.value()},
          {"epoch", place.epoch.value()},
          {"batch", place.batch},
          {"current", place.current},
          {"reason", place.reason}};
}

Result<GroupPlace> GroupPlaceFromJson(const json& value) {
  JsonReader reader(value, "group reply");
  GroupPlace place;
  const std::string state = reader.String("state");
  const auto word = std::ranges::find(kPlaceWords, state);
  if (word == kPlaceWords.end()) reader.Fail("unknown state '" + state + "'");
  place.generation = Generation(reader.Int("generation", 0, kMaxCount));
  place.rank = reader.Int("rank", 0, kMaxCount);
  place.world = reader.Int("world", 0, kMaxCount);
  const std::string id = reader.String("id");
  place.rounds = reader.Int("rounds", 0, kMaxCount);
  place.version = Version(reader.Int("version", 0, kMaxCount));
  place.epoch = Epoch(reader.Int("epoch", 0, kMaxCount));
  place.batch = reader.Int("batch", 0, kMaxCount);
  place.current = reader.Bool("current");
  place.reason = reader.String("reason");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  place.state = static_cast<GroupPlace::State>(word - kPlaceWords.begin());
  ELEPHAS_ASSIGN_OR_RETURN(place.id, FromHex(id));
  return place;
}

json ToJson(const GroupCommitHeader& header) {
  return {{"incarnation", header.incarnation.value()},
          {"generation", header.generation.value()},
          {"worker", header.worker},
          {"base", header.base.value()},
          {"version", header.target.value()}};
}

json ToJson(const GroupSteps& steps) {
  json out = ToJson(steps.header);
  out["steps"] = json::array();
  for (const GroupStep& step : steps.steps) {
    json metrics = json::array();
    for (const MetricSums& sums : step.metrics) metrics.push_back(ToJson(sums));
    out["steps"].push_back({{"partition", step.partition.value()},
                            {"batches", {step.batches.first, step.batches.last}},
                            {"examples", step.examples},
                            {"metrics", std::move(metrics)}});
  }
  return out;
}

Result<GroupCommitHeader> GroupCommitHeaderFromJson(const json& value) {
  JsonReader reader(value, "commit");
  GroupCommitHeader header;
  ReadHeader(reader, header);
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckHeader(header));
  return header;
}

Result<GroupSteps> GroupStepsFromJson(const json& value) {
  JsonReader reader(value, "commit");
  GroupSteps steps;
  ReadHeader(reader, steps.header);
  const json& list = reader.Any("steps");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  ELEPHAS_RETURN_IF_ERROR(CheckHeader(steps.header));
  if (!list.is_array()) return Invalid("commit: 'steps' must be an array");
  for (const json& entry : list) {
    ELEPHAS_ASSIGN_OR_RETURN(GroupStep step, StepFromJson(entry));
    steps.steps.push_back(std::move(step));
  }
  return steps;
}

std::string ToHex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string digits;
  digits.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    digits += kDigits[byte >> 4U];
    digits += kDigits[byte & 15U];
  }
  return digits;
}

Result<std::string> FromHex(std::string_view digits) {
  const auto value = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    const int high = value(digits[i]), low = value(digits[i + 1]);
    if (high < 0 || low < 0) return Invalid("not lower-case hexadecimal digits");
    bytes += static_cast<char>(high * 16 + low);
  }
  if (digits.size() % 2 != 0) return Invalid("an odd number of hexadecimal digits");
  return bytes;
}

}  // namespace elephas
