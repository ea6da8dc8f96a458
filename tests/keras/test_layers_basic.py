"""Layers without windows and without time: one row per layer and option (matrix.py)."""

import keras
import pytest
from judge import assert_agrees
from keras import constraints, initializers, layers as L, ops, regularizers
from matrix import TOKENS, Raw, classes_without_a_row, judge_rows, masked, several, single

FAMILIES = [
    "Core", "Activations", "Tokens and masks", "Preprocessing", "Reshaping", "Normalization", "Regularization",
    "Merging", "Arithmetic operations", "Tensor operations",
]  # fmt: skip

ROW, LINE, IMAGE, VOLUME = (6,), (9, 4), (8, 7, 4), (6, 5, 4, 2)

ACTIVATIONS = (
    "relu relu6 leaky_relu softmax log_softmax sigmoid log_sigmoid tanh elu celu selu gelu glu silu swish mish "
    "softplus softsign squareplus exponential hard_sigmoid hard_silu hard_swish hard_tanh hard_shrink soft_shrink "
    "tanh_shrink sparse_plus sparse_sigmoid sparsemax linear"
).split()


def activation(name):
    return (f"activation {name}", [ROW], single(lambda: L.Activation(name)))


def dense(name, **options):
    return (f"dense with {name}", [ROW], single(lambda: L.Dense(3, **options)))


def operators(inputs):
    a, b = inputs
    return (a + 1.5) * b - 2.0 * a / (b * b + 3.0) + (1.0 - b) * 0.5 + -abs(a)


def comparisons(inputs):
    a, b = inputs
    kept = [a > b, a >= 0.1, a < b, a <= 0.3, ops.equal(a, b), ops.not_equal(a, b)]
    kept += [ops.logical_and(kept[0], kept[1]), ops.logical_or(kept[2], kept[3])]
    return ops.concatenate([ops.cast(k, "float32") * a for k in kept], axis=-1)


def functions(inputs):
    a = inputs[0]
    positive = ops.square(a) + 0.5
    return ops.concatenate(
        [ops.exp(a), ops.log(positive), ops.sqrt(positive), ops.tanh(a), ops.sigmoid(a), ops.relu(a), ops.abs(a),
         ops.absolute(a), ops.negative(a), positive**1.5, ops.divide(a, positive), ops.maximum(a, 0.2),
         ops.minimum(a, positive)], axis=-1)  # fmt: skip


def reductions(inputs):
    a = inputs[0]
    parts = [ops.sum(a, axis=1), ops.mean(a, axis=1), ops.max(a, axis=1), ops.min(a, axis=[1])]
    parts += [ops.mean(a, axis=(1, 2), keepdims=True)[:, 0], ops.squeeze(ops.max(a, axis=1, keepdims=True), 1)]
    flags = [ops.any(a > 1.0, axis=1), ops.all(a > -2.0, axis=1)]
    return ops.concatenate(parts + [ops.cast(f, "float32") for f in flags], axis=-1)


def shapes(inputs):
    a = inputs[0]
    parts = [
        ops.reshape(ops.transpose(a, (0, 2, 1)), (-1, 36)),
        a[:, 2:8:2, 1],
        a[:, -1],
        ops.squeeze(ops.expand_dims(a[:, 0], 1), 1),
        ops.ones_like(a[:, 0]) - ops.zeros_like(a[:, 1]),
    ]
    return ops.concatenate(parts, axis=-1)


def shared(inputs):
    layer = L.Dense(6, activation="tanh")
    return layer(layer(inputs[0]))


def nested(inputs):
    inner = keras.Sequential([keras.Input(ROW), L.Dense(5, activation="relu"), L.Dense(6)], name="inner")
    a, b = keras.Input(ROW), keras.Input(ROW)
    outer = keras.Model([a, b], [inner(a), inner(b) + a], name="outer")
    first, second = outer(inputs)
    return L.Concatenate()([*outer([second, first]), first])


def frozen_model(inputs):
    inner = keras.Sequential([keras.Input(ROW), L.Dense(5), L.BatchNormalization(), L.Dense(4)])
    inner.trainable = False
    return L.Dense(2)(inner(inputs[0]))


