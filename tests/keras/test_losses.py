"""Every loss with its options, and every metric, alone and with sample weights."""

import keras
import numpy as np
import pytest
from judge import Case, assert_agrees, judge
from keras import layers
from keras import losses as K
from keras import metrics as M

random = np.random.default_rng(29)
ROWS = 60
X = random.normal(size=(ROWS, 6)).astype(np.float32)
CLASSES = random.integers(0, 4, size=ROWS).astype(np.int64)
ONE_HOT = np.eye(4, dtype=np.float32)[CLASSES]
NUMBERS = np.abs(random.normal(size=(ROWS, 4))).astype(np.float32)
BINARY = random.integers(0, 2, size=(ROWS, 4)).astype(np.float32)
SIGNS = (2 * BINARY - 1).astype(np.float32)
WEIGHTS = random.uniform(0, 2, size=ROWS).astype(np.float32)
IGNORED = CLASSES.copy()
IGNORED[::5] = -1


def model(activation=None, outputs=4):
    def make():
        return keras.Sequential(
            [keras.Input((6,)), layers.Dense(8, activation="tanh"), layers.Dense(outputs, activation=activation)]
        )

    return make


def sequence():
    return keras.Sequential([keras.Input((6,)), layers.Dense(20), layers.Reshape((5, 4))])


LOSSES = [
    ("mse", None, NUMBERS, K.MeanSquaredError()),
    ("mse summed", None, NUMBERS, K.MeanSquaredError(reduction="sum")),
    ("mse by weights", None, NUMBERS, K.MeanSquaredError(reduction="mean_with_sample_weight")),
    ("mae", None, NUMBERS, "mae"),
    ("mape", None, NUMBERS + 0.5, "mape"),
    ("msle", "softplus", NUMBERS, "msle"),
    ("cosine similarity", None, NUMBERS, "cosine_similarity"),
    ("huber", None, NUMBERS, K.Huber(delta=0.4)),
    ("log cosh", None, NUMBERS, "log_cosh"),
    ("hinge of zeros and ones", "tanh", BINARY, "hinge"),
    ("hinge of signs", "tanh", SIGNS, "hinge"),
    ("squared hinge", "tanh", SIGNS, "squared_hinge"),
    ("categorical hinge", None, ONE_HOT, "categorical_hinge"),
    ("kl divergence", "softmax", ONE_HOT * 0.7 + 0.075, "kl_divergence"),
    ("poisson", "softplus", NUMBERS, "poisson"),
    ("binary crossentropy", "sigmoid", BINARY, "binary_crossentropy"),
    ("binary crossentropy of logits", None, BINARY, K.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)),
    ("binary focal crossentropy", "sigmoid", BINARY, K.BinaryFocalCrossentropy(apply_class_balancing=True, gamma=1.5)),
    ("binary focal crossentropy of logits", None, BINARY, K.BinaryFocalCrossentropy(from_logits=True)),
    ("categorical crossentropy", "softmax", ONE_HOT, K.CategoricalCrossentropy(label_smoothing=0.1)),
    ("categorical crossentropy of logits", None, ONE_HOT, K.CategoricalCrossentropy(from_logits=True)),
    ("categorical crossentropy of sigmoids", "sigmoid", ONE_HOT, "categorical_crossentropy"),
    ("categorical focal crossentropy", "softmax", ONE_HOT, K.CategoricalFocalCrossentropy(alpha=0.4)),
    ("sparse categorical crossentropy", "softmax", CLASSES, "sparse_categorical_crossentropy"),
    ("sparse crossentropy of columns", "softmax", CLASSES[:, None], "sparse_categorical_crossentropy"),
    ("sparse crossentropy with an ignored class", "softmax", IGNORED, K.SparseCategoricalCrossentropy(ignore_class=-1)),
    ("crossentropy by shape", "softmax", CLASSES, "crossentropy"),
    ("dice", "sigmoid", BINARY, "dice"),
    ("tversky", "sigmoid", BINARY, K.Tversky(alpha=0.3, beta=0.6, axis=[1])),
    ("generalized crossentropy", "softmax", CLASSES, K.CategoricalGeneralizedCrossEntropy(q=0.6)),
]

