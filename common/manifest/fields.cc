#include "common/manifest/fields.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace elephas {

namespace {

using std::string_view_literals::operator""sv;
using nlohmann::json;

// In the order of their enums.
constexpr std::array kTaskWords{"train"sv, "evaluate"sv, "predict"sv};
constexpr std::array kModeWords{"synchronous"sv, "asynchronous"sv, "hogwild"sv};
constexpr std::array kFrequencyWords{"batch"sv, "epoch"sv, "fit"sv};
constexpr std::array kDeviceWords{"auto"sv, "cpu"sv, "cuda"sv};
constexpr std::array kTransportWords{"auto"sv, "rest"sv, "nccl"sv};
constexpr std::array kPrecisionWords{"float32"sv, "tf32"sv, "mixed_bfloat16"sv};
constexpr std::array kOnNanWords{"fail"sv, "continue"sv};
constexpr std::array kMonitorModeWords{"auto"sv, "min"sv, "max"sv};
constexpr std::array kResumeWords{"own"sv, "latest"sv, "restart"sv};
constexpr std::array kCleanPodPolicyWords{"Running"sv, "All"sv, "None"sv};

template <typename Enum, std::size_t count>
std::string_view WordOf(const std::array<std::string_view, count>& words, Enum value) {
  return words.at(static_cast<std::size_t>(value));
}

// Precondition: `value` is one of `words`, which the parser has checked.
template <typename Enum, std::size_t count>
Enum FromWord(const std::array<std::string_view, count>& words, const json& value) {
  const auto found = std::find(words.begin(), words.end(), value.get_ref<const std::string&>());
  assert(found != words.end());
  return static_cast<Enum>(found - words.begin());
}

JobSpec::Model::ConfigMapKey& ConfigMapOf(JobSpec& spec) {
  if (!spec.model.config_map) spec.model.config_map.emplace();
  return *spec.model.config_map;
}

JobSpec::Checkpoint& CheckpointOf(JobSpec& spec) {
  if (!spec.checkpoint) spec.checkpoint = JobSpec::Checkpoint{};
  return *spec.checkpoint;
}

EarlyStoppingSpec& EarlyStoppingOf(JobSpec& spec) {
  if (!spec.fit.early_stopping) spec.fit.early_stopping.emplace();
  return *spec.fit.early_stopping;
}

ReduceLrSpec& ReduceLrOf(JobSpec& spec) {
  if (!spec.fit.reduce_lr) spec.fit.reduce_lr.emplace();
  return *spec.fit.reduce_lr;
}

ModelCheckpointSpec& ModelCheckpointOf(JobSpec& spec) {
  if (!spec.fit.model_checkpoint) spec.fit.model_checkpoint.emplace();
  return *spec.fit.model_checkpoint;
}

}  // namespace

std::string_view Word(TaskKind value) { return WordOf(kTaskWords, value); }
std::string_view Word(Mode value) { return WordOf(kModeWords, value); }
std::string_view Word(Frequency value) { return WordOf(kFrequencyWords, value); }
std::string_view Word(Device value) { return WordOf(kDeviceWords, value); }
std::string_view Word(Transport value) { return WordOf(kTransportWords, value); }
std::string_view Word(Precision value) { return WordOf(kPrecisionWords, value); }

