"""What distribution must not change: each mode against the Keras program that it is equal to, over partitions
of different sizes, several workers and several servers."""

import json

import keras
import numpy as np
import pytest
from job import manifest

ROWS, BATCH, PARTITIONS = 98, 8, 4
SIZES = [25, 25, 24, 24]
EDGES = np.cumsum([0, *SIZES])


@pytest.fixture
def data(tmp_path):
    random = np.random.default_rng(6)
    x = random.normal(size=(ROWS, 8)).astype(np.float32)
    y = (x[:, :3].sum(axis=1) > 0).astype(np.int64) + (x[:, 3] > 0.5)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return x, y


def compiled(optimizer, normalized=False, metrics=()):
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(10, activation="tanh", kernel_regularizer="l2")])
    if normalized:
        model.add(keras.layers.BatchNormalization(momentum=0.8))
    model.add(keras.layers.Dense(3, activation="softmax"))
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=list(metrics))
    return model


def job(folder, model, task="train", servers=1, workers=2, partitions=PARTITIONS, **fields):
    model.save(folder / "model.keras")
    path = manifest(folder, None, task=task, data_partitions=partitions, workers_replicas=workers, **fields)
    document = json.loads(path.read_text())
    document["spec"]["model"] = {"uri": "model.keras"}
    document["spec"]["parameterServers"] = {"replicas": servers}
    path.write_text(json.dumps(document))
    return path


def train(folder, run, model, frequency, epochs, **more):
    fit = {"epochs": epochs, "batchSize": BATCH, "shuffle": False}
    run(job(folder, model, mode="synchronous", frequency=frequency, fit=fit, **more), "--quiet")
    return keras.models.load_model(folder / "out" / "model.keras")


def parts(x, y):
    return [(x[a:b], y[a:b], (b - a) / len(x)) for a, b in zip(EDGES, EDGES[1:])]


def state(model):
    return [np.array(v) for v in [*model.weights, *model.optimizer.variables]]


def set_state(model, values):
    for variable, value in zip([*model.weights, *model.optimizer.variables], values):
        variable.assign(value)


def weighted_mean(states, shares):
    return [sum(s * np.asarray(v, np.float64) for v, s in zip(values, shares)) for values in zip(*states)]


def assert_same(actual, expected, tolerance=1e-5):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


CASES = [(1, 1), (2, 1), (2, 3)]
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "nesterov": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
}


@pytest.mark.parametrize("workers,servers", CASES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fit_is_the_weighted_mean_of_separate_keras_fits(tmp_path, run, data, optimizer, workers, servers):
    make = lambda: compiled(OPTIMIZERS[optimizer](), normalized=True)
    states, shares = [], []
    for x, y, share in parts(*data):
        model = make()
        model.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
        states.append(model.get_weights())
        shares.append(share)
    written = train(tmp_path, run, make(), "fit", 2, workers=workers, servers=servers)
    assert_same(written.get_weights(), weighted_mean(states, shares))


@pytest.mark.parametrize("servers", [1, 3])
def test_epoch_averages_weights_and_moments_after_each_epoch(tmp_path, run, data, servers):
    make = lambda: compiled(OPTIMIZERS["adam"](), normalized=True)
    model = make()
    model.optimizer.build(model.trainable_variables)
    current = state(model)
    for _ in range(3):
        states = []
        for x, y, _ in parts(*data):
            set_state(model, current)
            model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0)
            states.append(state(model))
        current = weighted_mean(states, [share for _, _, share in parts(*data)])
        # Steps are no average: the next epoch goes on from the partition that took the most.
        iterations = len(model.weights)
        current[iterations] = max(one[iterations] for one in states)
    written = train(tmp_path, run, make(), "epoch", 3, servers=servers)
    set_state(model, current)
    assert_same(written.get_weights(), model.get_weights())