METRICS = [
    ("regression metrics", None, NUMBERS, [
        "mse", "mae", "mape", "msle", M.RootMeanSquaredError(), "cosine_similarity", "log_cosh_error",
        M.R2Score(), M.R2Score(class_aggregation="variance_weighted_average", num_regressors=2, name="r2_weighted"),
        M.PearsonCorrelation(), M.ConcordanceCorrelation()]),
    ("class metrics", "softmax", ONE_HOT, [
        "accuracy", "categorical_accuracy", M.TopKCategoricalAccuracy(k=2), "categorical_crossentropy",
        "kl_divergence", "categorical_hinge", M.Precision(class_id=1), M.Recall(top_k=2), M.F1Score(average="macro"),
        M.FBetaScore(average="weighted", beta=2.0), M.F1Score(average="micro", threshold=0.3, name="f1_micro"),
        M.OneHotIoU(4, [0, 2]), M.OneHotMeanIoU(4), M.AUC(multi_label=True, name="auc_labels")]),
    ("index metrics", "softmax", CLASSES, [
        "acc", "sparse_categorical_accuracy", M.SparseTopKCategoricalAccuracy(k=2),
        "sparse_categorical_crossentropy", M.MeanIoU(4, sparse_y_pred=False), M.IoU(4, [1], sparse_y_pred=False)]),
    ("binary metrics", "sigmoid", BINARY, [
        "binary_accuracy", M.BinaryAccuracy(threshold=0.3, name="low"), "binary_crossentropy", "hinge", "squared_hinge",
        "poisson", M.AUC(), M.AUC(curve="PR", name="pr"), M.AUC(curve="PRGAIN", name="gain"),
        M.AUC(num_thresholds=31, summation_method="majoring", name="major"),
        M.AUC(thresholds=[0.2, 0.45, 0.7], summation_method="minoring", name="minor"),
        M.AUC(curve="PR", summation_method="majoring", name="pr_major"),
        M.Precision(), M.Recall(thresholds=0.4), M.TruePositives(), M.TrueNegatives(), M.FalsePositives(thresholds=0.6),
        M.FalseNegatives(), M.SensitivityAtSpecificity(0.5), M.SpecificityAtSensitivity(0.6),
        M.PrecisionAtRecall(0.7), M.RecallAtPrecision(0.5), M.BinaryIoU(), M.BinaryIoU([1], 0.4, name="iou_one")]),
]


def as_config(metric):
    return metric if isinstance(metric, str) else keras.saving.serialize_keras_object(metric)


def metric_cases():
    for name, activation, labels, metrics in METRICS:
        loss = "sparse_categorical_crossentropy" if labels is CLASSES else "mse"
        for field in ("metrics", "weighted_metrics"):
            yield Case(f"{name} as {field}", model(activation), X, labels, {"loss": loss, field: metrics},
                       compile_json={"loss": loss, field: [as_config(m) for m in metrics]}, sample_weight=WEIGHTS)


def loss_cases():
    for name, activation, labels, loss in LOSSES:
        arguments = dict(optimizer=keras.optimizers.SGD(0.05), loss=loss)
        yield Case(name, model(activation), X, labels, arguments, epochs=1)
        yield Case(f"{name}, weighted", model(activation), X, labels, arguments, sample_weight=WEIGHTS)
    yield Case("a circle of embeddings", model(), X, CLASSES, dict(optimizer="sgd", loss="circle"), epochs=1)
    labels = np.stack([[1, 2, 0] if c > 1 else [3, 0, 0] for c in CLASSES]).astype(np.int64)
    yield Case("ctc", sequence, X, labels, dict(optimizer="sgd", loss="ctc"), epochs=1)


CASES = list(loss_cases()) + list(metric_cases())


@pytest.fixture(scope="module")
def answers():
    return judge(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_loss_or_metric_agrees_with_keras(answers, name):
    assert_agrees(answers[name])