def frozen_inside(inputs):
    inner = keras.Sequential([keras.Input(ROW), L.Dense(5, trainable=False), L.Dense(4)])
    return inner(inputs[0])


def shared_with_masks(inputs):
    table = L.Embedding(TOKENS, 4, mask_zero=True)
    return L.Concatenate(axis=1)([table(inputs[0]), table(inputs[1])])


def two_masks(layer):
    def call(inputs):
        a, b = (L.Embedding(TOKENS, 4, mask_zero=True)(tokens) for tokens in inputs)
        return layer()([a, b])

    return call


def one_mask(layer):
    return lambda inputs: layer()([L.Embedding(TOKENS, 4, mask_zero=True)(inputs[0]), inputs[1]])


TABLE = [activation(name) for name in ACTIVATIONS] + [
    ("dense", [ROW], single(lambda: L.Dense(3, activation="relu"))),
    ("dense on a sequence", [LINE], single(lambda: L.Dense(3, use_bias=False))),
    ("dense on an image", [IMAGE], single(lambda: L.Dense(3))),
    ("dense with a mask", ["tokens 7"], masked(lambda: L.Dense(3))),
    dense("l1", kernel_regularizer="l1"),
    dense("l2", kernel_regularizer=regularizers.L2(0.03), bias_regularizer="l1"),
    dense("l1 and l2", kernel_regularizer=regularizers.L1L2(0.01, 0.02), bias_regularizer="l2"),
    dense("an activity regularizer", activity_regularizer=regularizers.L1L2(0.01, 0.02)),
    dense("orthogonal rows", kernel_regularizer=regularizers.OrthogonalRegularizer(0.1)),
    dense("orthogonal columns", kernel_regularizer=regularizers.OrthogonalRegularizer(0.1, mode="columns")),
    dense("max norm", kernel_constraint=constraints.MaxNorm(0.8), bias_constraint="max_norm"),
    dense("unit norm", kernel_constraint=constraints.UnitNorm(axis=0)),
    dense("unit norm over both axes", kernel_constraint=constraints.UnitNorm(axis=[0, 1])),
    dense("non-negative weights", kernel_constraint="non_neg", bias_constraint="non_neg"),
    dense("bounded norms", kernel_constraint=constraints.MinMaxNorm(0.4, 0.9, rate=0.7)),
    dense("a layer as activation", activation=L.LeakyReLU(negative_slope=0.1)),
    dense("initializers", kernel_initializer=initializers.HeNormal(seed=3), bias_initializer="ones"),
    ("frozen dense", [ROW], lambda i: L.Dense(2)(L.Dense(3, trainable=False)(i[0]))),
    ("frozen model", [ROW], frozen_model),
    ("frozen layer inside a model", [ROW], frozen_inside),
    ("shared layer", [ROW], shared),
    ("models inside models", [ROW, ROW], nested),
    ("identity", [ROW], single(L.Identity)),
    ("identity with a mask", ["tokens 7"], masked(L.Identity)),
    # Activations.
    ("relu with options", [ROW], single(lambda: L.ReLU(max_value=0.9, negative_slope=0.2, threshold=0.1))),
    ("relu without options", [ROW], single(L.ReLU)),
    ("leaky relu", [ROW], single(lambda: L.LeakyReLU(negative_slope=0.15))),
    ("elu layer", [ROW], single(lambda: L.ELU(alpha=0.7))),
    ("prelu", [ROW], single(lambda: L.PReLU(alpha_initializer="uniform"))),
    ("prelu with shared axes", [IMAGE], single(lambda: L.PReLU(alpha_initializer="uniform", shared_axes=[1, 2]))),
    ("prelu with options", [ROW], single(lambda: L.PReLU(alpha_regularizer="l2", alpha_constraint="non_neg"))),
    ("softmax layer", [(5, 6)], single(lambda: L.Softmax(axis=1))),
    ("softmax over two axes", [(5, 6)], single(lambda: L.Softmax(axis=[1, 2]))),
    ("activation with a mask", ["tokens 7"], masked(lambda: L.Activation("tanh"))),
    # Tokens and masks.
    ("embedding", ["tokens 7"], masked(L.Flatten, mask_zero=False)),
    ("embedding with masks", ["tokens 7"], masked(L.Identity)),
    ("embedding with options", ["tokens 7"], single(lambda: L.Embedding(
        TOKENS, 3, embeddings_regularizer="l2", embeddings_constraint=constraints.MaxNorm(0.5)))),
    ("masking", [Raw((9, 1))], lambda i: L.Dense(3)(L.Masking(mask_value=0.5)(ops.maximum(i[0], 0.5)))),
    ("category encoding multi hot", ["tokens 7"], single(lambda: L.CategoryEncoding(TOKENS))),
    ("category encoding one hot", ["tokens 7"], single(lambda: L.CategoryEncoding(TOKENS, output_mode="one_hot"))),
    ("category encoding count", ["tokens 7"], single(lambda: L.CategoryEncoding(TOKENS, output_mode="count"))),
    ("category encoding of one token", ["tokens 1"], single(lambda: L.CategoryEncoding(TOKENS, output_mode="one_hot"))),
    # Preprocessing.
    ("rescaling", [IMAGE], single(lambda: L.Rescaling(1 / 255.0, offset=-0.5))),
    ("rescaling per channel", [LINE], single(lambda: L.Rescaling([1.0, 2.0, 3.0, 4.0], offset=[0.1, 0.2, 0.3, 0.4]))),
    ("normalization with given statistics", [ROW], single(lambda: L.Normalization(mean=0.3, variance=2.0))),
    ("normalization per feature", [(3,)], single(lambda: L.Normalization(
        mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]))),
    ("normalization backwards", [(3,)], single(lambda: L.Normalization(
        mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0], invert=True))),
    ("adapted normalization", [ROW], single(L.Normalization)),
    ("adapted normalization over two axes", [LINE], single(lambda: L.Normalization(axis=(1, 2)))),
    ("adapted normalization of everything", [ROW], single(lambda: L.Normalization(axis=None))),
    # Reshaping.
    ("flatten", [IMAGE], single(L.Flatten)),
    ("flatten channels first", [IMAGE], single(lambda: L.Flatten(data_format="channels_first"))),
    ("flatten rows", [ROW], single(L.Flatten)),
    ("reshape", [(6, 4)], single(lambda: L.Reshape((3, -1)))),
    ("reshape to a row", [(6, 4)], single(lambda: L.Reshape((24,)))),
    ("permute", [IMAGE], single(lambda: L.Permute((3, 1, 2)))),
    ("repeat vector", [ROW], single(lambda: L.RepeatVector(3))),
    # Normalization.
    ("batch normalization of rows", [ROW], single(lambda: L.BatchNormalization(momentum=0.7))),
    ("batch normalization of a sequence", [LINE], single(lambda: L.BatchNormalization(epsilon=0.01))),
    ("batch normalization of an image", [IMAGE], single(lambda: L.BatchNormalization(
        beta_regularizer="l2", gamma_constraint="non_neg"))),
    ("batch normalization channels first", [IMAGE], single(lambda: L.BatchNormalization(axis=1, scale=False))),
    ("batch normalization of volumes", [VOLUME], single(lambda: L.BatchNormalization(center=False))),
    ("frozen batch normalization", [ROW], lambda i: L.Dense(3)(L.BatchNormalization(trainable=False)(i[0]))),
    ("batch normalization with a mask", ["tokens 7"], masked(L.BatchNormalization)),
    ("layer normalization", [ROW], single(L.LayerNormalization)),
    ("layer normalization over two axes", [IMAGE], single(lambda: L.LayerNormalization(axis=[1, 3]))),
    ("layer normalization of the first axis", [LINE], single(lambda: L.LayerNormalization(axis=1, center=False))),
    ("layer normalization with options", [LINE], single(lambda: L.LayerNormalization(scale=False, epsilon=0.1))),
    ("group normalization", [IMAGE], single(lambda: L.GroupNormalization(groups=2))),
    ("group normalization channels first", [(4, 3, 2)], single(lambda: L.GroupNormalization(groups=2, axis=1))),
    ("group normalization without weights", [LINE], single(lambda: L.GroupNormalization(
        groups=2, center=False, scale=False, epsilon=0.1))),
    ("instance normalization", [LINE], single(lambda: L.GroupNormalization(groups=-1))),
    ("unit normalization", [ROW], single(L.UnitNormalization)),
    ("unit normalization over two axes", [LINE], single(lambda: L.UnitNormalization(axis=[1, 2]))),
    # Regularization. What these draw cannot be compared; at rest they are the identity.
    ("dropout at rest", [ROW], single(lambda: L.Dropout(0.0))),
    ("spatial dropout at rest", [LINE], single(lambda: L.SpatialDropout1D(0.0))),
    ("spatial dropout 2d at rest", [IMAGE], single(lambda: L.SpatialDropout2D(0.0))),
    ("spatial dropout 3d at rest", [VOLUME], single(lambda: L.SpatialDropout3D(0.0))),
    ("gaussian noise at rest", [ROW], single(lambda: L.GaussianNoise(0.0))),
    ("gaussian dropout at rest", [ROW], single(lambda: L.GaussianDropout(0.0))),
    ("alpha dropout at rest", [ROW], single(lambda: L.AlphaDropout(0.0))),
    ("activity regularization", [ROW], lambda i: L.ActivityRegularization(l1=0.01, l2=0.02)(L.Dense(3)(i[0]))),
    # Merging.
    ("add", [ROW, ROW, ROW], several(L.Add)),
    ("add with broadcasting", [LINE, (4,)], several(L.Add)),
    ("subtract", [ROW, ROW], several(L.Subtract)),
    ("multiply", [ROW, ROW, ROW], several(L.Multiply)),
    ("average", [ROW, ROW, ROW], several(L.Average)),
    ("maximum", [ROW, ROW], several(L.Maximum)),
    ("minimum", [ROW, ROW, ROW], several(L.Minimum)),
    ("add with two masks", ["tokens 7", "tokens 7"], two_masks(L.Add)),
    ("multiply with two masks", ["tokens 7", "tokens 7"], two_masks(L.Multiply)),
    ("average with two masks", ["tokens 7", "tokens 7"], two_masks(L.Average)),
    ("maximum with one mask", ["tokens 7", (7, 4)], one_mask(L.Maximum)),
    ("concatenate", [LINE, (5, 4)], several(lambda: L.Concatenate(axis=1))),
    ("concatenate features", [LINE, (9, 2)], several(L.Concatenate)),
    ("concatenate with two masks", ["tokens 7", "tokens 7"], two_masks(L.Concatenate)),
    ("concatenate with one mask", ["tokens 7", (7, 4)], one_mask(lambda: L.Concatenate(axis=1))),
    ("concatenated masks of a shared embedding", ["tokens 5", "tokens 4"], shared_with_masks),
    ("dot", [LINE, (5, 4)], several(lambda: L.Dot(axes=2))),
    ("dot over different axes", [LINE, (5, 9)], several(lambda: L.Dot(axes=(1, 2)))),
    ("dot of vectors", [ROW, ROW], several(lambda: L.Dot(axes=1, normalize=True))),
    ("dot of a matrix and a vector", [LINE, (4,)], several(lambda: L.Dot(axes=(2, 1)))),
    # Operations.
    ("operators on tensors", [ROW, ROW], operators),
    ("comparisons", [ROW, ROW], comparisons),
    ("functions of tensors", [ROW], functions),
    ("reductions", [LINE], reductions),
    ("shapes of tensors", [LINE], shapes),
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(request):
    return judge_rows(request, TABLE)


@pytest.mark.parametrize("name", [row[0] for row in TABLE])
def test_layer_agrees_with_keras(answers, name):
    assert_agrees(answers[name])


def test_every_class_has_a_row(answers):
    assert not classes_without_a_row(answers, FAMILIES)
