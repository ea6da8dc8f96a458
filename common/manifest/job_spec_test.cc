#include "common/manifest/job_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/manifest/testing/manifest.h"

namespace elephas {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParseManifest, ReportsEveryProblemInFileOrder) {
  EXPECT_THAT(
      ProblemsOf(Manifest({{3, "metadata: {name: A}"},
                           {5, "  model: {uri: m.onnx}"},
                           {8, "  fit: {epochs: 0, epochz: 1}"},
                           {9, "  mode: sync"}})),
      ElementsAre("job.yaml:3: metadata.name: must be lower-case letters, digits, '-' and '.', "
                  "beginning and ending with a letter or digit, not 'A'",
                  "job.yaml:5: spec.model.uri: must end in .keras, .h5 or .json, not 'm.onnx'",
                  "job.yaml:8: spec.fit.epochz: unknown field; did you mean 'epochs'?",
                  "job.yaml:8: spec.fit.epochs: must be at least 1",
                  "job.yaml:9: spec.mode: must be one of synchronous, asynchronous, hogwild, not "
                  "'sync'"));
}

TEST(ParseManifest, FillsInTheDefaults) {
  const ParsedManifest parsed = ParseManifest(Manifest({}), "job.yaml");
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_EQ(parsed.document, json::parse(R"({
    "apiVersion": "elephas.dev/v1alpha1", "kind": "ElephasJob", "metadata": {"name": "digits"},
    "spec": {
      "task": "train", "mode": "asynchronous", "frequency": "epoch", "transport": "auto",
      "model": {"uri": "model.keras"},
      "fit": {"epochs": 1, "batchSize": 32, "validationSplit": 0.0, "shuffle": true, "onNaN": "fail"},
      "data": {"uri": "digits.npz", "partitions": 4},
      "workers": {"replicas": 1, "device": "auto", "threads": 1, "precision": "float32"},
      "parameterServers": {"replicas": 1},
      "output": {"uri": "out"},
      "runPolicy": {"suspend": false, "backoffLimit": 6, "cleanPodPolicy": "Running"}}})"));
  const JobSpec& spec = parsed.spec;
  EXPECT_EQ(spec.name, "digits");
  EXPECT_EQ(spec.task, TaskKind::kTrain);
  EXPECT_EQ(spec.mode, Mode::kAsynchronous);
  EXPECT_EQ(spec.frequency, Frequency::kEpoch);
  EXPECT_EQ(spec.model.uri, "model.keras");
  EXPECT_FALSE(spec.model.inline_config || spec.model.config_map || spec.model.weights_uri);
  EXPECT_TRUE(spec.compile.is_null());
  EXPECT_EQ(spec.fit.batch_size, 32);
  EXPECT_FALSE(spec.fit.seed.has_value());
  EXPECT_TRUE(spec.data.features.is_null());
  EXPECT_EQ(spec.data.partitions, 4);
  EXPECT_FALSE(spec.parameter_servers.port.has_value());
  EXPECT_FALSE(spec.checkpoint.has_value());
  EXPECT_EQ(spec.output_uri, "out");
  EXPECT_EQ(spec.run_policy.backoff_limit, 6);
}

constexpr char kEveryField[] = R"(
apiVersion: elephas.dev/v1alpha1
kind: ElephasJob
metadata:
  name: digits.v2
  namespace: ml
  labels: {team: vision}
  annotations: {note: "5"}
spec:
  task: evaluate
  mode: synchronous
  frequency: fit
  model:
    inline: {class_name: Sequential, config: {layers: [{units: 3, rate: 0.5, name: ~}]}}
    weights: {uri: start.weights.h5}
  compile:
    optimizer: {class_name: SGD, config: {learning_rate: 1e-2, nesterov: True}}
    loss: {out: mse}
    metrics: [accuracy]
    loss_weights: null
    jit_compile: false
  fit: {epochs: 10, batchSize: 64, validationSplit: 0.1, shuffle: false, seed: 42, onNaN: continue}
  data: {uri: digits.npz, features: {pixels: x}, labels: 'y', partitions: 7}
  workers: {replicas: 3, device: cuda, threads: 2, template: {spec: {nodeSelector: {a: b}}}}
  parameterServers: {replicas: 2, port: 4001, template: {metadata: {labels: {c: d}}}}
  transport: rest
  checkpoint: {uri: ckpt, every: {epochs: 5}, keep: 2}
  output: {uri: "file:///tmp/out"}
  runPolicy: {suspend: true, backoffLimit: 0, activeDeadlineSeconds: 3600, ttlSecondsAfterFinished: 600,
              cleanPodPolicy: None}
)";

