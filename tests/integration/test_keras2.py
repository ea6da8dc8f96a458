"""Files of Keras 2: a job computes what they mean, and Keras 3 opens what it writes."""

import json

import h5py
import keras
import keras2
import numpy as np
import pytest
from job import manifest
from keras import layers

ROWS, BATCH = 32, 8
RANDOM = np.random.default_rng(7)
TOKENS = RANDOM.integers(0, 9, (ROWS, 6)).astype(np.int32)
FLAT = RANDOM.normal(size=(ROWS, 8)).astype(np.float32)
SERIES = RANDOM.normal(size=(ROWS, 6, 8)).astype(np.float32)
IMAGES = RANDOM.normal(size=(ROWS, 8, 8, 2)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, ROWS)
SPARSE = "sparse_categorical_crossentropy"


def list_of_layers():
    """Keras <= 2.2: no InputLayer, no name, initializers with a type."""
    hidden = keras2.dense("hidden", 5, "relu", batch_input_shape=[None, 8])
    hidden["config"]["kernel_initializer"] = {
        "class_name": "VarianceScaling",
        "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None, "dtype": "float32"}}
    config = {"class_name": "Sequential", "config": [hidden, keras2.dense("probabilities", 3, "softmax")]}
    model = keras.Sequential([
        keras.Input((8,)), layers.Dense(5, "relu", name="hidden"), layers.Dense(3, "softmax", name="probabilities")])
    return FLAT, config, model, SPARSE


def embedding_and_bidirectional():
    inner = keras2.recurrent("LSTM", "lstm", 4)
    both = keras2.obj("Bidirectional", name="both", trainable=True, dtype="float32", layer=inner, merge_mode="concat")
    config = keras2.sequential(
        keras2.embedding("embedding", 9, 4, batch_input_shape=[None, 6]), both,
        keras2.dense("probabilities", 3, "softmax"))
    model = keras.Sequential([
        keras.Input((6,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True, name="embedding"),
        layers.Bidirectional(layers.LSTM(4), name="both"), layers.Dense(3, "softmax", name="probabilities")])
    return TOKENS, config, model, SPARSE


def time_distributed_and_gru():
    timed = keras2.obj(
        "TimeDistributed", name="timed", trainable=True, dtype="float32", layer=keras2.dense("inner", 4, "relu"))
    config = keras2.sequential(
        keras2.input_layer("input_1", (6, 8)), timed, keras2.recurrent("GRU", "gru", 4, return_sequences=True),
        keras2.recurrent("SimpleRNN", "rnn", 4), keras2.dense("logits", 3))
    model = keras.Sequential([
        keras.Input((6, 8)), layers.TimeDistributed(layers.Dense(4, "relu"), name="timed"),
        layers.GRU(4, return_sequences=True, name="gru"), layers.SimpleRNN(4, name="rnn"),
        layers.Dense(3, name="logits")])
    loss = keras2.loss_object(
        "SparseCategoricalCrossentropy", from_logits=True, ignore_class=None, fn="sparse_categorical_crossentropy")
    return SERIES, config, model, loss


def gru_with_the_reset_before():
    config = keras2.sequential(
        keras2.input_layer("input_1", (6, 8)), keras2.recurrent("GRU", "gru", 4, reset_after=False),
        keras2.dense("probabilities", 3, "softmax"))
    model = keras.Sequential([
        keras.Input((6, 8)), layers.GRU(4, reset_after=False, name="gru"),
        layers.Dense(3, "softmax", name="probabilities")])
    return SERIES, config, model, SPARSE


def convolutions():
    convolution = keras2.convolution
    pool = keras2.obj("GlobalAveragePooling2D", name="pool", trainable=True, dtype="float32",
                      data_format="channels_last", keepdims=False)
    config = keras2.sequential(
        keras2.input_layer("input_1", (8, 8, 2)), convolution("Conv2D", "conv", 4, 3),
        keras2.batch_normalization("normal", 3), convolution("DepthwiseConv2D", "depthwise", 0, 3),
        convolution("SeparableConv2D", "separable", 4, 3), convolution("Conv2DTranspose", "transpose", 4, 3), pool,
        keras2.dense("probabilities", 3, "softmax"))
    model = keras.Sequential([
        keras.Input((8, 8, 2)), layers.Conv2D(4, 3, activation="relu", name="conv"),
        layers.BatchNormalization(name="normal"), layers.DepthwiseConv2D(3, activation="relu", name="depthwise"),
        layers.SeparableConv2D(4, 3, activation="relu", name="separable"),
        layers.Conv2DTranspose(4, 3, activation="relu", name="transpose"), layers.GlobalAveragePooling2D(name="pool"),
        layers.Dense(3, "softmax", name="probabilities")])
    return IMAGES, config, model, SPARSE


def old_batch_normalization():
    normal = keras2.batch_normalization(
        "normal", 1, renorm=False, renorm_clipping=None, renorm_momentum=0.99, fused=False, virtual_batch_size=None)
    config = keras2.sequential(keras2.input_layer("input_1", (8,)), normal,
                               keras2.dense("probabilities", 3, "softmax"))
    model = keras.Sequential([keras.Input((8,)), layers.BatchNormalization(name="normal"),
                              layers.Dense(3, "softmax", name="probabilities")])
    return FLAT, config, model, SPARSE


def attention_over_itself():
    called = keras2.called
    flatten = keras2.obj("Flatten", name="flat", trainable=True, dtype="float32", data_format="channels_last")
    config = keras2.functional([
        called(keras2.input_layer("series", (6, 8))),
        called(keras2.attention("attention", 2, 4, [None, 6, 8]), ["series", 0, 0, {"value": ["series", 0, 0]}]),
        called(keras2.obj("Add", name="add", trainable=True, dtype="float32"), "series", "attention"),
        called(keras2.layer_normalization("normal", 2), "add"), called(flatten, "normal"),
        called(keras2.dense("probabilities", 3, "softmax"), "flat"),
    ], ["series"], ["probabilities"])
    series = keras.Input((6, 8), name="series")
    mixed = layers.MultiHeadAttention(2, 4, name="attention")(series, value=series)
    normal = layers.LayerNormalization(name="normal")(layers.Add(name="add")([series, mixed]))
    model = keras.Model(
        series, layers.Dense(3, "softmax", name="probabilities")(layers.Flatten(name="flat")(normal)))
    return SERIES, config, model, SPARSE


def states_handed_over():
    called = keras2.called
    encoder = keras2.recurrent("LSTM", "encoder", 4, return_state=True)
    config = keras2.functional([
        called(keras2.input_layer("series", (6, 8))), called(encoder, "series"),
        called(keras2.recurrent("LSTM", "decoder", 4),
               ["series", 0, 0, {}], ["encoder", 0, 1, {}], ["encoder", 0, 2, {}]),
        called(keras2.dense("probabilities", 3, "softmax"), "decoder"),
    ], ["series"], ["probabilities"])
    series = keras.Input((6, 8), name="series")
    _, *states = layers.LSTM(4, return_state=True, name="encoder")(series)
    decoded = layers.LSTM(4, name="decoder")(series, initial_state=states)
    return SERIES, config, keras.Model(series, layers.Dense(3, "softmax", name="probabilities")(decoded)), SPARSE


def models_inside_models():
    called = keras2.called
    first = keras2.functional(
        [called(keras2.input_layer("inner_input", (8,))), called(keras2.dense("dense", 5, "tanh"), "inner_input")],
        ["inner_input"], ["dense"], class_name="Model", name="first")
    second = keras2.sequential(keras2.input_layer("dense_1_input", (5,)), keras2.dense("dense_1", 5), name="second")
    config = keras2.functional([
        called(keras2.input_layer("flat", (8,))), called(first, "flat"), called(second, "first"),
        called(keras2.dense("probabilities", 3, "softmax"), "second"),
    ], ["flat"], ["probabilities"])
    flat, inside = keras.Input((8,), name="flat"), keras.Input((8,), name="inner_input")
    first_model = keras.Model(inside, layers.Dense(5, "tanh", name="dense")(inside), name="first")
    second_model = keras.Sequential([keras.Input((5,)), layers.Dense(5, name="dense_1")], name="second")
    model = keras.Model(flat, layers.Dense(3, "softmax", name="probabilities")(second_model(first_model(flat))))
    return FLAT, config, model, SPARSE


CASES = [list_of_layers, embedding_and_bidirectional, time_distributed_and_gru, gru_with_the_reset_before,
         convolutions, old_batch_normalization, attention_over_itself, states_handed_over, models_inside_models]


def keras_job(folder, uri="model.h5", **fields):
    path = manifest(folder, None, **fields)
    document = json.loads(path.read_text())
    document["spec"]["model"] = {"uri": uri}
    path.write_text(json.dumps(document))
    return path


def made(case):
    keras.utils.set_random_seed(3)
    x, config, model, loss = case()
    for weight in model.weights:  # beyond zeros and ones
        weight.assign(np.asarray(weight) + RANDOM.uniform(0.05, 0.2, weight.shape))
    return x, config, model, loss


@pytest.mark.parametrize("output", ["out", "trained.h5"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_trains_and_predicts_and_keras_3_opens_what_comes_out(tmp_path, run, case, output):
    x, config, model, loss = made(case)
    weights = {}
    for layer in model.layers:
        state = [np.asarray(w) for w in layer.trainable_weights + layer.non_trainable_weights if w.dtype == "float32"]
        if state:
            weights[layer.name] = state
    keras2.save(tmp_path / "model.h5", config, weights, loss)
    np.savez(tmp_path / "data.npz", x=x, y=LABELS)

    run(keras_job(tmp_path, task="predict", output={"uri": "predicted"}), "--quiet")
    predictions = np.load(tmp_path / "predicted" / "predictions.npy")
    np.testing.assert_allclose(predictions, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)

    run(keras_job(tmp_path, mode="synchronous", data_partitions=1, output={"uri": output},
                  fit={"epochs": 2, "batchSize": BATCH, "shuffle": False}), "--quiet")
    from_logits = isinstance(loss, dict)
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits))
    model.fit(x, LABELS, epochs=2, batch_size=BATCH, shuffle=False, verbose=0)
    written = tmp_path / ("out/model.keras" if output == "out" else output)
    opened = keras.models.load_model(written)
    assert opened.compiled
    np.testing.assert_allclose(opened.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert np.isfinite(opened.evaluate(x, LABELS, verbose=0)[0])


@pytest.mark.parametrize(
    "case,steps", [(embedding_and_bidirectional, 5), (convolutions, 0), (attention_over_itself, 5)],
    ids=lambda value: getattr(value, "__name__", str(value)))
def test_an_archive_of_tf_keras_predicts_and_trains(tmp_path, run, case, steps):
    x, config, model, loss = made(case)
    keras2.save_archive(tmp_path / "model.keras", config, model, steps)
    np.savez(tmp_path / "data.npz", x=x, y=LABELS)

    run(keras_job(tmp_path, "model.keras", task="predict", output={"uri": "predicted"}), "--quiet")
    predictions = np.load(tmp_path / "predicted" / "predictions.npy")
    np.testing.assert_allclose(predictions, model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)

    # With what it was compiled with, but the optimizer's state: Keras 2 kept another one.
    run(keras_job(tmp_path, "model.keras", mode="synchronous", data_partitions=1,
                  fit={"epochs": 2, "batchSize": BATCH, "shuffle": False}), "--quiet")
    model.compile(keras.optimizers.SGD(0.05), loss)
    model.fit(x, LABELS, epochs=2, batch_size=BATCH, shuffle=False, verbose=0)
    opened = keras.models.load_model(tmp_path / "out" / "model.keras")
    np.testing.assert_allclose(opened.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("counter", ["Adam/iter:0", "iteration:0"])  # before 2.11, and from there on
@pytest.mark.parametrize("steps", [0, 5])
def test_an_optimizer_of_keras_2_starts_anew(tmp_path, run, counter, steps):
    x, config, model, loss = made(list_of_layers)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    keras2.save(tmp_path / "model.h5", config, weights, loss)
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        state = {counter: np.int64(steps)}
        if steps:
            state.update({f"SGD/m/{i}:0": np.ones(w.shape, np.float32) for i, w in enumerate(model.get_weights())})
        group = file.create_group("optimizer_weights")
        group.attrs["weight_names"] = [name.encode() for name in state]
        for name, value in state.items():
            group[name] = value
    np.savez(tmp_path / "data.npz", x=x, y=LABELS)
    run(keras_job(tmp_path, mode="synchronous", data_partitions=1,
                  fit={"epochs": 2, "batchSize": BATCH, "shuffle": False}), "--quiet")
    model.compile(keras.optimizers.SGD(0.05), loss)
    model.fit(x, LABELS, epochs=2, batch_size=BATCH, shuffle=False, verbose=0)
    opened = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert int(opened.optimizer.iterations) == int(model.optimizer.iterations)
    for ours, theirs in zip(opened.get_weights(), model.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["model.h5", "model.keras", "model.json", "inline"])
def test_a_function_that_keras_3_computes_otherwise_is_refused(tmp_path, elephas, form):
    hidden = keras2.recurrent("GRU", "gru", 4, recurrent_activation="hard_sigmoid")
    config = keras2.sequential(keras2.input_layer("input_1", (6, 8)), hidden)
    model = keras.Sequential([keras.Input((6, 8)), layers.GRU(4, recurrent_activation="hard_sigmoid", name="gru")])
    keras2.save(tmp_path / "model.h5", config, {"gru": model.get_weights()}, "mse")
    keras2.save_archive(tmp_path / "model.keras", config, model, 0)
    text = {**config, "keras_version": "2.15.0", "backend": "tensorflow"}
    (tmp_path / "model.json").write_text(json.dumps(text))
    np.savez(tmp_path / "data.npz", x=SERIES)
    path = keras_job(tmp_path, form, task="predict")
    if form == "inline":
        path = manifest(tmp_path, text, task="predict")
    process = elephas("run", path)
    assert process.wait(60) == 1, process.output
    assert "layer 'gru' (GRU): recurrent_activation 'hard_sigmoid' was 0.2 x + 0.5 in Keras 2" in process.output

    # Keras 3's own is computed as Keras 3 does.
    model.save(tmp_path / "model.keras")
    process = elephas("run", keras_job(tmp_path, "model.keras", task="predict"))
    assert process.wait(60) == 0, process.output
    predictions = np.load(tmp_path / "out" / "predictions.npy")
    np.testing.assert_allclose(predictions, model.predict(SERIES, verbose=0), rtol=1e-5, atol=1e-6)
