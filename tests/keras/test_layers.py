"""One row per layer and option: predictions, gradients (a few steps of SGD) and moving statistics are Keras'.

Each row is (name, input shapes without the batch axis, how the layer is called). A string instead of a shape
makes integer tokens of that length: "tokens 7".
"""

import keras
import numpy as np
import pytest
from judge import Case, assert_agrees, judge
from keras import layers as L

ROWS = 12
TOKENS = 9
random = np.random.default_rng(17)


def single(layer):
    return lambda inputs: layer()(inputs[0])


def several(layer):
    return lambda inputs: layer()(inputs)


def activation(name):
    return (f"activation {name}", [(6,)], single(lambda: L.Activation(name)))


def masked(layer, mask_zero=True):
    """The layer behind an Embedding with masks."""
    return lambda inputs: layer()(L.Embedding(TOKENS, 4, mask_zero=mask_zero)(inputs[0]))


def initial_states(inputs):
    state = L.Dense(4)(inputs[1])
    return L.LSTM(4, return_state=True)(inputs[0], initial_state=[state, state])


def shared_with_masks(inputs):
    table = L.Embedding(TOKENS, 4, mask_zero=True)
    a, b = table(inputs[0]), table(inputs[1])
    return L.LSTM(3)(L.Concatenate(axis=1)([a, b]))


def operators(inputs):
    a, b = inputs
    return (a + 1.5) * b - 2.0 * a / (b * b + 3.0) + (1.0 - b) * 0.5


def transformer(inputs):
    x = L.Embedding(TOKENS, 8, mask_zero=True)(inputs[0])
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    x = L.LayerNormalization()(x + L.Dense(8)(L.Dense(16, activation="gelu")(x)))
    return L.GlobalAveragePooling1D()(x)


IMAGE, LINE, VOLUME = (8, 7, 4), (9, 4), (6, 5, 4, 2)
ACTIVATIONS = (
    "relu relu6 leaky_relu softmax log_softmax sigmoid log_sigmoid tanh elu celu selu gelu glu silu swish mish "
    "softplus softsign squareplus exponential hard_sigmoid hard_silu hard_swish hard_tanh hard_shrink soft_shrink "
    "tanh_shrink sparse_plus sparse_sigmoid sparsemax linear"
).split()

