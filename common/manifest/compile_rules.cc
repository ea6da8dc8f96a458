#include "common/manifest/compile_rules.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/manifest/compile_names.h"
#include "common/manifest/fields.h"
#include "common/manifest/suggest.h"
#include "common/optimizer/learning_rate.h"
#include "common/optimizer/optimizer.h"

namespace elephas::manifest {

namespace {

using nlohmann::json;

constexpr std::string_view kCompile = "spec.compile";
constexpr std::string_view kInline = "spec.model.inline";
constexpr std::string_view kMetricFields[] = {"metrics", "weighted_metrics"};
// Lists in lists of metrics; Keras itself takes two.
constexpr int kMetricNesting = 4;

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

// --- what the programs check ------------------------------------------------------------------

bool Trains(const Checked& checked) { return checked.Get("spec.task") == "train"; }

bool NeedsLoss(const Checked& checked) {
  const json& task = checked.Get("spec.task");
  return task == "train" || task == "evaluate";
}

// Where the words of compile are: in the manifest, or inside the inline model. Empty: in a file, or
// nowhere.
std::string CompilePath(const Checked& checked) {
  if (!checked.Get(kCompile).is_null()) return std::string(kCompile);
  const json& model = checked.Get(kInline);
  if (!model.is_object()) return {};
  const auto config = model.find("compile_config");
  return config != model.end() && config->is_object() ? JoinPath(kInline, "compile_config") : "";
}

// A word of compile and where it stands; null where it was left out or is wrong already.
struct Words {
  std::string path;
  const json* value = nullptr;
};
Words WordsOf(const Checked& checked, std::string_view word) {
  const std::string compile = CompilePath(checked);
  if (compile.empty()) return {};
  Words words{JoinPath(compile, word), nullptr};
  const json& value = checked.Get(compile);
  const auto found = value.find(word);
  if (found != value.end() && !found->is_null() && !checked.IsWrong(words.path)) {
    words.value = &*found;
  }
  return words;
}

// A serialized loss or metric, rather than a mapping by output name.
bool IsObject(const json& value) { return value.is_object() && value.contains("class_name"); }

// What losses and metrics differ in.
struct Vocabulary {
  std::string_view what;  // "loss"
  std::span<const CompileName> names;
  std::span<const std::string_view> resolved;  // by shapes
};
const Vocabulary kLosses{"loss", LossNames(), kResolvedLosses};
const Vocabulary kMetrics{"metric", MetricNames(), kResolvedMetrics};

std::string Shown(const json& value) {
  return Printable(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

// What is wrong with a name; nothing when it is known.
std::optional<std::string> WrongName(const std::string& name, const Vocabulary& vocabulary,
                                     bool resolves) {
  const std::vector<std::string> known = Spellings(vocabulary.names);
  if (std::ranges::find(known, name) != known.end()) return std::nullopt;
  const std::string lower = Lower(name);
  if (resolves && std::ranges::find(vocabulary.resolved, lower) != vocabulary.resolved.end()) {
    return std::nullopt;
  }
  std::string problem = "'" + Printable(name) + "' is not a " + std::string(vocabulary.what);
  problem += " that Keras has";
  std::vector<std::string_view> words(known.begin(), known.end());
  words.insert(words.end(), vocabulary.resolved.begin(), vocabulary.resolved.end());
  // Of the spellings of one name, that which is written like the wrong one.
  const auto is_upper = [](std::string_view word) {
    return !word.empty() && word.front() >= 'A' && word.front() <= 'Z';
  };
  std::ranges::stable_partition(
      words, [&](std::string_view word) { return is_upper(word) == is_upper(name); });
  if (const auto near = Nearest(name, words)) {
    problem += "; did you mean '" + std::string(*near) + "'?";
  }
  return problem;
}

// As the worker reads one loss or metric: a name, or class_name and config. Nothing: it is right.
std::optional<std::string> WrongObject(const json& value, const Vocabulary& vocabulary) {
  if (value.is_string()) return WrongName(value.get<std::string>(), vocabulary, true);
  if (!value.is_object()) return "must be a name or a mapping with class_name, not " + Shown(value);
  const json name = value.value("class_name", json());
  if (!name.is_string()) return "needs a class_name";
  const json registered = value.value("registered_name", json());
  if (registered.is_string() &&
      registered.get_ref<const std::string&>().find('>') != std::string::npos) {
    return "'" + Printable(registered.get<std::string>()) +
           "' is a custom object, which is not "
           "supported";
  }
  const json config = value.value("config", json());
  if (name == "function") {
    if (!config.is_string()) return "is a custom function, which is not supported";
    return WrongName(config.get<std::string>(), vocabulary, false);
  }
  if (!config.is_null() && !config.is_object()) return "'config' must be a mapping";
  return WrongName(name.get<std::string>(), vocabulary, false);
}

void CheckObject(Checked& checked, const std::string& path, const json& value,
                 const Vocabulary& vocabulary) {
  if (auto problem = WrongObject(value, vocabulary)) checked.Report(path, *std::move(problem));
}

// Does `value` hold a loss, however wrong?
bool HoldsLoss(const json& value) {
  if (!value.is_structured() || IsObject(value)) return !value.is_null();
  return std::ranges::any_of(value, [](const json& item) { return !item.is_null(); });
}

// Calls visit(path, item) for each item of a list or mapping that is not null.
template <typename Visit>
void ForItems(const std::string& path, const json& value, const Visit& visit) {
  std::size_t index = 0;
  for (const auto& [key, item] : value.items()) {
    std::string at =
        value.is_array() ? path + "[" + std::to_string(index) + "]" : JoinPath(path, key);
    ++index;
    if (!item.is_null()) visit(at, item);
  }
}

// Keras needs a loss to train or evaluate. A file may carry one inside, which is seen later.
void CompileIsThere(Checked& checked, const Rule& rule) {
  if (!NeedsLoss(checked) || checked.IsWrong(kCompile) || !CompilePath(checked).empty()) return;
  if (!checked.Get(kInline).is_object()) return;
  const std::string task = checked.Get("spec.task").get<std::string>();
  checked.Report(rule.path, "is required to " + task +
                                ": the inline model holds no compile_config with a loss");
}

void LossIsThere(Checked& checked, const Rule& /*rule*/) {
  const Words loss = WordsOf(checked, "loss");
  if (!NeedsLoss(checked) || loss.path.empty() || checked.IsWrong(loss.path)) return;
  if (loss.value != nullptr && HoldsLoss(*loss.value)) return;
  checked.Report(loss.path, "is required to " + checked.Get("spec.task").get<std::string>());
}

void LossesAreKnown(Checked& checked, const Rule& /*rule*/) {
  const Words loss = WordsOf(checked, "loss");
  if (!NeedsLoss(checked) || loss.value == nullptr) return;
  if (!loss.value->is_structured() || IsObject(*loss.value)) {
    return CheckObject(checked, loss.path, *loss.value, kLosses);
  }
  ForItems(loss.path, *loss.value, [&](const std::string& path, const json& item) {
    CheckObject(checked, path, item, kLosses);
  });
}

void LossWeightsAreNumbers(Checked& checked, const Rule& rule) {
  const Words weights = WordsOf(checked, "loss_weights");
  if (!NeedsLoss(checked) || weights.value == nullptr || weights.value->is_number()) return;
  if (!weights.value->is_structured()) return checked.Report(weights.path, rule.message);
  ForItems(weights.path, *weights.value, [&](const std::string& path, const json& item) {
    if (!item.is_number()) checked.Report(path, "must be a number, not " + Shown(item));
  });
}

void CheckMetrics(Checked& checked, const std::string& path, const json& value, int depth) {
  ForItems(path, value, [&](const std::string& at, const json& item) {
    if (!item.is_structured() || IsObject(item)) return CheckObject(checked, at, item, kMetrics);
    if (depth == 1) {
      return checked.Report(at, "nests deeper than " + std::to_string(kMetricNesting) + " lists");
    }
    CheckMetrics(checked, at, item, depth - 1);
  });
}

void MetricsAreKnown(Checked& checked, const Rule& rule) {
  const Words metrics = WordsOf(checked, LastPart(rule.path));
  if (!NeedsLoss(checked) || metrics.value == nullptr) return;
  if (!metrics.value->is_structured() || IsObject(*metrics.value)) {
    return checked.Report(metrics.path, "must be a list, or a mapping from output name to metrics");
  }
  CheckMetrics(checked, metrics.path, *metrics.value, kMetricNesting);
}

// A name like one that is known is a slip of the fingers.
std::string SimilarOptimizer(const json& config) {
  const json& name =
      config.is_object() && config.contains("class_name") ? config["class_name"] : config;
  if (!name.is_string()) return {};
  std::vector<std::string_view> known;
  for (const OptionTable& table : OptimizerTables()) known.push_back(table.class_name);
  const std::string given = name.get<std::string>();
  const auto near = Nearest(given, known);
  if (!near || Lower(*near) == Lower(given)) return {};
  return "; did you mean '" + std::string(*near) + "'?";
}

// A mistake in the optimizer is seen before anything runs.
void OptimizerIsKnown(Checked& checked, const Rule& /*rule*/) {
  const Words optimizer = WordsOf(checked, "optimizer");
  if (!Trains(checked) || optimizer.value == nullptr) return;
  const auto made = Optimizer::FromConfig(*optimizer.value);
  if (made.ok()) return;
  checked.Report(optimizer.path, made.status().message() + SimilarOptimizer(*optimizer.value));
}

void RateCanBeReduced(Checked& checked, const Rule& rule) {
  const Words optimizer = WordsOf(checked, "optimizer");
  if (checked.Get(rule.path).is_null() || optimizer.value == nullptr) return;
  const json& config = *optimizer.value;
  if (!config.is_object() || !config.contains("config") || !config["config"].is_object()) return;
  const auto rate = config["config"].find("learning_rate");
  if (rate == config["config"].end() || !rate->is_object()) return;
  checked.Report(rule.path,
                 "needs a learning rate that is a number; " + optimizer.path + " has a schedule");
}

// --- what the policy says ---------------------------------------------------------------------

// `text` with each $KEY$ replaced.
std::string Filled(std::string text,
                   std::initializer_list<std::pair<std::string_view, std::string_view>> values) {
  for (const auto& [key, value] : values) {
    std::string mark = "$";
    mark.append(key).append("$");
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
      text.replace(at, mark.size(), value);
      at += value.size();
    }
  }
  return text;
}

std::string CelText(std::string_view text) {
  std::string quoted = "'";
  quoted.append(text).append("'");
  return quoted;
}

template <typename Texts>
std::string ListOf(const Texts& texts) {
  std::string list;
  for (const auto& text : texts) list.append(list.empty() ? "[" : ", ").append(CelText(text));
  return list + "]";
}

// A known loss or metric at $X$.
constexpr std::string_view kKnownObject =
    "(type($X$) == string ? $X$ in $NAMES$ || $X$.lowerAscii() in $RESOLVED$ : type($X$) == map && "
    "'class_name' in $X$ && type($X$.class_name) == string && !('registered_name' in $X$ && "
    "type($X$.registered_name) == string && $X$.registered_name.contains('>')) && "
    "($X$.class_name == 'function' ? 'config' in $X$ && type($X$.config) == string && $X$.config "
    "in $NAMES$ : $X$.class_name in $NAMES$ && (!('config' in $X$) || $X$.config == null || "
    "type($X$.config) == map)))";

std::string KnownObject(std::string_view x, std::string_view names, const Vocabulary& vocabulary) {
  return Filled(std::string(kKnownObject),
                {{"X", x}, {"NAMES", names}, {"RESOLVED", ListOf(vocabulary.resolved)}});
}

// $X$ is a list, or a mapping by output name.
constexpr std::string_view kIsContainer =
    "(type($X$) == list || (type($X$) == map && !('class_name' in $X$)))";
// Its items, whichever it is; none of too many.
constexpr std::string_view kItems =
    "($X$.size() > $MANY$ ? dyn([]) : type($X$) == list ? $X$ : $X$.map(k, $X$[k]))";

std::string At(std::string_view x, std::string_view text) {
  return Filled(std::string(text), {{"X", x}, {"MANY", std::to_string(kMostVisited)}});
}

std::string KnownMetrics(const std::string& x, int depth) {
  const std::string item = "m" + std::to_string(depth);
  std::string cel = At(x, kIsContainer) + " && " + At(x, kItems) + ".all(" + item + ", " + item;
  cel += " == null || " + KnownObject(item, "variables.metricNames", kMetrics);
  if (depth > 1) cel += " || (" + KnownMetrics(item, depth - 1) + ")";
  return cel + ")";
}

constexpr std::string_view kNeedsNoLoss = "object.spec.task == 'predict' || ";
constexpr std::string_view kDoesNotTrain = "object.spec.task != 'train' || ";

std::string Unless(std::string_view condition, std::string_view cel) {
  std::string all(condition);
  return all.append(cel);
}

std::vector<Rule> LossRules() {
  const std::string path = std::string(kCompile) + ".loss";
  const std::string items = At("variables.loss", kItems);
  const std::string container = At("variables.loss", kIsContainer);
  std::string there = "variables.compile == null || (variables.loss != null && (!" + container;
  there += " || " + At("variables.loss", "$X$.size() > $MANY$") + " || " + items;
  there += ".exists(x, x != null)))";
  std::string known = "variables.loss == null || (" + container + " ? " + items;
  known += ".all(x, x == null || " + KnownObject("x", "variables.lossNames", kLosses) + ") : ";
  known += KnownObject("variables.loss", "variables.lossNames", kLosses) + ")";
  return {
      {"inline-model-has-compile", RuleHome::kPolicy, "", std::string(kCompile),
       Unless(kNeedsNoLoss, "variables.compile != null || !has(object.spec.model.inline)"),
       "is required to train or evaluate: the inline model holds no compile_config with a loss",
       CompileIsThere},
      {"loss-is-there", RuleHome::kPolicy, "", path, Unless(kNeedsNoLoss, there),
       "is required to train or evaluate", LossIsThere},
      {"losses-are-known", RuleHome::kPolicy, "", path, Unless(kNeedsNoLoss, known),
       "must be a loss that Keras has, a list of losses in output order, or a mapping from output "
       "name to loss",
       LossesAreKnown},
      {"loss-weights-are-numbers", RuleHome::kPolicy, "", std::string(kCompile) + ".loss_weights",
       Unless(kNeedsNoLoss,
              At("variables.lossWeights",
                 "$X$ == null || type($X$) == int || type($X$) == double || ((type($X$) == list || "
                 "type($X$) == map) && ($X$.size() > $MANY$ ? dyn([]) : type($X$) == list ? $X$ : "
                 "$X$.map(k, $X$[k])).all(x, x == null || type(x) == int || type(x) == double))")),
       "must be numbers: a list, or a mapping from output name", LossWeightsAreNumbers},
  };
}

std::vector<Rule> MetricRules() {
  std::vector<Rule> rules;
  for (const std::string_view field : kMetricFields) {
    const std::string value =
        field == "metrics" ? "variables.metrics" : "variables.weightedMetrics";
    std::string known = value + " == null || (" + KnownMetrics(value, kMetricNesting) + ")";
    rules.push_back({"known-" + std::string(field), RuleHome::kPolicy, "",
                     JoinPath(kCompile, field), Unless(kNeedsNoLoss, known),
                     "must be a list of metrics that Keras has, or a mapping from output name to "
                     "metrics",
                     MetricsAreKnown});
  }
  return rules;
}

// A name, or class_name and config, as optimizers and schedules are written.
constexpr std::string_view kNamedConfig =
    "type($X$) == map && 'class_name' in $X$ && type($X$.class_name) == string && "
    "$X$.class_name != '' && (!('config' in $X$) || type($X$.config) == map) && "
    "!('registered_name' in $X$ && type($X$.registered_name) == string && "
    "$X$.registered_name.contains('>')) && $X$.all(k, k in ['class_name', 'config', "
    "'registered_name', 'module', 'build_config', 'shared_object_id'])";

// The option k of $CONFIG$ has the kind and lies in the bounds that the tables $KINDS$ and $BOUNDS$
// give it; what is not in the tables is another rule's.
constexpr std::string_view kFittingOptions =
    "$CONFIG$.all(k, $CONFIG$[k] == null || !(k in $KINDS$) || ("
    "$KINDS$[k] == 'number' ? type($CONFIG$[k]) == int || type($CONFIG$[k]) == double : "
    "$KINDS$[k] == 'integer' ? type($CONFIG$[k]) == int || (type($CONFIG$[k]) == double && "
    "$CONFIG$[k] < 1e15 && $CONFIG$[k] > -1e15 && double(int($CONFIG$[k])) == $CONFIG$[k]) : "
    "$KINDS$[k] == 'boolean' ? type($CONFIG$[k]) == bool : "
    "$KINDS$[k] == 'text' ? type($CONFIG$[k]) == string : "
    "$KINDS$[k] == 'numbers' ? type($CONFIG$[k]) == list && "
    "($CONFIG$[k].size() > $MANY$ || $CONFIG$[k].all(n, type(n) == int || type(n) == double)) : "
    "$KINDS$[k] == 'rate' ? type($CONFIG$[k]) == int || type($CONFIG$[k]) == double || "
    "type($CONFIG$[k]) == map : $KINDS$[k] == 'anything') && "
    "(!(k in $BOUNDS$) || (type($CONFIG$[k]) != int && type($CONFIG$[k]) != double) || "
    "($CONFIG$[k] >= $BOUNDS$[k][0] && $CONFIG$[k] <= $BOUNDS$[k][1])))";

// "SGD, Adam, …"
std::string ClassNames() {
  std::string names;
  for (const OptionTable& table : OptimizerTables()) {
    names.append(names.empty() ? "" : ", ").append(table.class_name);
  }
  return names;
}

// A table: a row for each rule.
std::vector<Rule> OptimizerRules() {
  const std::string path = std::string(kCompile) + ".optimizer";
  const auto row = [&path](std::string name, std::string_view cel, std::string message,
                           void (*check)(Checked&, const Rule&) = nullptr) {
    return Rule{std::move(name),
                RuleHome::kPolicy,
                "",
                path,
                Unless(kDoesNotTrain, cel),
                std::move(message),
                check};
  };
  const auto fitting = [](std::string_view config, std::string_view kinds,
                          std::string_view bounds) {
    return Filled(std::string(kFittingOptions), {{"CONFIG", config},
                                                 {"KINDS", kinds},
                                                 {"BOUNDS", bounds},
                                                 {"MANY", std::to_string(kMostVisited)}});
  };
  return {
      row("optimizer-is-known",
          "variables.optimizer == null || type(variables.optimizer) == string || (" +
              At("variables.optimizer", kNamedConfig) + ")",
          "must be an optimizer's name, or its class_name and config", OptimizerIsKnown),
      row("optimizer-name",
          "variables.optimizer == null || variables.optimizerName in variables.optimizers",
          "must be one of Keras' optimizers: " + ClassNames()),
      row("optimizer-options",
          "!(variables.optimizerName in variables.optimizers) || "
          "variables.optimizerConfig.all(k, k in variables.optimizers[variables.optimizerName])",
          "has an option in its config that the optimizer does not have"),
      row("optimizer-values",
          "!(variables.optimizerName in variables.optimizers) || " +
              fitting("variables.optimizerConfig", "variables.optimizers[variables.optimizerName]",
                      "variables.optimizerBounds[variables.optimizerName]"),
          "has an option in its config of a wrong type, outside its range or not supported"),
      row("one-clipping",
          "['clipnorm', 'clipvalue', 'global_clipnorm'].filter(k, k in variables.optimizerConfig "
          "&& (type(variables.optimizerConfig[k]) == int || type(variables.optimizerConfig[k]) == "
          "double) && variables.optimizerConfig[k] > 0).size() <= 1",
          "may have only one of clipnorm, clipvalue and global_clipnorm"),
      row("schedule-is-known",
          "variables.schedule == null || ((" + At("variables.schedule", kNamedConfig) +
              ") && variables.schedule.class_name in variables.schedules)",
          "must have a learning rate that is a number or one of Keras' schedules, with class_name "
          "and config"),
      row("schedule-options",
          "!(variables.scheduleName in variables.schedules) || "
          "(variables.scheduleConfig.all(k, k in variables.schedules[variables.scheduleName]) && "
          "variables.scheduleNeeds[variables.scheduleName].all(k, k in variables.scheduleConfig && "
          "variables.scheduleConfig[k] != null))",
          "has a schedule with an option that it does not have, or without one that it needs"),
      row("schedule-values",
          "!(variables.scheduleName in variables.schedules) || " +
              fitting("variables.scheduleConfig", "variables.schedules[variables.scheduleName]",
                      "variables.scheduleBounds[variables.scheduleName]"),
          "has a schedule with an option of a wrong type or outside its range"),
      row("piecewise-values",
          "variables.scheduleName != 'PiecewiseConstantDecay' || (['boundaries', 'values'].all(k, "
          "k in variables.scheduleConfig && type(variables.scheduleConfig[k]) == list) && "
          "variables.scheduleConfig.boundaries.size() > 0 && "
          "variables.scheduleConfig.values.size() "
          "== variables.scheduleConfig.boundaries.size() + 1)",
          "has a PiecewiseConstantDecay whose values are not one more than its boundaries"),
      {"rate-can-be-reduced", RuleHome::kPolicy, "", "spec.fit.reduceLROnPlateau",
       "!has(object.spec.fit.reduceLROnPlateau) || variables.schedule == null",
       "needs a learning rate that is a number; spec.compile.optimizer has a schedule",
       RateCanBeReduced},
  };
}

std::string_view KindName(OptionKind kind) {
  switch (kind) {
    case OptionKind::kNumber:
      return "number";
    case OptionKind::kInteger:
      return "integer";
    case OptionKind::kBoolean:
      return "boolean";
    case OptionKind::kText:
      return "text";
    case OptionKind::kNumbers:
      return "numbers";
    case OptionKind::kRate:
      return "rate";
    case OptionKind::kNothing:
      return "nothing";
    case OptionKind::kAnything:
      break;
  }
  return "anything";
}

bool IsBounded(const OptionInfo& info) {
  return info.low != std::numeric_limits<double>::lowest() ||
         info.high != std::numeric_limits<double>::max();
}

// A mapping in CEL from each table's class to what `cell` says of its options; where `cell` says
// nothing the option is left out.
template <typename Name, typename Cell>
std::string TablesIn(const std::vector<OptionTable>& tables, const Name& name, const Cell& cell) {
  std::string all = "{";
  for (const OptionTable& table : tables) {
    if (all.size() > 1) all += ", ";
    all += CelText(name(table.class_name)) + ": {";
    bool first = true;
    for (const auto& [option, info] : table.options) {
      const std::string text = cell(info);
      if (text.empty()) continue;
      if (!first) all += ", ";
      first = false;
      all.append(CelText(option)).append(": ").append(text);
    }
    all += "}";
  }
  return all + "}";
}

std::string KindCell(const OptionInfo& info) { return CelText(KindName(info.kind)); }
std::string BoundsCell(const OptionInfo& info) {
  if (!IsBounded(info)) return {};
  return "[" + json(info.low).dump() + ", " + json(info.high).dump() + "]";
}

// {'ExponentialDecay': ['decay_rate', …], …}
std::string NeedsOf(const std::vector<OptionTable>& tables) {
  std::string all = "{";
  for (const OptionTable& table : tables) {
    std::vector<std::string> needs;
    for (const auto& [option, info] : table.options) {
      if (info.required) needs.push_back(option);
    }
    if (all.size() > 1) all += ", ";
    all.append(CelText(table.class_name)).append(": ").append(ListOf(needs));
  }
  return all + "}";
}

constexpr std::string_view kConfigOf =
    "type($X$) == map && 'config' in $X$ && type($X$.config) == map ? $X$.config : dyn({})";

PolicyVariable WordVariable(std::string name, std::string_view word) {
  std::string cel =
      "type(variables.compile) == map && '$W$' in variables.compile ? "
      "variables.compile.$W$ : dyn(null)";
  return {std::move(name), Filled(std::move(cel), {{"W", word}})};
}

}  // namespace

std::vector<PolicyVariable> CompileVariables() {
  const auto lower = [](std::string_view name) { return Lower(name); };
  const auto as_it_is = [](std::string_view name) { return std::string(name); };
  const std::vector<OptionTable> optimizers = OptimizerTables(), schedules = ScheduleTables();
  return {
      {"compile",
       "has(object.spec.compile) ? object.spec.compile : has(object.spec.model.inline) && "
       "'compile_config' in object.spec.model.inline && "
       "type(object.spec.model.inline.compile_config) == map ? "
       "object.spec.model.inline.compile_config : dyn(null)"},
      WordVariable("loss", "loss"),
      WordVariable("lossWeights", "loss_weights"),
      WordVariable("metrics", "metrics"),
      WordVariable("weightedMetrics", "weighted_metrics"),
      WordVariable("optimizer", "optimizer"),
      {"lossNames", ListOf(Spellings(LossNames()))},
      {"metricNames", ListOf(Spellings(MetricNames()))},
      {"optimizers", TablesIn(optimizers, lower, KindCell)},
      {"optimizerBounds", TablesIn(optimizers, lower, BoundsCell)},
      {"schedules", TablesIn(schedules, as_it_is, KindCell)},
      {"scheduleBounds", TablesIn(schedules, as_it_is, BoundsCell)},
      {"scheduleNeeds", NeedsOf(schedules)},
      {"optimizerName", At("variables.optimizer",
                           "type($X$) == string ? $X$.lowerAscii() : type($X$) == map && "
                           "'class_name' in $X$ && type($X$.class_name) == string ? "
                           "$X$.class_name.lowerAscii() : ''")},
      {"optimizerConfig", At("variables.optimizer", kConfigOf)},
      {"schedule",
       "'learning_rate' in variables.optimizerConfig && "
       "type(variables.optimizerConfig.learning_rate) == map ? "
       "variables.optimizerConfig.learning_rate : dyn(null)"},
      {"scheduleName", At("variables.schedule",
                          "type($X$) == map && 'class_name' in $X$ && type($X$.class_name) == "
                          "string ? $X$.class_name : ''")},
      {"scheduleConfig", At("variables.schedule", kConfigOf)},
  };
}

std::vector<Rule> CompileRules() {
  std::vector<Rule> rules;
  for (auto* const group : {LossRules, MetricRules, OptimizerRules}) {
    for (Rule& rule : group()) rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace elephas::manifest