namespace manifest {

namespace {

using enum FieldType;

constexpr double kMaxInt32 = 2147483647;
// Whole numbers up to here survive every JSON tool on a cluster's way.
constexpr double kMaxExact = 9007199254740991;

constexpr FieldInfo kFields[] = {
    {.path = "apiVersion",
     .type = kText,
     .doc = "The version of this manifest's format: elephas.dev/v1alpha1.",
     .required = true},
    {.path = "kind",
     .type = kText,
     .doc = "What the manifest describes: ElephasJob.",
     .required = true},

    {.path = "metadata", .type = kSection, .doc = "The job's name and labels.", .required = true},
    {.path = "metadata.name",
     .type = kText,
     .doc =
         "The job's name: lower-case letters, digits, '-' and '.', at most 46 characters, because "
         "the names of its pods are made from it.",
     .may_be_empty = true,
     .default_doc = "made from metadata.generateName; one of the two is required",
     .store = [](JobSpec& s, const json& v) { s.name = v; }},
    {.path = "metadata.generateName",
     .type = kText,
     .doc = "What the job's name begins with, for jobs without a name: five random letters and "
            "digits follow it, so at most 41 characters.",
     .may_be_empty = true,
     .store = [](JobSpec& s, const json& v) { s.generate_name = v; }},
    {.path = "metadata.namespace",
     .type = kText,
     .doc = "The namespace on a cluster.",
     .may_be_empty = true,
     .default_doc = "the namespace that the client is set to",
     .scope = Scope::kClusterOnly,
     .store = [](JobSpec& s, const json& v) { s.name_space = v; }},
    {.path = "metadata.labels", .type = kTextMap, .doc = "Kubernetes labels of the job."},
    {.path = "metadata.annotations", .type = kTextMap, .doc = "Kubernetes annotations of the job."},
    // What an object read back from a cluster carries.
    {.path = "metadata.finalizers", .type = kAny, .doc = "Set by the cluster."},
    {.path = "metadata.ownerReferences", .type = kAny, .doc = "Set by the cluster."},
    {.path = "metadata.uid", .type = kAny, .doc = "Set by the cluster."},
    {.path = "metadata.resourceVersion", .type = kAny, .doc = "Set by the cluster."},
    {.path = "metadata.generation", .type = kAny, .doc = "Set by the cluster."},
    {.path = "metadata.creationTimestamp", .type = kAny, .doc = "Set by the cluster."},
    {.path = "metadata.deletionTimestamp", .type = kAny, .doc = "Set by the cluster."},
    {.path = "metadata.deletionGracePeriodSeconds", .type = kAny, .doc = "Set by the cluster."},
    {.path = "metadata.selfLink", .type = kAny, .doc = "Set by the cluster."},
    {.path = "metadata.managedFields", .type = kAny, .doc = "Set by the cluster."},

    {.path = "spec", .type = kSection, .doc = "What to do, and with what.", .required = true},
    {.path = "spec.task",
     .type = kWord,
     .doc = "What to do with the model: train it, evaluate it, or predict with it.",
     .default_json = R"("train")",
     .words = kTaskWords,
     .store = [](JobSpec& s, const json& v) { s.task = FromWord<TaskKind>(kTaskWords, v); }},
    {.path = "spec.mode",
     .type = kWord,
     .doc = "How workers' updates meet: averaged in rounds (synchronous), applied one after "
            "another as "
            "they arrive (asynchronous), or applied without a lock (hogwild).",
     .default_json = R"("asynchronous")",
     .words = kModeWords,
     .store = [](JobSpec& s, const json& v) { s.mode = FromWord<Mode>(kModeWords, v); }},
    {.path = "spec.frequency",
     .type = kWord,
     .doc = "When workers exchange parameters: after each batch, after each epoch, or once at the "
            "end of "
            "the whole fit (synchronous only).",
     .default_json = R"("epoch")",
     .words = kFrequencyWords,
     .store = [](JobSpec& s,
                 const json& v) { s.frequency = FromWord<Frequency>(kFrequencyWords, v); }},

    {.path = "spec.model",
     .type = kSection,
     .doc = "The Keras model: exactly one of uri, inline and configMapRef.",
     .required = true},
    {.path = "spec.model.uri",
     .type = kUri,
     .doc =
         "The model's file: .keras, .h5 (a whole model), or .json (what model.to_json() prints).",
     .store = [](JobSpec& s, const json& v) { s.model.uri = v; }},
    {.path = "spec.model.inline",
     .type = kObject,
     .doc = "What model.to_json() prints, written into the manifest.",
     .store = [](JobSpec& s, const json& v) { s.model.inline_config = v; }},
    {.path = "spec.model.configMapRef",
     .type = kSection,
     .doc = "A ConfigMap in the job's namespace that holds what model.to_json() prints; on "
            "clusters only."},
    {.path = "spec.model.configMapRef.name",
     .type = kText,
     .doc = "The ConfigMap's name.",
     .required = true,
     .form = TextForm::kDnsSubdomain,
     .store = [](JobSpec& s, const json& v) { ConfigMapOf(s).name = v; }},
    {.path = "spec.model.configMapRef.key",
     .type = kText,
     .doc = "The key inside the ConfigMap.",
     .required = true,
     .form = TextForm::kConfigMapKey,
     .store = [](JobSpec& s, const json& v) { ConfigMapOf(s).key = v; }},
    {.path = "spec.model.weights",
     .type = kSection,
     .doc = "Weights to start from, instead of those in the model's file or random ones."},
    {.path = "spec.model.weights.uri",
     .type = kUri,
     .doc = "The weights' file: .weights.h5 or .safetensors.",
     .required = true,
     .store = [](JobSpec& s, const json& v) { s.model.weights_uri = v; }},

    {.path = "spec.compile",
     .type = kSection,
     .doc = "The words of keras.Model.compile, kept as written.",
     .default_doc = "the compile_config inside the model's file",
     .store = [](JobSpec& s, const json& v) { s.compile = v; }},
    {.path = "spec.compile.optimizer",
     .type = kAny,
     .doc = "An optimizer's name, or its class_name and config.",
     .default_doc = "rmsprop"},
    {.path = "spec.compile.loss",
     .type = kAny,
     .doc = "A loss, a list of losses in output order, or a mapping from output name to loss."},
    {.path = "spec.compile.loss_weights",
     .type = kAny,
     .doc = "Factors of the losses: a list, or a mapping from output name.",
     .default_doc = "1 for every loss"},
    {.path = "spec.compile.metrics",
     .type = kAny,
     .doc = "Metrics to report: a list, or a mapping from output name to metrics."},
    {.path = "spec.compile.weighted_metrics",
     .type = kAny,
     .doc = "Metrics to report that count sample weights: a list, or a mapping from output name."},
    {.path = "spec.compile.run_eagerly",
     .type = kAny,
     .doc = "Part of what Keras saves; there is no graph mode to switch off here.",
     .scope = Scope::kNoEffect},
    {.path = "spec.compile.steps_per_execution",
     .type = kAny,
     .doc = "Part of what Keras saves; results do not depend on it.",
     .scope = Scope::kNoEffect},
    {.path = "spec.compile.jit_compile",
     .type = kAny,
     .doc = "Part of what Keras saves; there is no XLA here.",
     .scope = Scope::kNoEffect},

    {.path = "spec.fit",
     .type = kSection,
     .doc = "The words of keras.Model.fit.",
     .required = true},
    {.path = "spec.fit.epochs",
     .type = kInteger,
     .doc = "How often every example is trained on.",
     .default_json = "1",
     .minimum = 1,
     .maximum = kMaxInt32,
     .store = [](JobSpec& s, const json& v) { s.fit.epochs = v; }},
    {.path = "spec.fit.batchSize",
     .type = kInteger,
     .doc = "Examples per step, per partition; evaluate and predict use it too.",
     .default_json = "32",
     .minimum = 1,
     .maximum = kMaxInt32,
     .store = [](JobSpec& s, const json& v) { s.fit.batch_size = v; }},
    {.path = "spec.fit.validationSplit",
     .type = kNumber,
     .doc = "The share at the end of the dataset that validates each epoch instead of training.",
     .default_json = "0.0",
     .minimum = 0,
     .maximum = 1,
     .below_maximum = true,
     .store = [](JobSpec& s, const json& v) { s.fit.validation_split = v; }},
    {.path = "spec.fit.shuffle",
     .type = kBoolean,
     .doc = "Visit each partition's examples in another order every epoch.",
     .default_json = "true",
     .store = [](JobSpec& s, const json& v) { s.fit.shuffle = v; }},
    {.path = "spec.fit.seed",
     .type = kInteger,
     .doc = "Fixes initial weights, shuffling and dropout.",
     .default_doc = "a random one for each job",
     .minimum = 0,
     .maximum = kMaxExact,
     .store = [](JobSpec& s, const json& v) { s.fit.seed = v; }},
    {.path = "spec.fit.onNaN",
     .type = kWord,
     .doc = "What to do when the loss becomes NaN: fail the job, or continue as Keras does.",
     .default_json = R"("fail")",
     .words = kOnNanWords,
     .store = [](JobSpec& s, const json& v) { s.fit.on_nan = FromWord<OnNan>(kOnNanWords, v); }},

    {.path = "spec.fit.classWeight",
     .type = kWeights,
     .doc = "Weights of classes in the loss and in weighted metrics: a mapping from class index to "
            "weight; a class that is left out weighs 1. One output only, not with "
            "spec.data.sampleWeights. Validation is not weighted by it, as in Keras.",
     .default_doc = "every class weighs 1",
     .store =
         [](JobSpec& s, const json& v) {
           for (const auto& [index, weight] : v.items()) {
             s.fit.class_weight[std::stoll(index)] = weight.get<double>();
           }
         }},

    {.path = "spec.fit.earlyStopping",
     .type = kSection,
     .doc = "Stop when a monitored value no longer gets better: keras.callbacks.EarlyStopping. "
            "Not with frequency fit.",
     .default_doc = "all epochs are trained"},
    {.path = "spec.fit.earlyStopping.monitor",
     .type = kText,
     .doc = "What to watch: a name of history.json.",
     .default_json = R"("val_loss")",
     .store = [](JobSpec& s, const json& v) { EarlyStoppingOf(s).monitor = v; }},
    {.path = "spec.fit.earlyStopping.minDelta",
     .type = kNumber,
     .doc = "A smaller change than this is no improvement.",
     .default_json = "0.0",
     .store = [](JobSpec& s, const json& v) { EarlyStoppingOf(s).min_delta = v; }},
    {.path = "spec.fit.earlyStopping.patience",
     .type = kInteger,
     .doc = "Epochs without an improvement after which training stops.",
     .default_json = "0",
     .minimum = 0,
     .maximum = kMaxInt32,
     .store = [](JobSpec& s, const json& v) { EarlyStoppingOf(s).patience = v; }},
    {.path = "spec.fit.earlyStopping.mode",
     .type = kWord,
     .doc = "Whether smaller (min) or larger (max) values are better; auto: as the metric has it.",
     .default_json = R"("auto")",
     .words = kMonitorModeWords,
     .store =
         [](JobSpec& s, const json& v) {
           EarlyStoppingOf(s).mode = FromWord<MonitorMode>(kMonitorModeWords, v);
         }},
    {.path = "spec.fit.earlyStopping.baseline",
     .type = kNumber,
     .doc = "A value that must be beaten for patience to start anew.",
     .default_doc = "none",
     .store = [](JobSpec& s, const json& v) { EarlyStoppingOf(s).baseline = v.get<double>(); }},
    {.path = "spec.fit.earlyStopping.restoreBestWeights",
     .type = kBoolean,
     .doc = "End with the weights of the best epoch rather than of the last.",
     .default_json = "false",
     .store = [](JobSpec& s, const json& v) { EarlyStoppingOf(s).restore_best_weights = v; }},
    {.path = "spec.fit.earlyStopping.startFromEpoch",
     .type = kInteger,
     .doc = "Epochs at the start that are not looked at.",
     .default_json = "0",
     .minimum = 0,
     .maximum = kMaxInt32,
     .store = [](JobSpec& s, const json& v) { EarlyStoppingOf(s).start_from_epoch = v; }},

    {.path = "spec.fit.reduceLROnPlateau",
     .type = kSection,
     .doc = "Lower the learning rate when a monitored value no longer gets better: "
            "keras.callbacks.ReduceLROnPlateau. Needs an optimizer whose learning rate is a "
            "number. Not with frequency fit.",
     .default_doc = "the learning rate is the optimizer's"},
    {.path = "spec.fit.reduceLROnPlateau.monitor",
     .type = kText,
     .doc = "What to watch: a name of history.json.",
     .default_json = R"("val_loss")",
     .store = [](JobSpec& s, const json& v) { ReduceLrOf(s).monitor = v; }},
    {.path = "spec.fit.reduceLROnPlateau.factor",
     .type = kNumber,
     .doc = "What the learning rate is multiplied with; below 1.",
     .default_json = "0.1",
     .minimum = 0,
     .maximum = 1,
     .below_maximum = true,
     .store = [](JobSpec& s, const json& v) { ReduceLrOf(s).factor = v; }},
    {.path = "spec.fit.reduceLROnPlateau.patience",
     .type = kInteger,
     .doc = "Epochs without an improvement after which the learning rate is lowered.",
     .default_json = "10",
     .minimum = 0,
     .maximum = kMaxInt32,
     .store = [](JobSpec& s, const json& v) { ReduceLrOf(s).patience = v; }},
    {.path = "spec.fit.reduceLROnPlateau.mode",
     .type = kWord,
     .doc = "Whether smaller (min) or larger (max) values are better; auto: as the metric has it.",
     .default_json = R"("auto")",
     .words = kMonitorModeWords,
     .store =
         [](JobSpec& s, const json& v) {
           ReduceLrOf(s).mode = FromWord<MonitorMode>(kMonitorModeWords, v);
         }},
    {.path = "spec.fit.reduceLROnPlateau.minDelta",
     .type = kNumber,
     .doc = "A smaller change than this is no improvement.",
     .default_json = "0.0001",
     .store = [](JobSpec& s, const json& v) { ReduceLrOf(s).min_delta = v; }},
    {.path = "spec.fit.reduceLROnPlateau.cooldown",
     .type = kInteger,
     .doc = "Epochs to wait after a reduction before epochs without an improvement count again.",
     .default_json = "0",
     .minimum = 0,
     .maximum = kMaxInt32,
     .store = [](JobSpec& s, const json& v) { ReduceLrOf(s).cooldown = v; }},
    {.path = "spec.fit.reduceLROnPlateau.minLR",
     .type = kNumber,
     .doc = "The learning rate is not lowered below this.",
     .default_json = "0.0",
     .minimum = 0,
     .store = [](JobSpec& s, const json& v) { ReduceLrOf(s).min_lr = v; }},

    {.path = "spec.fit.modelCheckpoint",
     .type = kSection,
     .doc = "Keep the model of the epoch whose monitored value is the best, and write it as "
            "best.keras beside model.keras: keras.callbacks.ModelCheckpoint with save_best_only. "
            "Not with frequency fit.",
     .default_doc = "only the last epoch's model is written"},
    {.path = "spec.fit.modelCheckpoint.monitor",
     .type = kText,
     .doc = "What to watch: a name of history.json.",
     .default_json = R"("val_loss")",
     .store = [](JobSpec& s, const json& v) { ModelCheckpointOf(s).monitor = v; }},
    {.path = "spec.fit.modelCheckpoint.mode",
     .type = kWord,
     .doc = "Whether smaller (min) or larger (max) values are better; auto: as the metric has it.",
     .default_json = R"("auto")",
     .words = kMonitorModeWords,
     .store =
         [](JobSpec& s, const json& v) {
           ModelCheckpointOf(s).mode = FromWord<MonitorMode>(kMonitorModeWords, v);
         }},

    {.path = "spec.data", .type = kSection, .doc = "The examples.", .required = true},
    {.path = "spec.data.uri",
     .type = kUri,
     .doc = "The dataset's file: .npz (named arrays), .npy (one array, to predict), .csv with a "
            "header, or "
            ".libsvm.",
     .required = true,
     .store = [](JobSpec& s, const json& v) { s.data.uri = v; }},
    {.path = "spec.data.features",
     .type = kNames,
     .doc = "Arrays or columns that go into the model: names in the model's input order, or a "
            "mapping from "
            "input name to array name.",
     .default_doc = "the array x, or every column that is not a label",
     .store = [](JobSpec& s, const json& v) { s.data.features = v; }},
    {.path = "spec.data.labels",
     .type = kNames,
     .doc = "Arrays or columns that the model learns: names in the model's output order, or a "
            "mapping from "
            "output name to array name.",
     .default_doc = "the array y; a .csv file needs them named to train or evaluate",
     .store = [](JobSpec& s, const json& v) { s.data.labels = v; }},
    {.path = "spec.data.sampleWeights",
     .type = kNames,
     .doc =
         "Arrays or columns with a weight for each example, none of them negative: one name for "
         "all outputs, names in the model's output order, or a mapping from output name to array "
         "name. They count in the loss and in weighted metrics, in training, validation and "
         "evaluation.",
     .default_doc = "every example weighs 1",
     .store = [](JobSpec& s, const json& v) { s.data.sample_weights = v; }},
    {.path = "spec.data.partitions",
     .type = kInteger,
     .doc = "Slices that the dataset is cut into when the job starts; workers take them in turn.",
     .default_doc = "4 x spec.workers.replicas",
     .minimum = 1,
     .maximum = kMaxInt32,
     .store = [](JobSpec& s, const json& v) { s.data.partitions = v; }},

    {.path = "spec.workers",
     .type = kSection,
     .doc = "The processes that train.",
     .required = true},
    {.path = "spec.workers.replicas",
     .type = kInteger,
     .doc = "How many workers there are.",
     .default_json = "1",
     .minimum = 1,
     .maximum = 9999,
     .mutability = Mutability::kMutable,
     .store = [](JobSpec& s, const json& v) { s.workers.replicas = v; }},
    {.path = "spec.workers.device",
     .type = kWord,
     .doc = "Where workers compute: on a GPU when there is one (auto), on the CPU, or on a GPU or "
            "not at all "
            "(cuda).",
     .default_json = R"("auto")",
     .words = kDeviceWords,
     .store = [](JobSpec& s,
                 const json& v) { s.workers.device = FromWord<Device>(kDeviceWords, v); }},
    {.path = "spec.workers.threads",
     .type = kInteger,
     .doc =
         "CPU threads per worker. More threads than idle cores make a worker slower, not faster.",
     .default_json = "1",
     .minimum = 1,
     .maximum = 1024,
     .store = [](JobSpec& s, const json& v) { s.workers.threads = v; }},
    {.path = "spec.workers.precision",
     .type = kWord,
     .doc = "How workers multiply: in float32; on GPUs with inputs rounded to TF32 (tf32); or in "
            "bfloat16 as Keras' policy of that name, weights staying float32 (mixed_bfloat16).",
     .default_json = R"("float32")",
     .words = kPrecisionWords,
     .store = [](JobSpec& s,
                 const json& v) { s.workers.precision = FromWord<Precision>(kPrecisionWords, v); }},
    {.path = "spec.workers.template",
     .type = kPodTemplate,
     .doc = "A pod template to merge into the workers' pods: Kubernetes' own fields, of which none "
            "needs to be there.",
     .mutability = Mutability::kWhileSuspended,
     .scope = Scope::kClusterOnly,
     .store = [](JobSpec& s, const json& v) { s.workers.pod_template = v; }},

    {.path = "spec.parameterServers",
     .type = kSection,
     .doc = "The processes that hold parameters, ledger and checkpoints.",
     .required = true},
    {.path = "spec.parameterServers.replicas",
     .type = kInteger,
     .doc = "How many servers the parameters are split over.",
     .default_json = "1",
     .minimum = 1,
     .maximum = 9999,
     .store = [](JobSpec& s, const json& v) { s.parameter_servers.replicas = v; }},
    {.path = "spec.parameterServers.port",
     .type = kInteger,
     .doc = "The port that servers listen on; in a local run server N listens on port + N.",
     .default_doc = "4000 on a cluster, any free port in a local run",
     .minimum = 1,
     .maximum = 65535,
     .store = [](JobSpec& s, const json& v) { s.parameter_servers.port = v; }},
    {.path = "spec.parameterServers.template",
     .type = kPodTemplate,
     .doc = "A pod template to merge into the servers' pods: Kubernetes' own fields, of which none "
            "needs to be there.",
     .mutability = Mutability::kWhileSuspended,
     .scope = Scope::kClusterOnly,
     .store = [](JobSpec& s, const json& v) { s.parameter_servers.pod_template = v; }},

    {.path = "spec.transport",
     .type = kWord,
     .doc = "How updates travel: to the parameter servers (rest), between GPUs (nccl, synchronous "
            "only), or "
            "the faster that is possible (auto).",
     .default_json = R"("auto")",
     .words = kTransportWords,
     .store = [](JobSpec& s,
                 const json& v) { s.transport = FromWord<Transport>(kTransportWords, v); }},

    {.path = "spec.checkpoint",
     .type = kSection,
     .doc = "Where and how often to save what a job needs to go on after its servers died.",
     .default_doc = "no checkpoints"},
    {.path = "spec.checkpoint.uri",
     .type = kUri,
     .doc = "The folder for checkpoints. Each job writes into a folder of its uid below it, so "
            "several jobs may name the same one. On a cluster a relative path starts at /data, and "
            "has no '..' in it.",
     .required = true,
     .store = [](JobSpec& s, const json& v) { CheckpointOf(s).uri = v; }},
    {.path = "spec.checkpoint.every", .type = kSection, .doc = "How often.", .required = true},
    {.path = "spec.checkpoint.every.epochs",
     .type = kInteger,
     .doc = "Save after so many epochs.",
     .default_json = "1",
     .minimum = 1,
     .maximum = kMaxInt32,
     .store = [](JobSpec& s, const json& v) { CheckpointOf(s).every_epochs = v; }},
    {.path = "spec.checkpoint.keep",
     .type = kInteger,
     .doc = "How many checkpoints stay; older ones are removed.",
     .default_json = "3",
     .minimum = 1,
     .maximum = kMaxInt32,
     .store = [](JobSpec& s, const json& v) { CheckpointOf(s).keep = v; }},
    {.path = "spec.checkpoint.resume",
     .type = kWord,
     .doc = "What a job goes on from. own: its own checkpoints only; when all of them are damaged "
            "it fails and names them. latest: while it has none, the newest of the job that was "
            "started last below spec.checkpoint.uri; they are read, never changed (what `elephas "
            "run --resume` does). restart: its own, and when all of them are damaged it starts "
            "over.",
     .default_json = R"("own")",
     .words = kResumeWords,
     .store = [](JobSpec& s,
                 const json& v) { CheckpointOf(s).resume = FromWord<Resume>(kResumeWords, v); }},

    {.path = "spec.output", .type = kSection, .doc = "The results.", .required = true},
    {.path = "spec.output.uri",
     .type = kUri,
     .doc = "The folder for model.keras, model.safetensors and history.json, metrics.json, or "
            "predictions.npy. To train it may end in .keras or .h5 (Keras' legacy format): then it "
            "is the model's file, and the other results are written beside it. On a cluster a "
            "relative path starts at /data, where a volume must be mounted, and has no '..' in it.",
     .required = true,
     .store = [](JobSpec& s, const json& v) { s.output_uri = v; }},

    {.path = "spec.runPolicy",
     .type = kSection,
     .doc = "When to start, give up and clean up.",
     .required = true},
    {.path = "spec.runPolicy.suspend",
     .type = kBoolean,
     .doc = "Keep the job without running it; its pods are removed until this is false again.",
     .default_json = "false",
     .mutability = Mutability::kMutable,
     .store = [](JobSpec& s, const json& v) { s.run_policy.suspend = v; }},
    {.path = "spec.runPolicy.backoffLimit",
     .type = kInteger,
     .doc = "How often dead processes of the job are started again before it fails.",
     .default_json = "6",
     .minimum = 0,
     .maximum = kMaxInt32,
     .mutability = Mutability::kMutable,
     .store = [](JobSpec& s, const json& v) { s.run_policy.backoff_limit = v; }},
    {.path = "spec.runPolicy.activeDeadlineSeconds",
     .type = kInteger,
     .doc = "Fail the job when it has run for longer than this.",
     .default_doc = "no limit",
     .minimum = 1,
     .maximum = kMaxInt32,
     .mutability = Mutability::kMutable,
     .store = [](JobSpec& s, const json& v) { s.run_policy.active_deadline_seconds = v; }},
    {.path = "spec.runPolicy.ttlSecondsAfterFinished",
     .type = kInteger,
     .doc = "Delete the finished job after this time.",
     .default_doc = "never",
     .minimum = 0,
     .maximum = kMaxInt32,
     .mutability = Mutability::kMutable,
     .scope = Scope::kClusterOnly,
     .store = [](JobSpec& s, const json& v) { s.run_policy.ttl_seconds_after_finished = v; }},
    {.path = "spec.runPolicy.cleanPodPolicy",
     .type = kWord,
     .doc = "Which pods are deleted when the job has finished: those still running, all, or none.",
     .default_json = R"("Running")",
     .words = kCleanPodPolicyWords,
     .mutability = Mutability::kMutable,
     .scope = Scope::kClusterOnly,
     .store = [](JobSpec& s, const json& v) { s.run_policy.clean_pod_policy = v; }},

    {.path = "status", .type = kAny, .doc = "Written by the operator."},
};

}  // namespace

std::span<const FieldInfo> ManifestFields() { return kFields; }

const FieldInfo* FindField(std::string_view path) {
  const auto* found = std::find_if(std::begin(kFields), std::end(kFields),
                                   [&](const FieldInfo& field) { return field.path == path; });
  return found == std::end(kFields) ? nullptr : found;
}

std::string_view LastPart(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

std::string_view ParentPath(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

}  // namespace manifest

}  // namespace elephas
