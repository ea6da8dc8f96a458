// Bad manifests, each with the exact line, path and message of its refusal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "common/manifest/testing/manifest.h"

namespace elephas {
namespace {

using ::testing::ElementsAreArray;

struct BadManifest {
  std::string name;  // a sentence in CamelCase
  std::map<int, std::string> lines;
  std::vector<std::string> problems;
};

void PrintTo(const BadManifest& row, std::ostream* out) { *out << Manifest(row.lines); }

class BadManifestTest : public ::testing::TestWithParam<BadManifest> {};

TEST_P(BadManifestTest, IsRefusedWithLinePathAndReason) {
  EXPECT_THAT(ProblemsOf(Manifest(GetParam().lines)), ElementsAreArray(GetParam().problems));
}

const BadManifest kFieldCases[] = {
    {"AnUnknownFieldSuggestsTheNearest",
     {{8, "  fit: {epoch: 3}"}},
     {"job.yaml:8: spec.fit.epoch: unknown field; did you mean 'epochs'?"}},
    {"AFieldInKerasSpellingSuggestsOurs",
     {{8, "  fit: {batch_size: 3}"}},
     {"job.yaml:8: spec.fit.batch_size: unknown field; did you mean 'batchSize'?"}},
    {"AFieldInTheWrongSectionSuggestsItsPlace",
     {{8, "  epochs: 3"}},
     {"job.yaml:8: spec.epochs: unknown field; did you mean spec.fit.epochs?"}},
    {"AFieldLikeNothingKnownSuggestsNothing",
     {{8, "  banana: 3"}},
     {"job.yaml:8: spec.banana: unknown field"}},
    {"AnUnknownFieldAtTheTop",
     {{8, "spek: 3"}},
     {"job.yaml:8: spek: unknown field; did you mean 'spec'?"}},
    {"AnUnknownFieldOfMetadata",
     {{3, "metadata: {name: digits, label: {a: b}}"}},
     {"job.yaml:3: metadata.label: unknown field; did you mean 'labels'?"}},
    {"AnUnknownWordOfCompile",
     {{8, "  compile: {loss: mse, optimiser: sgd}"}},
     {"job.yaml:8: spec.compile.optimiser: unknown field; did you mean 'optimizer'?"}},
    {"ANewlineInAFieldStaysOneLine",
     {{8, "  \"a\\nb\": 3"}},
     {"job.yaml:8: spec.a\\nb: unknown field"}},

    {"AFractionForAnInteger",
     {{8, "  fit: {epochs: 3.5}"}},
     {"job.yaml:8: spec.fit.epochs: must be an integer, not 3.5"}},
    {"QuotedDigitsForAnInteger",
     {{8, "  fit: {epochs: '3'}"}},
     {"job.yaml:8: spec.fit.epochs: must be an integer, not the text '3'; write it without "
      "quotes"}},
    {"AWordForAnInteger",
     {{8, "  fit: {epochs: many}"}},
     {"job.yaml:8: spec.fit.epochs: must be an integer, not the text 'many'"}},
    {"AnIntegerThatNoProgramCanHold",
     {{8, "  fit: {epochs: 99999999999999999999999}"}},
     {"job.yaml:8: spec.fit.epochs: must be an integer, not 99999999999999999999999"}},
    {"AListForAnInteger",
     {{8, "  fit: {epochs: [3]}"}},
     {"job.yaml:8: spec.fit.epochs: must be an integer, not a list"}},
    {"ABooleanForAnInteger",
     {{8, "  fit: {epochs: true}"}},
     {"job.yaml:8: spec.fit.epochs: must be an integer, not true"}},
    {"ZeroEpochs",
     {{8, "  fit: {epochs: 0}"}},
     {"job.yaml:8: spec.fit.epochs: must be at least 1"}},
    {"ANegativeBatch",
     {{8, "  fit: {batchSize: -1}"}},
     {"job.yaml:8: spec.fit.batchSize: must be at least 1"}},
    {"AHugeBatch",
     {{8, "  fit: {batchSize: 2147483648}"}},
     {"job.yaml:8: spec.fit.batchSize: must be at least 1 and at most 2147483647"}},
    {"ASplitOfAllExamples",
     {{8, "  fit: {validationSplit: 1}"}},
     {"job.yaml:8: spec.fit.validationSplit: must be at least 0 and less than 1"}},
    {"ANegativeSplit",
     {{8, "  fit: {validationSplit: -0.1}"}},
     {"job.yaml:8: spec.fit.validationSplit: must be at least 0 and less than 1"}},
    {"ASplitThatIsNotANumber",
     {{8, "  fit: {validationSplit: .nan}"}},
     {"job.yaml:8: spec.fit.validationSplit: must be a number, not .nan"}},
    {"ANegativeSeed",
     {{8, "  fit: {seed: -1}"}},
     {"job.yaml:8: spec.fit.seed: must be at least 0"}},
    {"AYesForABoolean",
     {{8, "  fit: {shuffle: yEs}"}},
     {"job.yaml:8: spec.fit.shuffle: must be true or false, not the text 'yEs'"}},
    {"ANumberForABoolean",
     {{8, "  fit: {shuffle: 1}"}},
     {"job.yaml:8: spec.fit.shuffle: must be true or false, not 1"}},
    {"AMistypedWord",
     {{8, "  mode: synchronus"}},
     {"job.yaml:8: spec.mode: must be one of synchronous, asynchronous, hogwild, not 'synchronus'; "
      "did you "
      "mean 'synchronous'?"}},
    {"AListForAWord",
     {{8, "  task: [train]"}},
     {"job.yaml:8: spec.task: must be one of train, evaluate, predict, not a list"}},
    {"AnUnknownDevice",
     {{8, "  workers: {device: tpu}"}},
     {"job.yaml:8: spec.workers.device: must be one of auto, cpu, cuda, not 'tpu'; did you mean "
      "'cpu'?"}},
    {"AScalarForASection", {{8, "  fit: 3"}}, {"job.yaml:8: spec.fit: must be a mapping, not 3"}},
    {"AListForASection",
     {{8, "  fit: [1]"}},
     {"job.yaml:8: spec.fit: must be a mapping, not a list"}},
    {"ANumberForText",
     {{3, "metadata: {name: 5}"}},
     {"job.yaml:3: metadata.name: must be text, not 5; put it in quotes"}},
    {"EmptyText", {{6, "  data: {uri: ''}"}}, {"job.yaml:6: spec.data.uri: must not be empty"}},
    {"AWordThatIsABoolean",
     {{6, "  data: {uri: a.npz, labels: [y]}"}},
     {"job.yaml:6: spec.data.labels[0]: must be text, not y, which is YAML for true; put it in "
      "quotes"}},
    {"ControlCharactersInAPath",
     {{7, "  output: {uri: \"a\\0b\"}"}},
     {"job.yaml:7: spec.output.uri: must not hold control characters"}},
    {"AnUnknownScheme",
     {{6, "  data: {uri: 's3://bucket/digits.npz'}"}},
     {"job.yaml:6: spec.data.uri: the scheme 's3' is not supported; use a path or file:///path"}},
    {"ATemplateThatIsNoMapping",
     {{8, "  workers: {template: big}"}},
     {"job.yaml:8: spec.workers.template: must be a mapping, not the text 'big'"}},
    {"AConfigMapWithANameAndAKeyThatNoneHas",
     {{5, "  model: {configMapRef: {name: Models, key: a/b}}"}},
     {"job.yaml:5: spec.model.configMapRef.name: must be lower-case letters, digits, '-' and '.', "
      "at most 253, each part beginning and ending with a letter or digit, not 'Models'",
      "job.yaml:5: spec.model.configMapRef.key: must be letters, digits, '-', '_' and '.', at most "
      "253, not beginning with '..', not 'a/b'"}},
    {"AConfigMapsKeyThatClimbsUp",
     {{5, "  model: {configMapRef: {name: a.b-c, key: ..a}}"}},
     {"job.yaml:5: spec.model.configMapRef.key: must be letters, digits, '-', '_' and '.', at most "
      "253, not beginning with '..', not '..a'"}},
    {"LabelsOfNumbers",
     {{6, "  data: {uri: digits.csv, labels: [0]}"}},
     {"job.yaml:6: spec.data.labels[0]: must be text, not 0; put it in quotes"}},
    {"ALabelNamedTwice",
     {{6, "  data: {uri: digits.csv, labels: [a, a]}"}},
     {"job.yaml:6: spec.data.labels[1]: names 'a' twice"}},
    {"AKubernetesLabelOfAnotherType",
     {{3, "metadata: {name: digits, labels: {tier: 1}}"}},
     {"job.yaml:3: metadata.labels.tier: must be text, not 1; put it in quotes"}},
    {"AnInfiniteNumberInsideAnOptimizer",
     {{8, "  compile: {loss: mse, optimizer: {class_name: SGD, config: {learning_rate: .inf}}}"}},
     {"job.yaml:8: spec.compile.optimizer.config.learning_rate: .inf is not a number that JSON can "
      "hold"}},
    {"NoKeptCheckpoint",
     {{8, "  checkpoint: {uri: ckpt, keep: 0}"}},
     {"job.yaml:8: spec.checkpoint.keep: must be at least 1"}},
    {"ACheckpointWithoutAFolder",
     {{8, "  checkpoint: {}"}},
     {"job.yaml:8: spec.checkpoint.uri: is required"}},
    {"APortOutOfRange",
     {{8, "  parameterServers: {port: 65536}"}},
     {"job.yaml:8: spec.parameterServers.port: must be at least 1 and at most 65535"}},
    {"ANegativeBackoffLimit",
     {{8, "  runPolicy: {backoffLimit: -1}"}},
     {"job.yaml:8: spec.runPolicy.backoffLimit: must be at least 0"}},
};

const BadManifest kRequiredCases[] = {
    {"NoName", {{3, "metadata: {}"}}, {"job.yaml:3: metadata.name: is required"}},
    {"NoMetadata", {{3, ""}}, {"job.yaml:1: metadata.name: is required"}},
    {"NoApiVersion", {{1, "---"}}, {"job.yaml:2: apiVersion: is required"}},
    {"NoKind", {{2, ""}}, {"job.yaml:1: kind: is required"}},
    {"NoData", {{6, ""}}, {"job.yaml:4: spec.data.uri: is required"}},
    {"ANullCountsAsLeftOut", {{6, "  data: {uri: }"}}, {"job.yaml:6: spec.data.uri: is required"}},
    {"NoOutput", {{7, ""}}, {"job.yaml:4: spec.output.uri: is required"}},
    {"NoModel", {{5, ""}}, {"job.yaml:4: spec.model: needs one of uri, inline, configMapRef"}},
    {"NoSpec",
     {{4, "spec:"}, {5, ""}, {6, ""}, {7, ""}},
     {"job.yaml:4: spec.data.uri: is required", "job.yaml:4: spec.output.uri: is required",
      "job.yaml:4: spec.model: needs one of uri, inline, configMapRef"}},
    {"HalfAConfigMapReference",
     {{5, "  model: {configMapRef: {name: m}}"}},
     {"job.yaml:5: spec.model.configMapRef.key: is required"}},
    {"WeightsWithoutAFile",
     {{5, "  model: {uri: m.keras, weights: {}}"}},
     {"job.yaml:5: spec.model.weights.uri: is required"}},
};

const BadManifest kRuleCases[] = {
    {"ACallbackThatWatchesValidationWithoutAny",
     {{8, "  fit: {earlyStopping: {}}"}},
     {"job.yaml:8: spec.fit.earlyStopping.monitor: 'val_loss' needs validation: set "
      "spec.fit.validationSplit, or monitor a value of the training rows such as 'loss'"}},
    {"ACallbackWithoutAnEpochsEnd",
     {{8, "  mode: synchronous\n  frequency: fit\n  fit: {modelCheckpoint: {monitor: loss}}"}},
     {"job.yaml:10: spec.fit.modelCheckpoint: looks at the model after each epoch; with "
      "spec.frequency: fit there is one only after the last"}},
    {"AScheduleThatIsToBeReduced",
     {{8,
       "  fit: {reduceLROnPlateau: {monitor: loss}}\n"
       "  compile: {loss: mse, optimizer: {class_name: SGD, config: {learning_rate: {class_name: "
       "ExponentialDecay, config: {initial_learning_rate: 0.1, decay_steps: 9, decay_rate: "
       "0.9}}}}}"}},
     {"job.yaml:8: spec.fit.reduceLROnPlateau: needs a learning rate that is a number; "
      "spec.compile.optimizer has a schedule"}},
    {"AClassThatIsNoIndex",
     {{8, "  fit: {classWeight: {cat: 1}}"}},
     {"job.yaml:8: spec.fit.classWeight: 'cat' is not a class index (0, 1, …)"}},
    {"ANegativeClassWeight",
     {{8, "  fit: {classWeight: {0: -1}}"}},
     {"job.yaml:8: spec.fit.classWeight.0: must be a number that is not negative"}},
    {"WeightsOfClassesAndOfSamples",
     {{6, "  data: {uri: digits.npz, sampleWeights: w}"}, {8, "  fit: {classWeight: {0: 1}}"}},
     {"job.yaml:8: spec.fit.classWeight: cannot be used together with spec.data.sampleWeights, as "
      "in Keras"}},
    {"AModelFileAsOutputOfATaskThatWritesNone",
     {{7, "  output: {uri: out.h5}"}, {8, "  task: evaluate"}},
     {"job.yaml:7: spec.output.uri: names a model's file, but spec.task: evaluate writes none; "
      "name a folder"}},
    {"AnotherApiVersion",
     {{1, "apiVersion: elephas.dev/v1"}},
     {"job.yaml:1: apiVersion: must be elephas.dev/v1alpha1, not 'elephas.dev/v1'"}},
    {"AnotherKind", {{2, "kind: Job"}}, {"job.yaml:2: kind: must be ElephasJob, not 'Job'"}},
    {"AnUpperCaseName",
     {{3, "metadata: {name: Digits}"}},
     {"job.yaml:3: metadata.name: must be lower-case letters, digits, '-' and '.', beginning and "
      "ending with "
      "a letter or digit, not 'Digits'"}},
    {"ANameEndingInADash",
     {{3, "metadata: {name: digits-}"}},
     {"job.yaml:3: metadata.name: must be lower-case letters, digits, '-' and '.', beginning and "
      "ending with "
      "a letter or digit, not 'digits-'"}},
    {"ANameThatPodsCannotCarry",
     {{3, "metadata: {name: " + std::string(47, 'a') + "}"}},
     {"job.yaml:3: metadata.name: must have at most 46 characters, so that the names of its pods "
      "fit"}},
    {"ANamespaceWithADot",
     {{3, "metadata: {name: a, namespace: b.c}"}},
     {"job.yaml:3: metadata.namespace: must be lower-case letters, digits and '-', beginning and "
      "ending with a "
      "letter or digit, not 'b.c'"}},
    {"TwoModels",
     {{5, "  model: {uri: m.keras, configMapRef: {name: m, key: k}}"}},
     {"job.yaml:5: spec.model: takes only one of uri, inline, configMapRef; this has uri and "
      "configMapRef"}},
    {"AnEmptyInlineModel",
     {{5, "  model: {inline: {}}"}},
     {"job.yaml:5: spec.model.inline: is empty"}},
    {"AModelOfUnknownFormat",
     {{5, "  model: {uri: model.onnx}"}},
     {"job.yaml:5: spec.model.uri: must end in .keras, .h5 or .json, not 'model.onnx'"}},
    {"WeightsInPlaceOfAModel",
     {{5, "  model: {uri: start.weights.h5}"}},
     {"job.yaml:5: spec.model.uri: holds weights without a model; name it under "
      "spec.model.weights.uri and "
      "give the model as .json or inline"}},
    {"WeightsOfUnknownFormat",
     {{5, "  model: {uri: m.json, weights: {uri: w.pt}}"}},
     {"job.yaml:5: spec.model.weights.uri: must end in .weights.h5 or .safetensors, not 'w.pt'"}},
    {"DataOfUnknownFormat",
     {{6, "  data: {uri: digits.parquet}"}},
     {"job.yaml:6: spec.data.uri: must end in .npz, .npy, .csv, .libsvm or .svm, not "
      "'digits.parquet'"}},
    {"TrainingWithoutLabels",
     {{6, "  data: {uri: x.npy}"}},
     {"job.yaml:6: spec.data.uri: a .npy file has no labels, so it cannot be used to train; save "
      "features and "
      "labels in one .npz"}},
    {"EvaluatingWithoutLabels",
     {{6, "  data: {uri: x.npy}"}, {8, "  task: evaluate"}},
     {"job.yaml:6: spec.data.uri: a .npy file has no labels, so it cannot be used to evaluate; "
      "save features "
      "and labels in one .npz"}},
    {"ACsvWithoutNamedLabels",
     {{6, "  data: {uri: digits.csv}"}},
     {"job.yaml:6: spec.data.labels: is required to train with a .csv file"}},
    {"ACsvWithAnEmptyListOfLabels",
     {{6, "  data:\n    uri: digits.csv\n    labels: []"}, {9, "  output: {uri: out}"}, {7, ""}},
     {"job.yaml:8: spec.data.labels: is required to train with a .csv file"}},
    {"NamesInALibsvmFile",
     {{6, "  data: {uri: a.svm, labels: [z]}"}},
     {"job.yaml:6: spec.data.labels: has no meaning for a.svm, where nothing has a name"}},
    {"FitWithoutRounds",
     {{8, "  frequency: fit"}},
     {"job.yaml:8: spec.frequency: 'fit' averages once at the end, which only spec.mode: "
      "synchronous does, not "
      "asynchronous"}},
    {"NcclWithoutRounds",
     {{8, "  transport: nccl"}},
     {"job.yaml:8: spec.transport: 'nccl' works with spec.mode: synchronous only, not "
      "asynchronous"}},
    {"NcclOnCpus",
     {{8, "  transport: nccl"}, {9, "  mode: synchronous"}, {10, "  workers: {device: cpu}"}},
     {"job.yaml:8: spec.transport: 'nccl' needs GPUs, but spec.workers.device is cpu"}},
    {"NcclWithSeveralServers",
     {{8, "  transport: nccl"},
      {9, "  mode: synchronous"},
      {10, "  parameterServers: {replicas: 2}"}},
     {"job.yaml:8: spec.transport: 'nccl' works with one parameter server only, not 2"}},
    {"CompileWithoutALoss",
     {{8, "  compile: {optimizer: sgd}"}},
     {"job.yaml:8: spec.compile.loss: is required to train"}},
    {"AnUnknownOptimizer",
     {{8, "  compile: {loss: mse, optimizer: sgdd}"}},
     {"job.yaml:8: spec.compile.optimizer: optimizer 'sgdd' is not supported; did you "
      "mean 'SGD'?"}},
    {"AMisspeltLoss",
     {{8, "  compile: {loss: mean_sqared_error}"}},
     {"job.yaml:8: spec.compile.loss: 'mean_sqared_error' is not a loss that Keras has; did you "
      "mean 'mean_squared_error'?"}},
    {"ANumberAsALoss",
     {{8, "  compile: {loss: 3}"}},
     {"job.yaml:8: spec.compile.loss: must be a name or a mapping with class_name, not 3"}},
    {"OneMisspeltLossOfSeveral",
     {{8, "  compile: {loss: {a: mse, b: {class_name: Hubber}}}"}},
     {"job.yaml:8: spec.compile.loss.b: 'Hubber' is not a loss that Keras has; did you mean "
      "'Huber'?"}},
    {"AListOfNoLosses",
     {{8, "  compile: {loss: [null]}"}},
     {"job.yaml:8: spec.compile.loss: is required to train"}},
    {"ACustomLoss",
     {{8, "  compile: {loss: {class_name: Mine, registered_name: 'us>Mine'}}"}},
     {"job.yaml:8: spec.compile.loss: 'us>Mine' is a custom object, which is not supported"}},
    {"ALossWithoutAClass",
     {{8, "  compile: {loss: [{config: {}}]}"}},
     {"job.yaml:8: spec.compile.loss[0]: needs a class_name"}},
    {"WordsForLossWeights",
     {{8, "  compile: {loss: mse, loss_weights: [one]}"}},
     {"job.yaml:8: spec.compile.loss_weights[0]: must be a number, not \"one\""}},
    {"AMisspeltMetric",
     {{8, "  compile: {loss: mse, metrics: [acuracy]}"}},
     {"job.yaml:8: spec.compile.metrics[0]: 'acuracy' is not a metric that Keras has; did you "
      "mean 'accuracy'?"}},
    {"AMisspeltMetricOfAnOutput",
     {{8, "  compile: {loss: mse, weighted_metrics: {a: [mse, [auk]]}}"}},
     {"job.yaml:8: spec.compile.weighted_metrics.a[1][0]: 'auk' is not a metric that Keras has; "
      "did you mean 'auc'?"}},
    {"AMetricOutsideOfAList",
     {{8, "  compile: {loss: mse, metrics: accuracy}"}},
     {"job.yaml:8: spec.compile.metrics: must be a list, or a mapping from output name to "
      "metrics"}},
    {"MetricsInTooManyLists",
     {{8, "  compile: {loss: mse, metrics: [[[[[mse]]]]]}"}},
     {"job.yaml:8: spec.compile.metrics[0][0][0][0]: nests deeper than 4 lists"}},
    {"AnUnknownLossInsideAnInlineModel",
     {{5, "  model: {inline: {class_name: Sequential, compile_config: {loss: mes}}}"}},
     {"job.yaml:5: spec.model.inline.compile_config.loss: 'mes' is not a loss that Keras has; did "
      "you mean 'mse'?"}},
    {"AnInlineModelWithoutALoss",
     {{5, "  model: {inline: {class_name: Sequential, compile_config: {optimizer: sgd}}}"}},
     {"job.yaml:5: spec.model.inline.compile_config.loss: is required to train"}},
    {"AnUnknownOptimizerInsideAnInlineModel",
     {{5,
       "  model: {inline: {class_name: Sequential, compile_config: {loss: mse, optimizer: adm}}}"}},
     {"job.yaml:5: spec.model.inline.compile_config.optimizer: optimizer 'adm' is not supported; "
      "did you mean 'Adam'?"}},
    {"AConfigMapInCapitals",
     {{5, "  model: {configMapRef: {name: Models, key: a/b}}"}},
     {"job.yaml:5: spec.model.configMapRef.name: must be lower-case letters, digits, '-' and '.', "
      "at "
      "most 253, each part beginning and ending with a letter or digit, not 'Models'",
      "job.yaml:5: spec.model.configMapRef.key: must be letters, digits, '-', '_' and '.', at most "
      "253, not beginning with '..', not 'a/b'"}},
    {"AClassIndexWrittenInTwoWays",
     {{8, "  fit: {classWeight: {'1': 1, '01': 2}}"}},
     {"job.yaml:8: spec.fit.classWeight: '01' is not a class index (0, 1, …)"}},
    {"AClassWeightThatIsNoNumber",
     {{8, "  fit: {classWeight: {0: one}}"}},
     {"job.yaml:8: spec.fit.classWeight.0: must be a number that is not negative"}},
    {"ClassWeightsOfNothing",
     {{8, "  fit: {classWeight: {0: null}}"}},
     {"job.yaml:8: spec.fit.classWeight: is empty"}},
    {"APathOfTooManyCharacters",
     {{7, "  output: {uri: " + std::string(4097, 'a') + "}"}},
     {"job.yaml:7: spec.output.uri: must have at most 4096 characters"}},
    {"ABrokenEscape",
     {{6, "  data: {uri: 'file:///a%zz.npz'}"}},
     {"job.yaml:6: spec.data.uri: '/a%zz.npz' has a '%' without two hexadecimal digits"}},
    {"AnInlineModelWithoutCompile",
     {{5, "  model: {inline: {class_name: Sequential}}"}},
     {"job.yaml:4: spec.compile: is required to train: the inline model holds no compile_config "
      "with a "
      "loss"}},
};

const BadManifest kTextCases[] = {
    {"AFieldGivenTwice",
     {{8, "  mode: hogwild"}, {9, "  mode: synchronous"}},
     {"job.yaml:9: spec.mode: is given twice; the first is on line 8"}},
    {"AFieldGivenTwiceInsideKerasWords",
     {{8, "  compile: {loss: mse,"}, {9, "    optimizer: {class_name: SGD, class_name: Adam}}"}},
     {"job.yaml:9: spec.compile.optimizer.class_name: is given twice; the first is on line 9"}},
    {"AMergeKey",
     {{8, "  fit: {<<: 3}"}},
     {"job.yaml:8: a merge key (<<) takes a mapping or a list of mappings"}},
    {"AListAsAKey", {{8, "  ? [a, b]\n  : c"}}, {"job.yaml:8: spec: a key must be text"}},
    {"ATag", {{8, "  fit: {epochs: !!int 3.0}"}}, {"job.yaml:8: '3.0' does not fit its tag !!int"}},
    {"ATab",
     {{8, "  fit:\n\t  epochs: 3"}},
     {"job.yaml:9: is not valid YAML: found character that cannot start any token; a tab cannot "
      "indent"}},
    {"ADirective",
     {{1, "%YAML 1.2\n---\napiVersion: elephas.dev/v1alpha1"}},
     {"job.yaml:2: is not valid YAML: did not find expected <document start>"}},
    {"SeveralDocuments",
     {{8, "---"}, {9, "kind: ElephasJob"}},
     {"job.yaml:9: holds several documents; one job per manifest"}},
    {"AnUnknownAlias",
     {{8, "  fit: *nowhere"}},
     {"job.yaml:8: is not valid YAML: no anchor is named 'nowhere'"}},
    {"ABrokenList",
     {{8, "  fit: {epochs: [3"}},
     {"job.yaml:9: is not valid YAML: did not find expected ',' or ']'"}},
};

std::string NameOf(const ::testing::TestParamInfo<BadManifest>& row) { return row.param.name; }
INSTANTIATE_TEST_SUITE_P(Fields, BadManifestTest, ::testing::ValuesIn(kFieldCases), NameOf);
INSTANTIATE_TEST_SUITE_P(Required, BadManifestTest, ::testing::ValuesIn(kRequiredCases), NameOf);
INSTANTIATE_TEST_SUITE_P(Rules, BadManifestTest, ::testing::ValuesIn(kRuleCases), NameOf);
INSTANTIATE_TEST_SUITE_P(Text, BadManifestTest, ::testing::ValuesIn(kTextCases), NameOf);

}  // namespace
}  // namespace elephas