TEST(ParseManifest, ReadsEveryField) {
  const ParsedManifest parsed = ParseManifest(kEveryField, "job.yaml");
  ASSERT_THAT(Problems(parsed), IsEmpty());
  const JobSpec& spec = parsed.spec;
  EXPECT_EQ(spec.name, "digits.v2");
  EXPECT_EQ(spec.name_space, "ml");
  EXPECT_EQ(spec.task, TaskKind::kEvaluate);
  EXPECT_EQ(spec.mode, Mode::kSynchronous);
  EXPECT_EQ(spec.frequency, Frequency::kFit);
  EXPECT_EQ(*spec.model.inline_config, json::parse(R"({"class_name":"Sequential",
                            "config":{"layers":[{"units":3,"rate":0.5,"name":null}]}})"));
  EXPECT_EQ(spec.model.weights_uri, "start.weights.h5");
  EXPECT_EQ(spec.compile, json::parse(R"({
      "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.01, "nesterov": true}},
      "loss": {"out": "mse"}, "metrics": ["accuracy"], "jit_compile": false})"));
  EXPECT_EQ(spec.fit.epochs, 10);
  EXPECT_EQ(spec.fit.batch_size, 64);
  EXPECT_DOUBLE_EQ(spec.fit.validation_split, 0.1);
  EXPECT_FALSE(spec.fit.shuffle);
  EXPECT_EQ(spec.fit.seed, 42);
  EXPECT_EQ(spec.fit.on_nan, OnNan::kContinue);
  EXPECT_EQ(spec.data.features, json::parse(R"({"pixels": "x"})"));
  EXPECT_EQ(spec.data.labels, json::parse(R"(["y"])"));
  EXPECT_EQ(spec.data.partitions, 7);
  EXPECT_EQ(spec.workers.replicas, 3);
  EXPECT_EQ(spec.workers.device, Device::kCuda);
  EXPECT_EQ(spec.workers.threads, 2);
  EXPECT_EQ(spec.workers.pod_template, json::parse(R"({"spec":{"nodeSelector":{"a":"b"}}})"));
  EXPECT_EQ(spec.parameter_servers.replicas, 2);
  EXPECT_EQ(spec.parameter_servers.port, 4001);
  EXPECT_EQ(spec.parameter_servers.pod_template,
            json::parse(R"({"metadata":{"labels":{"c":"d"}}})"));
  EXPECT_EQ(spec.transport, Transport::kRest);
  ASSERT_TRUE(spec.checkpoint.has_value());
  EXPECT_EQ(spec.checkpoint->uri, "ckpt");
  EXPECT_EQ(spec.checkpoint->every_epochs, 5);
  EXPECT_EQ(spec.checkpoint->keep, 2);
  EXPECT_EQ(spec.output_uri, "file:///tmp/out");
  EXPECT_TRUE(spec.run_policy.suspend);
  EXPECT_EQ(spec.run_policy.backoff_limit, 0);
  EXPECT_EQ(spec.run_policy.active_deadline_seconds, 3600);
  EXPECT_EQ(spec.run_policy.ttl_seconds_after_finished, 600);
  EXPECT_EQ(spec.run_policy.clean_pod_policy, "None");
}

TEST(ParseManifest, TellsTheLinesOfFields) {
  const ParsedManifest parsed =
      ParseManifest(Manifest({{8, "  fit:\n    epochs: 3"}}), "job.yaml", {{"spec.fit.seed", "1"}});
  EXPECT_EQ(parsed.lines.at("spec.data.uri"), 6);
  EXPECT_EQ(parsed.lines.at("spec.fit.epochs"), 9);
  EXPECT_FALSE(parsed.lines.contains("spec.fit.batchSize"));
  EXPECT_FALSE(parsed.lines.contains("spec.fit.seed"));
}

