"""Every loss with its options, and every metric, alone and with sample weights."""

import keras
import numpy as np
import pytest
from judge import Case, ask_probe, assert_agrees, judge, supported
from keras import layers
from keras import losses as K
from keras import metrics as M
from keras.src import losses as all_losses
from keras.src import metrics as all_metrics

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


def unit_embeddings():
    return keras.Sequential([keras.Input((6,)), layers.Dense(8), layers.Dense(4), layers.UnitNormalization()])


def sequence():
    return keras.Sequential([keras.Input((6,)), layers.Dense(20), layers.Reshape((5, 4))])


class Written:
    """A loss whose get_config() of Keras leaves options out."""

    def __init__(self, kind, **options):
        self.loss = kind(**options)
        self.json = {"class_name": kind.__name__, "config": options}


LOSSES = [
    ("mse", None, NUMBERS, K.MeanSquaredError()),
    ("mse summed", None, NUMBERS, K.MeanSquaredError(reduction="sum")),
    ("mse by weights", None, NUMBERS, K.MeanSquaredError(reduction="mean_with_sample_weight")),
    ("mae", None, NUMBERS, "mae"),
    ("mape", None, NUMBERS + 0.5, "mape"),
    ("msle", "softplus", NUMBERS, "msle"),
    ("cosine similarity", None, NUMBERS, "cosine_similarity"),
    ("cosine similarity over rows", None, NUMBERS, Written(K.CosineSimilarity, axis=0)),
    ("huber", None, NUMBERS, Written(K.Huber, delta=0.4)),
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
    ("categorical focal crossentropy of logits", None, ONE_HOT, K.CategoricalFocalCrossentropy(
        from_logits=True, gamma=1.0, label_smoothing=0.2)),
    ("sparse categorical crossentropy of logits", None, CLASSES, K.SparseCategoricalCrossentropy(from_logits=True)),
    ("binary focal crossentropy smoothed", "sigmoid", BINARY, K.BinaryFocalCrossentropy(label_smoothing=0.2)),
    ("mae summed", None, NUMBERS, K.MeanAbsoluteError(reduction="sum")),
    ("huber by weights", None, NUMBERS, K.Huber(reduction="mean_with_sample_weight")),
    ("categorical crossentropy of sigmoids", "sigmoid", ONE_HOT, "categorical_crossentropy"),
    ("categorical focal crossentropy", "softmax", ONE_HOT, K.CategoricalFocalCrossentropy(alpha=0.4)),
    ("sparse categorical crossentropy", "softmax", CLASSES, "sparse_categorical_crossentropy"),
    ("sparse crossentropy of columns", "softmax", CLASSES[:, None], "sparse_categorical_crossentropy"),
    ("sparse crossentropy with an ignored class", "softmax", IGNORED, K.SparseCategoricalCrossentropy(ignore_class=-1)),
    ("crossentropy by shape", "softmax", CLASSES, "crossentropy"),
    ("dice", "sigmoid", BINARY, "dice"),
    ("dice of each row", "sigmoid", BINARY, K.Dice(axis=[1])),
    ("tversky", "sigmoid", BINARY, K.Tversky(alpha=0.3, beta=0.6, axis=[1])),
    ("generalized crossentropy", "softmax", CLASSES, K.CategoricalGeneralizedCrossEntropy(q=0.6)),
]

METRICS = [
    ("regression metrics", None, NUMBERS, [
        "mse", "mae", "mape", "msle", M.RootMeanSquaredError(), "cosine_similarity", "log_cosh_error",
        M.R2Score(), M.R2Score(class_aggregation="variance_weighted_average", name="r2_weighted"),
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
        M.PrecisionAtRecall(0.7), M.RecallAtPrecision(0.5)]),
    # Not weighted: Keras fails at weights of another shape.
    ("overlaps", "sigmoid", BINARY, [M.BinaryIoU(), M.BinaryIoU([1], 0.4, name="iou_one")]),
]


def as_config(metric):
    return metric if isinstance(metric, str) else keras.saving.serialize_keras_object(metric)


def metric_cases():
    for name, activation, labels, metrics in METRICS:
        loss = "sparse_categorical_crossentropy" if labels is CLASSES else "mse"
        for field in ("metrics", "weighted_metrics") if name != "overlaps" else ("metrics",):
            yield Case(f"{name} as {field}", model(activation), X, labels, {"loss": loss, field: metrics},
                       compile_json={"loss": loss, field: [as_config(m) for m in metrics]}, sample_weight=WEIGHTS)


# Of these the loss of a batch is no mean over its rows.
OF_WHOLE_BATCHES = ("summed", "by weights", "dice", "circle", "rows", "ignored")


def loss_case(name, make, labels, loss, **more):
    additive = not any(word in name for word in OF_WHOLE_BATCHES) or "each row" in name
    if isinstance(loss, Written):
        more["compile_json"] = {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.02}}, "loss": loss.json}
        loss = loss.loss
    arguments = dict(optimizer=keras.optimizers.SGD(0.02), loss=loss)
    return Case(name, make, X, labels, arguments, epochs=5, additive=additive, **more)


