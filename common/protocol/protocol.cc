#include "common/protocol/protocol.h"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "common/json/reader.h"
#include "common/protocol/metric_values.h"

namespace elephas {

namespace {

using nlohmann::json;

constexpr std::array<std::pair<WorkKind, std::string_view>, 5> kWorkWords{{
    {WorkKind::kTrain, "train"},
    {WorkKind::kValidate, "validate"},
    {WorkKind::kEvaluate, "evaluate"},
    {WorkKind::kPredict, "predict"},
    {WorkKind::kFinalize, "finalize"},
}};

json RangeToJson(const Range& range) { return json::array({range.first, range.last}); }

Range ReadRange(JsonReader& reader, std::string_view name) {
  const json& value = reader.Any(name);
  const auto is_count = [](const json& v) {
    return v.is_number_integer() && v >= 0 && v <= kMaxCount;
  };
  if (!value.is_array() || value.size() != 2 || !is_count(value[0]) || !is_count(value[1]) ||
      value[0] > value[1]) {
    reader.Fail("'" + std::string(name) + "' must be [first, last] with 0 <= first <= last");
    return {};
  }
  return {value[0].get<std::int64_t>(), value[1].get<std::int64_t>()};
}

void WriteTask(json& out, const TaskId& task) {
  out["task"] = Word(task.kind);
  out["epoch"] = task.epoch.value();
  out["partition"] = task.partition.value();
}

TaskId ReadTask(JsonReader& reader) {
  TaskId task;
  Result<WorkKind> kind = WorkKindFromWord(reader.String("task"));
  if (kind.ok()) {
    task.kind = *kind;
  } else {
    reader.Fail(kind.status().message());
  }
  task.epoch = Epoch(reader.Int("epoch", 0, kMaxCount));
  task.partition = Partition(reader.Int("partition", 0, kMaxCount));
  return task;
}

}  // namespace

std::string_view Word(WorkKind kind) {
  for (const auto& [value, word] : kWorkWords) {
    if (value == kind) return word;
  }
  return "unknown";
}

Result<WorkKind> WorkKindFromWord(std::string_view word) {
  for (const auto& [value, known] : kWorkWords) {
    if (known == word) return value;
  }
  return Invalid("'" + std::string(word) +
                 "' is no task; one of train, validate, evaluate, predict, finalize");
}

std::string ToString(const TaskId& task) {
  std::string text(Word(task.kind));
  if (task.kind == WorkKind::kFinalize) return text;
  if (task.kind == WorkKind::kTrain || task.kind == WorkKind::kValidate) {
    text += " epoch " + std::to_string(task.epoch.value());
  }
  return text + " partition " + std::to_string(task.partition.value());
}

Status AddMetrics(MetricSums& total, const MetricSums& part) {
  for (const auto& [name, state] : part) {
    const auto it = total.find(name);
    if (it != total.end() &&
        (it->second.kind != state.kind || it->second.values.size() != state.values.size())) {
      return Conflict("metric '" + name + "' changed its kind or length");
    }
  }
  for (const auto& [name, state] : part) {
    const auto [it, inserted] = total.emplace(name, state);
    if (inserted) continue;
    for (std::size_t i = 0; i < state.values.size(); ++i) it->second.values[i] += state.values[i];
  }
  return OkStatus();
}

Result<double> MetricValue(const MetricState& state) {
  if (state.kind == "mean" && state.values.size() == 2) {
    if (state.values[1] == 0) return std::numeric_limits<double>::quiet_NaN();
    return state.values[0] / state.values[1];
  }
  return StatefulMetricValue(state.kind, state.values);
}

// JSON has no NaN and no infinity; as strings they survive the way.
json ToJson(const MetricSums& metrics) {
  json out = json::object();
  for (const auto& [name, state] : metrics) {
    json values = json::array();
    for (const double value : state.values) {
      if (std::isfinite(value)) {
        values.push_back(value);
      } else {
        values.push_back(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
      }
    }
    out[name] = {{"kind", state.kind}, {"values", std::move(values)}};
  }
  return out;
}

Result<MetricSums> MetricSumsFromJson(const json& input) {
  if (!input.is_object()) return Invalid("metrics must be an object");
  MetricSums metrics;
  for (const auto& [name, value] : input.items()) {
    JsonReader reader(value, "metric '" + name + "'");
    MetricState state;
    state.kind = reader.String("kind");
    const json& values = reader.Any("values");
    if (!values.is_array()) reader.Fail("'values' must be an array");
    for (const json& number : values) {
      if (number.is_number()) {
        state.values.push_back(number.get<double>());
      } else if (number == "NaN") {
        state.values.push_back(std::numeric_limits<double>::quiet_NaN());
      } else if (number == "Infinity") {
        state.values.push_back(std::numeric_limits<double>::infinity());
      } else if (number == "-Infinity") {
        state.values.push_back(-std::numeric_limits<double>::infinity());
      } else {
        reader.Fail("'values' must hold numbers");
      }
    }
    ELEPHAS_RETURN_IF_ERROR(reader.Finish());
    metrics.emplace(name, std::move(state));
  }
  return metrics;
}

json ToJson(const FitDecisions& decisions) {
  json out = json::object();
  if (decisions.learning_rate) out["learningRate"] = *decisions.learning_rate;
  if (decisions.restore) out["restore"] = *decisions.restore;
  if (decisions.best) out["best"] = *decisions.best;
  if (decisions.best_learning_rate) out["bestLearningRate"] = *decisions.best_learning_rate;
  return out;
}

Result<FitDecisions> FitDecisionsFromJson(const json& input) {
  JsonReader reader(input, "decisions");
  FitDecisions decisions;
  const auto rate = [&](std::string_view name, std::optional<double>& into) {
    if (!reader.Has(name)) return;
    into = reader.Number(name);
    if (!std::isfinite(*into) || *into < 0) {
      reader.Fail("'" + std::string(name) + "' must not be negative");
    }
  };
  rate("learningRate", decisions.learning_rate);
  rate("bestLearningRate", decisions.best_learning_rate);
  if (reader.Has("restore")) decisions.restore = reader.Int("restore", 1, kMaxCount);
  if (reader.Has("best")) decisions.best = reader.Int("best", 1, kMaxCount);
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  return decisions;
}

json ToJson(const Lease& lease) {
  json out;
  out["lease"] = lease.id.value();
  out["incarnation"] = lease.incarnation.value();
  WriteTask(out, lease.task);
  out["batches"] = RangeToJson(lease.batches);
  out["rows"] = RangeToJson(lease.rows);
  out["version"] = lease.version.value();
  out["expiresInSeconds"] = lease.expires_in_seconds;
  if (!lease.decisions.empty()) out["decisions"] = ToJson(lease.decisions);
  return out;
}

Result<Lease> LeaseFromJson(const json& input) {
  JsonReader reader(input, "lease");
  Lease lease;
  lease.id = LeaseId(reader.Int("lease", 1, kMaxCount));
  lease.incarnation = Incarnation(reader.Int("incarnation", 0, kMaxCount));
  lease.task = ReadTask(reader);
  lease.batches = ReadRange(reader, "batches");
  lease.rows = ReadRange(reader, "rows");
  lease.version = Version(reader.Int("version", 0, kMaxCount));
  lease.expires_in_seconds = reader.Number("expiresInSeconds");
  if (reader.Has("decisions")) {
    ELEPHAS_ASSIGN_OR_RETURN(lease.decisions, FitDecisionsFromJson(reader.Any("decisions")));
  }
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  return lease;
}

json ToJson(const UpdateHeader& header) {
  json out;
  out["incarnation"] = header.incarnation.value();
  out["lease"] = header.lease.value();
  WriteTask(out, header.task);
  out["batches"] = RangeToJson(header.batches);
  out["base"] = header.base.value();
  out["examples"] = header.examples;
  out["steps"] = header.steps;
  if (!header.decisions.empty()) out["decisions"] = ToJson(header.decisions);
  out["metrics"] = json::array();
  for (const MetricSums& metrics : header.metrics) out["metrics"].push_back(ToJson(metrics));
  return out;
}

Result<UpdateHeader> UpdateHeaderFromJson(const json& input) {
  JsonReader reader(input, "update");
  UpdateHeader header;
  header.incarnation = Incarnation(reader.Int("incarnation", 0, kMaxCount));
  header.lease = LeaseId(reader.Int("lease", 1, kMaxCount));
  header.task = ReadTask(reader);
  header.batches = ReadRange(reader, "batches");
  header.base = Version(reader.Int("base", 0, kMaxCount));
  header.examples = reader.Int("examples", 0, kMaxCount);
  header.steps = reader.Int("steps", 0, kMaxCount);
  if (reader.Has("decisions")) {
    ELEPHAS_ASSIGN_OR_RETURN(header.decisions, FitDecisionsFromJson(reader.Any("decisions")));
  }
  const json& metrics = reader.Any("metrics");
  if (!metrics.is_array()) reader.Fail("'metrics' must be an array with one entry per epoch");
  ELEPHAS_RETURN_IF_ERROR(reader.Finish());
  for (const json& entry : metrics) {
    ELEPHAS_ASSIGN_OR_RETURN(MetricSums sums, MetricSumsFromJson(entry));
    header.metrics.push_back(std::move(sums));
  }
  return header;
}

std::string_view Word(UpdateOutcome outcome) {
  return outcome == UpdateOutcome::kApplied ? "applied" : "duplicate";
}

}  // namespace elephas
