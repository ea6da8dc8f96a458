"""Initial weights come from Keras' distributions; the numbers themselves are ours."""

import json

import keras
import numpy as np
import pytest
from judge import ask_probe, collect
from keras import initializers as I
from keras import layers as L

INITIALIZERS = {
    "glorot uniform": I.GlorotUniform(),
    "glorot normal": I.GlorotNormal(),
    "he uniform": I.HeUniform(),
    "he normal": I.HeNormal(),
    "lecun uniform": I.LecunUniform(),
    "lecun normal": I.LecunNormal(),
    "random normal": I.RandomNormal(mean=0.3, stddev=0.2),
    "random uniform": I.RandomUniform(-0.1, 0.4),
    "truncated normal": I.TruncatedNormal(mean=-0.2, stddev=0.3),
    "variance scaling fan out": I.VarianceScaling(0.7, mode="fan_out", distribution="untruncated_normal"),
    "variance scaling fan avg": I.VarianceScaling(1.3, mode="fan_avg", distribution="uniform"),
    "orthogonal": I.Orthogonal(gain=1.5),
    "identity": I.Identity(),
    "zeros": I.Zeros(),
    "ones": I.Ones(),
    "constant": I.Constant(0.7),
}


def dense(initializer):
    return keras.Sequential([keras.Input((70,)), L.Dense(90, kernel_initializer=initializer)])


# What layers draw by default: fans of kernels of any rank, and the parts of a bias.
LAYERS = {
    "dense": lambda: keras.Sequential([keras.Input((70,)), L.Dense(90)]),
    "convolution": lambda: keras.Sequential([keras.Input((9, 9, 24)), L.Conv2D(40, (3, 2))]),
    "depthwise convolution": lambda: keras.Sequential([keras.Input((9, 9, 80)), L.DepthwiseConv2D(5, depth_multiplier=4)]),
    "transposed convolution": lambda: keras.Sequential([keras.Input((9, 9, 24)), L.Conv2DTranspose(40, 3)]),
    "embedding": lambda: keras.Sequential([keras.Input((9,)), L.Embedding(300, 20)]),
    "lstm": lambda: keras.Sequential([keras.Input((9, 40)), L.LSTM(30)]),
    "gru": lambda: keras.Sequential([keras.Input((9, 40)), L.GRU(30)]),
    "batch normalization": lambda: keras.Sequential([keras.Input((40,)), L.BatchNormalization()]),
    "prelu": lambda: keras.Sequential([keras.Input((40,)), L.PReLU()]),
    "multi-head attention": lambda: keras.Model(
        (i := keras.Input((9, 64))), L.MultiHeadAttention(4, 16, value_dim=8, output_shape=48)(i, i)),
    "additive attention": lambda: keras.Model(
        [a := keras.Input((9, 512)), b := keras.Input((9, 512))], L.AdditiveAttention()([a, b])),
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    """{name: (Keras' weights, ours)}"""
    models = {name: dense(initializer) for name, initializer in INITIALIZERS.items()}
    models |= {f"{name} layer": make() for name, make in LAYERS.items()}
    requests = [
        {"name": name, "model": json.loads(model.to_json()), "inputs": 0, "initial": True}
        for name, model in models.items()
    ]
    reply, tensors = ask_probe(requests, {"nothing": np.zeros(1, np.float32)})
    errors = {name: entry["error"] for name, entry in reply.items() if "error" in entry}
    assert not errors
    return {name: (model.get_weights(), collect(tensors, f"{name}/weight/")) for name, model in models.items()}


def distance(a, b):
    """Kolmogorov's and Smirnov's: the largest difference of the two distribution functions."""
    points = np.concatenate([a, b])
    share = lambda values: np.searchsorted(np.sort(values), points, side="right") / len(values)
    return np.max(np.abs(share(a) - share(b)))


@pytest.mark.parametrize("name", [*INITIALIZERS, *(f"{name} layer" for name in LAYERS)])
def test_weights_are_drawn_from_keras_distribution(drawn, name):
    theirs, ours = drawn[name]
    assert [w.shape for w in ours] == [w.shape for w in theirs]
    for mine, wanted in zip(ours, theirs):
        # Both samples are fixed by their seeds. At this bound one test in 10,000 of equal distributions fails.
        n = mine.size
        if np.unique(wanted).size <= 2:  # constants, and the gates of an LSTM's bias
            np.testing.assert_array_equal(mine, wanted)
        else:
            assert distance(mine.ravel(), wanted.ravel()) < 2.23 * np.sqrt(2 / n)
            assert np.max(np.abs(mine)) <= 1.5 * np.max(np.abs(wanted))


@pytest.mark.parametrize("name", ["orthogonal", "lstm layer"])
def test_orthogonal_matrices_are_so(drawn, name):
    for weights in drawn[name]:
        matrix = weights[1 if name == "lstm layer" else 0]
        gain = 1.0 if name == "lstm layer" else 1.5
        np.testing.assert_allclose(matrix @ matrix.T, gain**2 * np.eye(len(matrix)), atol=1e-5)