TABLE = [activation(name) for name in ACTIVATIONS] + [
    ("dense", [(6,)], single(lambda: L.Dense(3, activation="relu"))),
    ("dense without bias on a sequence", [LINE], single(lambda: L.Dense(3, use_bias=False))),
    ("dense with regularizers", [(6,)], single(lambda: L.Dense(
        3, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02), bias_regularizer="l2", activity_regularizer="l1"))),
    ("dense with an orthogonal regularizer", [(6,)], single(lambda: L.Dense(
        4, kernel_regularizer=keras.regularizers.OrthogonalRegularizer(0.1)))),
    ("dense with max norm", [(6,)], single(lambda: L.Dense(3, kernel_constraint=keras.constraints.MaxNorm(0.8)))),
    ("dense with unit norm", [(6,)], single(lambda: L.Dense(3, kernel_constraint=keras.constraints.UnitNorm(axis=0)))),
    ("dense with non-negative weights", [(6,)], single(lambda: L.Dense(3, kernel_constraint="non_neg"))),
    ("dense with bounded norms", [(6,)], single(lambda: L.Dense(
        3, kernel_constraint=keras.constraints.MinMaxNorm(0.4, 0.9, rate=0.7)))),
    ("dense with a layer as activation", [(6,)], single(lambda: L.Dense(3, activation=L.LeakyReLU(negative_slope=0.1)))),
    ("frozen dense", [(6,)], lambda i: L.Dense(2)(L.Dense(3, trainable=False)(i[0]))),
    ("identity", [(6,)], single(L.Identity)),
    ("relu with options", [(6,)], single(lambda: L.ReLU(max_value=0.9, negative_slope=0.2, threshold=0.1))),
    ("leaky relu", [(6,)], single(lambda: L.LeakyReLU(negative_slope=0.15))),
    ("elu layer", [(6,)], single(lambda: L.ELU(alpha=0.7))),
    ("prelu", [(6,)], single(lambda: L.PReLU(alpha_initializer="uniform"))),
    ("prelu with shared axes", [IMAGE], single(lambda: L.PReLU(alpha_initializer="uniform", shared_axes=[1, 2]))),
    ("softmax layer", [(5, 6)], single(lambda: L.Softmax(axis=1))),
    ("softmax over two axes", [(5, 6)], single(lambda: L.Softmax(axis=[1, 2]))),
    ("flatten", [IMAGE], single(L.Flatten)),
    ("flatten channels first", [IMAGE], single(lambda: L.Flatten(data_format="channels_first"))),
    ("reshape", [(6, 4)], single(lambda: L.Reshape((3, -1)))),
    ("permute", [IMAGE], single(lambda: L.Permute((3, 1, 2)))),
    ("repeat vector", [(6,)], single(lambda: L.RepeatVector(3))),
    ("dropout at rest", [(6,)], single(lambda: L.Dropout(0.0))),
    ("activity regularization", [(6,)], lambda i: L.ActivityRegularization(l1=0.01, l2=0.02)(L.Dense(3)(i[0]))),
    ("conv1d", [LINE], single(lambda: L.Conv1D(5, 3, activation="relu"))),
    ("conv1d causal", [LINE], single(lambda: L.Conv1D(5, 3, padding="causal", dilation_rate=2))),
    ("conv1d same with strides", [LINE], single(lambda: L.Conv1D(5, 4, padding="same", strides=2))),
    ("conv1d channels first", [LINE], single(lambda: L.Conv1D(5, 3, data_format="channels_first"))),
    ("conv2d", [IMAGE], single(lambda: L.Conv2D(5, 3))),
    ("conv2d same with strides", [IMAGE], single(lambda: L.Conv2D(5, (4, 3), padding="same", strides=2))),
    ("conv2d with dilation", [IMAGE], single(lambda: L.Conv2D(5, 3, padding="same", dilation_rate=2, use_bias=False))),
    ("conv2d with groups", [IMAGE], single(lambda: L.Conv2D(6, 3, groups=2))),
    ("conv2d channels first", [IMAGE], single(lambda: L.Conv2D(5, 3, padding="same", data_format="channels_first"))),
    ("conv3d", [VOLUME], single(lambda: L.Conv3D(3, 2, padding="same", strides=(2, 1, 2)))),
    ("conv1d transpose", [LINE], single(lambda: L.Conv1DTranspose(3, 4, strides=2))),
    ("conv1d transpose same", [LINE], single(lambda: L.Conv1DTranspose(3, 3, strides=2, padding="same"))),
    ("conv2d transpose", [IMAGE], single(lambda: L.Conv2DTranspose(3, 3, strides=2, activation="relu"))),
    ("conv2d transpose same", [IMAGE], single(lambda: L.Conv2DTranspose(3, 4, strides=2, padding="same"))),
    ("conv2d transpose wide strides", [IMAGE], single(lambda: L.Conv2DTranspose(3, 2, strides=3))),
    ("conv2d transpose output padding", [IMAGE], single(lambda: L.Conv2DTranspose(
        3, 3, strides=2, padding="same", output_padding=1))),
    ("conv2d transpose dilation", [IMAGE], single(lambda: L.Conv2DTranspose(3, 3, dilation_rate=2))),
    ("conv2d transpose channels first", [IMAGE], single(lambda: L.Conv2DTranspose(
        3, 3, strides=2, data_format="channels_first"))),
    ("conv3d transpose", [VOLUME], single(lambda: L.Conv3DTranspose(2, 2, strides=2))),
    ("depthwise conv1d", [LINE], single(lambda: L.DepthwiseConv1D(3, depth_multiplier=2, padding="same"))),
    ("depthwise conv2d", [IMAGE], single(lambda: L.DepthwiseConv2D(3, depth_multiplier=2, strides=2))),
    ("separable conv1d", [LINE], single(lambda: L.SeparableConv1D(5, 3, depth_multiplier=2, padding="same"))),
    ("separable conv2d", [IMAGE], single(lambda: L.SeparableConv2D(5, 3, activation="relu"))),
    ("max pooling 1d", [LINE], single(lambda: L.MaxPooling1D(3, strides=2, padding="same"))),
    ("max pooling 2d", [IMAGE], single(lambda: L.MaxPooling2D((3, 2)))),
    ("max pooling 2d same", [IMAGE], single(lambda: L.MaxPooling2D(3, strides=2, padding="same"))),
    ("max pooling 2d channels first", [IMAGE], single(lambda: L.MaxPooling2D(2, data_format="channels_first"))),
    ("max pooling 3d", [VOLUME], single(lambda: L.MaxPooling3D(2))),
    ("average pooling 1d", [LINE], single(lambda: L.AveragePooling1D(2, padding="same"))),
    ("average pooling 2d", [IMAGE], single(lambda: L.AveragePooling2D(2))),
    ("average pooling 2d same", [IMAGE], single(lambda: L.AveragePooling2D(2, padding="same", strides=3))),
    ("average pooling 2d same 3x3", [IMAGE], single(lambda: L.AveragePooling2D(3, padding="same", strides=1))),
    ("average pooling 3d", [VOLUME], single(lambda: L.AveragePooling3D(2, padding="same"))),
    ("global average pooling 1d", [LINE], single(L.GlobalAveragePooling1D)),
    ("global average pooling 2d", [IMAGE], single(lambda: L.GlobalAveragePooling2D(keepdims=True))),
    ("global average pooling 3d", [VOLUME], single(lambda: L.GlobalAveragePooling3D(data_format="channels_first"))),
    ("global max pooling 1d", [LINE], single(lambda: L.GlobalMaxPooling1D(data_format="channels_first"))),
    ("global max pooling 2d", [IMAGE], single(L.GlobalMaxPooling2D)),
    ("global max pooling 3d", [VOLUME], single(L.GlobalMaxPooling3D)),
    ("zero padding 1d", [LINE], single(lambda: L.ZeroPadding1D((1, 2)))),
    ("zero padding 2d", [IMAGE], single(lambda: L.ZeroPadding2D(((1, 0), (2, 1))))),
    ("zero padding 3d", [VOLUME], single(lambda: L.ZeroPadding3D((1, 0, 2), data_format="channels_first"))),
    ("cropping 1d", [LINE], single(lambda: L.Cropping1D((1, 2)))),
    ("cropping 2d", [IMAGE], single(lambda: L.Cropping2D(((1, 0), (2, 1))))),
    ("cropping 3d", [VOLUME], single(lambda: L.Cropping3D(1))),
    ("upsampling 1d", [LINE], single(lambda: L.UpSampling1D(3))),
    ("upsampling 2d", [IMAGE], single(lambda: L.UpSampling2D((2, 3)))),
    ("upsampling 2d bilinear", [IMAGE], single(lambda: L.UpSampling2D(2, interpolation="bilinear"))),
    ("upsampling 3d", [VOLUME], single(lambda: L.UpSampling3D(2))),
    ("batch normalization of rows", [(6,)], single(lambda: L.BatchNormalization(momentum=0.7))),
    ("batch normalization of a sequence", [LINE], single(lambda: L.BatchNormalization(epsilon=0.01))),
    ("batch normalization channels first", [IMAGE], single(lambda: L.BatchNormalization(axis=1, scale=False))),
    ("batch normalization of volumes", [VOLUME], single(lambda: L.BatchNormalization(center=False))),
    ("frozen batch normalization", [(6,)], lambda i: L.Dense(3)(L.BatchNormalization(trainable=False)(i[0]))),
    ("batch normalization with a mask", ["tokens 7"], masked(L.BatchNormalization)),
    ("layer normalization", [(6,)], single(L.LayerNormalization)),
    ("layer normalization over two axes", [IMAGE], single(lambda: L.LayerNormalization(axis=[1, 3]))),
    ("group normalization", [IMAGE], single(lambda: L.GroupNormalization(groups=2))),
    ("instance normalization", [LINE], single(lambda: L.GroupNormalization(groups=-1))),
    ("unit normalization", [(6,)], single(L.UnitNormalization)),
    ("embedding", ["tokens 7"], masked(lambda: L.Flatten(), mask_zero=False)),
    ("masking", [LINE], lambda i: L.LSTM(3)(L.Masking(mask_value=0.5)(i[0]))),
    ("average of masked steps", ["tokens 7"], masked(L.GlobalAveragePooling1D)),
    ("simple rnn", [LINE], single(lambda: L.SimpleRNN(5, return_sequences=True))),
    ("simple rnn with a mask", ["tokens 7"], masked(lambda: L.SimpleRNN(5))),
    ("lstm", [LINE], single(lambda: L.LSTM(5))),
    ("lstm sequences backwards", [LINE], single(lambda: L.LSTM(5, return_sequences=True, go_backwards=True))),
    ("lstm with options", [LINE], single(lambda: L.LSTM(
        5, activation="relu", recurrent_activation="hard_sigmoid", use_bias=False))),
    ("lstm with a mask", ["tokens 7"], masked(lambda: L.LSTM(5, return_sequences=True))),
    ("lstm backwards with a mask", ["tokens 7"], masked(lambda: L.LSTM(5, go_backwards=True))),
    ("lstm with initial states", [LINE, (3,)], lambda i: L.Concatenate()(initial_states(i))),
    ("lstm stack", [LINE], lambda i: L.LSTM(4)(L.LSTM(5, return_sequences=True)(i[0]))),
    ("gru", [LINE], single(lambda: L.GRU(5))),
    ("gru reset before", [LINE], single(lambda: L.GRU(5, reset_after=False, return_sequences=True))),
    ("gru with a mask", ["tokens 7"], masked(lambda: L.GRU(5))),
    ("rnn around a cell", [LINE], single(lambda: L.RNN(L.GRUCell(5), return_sequences=True))),
    ("bidirectional lstm", [LINE], single(lambda: L.Bidirectional(L.LSTM(4)))),
    ("bidirectional sequences", [LINE], single(lambda: L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode="sum"))),
    ("bidirectional with a mask", ["tokens 7"], masked(lambda: L.Bidirectional(L.LSTM(4, return_sequences=True)))),
    ("bidirectional with its own backward layer", [LINE], single(lambda: L.Bidirectional(
        L.LSTM(4), backward_layer=L.LSTM(4, go_backwards=True, activation="relu"), merge_mode="mul"))),
    ("time distributed dense", [LINE], single(lambda: L.TimeDistributed(L.Dense(3, activation="tanh")))),
    ("time distributed convolution", [(3, 6, 5, 2)], single(lambda: L.TimeDistributed(L.Conv2D(2, 3)))),
    ("time distributed batch normalization", [LINE], single(lambda: L.TimeDistributed(L.BatchNormalization()))),
    ("attention", [LINE, (5, 4)], several(lambda: L.Attention(use_scale=True))),
    ("attention with three inputs", [LINE, (5, 4), (5, 4)], several(lambda: L.Attention(score_mode="concat"))),
    ("additive attention", [LINE, (5, 4)], several(L.AdditiveAttention)),
    ("causal attention", [LINE, LINE], lambda i: L.Attention()(i, use_causal_mask=True)),
    ("multi-head attention", [LINE, (5, 3)], lambda i: L.MultiHeadAttention(2, 3)(i[0], i[1])),
    ("multi-head attention with a key", [LINE, (5, 3), (5, 2)], lambda i: L.MultiHeadAttention(
        2, 3, value_dim=3, output_shape=5, use_bias=False)(i[0], i[1], key=i[2])),
    ("multi-head attention scores", [LINE], lambda i: L.Flatten()(L.MultiHeadAttention(2, 3)(
        i[0], i[0], return_attention_scores=True)[1])),
    ("multi-head attention with a mask", ["tokens 7"], lambda i: (
        lambda e: L.MultiHeadAttention(2, 3)(e, e))(L.Embedding(TOKENS, 4, mask_zero=True)(i[0]))),
    ("transformer block", ["tokens 7"], transformer),
    ("add", [(6,), (6,), (6,)], several(L.Add)),
    ("add with broadcasting", [LINE, (4,)], several(L.Add)),
    ("subtract", [(6,), (6,)], several(L.Subtract)),
    ("multiply", [(6,), (6,)], several(L.Multiply)),
    ("average", [(6,), (6,), (6,)], several(L.Average)),
    ("maximum", [(6,), (6,)], several(L.Maximum)),
    ("minimum", [(6,), (6,)], several(L.Minimum)),
    ("concatenate", [LINE, (5, 4)], several(lambda: L.Concatenate(axis=1))),
    ("concatenated masks of a shared embedding", ["tokens 5", "tokens 4"], shared_with_masks),
    ("dot", [LINE, (5, 4)], several(lambda: L.Dot(axes=2))),
    ("dot of vectors", [(6,), (6,)], several(lambda: L.Dot(axes=1, normalize=True))),
    ("rescaling", [IMAGE], single(lambda: L.Rescaling(1 / 255.0, offset=-0.5))),
    ("normalization with given statistics", [(6,)], single(lambda: L.Normalization(mean=0.3, variance=2.0))),
    ("normalization per feature", [(3,)], single(lambda: L.Normalization(
        mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]))),
    ("adapted normalization", [(6,)], single(L.Normalization)),
    ("category encoding multi hot", ["tokens 7"], single(lambda: L.CategoryEncoding(TOKENS))),
    ("category encoding one hot", ["tokens 7"], single(lambda: L.CategoryEncoding(TOKENS, output_mode="one_hot"))),
    ("category encoding count", ["tokens 7"], single(lambda: L.CategoryEncoding(TOKENS, output_mode="count"))),
    ("operators on tensors", [(6,), (6,)], operators),
    ("comparisons and reductions", [LINE], lambda i: keras.ops.mean(
        keras.ops.cast(i[0] > 0.1, "float32") * i[0], axis=1) + keras.ops.max(i[0], axis=1)),
    ("shapes of tensors", [LINE], lambda i: keras.ops.concatenate(
        [keras.ops.reshape(keras.ops.transpose(i[0], (0, 2, 1)), (-1, 36)), i[0][:, 2:8:2, 1], i[0][:, -1]], axis=-1)),
]