TEST(ParseManifest, AConfigMapReferenceIsValid) {
  const ParsedManifest parsed =
      ParseManifest(Manifest({{5, "  model: {configMapRef: {name: m, key: k.json}}"}}), "job.yaml");
  ASSERT_THAT(Problems(parsed), IsEmpty());
  ASSERT_TRUE(parsed.spec.model.config_map.has_value());
  EXPECT_EQ(parsed.spec.model.config_map->name, "m");
  EXPECT_EQ(parsed.spec.model.config_map->key, "k.json");
}

// The document is what the programs hand on: reading it again must change nothing.
class DocumentRoundTrip : public ::testing::TestWithParam<std::string> {};

TEST_P(DocumentRoundTrip, TheDocumentParsesToItself) {
  const ParsedManifest first = ParseManifest(GetParam(), "job.yaml");
  ASSERT_THAT(Problems(first), IsEmpty());
  for (const int indent : {-1, 2}) {
    const ParsedManifest second = ParseManifest(first.document.dump(indent), "job.json");
    ASSERT_THAT(Problems(second), IsEmpty());
    EXPECT_EQ(second.document, first.document);
    EXPECT_EQ(second.document.dump(), first.document.dump());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Manifests, DocumentRoundTrip,
    ::testing::Values(
        Manifest({}), kEveryField,
        Manifest({{6,
                   "  data: {uri: a.csv, labels: label, features: [ä, 'x y', '1', 'true', '~']}"}}),
        Manifest({{8,
                   "  compile: {loss: mse, run_eagerly: {a: 1e22, b: 1e-7, c: -0.0, d: "
                   "18446744073709551615,"
                   " e: -9223372036854775808, f: 0.1, g: 3.0, h: \"\\u0007\\\"\\\\\\t\\n/\", i: "
                   "[], j: {}}}"}}),
        Manifest(
            {{8,
              "  compile: {loss: mse, run_eagerly: {'': 1, '<<': 2, 'a: b': 3, '# c': 4, '- d': "
              "5}}"}}),
        Manifest(
            {{8,
              "  compile: {loss: mse, run_eagerly: [\"\\N\\L\\P\\x7f\\e\\r \", "
              "\"\xc2\x85\xe2\x80\xa8\xef\xbb\xbf\", "
              "'-', "
              "'- a', '? b', '| c', '%d', '@e', '`f', ' g ', 'null', '0x1', '1e3', '.5', '!x']}"}}),
        Manifest({{5, "  model: {configMapRef: {name: m, key: k}}"}}),
        Manifest({{8, "  fit: {seed: 9007199254740991, validationSplit: 0.30000000000000004}"}})));

TEST(ParseManifest, ReadsJsonAsPythonWritesIt) {
  // Escapes of characters beyond U+FFFF come in two halves.
  const std::string text =
      "{\n\t\"apiVersion\": \"elephas.dev/v1alpha1\", \"kind\":\"ElephasJob\",\n"
      "\t\"metadata\": {\"name\": \"digits\", \"annotations\": {\"a\": \"\\ud83d\\udc18 \\u00e4 "
      "\\\\ud83d\"}},\n"
      "\t\"spec\": {\"model\": {\"uri\": \"model.keras\"}, \"data\": {\"uri\": \"a\\/b.npz\"},\n"
      "\t\t\"output\": {\"uri\": \"out\"}}\n}\n";
  const ParsedManifest parsed = ParseManifest(text, "job.json");
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_EQ(parsed.document["metadata"]["annotations"]["a"], "🐘 ä \\ud83d");
  EXPECT_EQ(parsed.spec.data.uri, "a/b.npz");
}

TEST(ParseManifest, AnObjectReadFromAClusterIsValid) {
  const std::string text =
      Manifest({{3, R"(metadata: {name: digits, uid: 1-2, resourceVersion: "7", generation: 1,
  creationTimestamp: "2026-01-01T00:00:00Z", managedFields: [{manager: kubectl, fieldsV1: {"f:spec": {}}}],
  ownerReferences: [], finalizers: [x], selfLink: /a})"},
                {7, "  output: {uri: out}\nstatus: {conditions: [{type: Running}]}"}});
  const ParsedManifest parsed = ParseManifest(text, "job.yaml");
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_FALSE(parsed.document.contains("status"));
  EXPECT_FALSE(parsed.document["metadata"].contains("managedFields"));
  EXPECT_EQ(parsed.document["metadata"]["uid"], "1-2");
}