def loss_cases():
    for name, activation, labels, loss in LOSSES:
        yield loss_case(name, model(activation), labels, loss)
        if "over rows" not in name:  # there is no value of each row
            yield loss_case(f"{name}, weighted", model(activation), labels, loss, sample_weight=WEIGHTS)
    yield loss_case("circle of embeddings", unit_embeddings, CLASSES, "circle")
    labels = np.stack([[1, 2, 0] if c > 1 else [3, 0, 0] for c in CLASSES]).astype(np.int64)
    yield loss_case("ctc", sequence, labels, "ctc")


def usable(table, name):
    """What Keras makes of the string alone; None when it wants options or cannot compile it."""
    try:
        made = keras.losses.get(name) if table is all_losses else keras.metrics.get(name)
    except (TypeError, ValueError):
        return None
    return made


def names_of_losses():
    abstract = {"Loss", "LossFunctionWrapper"}
    return [name for name in all_losses.ALL_OBJECTS_DICT if name not in abstract and usable(all_losses, name)]


# Means and sums of values, not of labels and outputs: compile cannot use them. F scores are one number per class
# unless told otherwise, which only objects can be.
NO_METRICS = {"Mean", "Sum", "Metric", "MeanMetricWrapper", "F1Score", "FBetaScore"}


def names_of_metrics():
    classes = {name: entry for name, entry in all_metrics.ALL_OBJECTS_DICT.items() if usable(all_metrics, name)}
    return [name for name, entry in classes.items() if entry.__name__ not in NO_METRICS]


def takes_indices(name):
    return "sparse" in name.lower()


def all_names_cases():
    losses = [name for name in names_of_losses() if not takes_indices(name) and name.lower() not in ("ctc", "circle")]

    def outputs():
        inputs = keras.Input((6,))
        probabilities = layers.Dense(4, activation="softmax")(layers.Dense(8, activation="tanh")(inputs))
        return keras.Model(inputs, [layers.Identity()(probabilities) for _ in losses])

    yield Case("every loss by name", outputs, X, [ONE_HOT * 0.7 + 0.1] * len(losses),
               dict(optimizer="sgd", loss=losses), additive=False)
    for indices in (False, True):
        metrics = [name for name in names_of_metrics() if takes_indices(name) == indices]
        labels = CLASSES if indices else ONE_HOT
        loss = "sparse_categorical_crossentropy" if indices else "categorical_crossentropy"
        yield Case(f"every metric by name, indices {indices}", model("softmax"), X, labels,
                   dict(optimizer="sgd", loss=loss, metrics=metrics), compile_json={"loss": loss, "metrics": metrics})


CASES = list(loss_cases()) + list(metric_cases()) + list(all_names_cases())


@pytest.fixture(scope="module")
def answers():
    return judge(CASES)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_loss_or_metric_agrees_with_keras(answers, name):
    assert_agrees(answers[name])


MODEL = {"class_name": "Sequential", "config": {"name": "m", "layers": [
    {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "in"}}]}}  # fmt: skip


def compile_errors(field, values):
    """What the program says about compiling each of the values: {name: message or None}."""
    requests = [
        {"name": name, "model": MODEL, "compile": {"loss": "mse", field: value}, "inputs": 0}
        for name, value in values.items()
    ]
    reply, _ = ask_probe(requests, {"nothing": np.zeros(1, np.float32)})
    return {name: entry.get("error") for name, entry in reply.items()}


def test_every_name_of_a_loss_that_keras_knows_is_known_here():
    errors = compile_errors("loss", {name: name for name in names_of_losses()})
    assert not {name: error for name, error in errors.items() if error}


@pytest.mark.parametrize("kind", ["losses", "metrics"])
def test_every_class_is_supported_or_refused_by_name(kind):
    module = getattr(keras, kind)
    base = keras.losses.Loss if kind == "losses" else keras.metrics.Metric
    names = {n for n in dir(module) if isinstance(getattr(module, n), type) and issubclass(getattr(module, n), base)}
    known = {name for name in names if getattr(module, name).__name__ in supported()[kind]}
    assert names - known == ({"Loss"} if kind == "losses" else {"Mean", "MeanMetricWrapper", "Metric", "Sum"})
    entries = {name: {"class_name": name, "config": {"name": "x"}} for name in names - known}
    if kind == "metrics":
        entries = {name: [entry] for name, entry in entries.items()}
    for name, error in compile_errors("loss" if kind == "losses" else "metrics", entries).items():
        assert error and f"'{name}' is not supported" in error


@pytest.mark.parametrize(
    "entry",
    [{"class_name": "Precision", "config": {"thresholds": [0.2, 0.5]}}, {"class_name": "F1Score", "config": {}},
     "f1_score", "fbeta_score"],
)  # fmt: skip
def test_metrics_with_several_values_are_refused(entry):
    name = entry if isinstance(entry, str) else entry["class_name"]
    assert f"({name}): " in compile_errors("metrics", {"case": [entry]})["case"]