# Long chains of recurrent steps, and exponentials of them, lose more digits.
TOLERANCE = {"lstm": 1e-4, "gru": 1e-4, "bidirectional": 1e-4, "simple": 1e-4, "rnn": 1e-4, "masking": 1e-4}


def make_case(name, shapes, call):
    inputs, data = [], []
    for shape in shapes:
        if isinstance(shape, str):
            length = int(shape.split()[1])
            inputs.append(lambda length=length: keras.Input((length,), dtype="int32"))
            tokens = random.integers(0, TOKENS, size=(ROWS, length))
            tokens[:, -1] = 0
            data.append(tokens.astype(np.int32))
        else:
            inputs.append(lambda shape=shape: keras.Input(shape))
            data.append(random.normal(size=(ROWS, *shape)).astype(np.float32))

    def make():
        keras.backend.clear_session()
        tensors = [tensor() for tensor in inputs]
        output = call(tensors)
        return keras.Model(tensors if len(tensors) > 1 else tensors[0], output)

    model = make()
    # Keras' Activation claims that glu keeps the shape; what it gives counts.
    shape = (3,) if name == "activation glu" else model.output_shape[1:]
    labels = random.normal(size=(ROWS, *shape)).astype(np.float32)
    trains = bool(model.trainable_weights)
    return Case(
        name,
        make,
        data if len(data) > 1 else data[0],
        labels,
        dict(optimizer=keras.optimizers.SGD(0.05), loss="mse"),
        batch_size=ROWS // 3,
        epochs=1 if trains else 0,
        evaluates=False,
        tolerance=TOLERANCE.get(name.split()[0], 1e-5),
    )


@pytest.fixture(scope="module")
def answers(request):
    wanted = {item.callspec.params["name"] for item in request.session.items if item.module is request.module}
    return judge([make_case(*row) for row in TABLE if row[0] in wanted])


@pytest.mark.parametrize("name", [row[0] for row in TABLE])
def test_layer_agrees_with_keras(answers, name):
    assert_agrees(answers[name])