@pytest.mark.parametrize("workers,servers", CASES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_batch_is_keras_on_the_concatenated_batches(tmp_path, run, data, optimizer, workers, servers):
    x, y = data
    model = compiled(OPTIMIZERS[optimizer]())
    for _ in range(2):
        for first in range(0, max(SIZES), BATCH):
            # Batch r of every partition that has one; the last ones are smaller.
            rows = [np.arange(min(a + first, b), min(a + first + BATCH, b)) for a, b in zip(EDGES, EDGES[1:])]
            rows = np.concatenate(rows)
            model.train_on_batch(x[rows], y[rows])
    written = train(
        tmp_path, run, compiled(OPTIMIZERS[optimizer]()), "batch", 2, workers=workers, servers=servers
    )
    assert_same(written.get_weights(), model.get_weights())
    assert int(written.optimizer.iterations) == int(model.optimizer.iterations)


METRICS = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=2), "sparse_categorical_crossentropy",
           keras.metrics.MeanIoU(3, sparse_y_pred=False)]  # fmt: skip
BINARY_METRICS = ["AUC", keras.metrics.AUC(curve="PR", name="pr"), "Precision", "Recall", "binary_accuracy",
                  keras.metrics.RecallAtPrecision(0.6), keras.metrics.F1Score(average="macro", threshold=0.5),
                  keras.metrics.R2Score()]  # fmt: skip


@pytest.mark.parametrize("partitions", [1, 5, 98])
@pytest.mark.parametrize("kind", ["classes", "binary"])
def test_evaluation_does_not_depend_on_the_partitions(tmp_path, run, data, kind, partitions):
    x, y = data
    model = compiled("sgd", normalized=True, metrics=METRICS)
    if kind == "binary":
        y = np.eye(3, dtype=np.float32)[y]
        np.savez(tmp_path / "data.npz", x=x, y=y)
        model.compile("sgd", loss="binary_crossentropy", metrics=BINARY_METRICS)
    expected = model.evaluate(x, y, batch_size=32, verbose=0, return_dict=True)
    run(job(tmp_path, model, task="evaluate", partitions=partitions), "--quiet")
    ours = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert ours == pytest.approx(expected, rel=1e-6, abs=1e-6)


def confusion_metrics():
    """Metrics whose state is no mean: partitions add up counts at thresholds and ranks."""
    return ["AUC", keras.metrics.AUC(curve="PR", multi_label=True, name="pr"), "Precision", "Recall",
            keras.metrics.Precision(top_k=2, name="top_precision"), keras.metrics.Recall(class_id=1, name="recall_1"),
            keras.metrics.TopKCategoricalAccuracy(k=2)]  # fmt: skip


@pytest.mark.parametrize("partitions,workers", [(1, 1), (3, 2), (5, 3)])
def test_counts_of_partitions_add_up_weighted_or_not(tmp_path, run, data, partitions, workers):
    x, classes = data
    y = np.eye(3, dtype=np.float32)[classes]
    w = np.random.default_rng(9).uniform(0.0, 3.0, ROWS).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=y, w=w)
    model = compiled("sgd")
    model.compile("sgd", "categorical_crossentropy", metrics=confusion_metrics(), weighted_metrics=confusion_metrics())
    options = {"workers": workers, "partitions": partitions, "data_sampleWeights": "w"}
    fit = {"epochs": 2, "batchSize": BATCH, "validationSplit": 0.3, "shuffle": False}
    run(job(tmp_path, model, mode="synchronous", fit=fit, **options), "--quiet")
    trained = keras.models.load_model(tmp_path / "out" / "model.keras")
    lists = json.loads((tmp_path / "out" / "history.json").read_text())
    held_out = int(ROWS * (1 - 0.3))
    judged = trained.evaluate(
        x[held_out:], y[held_out:], sample_weight=w[held_out:], batch_size=32, verbose=0, return_dict=True
    )
    assert len(judged) == 1 + 2 * len(confusion_metrics())
    assert {name: lists[f"val_{name}"][-1] for name in judged} == pytest.approx(judged, rel=1e-6, abs=1e-6)

    run(job(tmp_path, trained, task="evaluate", **options), "--quiet")
    ours = json.loads((tmp_path / "out" / "metrics.json").read_text())
    judged = trained.evaluate(x, y, sample_weight=w, batch_size=32, verbose=0, return_dict=True)
    assert ours == pytest.approx(judged, rel=1e-6, abs=1e-6)