TEST(ParseManifest, AliasesStandForWhatTheyName) {
  const ParsedManifest parsed = ParseManifest(
      Manifest({{3, "metadata: {name: &n digits, labels: &l {job: *n}, annotations: *l}"}}),
      "job.yaml");
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_EQ(
      parsed.document["metadata"],
      json::parse(R"({"name":"digits","labels":{"job":"digits"},"annotations":{"job":"digits"}})"));
}

TEST(ParseManifest, EmptyDocumentsAroundTheJobAreIgnored) {
  EXPECT_THAT(ProblemsOf("---\n---\n" + Manifest({}) + "---\n"), IsEmpty());
}

TEST(ParseManifest, PredictNeedsNoLabels) {
  EXPECT_THAT(ProblemsOf(Manifest({{6, "  data: {uri: x.npy}"}, {8, "  task: predict"}})),
              IsEmpty());
  EXPECT_THAT(ProblemsOf(Manifest({{6, "  data: {uri: x.csv}"}, {8, "  task: predict"}})),
              IsEmpty());
}

TEST(ParseManifest, ACompileConfigInsideTheInlineModelIsEnough) {
  EXPECT_THAT(ProblemsOf(Manifest(
                  {{5, "  model: {inline: {class_name: S, compile_config: {loss: mse}}}"}})),
              IsEmpty());
}

// ---------------------------------------------------------------------------------------------
ParsedManifest WithSet(const std::vector<std::string>& settings,
                       const std::map<int, std::string>& lines = {}) {
  std::vector<ManifestOverride> overrides;
  for (const std::string& text : settings) {
    const auto override = ParseOverride(text);
    EXPECT_TRUE(override.ok()) << text;
    if (override.ok()) overrides.push_back(*override);
  }
  return ParseManifest(Manifest(lines), "job.yaml", overrides);
}

TEST(ManifestOverrides, ReplaceAndAddFields) {
  const ParsedManifest parsed = WithSet(
      {"spec.fit.epochs=3", "spec.mode=hogwild", "spec.data.labels=[a, b]",
       "spec.compile={loss: mse, metrics: [mae]}", "spec.compile.optimizer.class_name=Adam"},
      {{8, "  fit: {epochs: 1, batchSize: 8}"}});
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_EQ(parsed.spec.fit.epochs, 3);
  EXPECT_EQ(parsed.spec.fit.batch_size, 8);
  EXPECT_EQ(parsed.spec.mode, Mode::kHogwild);
  EXPECT_EQ(parsed.spec.data.labels, json::parse(R"(["a","b"])"));
  EXPECT_EQ(parsed.spec.compile,
            json::parse(R"({"loss":"mse","metrics":["mae"],"optimizer":{"class_name":"Adam"}})"));
}

TEST(ManifestOverrides, TheLastOneWins) {
  EXPECT_EQ(WithSet({"spec.fit.epochs=3", "spec.fit.epochs=5"}).spec.fit.epochs, 5);
}

TEST(ManifestOverrides, NothingAfterTheEqualsSignTakesTheFieldOut) {
  const ParsedManifest parsed =
      WithSet({"spec.model.uri=", "spec.model.configMapRef={name: m, key: k}", "spec.fit=null"},
              {{8, "  fit: {epochs: 5}"}});
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_FALSE(parsed.spec.model.uri.has_value());
  EXPECT_EQ(parsed.spec.fit.epochs, 1);
}

TEST(ManifestOverrides, ADotInsideAKeyIsEscaped) {
  const ParsedManifest parsed = WithSet({"metadata.labels.example\\.com/team=red"});
  ASSERT_THAT(Problems(parsed), IsEmpty());
  EXPECT_EQ(parsed.document["metadata"]["labels"]["example.com/team"], "red");
}

