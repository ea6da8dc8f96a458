// The ElephasJob as the programs use it: parsed, checked and with every default filled in.
//
// One parser serves the command line, the parameter server, the worker and the operator, so the
// verdict on a manifest is the same everywhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/yaml/problem.h"

namespace elephas {

enum class TaskKind : std::uint8_t { kTrain, kEvaluate, kPredict };
enum class Mode : std::uint8_t { kSynchronous, kAsynchronous, kHogwild };
enum class Frequency : std::uint8_t { kBatch, kEpoch, kFit };
enum class Device : std::uint8_t { kAuto, kCpu, kCuda };
enum class Transport : std::uint8_t { kAuto, kRest, kNccl };
enum class Precision : std::uint8_t { kFloat32, kTf32, kMixedBfloat16 };
enum class OnNan : std::uint8_t { kFail, kContinue };
// Which way a monitored value gets better; kAuto: as the metric's class says.
enum class MonitorMode : std::uint8_t { kAuto, kMin, kMax };
// What a job begins with. kOwn: its own checkpoints; kLatest: without any, those of the run that
// was started last; kRestart: its own, or anew when all of them are damaged.
enum class Resume : std::uint8_t { kOwn, kLatest, kRestart };

// The manifest's own words ("train", "asynchronous", …).
std::string_view Word(TaskKind value);
std::string_view Word(Mode value);
std::string_view Word(Frequency value);
std::string_view Word(Device value);
std::string_view Word(Transport value);
std::string_view Word(Precision value);

// What a training callback watches: a name of history.json.
struct MonitorSpec {
  std::string monitor = "val_loss";
  MonitorMode mode = MonitorMode::kAuto;
};

// keras.callbacks.EarlyStopping
struct EarlyStoppingSpec : MonitorSpec {
  double min_delta = 0;
  std::int64_t patience = 0;
  std::optional<double> baseline;
  bool restore_best_weights = false;
  std::int64_t start_from_epoch = 0;
};

// keras.callbacks.ReduceLROnPlateau
struct ReduceLrSpec : MonitorSpec {
  double factor = 0.1;
  std::int64_t patience = 10;
  double min_delta = 1e-4;
  std::int64_t cooldown = 0;
  double min_lr = 0;
};

// keras.callbacks.ModelCheckpoint with save_best_only
struct ModelCheckpointSpec : MonitorSpec {};

struct JobSpec {
  std::string name;           // empty: the cluster is to make one up, from generate_name
  std::string generate_name;  // metadata.generateName; counts only without a name
  std::string name_space;     // metadata.namespace; empty when left out
  TaskKind task = TaskKind::kTrain;
  Mode mode = Mode::kAsynchronous;
  Frequency frequency = Frequency::kEpoch;

  struct Model {  // exactly one of uri, inline_config, config_map is set
    std::optional<std::string> uri;
    std::optional<nlohmann::json> inline_config;  // what keras' model.to_json() prints
    struct ConfigMapKey {
      std::string name, key;
    };
    std::optional<ConfigMapKey> config_map;
    std::optional<std::string> weights_uri;
  } model;

  // spec.compile verbatim, in Keras' words; null when left out.
  nlohmann::json compile;

  struct Fit {
    std::int64_t epochs = 1;
    std::int64_t batch_size = 32;
    double validation_split = 0.0;
    bool shuffle = true;
    std::optional<std::uint64_t> seed;
    OnNan on_nan = OnNan::kFail;
    std::optional<EarlyStoppingSpec> early_stopping;
    std::optional<ReduceLrSpec> reduce_lr;
    std::optional<ModelCheckpointSpec> model_checkpoint;
    std::map<std::int64_t, double> class_weight;  // by class index; others weigh 1
    // Something is decided at each epoch's end, so epochs do not overlap.
    [[nodiscard]] bool has_callbacks() const {
      return early_stopping || reduce_lr || model_checkpoint;
    }
  } fit;

  struct Data {
    std::string uri;
    // null, a list of names, or a map from model input (output) name to array name.
    nlohmann::json features, labels, sample_weights;
    std::int64_t partitions = 0;  // filled in: 4 x workers.replicas when left out
  } data;

  struct Workers {
    std::int64_t replicas = 1;
    Device device = Device::kAuto;
    std::int64_t threads = 1;
    Precision precision = Precision::kFloat32;
    nlohmann::json pod_template;  // null when left out
  } workers;

  struct ParameterServers {
    std::int64_t replicas = 1;
    std::optional<std::int64_t> port;  // left out: 4000 on a cluster, any free port locally
    nlohmann::json pod_template;
  } parameter_servers;

  Transport transport = Transport::kAuto;

  struct Checkpoint {
    std::string uri;
    std::int64_t every_epochs = 1;
    std::int64_t keep = 3;
    Resume resume = Resume::kOwn;
  };
  std::optional<Checkpoint> checkpoint;

  std::string output_uri;

  struct RunPolicy {
    bool suspend = false;
    std::int64_t backoff_limit = 6;
    std::optional<std::int64_t> active_deadline_seconds;
    std::optional<std::int64_t> ttl_seconds_after_finished;
    std::string clean_pod_policy = "Running";
  } run_policy;
};

struct ParsedManifest {
  JobSpec spec;             // meaningful only when `problems` is empty
  nlohmann::json document;  // the manifest as JSON with overrides and defaults applied
  // Every problem found, in file order. Of very many only the first are told; the last one then
  // says how many more there are.
  std::vector<ManifestProblem> problems;
  std::vector<ManifestProblem> warnings;          // what may go wrong with a valid manifest
  std::map<std::string, int, std::less<>> lines;  // of the fields that the text has, by path
};

struct ManifestOverride {
  std::string path;   // "spec.fit.epochs"
  std::string value;  // YAML text: "3", "[a, b]", "true"
};
// Where the results go. output.uri names a folder, or, for a job that trains, the model's file
// (.keras or .h5), which the other results are written beside.
struct OutputPlaces {
  std::string folder_uri;
  std::string model_file;  // "model.keras", below the folder
  std::string best_file;   // "best.keras"
};
OutputPlaces PlacesOf(const JobSpec& spec);
// True for a URI that ends in .keras or .h5.
bool NamesModelFile(std::string_view uri);

// Splits "spec.fit.epochs=3". kInvalid without '=' or with an empty path.
Result<ManifestOverride> ParseOverride(std::string_view text);

// Parses YAML or JSON text (one document). Never throws; everything wrong is in `problems`.
ParsedManifest ParseManifest(std::string_view text, std::string_view file,
                             const std::vector<ManifestOverride>& overrides = {});

// The same for a manifest that is JSON already, as a cluster has it.
ParsedManifest ParseManifestJson(const nlohmann::json& document, std::string_view file);

// The path that a URI of the manifest means: `uri` itself when absolute or with scheme file://,
// else below `base`. kInvalid for a scheme that is not known.
Result<std::string> ResolveUri(std::string_view uri, std::string_view base);

}  // namespace elephas