TEST(ManifestOverrides, PartitionsFollowTheOverriddenReplicas) {
  EXPECT_EQ(WithSet({"spec.workers.replicas=5"}).spec.data.partitions, 20);
}

TEST(ManifestOverrides, CanMendWhatTheFileHasWrong) {
  EXPECT_THAT(Problems(WithSet({"spec.fit.epochs=3"}, {{8, "  fit: {epochs: many}"}})), IsEmpty());
}

TEST(ManifestOverrides, ProblemsNameTheOverride) {
  EXPECT_THAT(
      Problems(WithSet({"spec.fit.epochs=0", "fit.epochs=3", "spec.mode=[", "spec.task.x=1", ".a=1",
                        "spec.frequency=fit"})),
      ElementsAre(
          "--set spec.fit.epochs=0: spec.fit.epochs: must be at least 1",
          "--set fit.epochs=3: fit: unknown field; did you mean spec.fit?",
          "--set spec.mode=[: spec.mode: is not valid YAML: did not find expected node content",
          "--set spec.task.x=1: spec.task: must be one of train, evaluate, predict, not a mapping",
          "--set .a=1: .a: is not a path like spec.fit.epochs",
          "--set spec.frequency=fit: spec.frequency: 'fit' averages once at the end, which only "
          "spec.mode: "
          "synchronous does, not asynchronous"));
}

TEST(ManifestOverrides, AFieldBelowATextIsRefused) {
  EXPECT_THAT(
      Problems(WithSet({"spec.model.uri.x=1"})),
      ElementsAre("--set spec.model.uri.x=1: spec.model.uri.x: is not a mapping, so it has no "
                  "field 'x'"));
}

TEST(ParseOverrideTest, SplitsAtTheFirstEqualsSign) {
  const auto override = ParseOverride("spec.output.uri=a=b");
  ASSERT_TRUE(override.ok());
  EXPECT_EQ(override->path, "spec.output.uri");
  EXPECT_EQ(override->value, "a=b");
  EXPECT_EQ(ParseOverride("spec.output.uri").status().message(),
            "'spec.output.uri' has no '='; write it like spec.fit.epochs=3");
  EXPECT_EQ(ParseOverride("=3").status().message(),
            "'=3' names no field; write it like spec.fit.epochs=3");
}

// ---------------------------------------------------------------------------------------------
TEST(ResolveUriTest, PathsAreBelowTheBase) {
  EXPECT_EQ(*ResolveUri("out", "/jobs"), "/jobs/out");
  EXPECT_EQ(*ResolveUri("a/b.csv", "/jobs/"), "/jobs/a/b.csv");
  EXPECT_EQ(*ResolveUri("/data/x.csv", "/jobs"), "/data/x.csv");
  EXPECT_EQ(*ResolveUri("a:b", "/jobs"), "/jobs/a:b");
}

TEST(ResolveUriTest, FileUrisAreAbsolutePaths) {
  EXPECT_EQ(*ResolveUri("file:///data/my%20x.csv", "/jobs"), "/data/my x.csv");
  EXPECT_EQ(*ResolveUri("file://localhost/data", "/jobs"), "/data");
  for (const std::string_view bad :
       {"file://data/x", "file://", "file:///a%2", "file:///a%zz", "file:///a%00", ""}) {
    EXPECT_EQ(ResolveUri(bad, "/jobs").status().code(), Code::kInvalid) << bad;
  }
}

TEST(ResolveUriTest, OtherSchemesAreRefusedByName) {
  EXPECT_EQ(ResolveUri("s3://b/k", "/").status().message(),
            "the scheme 's3' is not supported; use a path or file:///path");
}

TEST(WordTest, WordsAreTheManifestsOwn) {
  EXPECT_EQ(Word(TaskKind::kPredict), "predict");
  EXPECT_EQ(Word(Mode::kHogwild), "hogwild");
  EXPECT_EQ(Word(Frequency::kFit), "fit");
  EXPECT_EQ(Word(Device::kCuda), "cuda");
  EXPECT_EQ(Word(Transport::kNccl), "nccl");
}

}  // namespace
}  // namespace elephas
