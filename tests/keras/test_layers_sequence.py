"""Recurrent layers, attention and the masks that pass through them: one row per layer and option (matrix.py)."""

import pytest
from judge import assert_agrees
from keras import constraints, layers as L
from matrix import TOKENS, Raw, classes_without_a_row, judge_rows, masked, several, single

FAMILIES = ["Recurrent", "Attention"]

LINE = (9, 4)


def states(layer, count):
    """The layer from states that other layers give."""

    def call(inputs):
        state = [L.Dense(4)(inputs[1]) for _ in range(count)]
        outputs = layer()(inputs[0], initial_state=state)
        return L.Concatenate()(outputs) if isinstance(outputs, (list, tuple)) else outputs

    return call


def encoder_decoder(inputs):
    _, h, c = L.LSTM(4, return_state=True)(inputs[0])
    return L.TimeDistributed(L.Dense(3))(L.LSTM(4, return_sequences=True)(inputs[1], initial_state=[h, c]))


def shared_with_masks(inputs):
    table = L.Embedding(TOKENS, 4, mask_zero=True)
    return L.LSTM(3)(L.Concatenate(axis=1)([table(inputs[0]), table(inputs[1])]))


def embedded(call):
    """call(embedding with a mask of each input)."""
    return lambda inputs: call(*[L.Embedding(TOKENS, 4, mask_zero=True)(tokens) for tokens in inputs])


def outputs_of(layer):
    """Everything a layer gives, in one tensor."""
    return lambda inputs: L.Concatenate()([L.Flatten()(output) for output in layer()(inputs[0])])


def transformer(inputs):
    x = L.Embedding(TOKENS, 8, mask_zero=True)(inputs[0])
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    x = L.LayerNormalization()(x + L.Dense(8)(L.Dense(16, activation="gelu")(x)))
    return L.GlobalAveragePooling1D()(x)


def for_each_kind(title, shapes, call):
    return [(f"{layer.__name__} {title}", shapes, call(layer)) for layer in (L.SimpleRNN, L.LSTM, L.GRU)]


TABLE = [
    *for_each_kind("of a sequence", [LINE], lambda layer: single(lambda: layer(5))),
    *for_each_kind("of every step", [LINE], lambda layer: single(lambda: layer(5, return_sequences=True))),
    *for_each_kind("backwards", [LINE], lambda layer: single(
        lambda: layer(5, return_sequences=True, go_backwards=True))),
    *for_each_kind("of one step", [(1, 4)], lambda layer: single(lambda: layer(5))),
    *for_each_kind("with its states", [LINE], lambda layer: outputs_of(
        lambda: layer(5, return_state=True, return_sequences=True))),
    *for_each_kind("with options", [LINE], lambda layer: single(lambda: layer(
        5, activation="relu", use_bias=False, kernel_regularizer="l2", recurrent_regularizer="l1",
        recurrent_constraint=constraints.MaxNorm(0.9)))),
    *for_each_kind("with a bias of its own", [LINE], lambda layer: single(lambda: layer(
        5, bias_initializer="uniform", bias_regularizer="l2", activity_regularizer="l2", unroll=True))),
    *for_each_kind("with a mask", ["tokens 7"], lambda layer: masked(lambda: layer(5))),
    *for_each_kind("of every step with a mask", ["tokens 7"], lambda layer: masked(
        lambda: layer(5, return_sequences=True))),
    *for_each_kind("backwards with a mask", ["tokens 7"], lambda layer: masked(
        lambda: layer(5, go_backwards=True, return_sequences=True))),
    *for_each_kind("with zeros for a mask", ["tokens 7"], lambda layer: masked(
        lambda: layer(5, return_sequences=True, zero_output_for_mask=True))),
    ("SimpleRNN with initial states", [LINE, (3,)], states(lambda: L.SimpleRNN(4, return_state=True), 1)),
    ("LSTM with initial states", [LINE, (3,)], states(lambda: L.LSTM(4, return_state=True), 2)),
    ("GRU with initial states", [LINE, (3,)], states(lambda: L.GRU(4), 1)),
    ("LSTM with other gates", [LINE], single(lambda: L.LSTM(
        5, recurrent_activation="hard_sigmoid", unit_forget_bias=False))),
    ("GRU with the reset before", [LINE], single(lambda: L.GRU(5, reset_after=False, return_sequences=True))),
    ("GRU with the reset before and a mask", ["tokens 7"], masked(lambda: L.GRU(5, reset_after=False))),
    ("LSTM stack", [LINE], lambda i: L.LSTM(4)(L.LSTM(5, return_sequences=True)(i[0]))),
    ("LSTM stack with a mask", ["tokens 7"], masked(lambda: lambda x: L.LSTM(4)(L.LSTM(5, return_sequences=True)(x)))),
    ("encoder and decoder", [LINE, (6, 3)], encoder_decoder),
    ("LSTM of concatenated masks", ["tokens 5", "tokens 4"], shared_with_masks),
    ("LSTM behind masking", [Raw((9, 1))], lambda i: L.LSTM(3)(L.Masking(mask_value=0.0)(L.ReLU()(i[0])))),
    ("frozen LSTM", [LINE], lambda i: L.Dense(2)(L.LSTM(3, trainable=False)(i[0]))),
    ("RNN around a GRU cell", [LINE], single(lambda: L.RNN(L.GRUCell(5), return_sequences=True))),
    ("RNN around an LSTM cell", [LINE], single(lambda: L.RNN(L.LSTMCell(5)))),
    ("RNN around a simple cell", [LINE], single(lambda: L.RNN(L.SimpleRNNCell(5), go_backwards=True))),
    ("Bidirectional LSTM", [LINE], single(lambda: L.Bidirectional(L.LSTM(4)))),
    *[(f"Bidirectional GRU {mode}", [LINE], single(lambda mode=mode: L.Bidirectional(
        L.GRU(4, return_sequences=True), merge_mode=mode))) for mode in ("sum", "mul", "ave", "concat")],
    ("Bidirectional with two outputs", [LINE], outputs_of(lambda: L.Bidirectional(
        L.GRU(4, return_sequences=True), merge_mode=None))),
    ("Bidirectional with states", [LINE], outputs_of(lambda: L.Bidirectional(L.LSTM(4, return_state=True)))),
    ("Bidirectional with initial states", [LINE, (3,)], states(lambda: L.Bidirectional(L.LSTM(4)), 4)),
    ("Bidirectional with a mask", ["tokens 7"], masked(lambda: L.Bidirectional(L.LSTM(4, return_sequences=True)))),
    ("Bidirectional with a mask and one output", ["tokens 7"], masked(lambda: L.Bidirectional(L.GRU(4)))),
    ("Bidirectional with its own backward layer", [LINE], single(lambda: L.Bidirectional(
        L.LSTM(4), backward_layer=L.LSTM(4, go_backwards=True, activation="relu"), merge_mode="mul"))),
    ("TimeDistributed dense", [LINE], single(lambda: L.TimeDistributed(L.Dense(3, activation="tanh")))),
    ("TimeDistributed convolution", [(3, 6, 5, 2)], single(lambda: L.TimeDistributed(L.Conv2D(2, 3)))),
    ("TimeDistributed batch normalization", [LINE], single(lambda: L.TimeDistributed(L.BatchNormalization()))),
    ("TimeDistributed with a mask", ["tokens 7"], masked(lambda: L.TimeDistributed(L.Dense(3)))),
    ("TimeDistributed LSTM", [(3, 5, 4)], single(lambda: L.TimeDistributed(L.LSTM(3)))),
    # What masks do on their way.
    ("average of masked steps", ["tokens 7"], masked(L.GlobalAveragePooling1D)),
    ("maximum of masked steps", ["tokens 7"], masked(L.GlobalMaxPooling1D)),
    ("convolution drops a mask", ["tokens 7"], masked(lambda: L.Conv1D(3, 2))),
    ("flatten drops a mask", ["tokens 7"], masked(L.Flatten)),
    ("reshape drops a mask", ["tokens 7"], masked(lambda: L.Reshape((28,)))),
    ("permute drops a mask", ["tokens 7"], masked(lambda: L.Permute((2, 1)))),
    ("upsampling drops a mask", ["tokens 7"], masked(L.UpSampling1D)),
    ("zero padding drops a mask", ["tokens 7"], masked(L.ZeroPadding1D)),
    ("operators drop a mask", ["tokens 7"], masked(lambda: lambda x: x * 2.0 + x)),
    ("spatial dropout keeps a mask", ["tokens 7"], masked(lambda: L.SpatialDropout1D(0.0))),
    ("layer normalization keeps a mask", ["tokens 7"], masked(L.LayerNormalization)),
    ("group normalization keeps a mask", ["tokens 7"], masked(lambda: L.GroupNormalization(groups=2))),
    ("rescaling keeps a mask", ["tokens 7"], masked(lambda: L.Rescaling(2.0))),
    # Attention.
    ("Attention", [LINE, (5, 4)], several(L.Attention)),
    ("Attention with a scale", [LINE, (5, 4)], several(lambda: L.Attention(use_scale=True))),
    ("Attention with three inputs", [LINE, (5, 6), (5, 4)], several(lambda: L.Attention(score_mode="concat"))),
    ("Attention that is causal", [LINE, LINE], lambda i: L.Attention()(i, use_causal_mask=True)),
    ("Attention scores", [LINE, (5, 4)], lambda i: L.Attention()(i, return_attention_scores=True)[1]),
    ("Attention with masks", ["tokens 7", "tokens 5"], embedded(lambda a, b: L.Attention(use_scale=True)([a, b]))),
    ("AdditiveAttention", [LINE, (5, 4)], several(L.AdditiveAttention)),
    ("AdditiveAttention without a scale", [LINE, (5, 4)], several(lambda: L.AdditiveAttention(use_scale=False))),
    ("AdditiveAttention with masks", ["tokens 7", "tokens 5"], embedded(lambda a, b: L.AdditiveAttention()([a, b]))),
    ("MultiHeadAttention", [LINE, (5, 3)], lambda i: L.MultiHeadAttention(2, 3)(i[0], i[1])),
    ("MultiHeadAttention with a key", [LINE, (5, 3), (5, 2)], lambda i: L.MultiHeadAttention(
        2, 3, value_dim=3, output_shape=5, use_bias=False)(i[0], i[1], key=i[2])),
    # Without scores Keras itself fails at this one.
    ("MultiHeadAttention with a wider value", [LINE], lambda i: L.MultiHeadAttention(2, 3, value_dim=5)(
        i[0], i[0], return_attention_scores=True)[0]),
    ("MultiHeadAttention with regularizers", [LINE], lambda i: L.MultiHeadAttention(
        2, 3, kernel_regularizer="l2", bias_regularizer="l1", kernel_constraint=constraints.MaxNorm(0.9))(i[0], i[0])),
    ("MultiHeadAttention scores", [LINE], lambda i: L.MultiHeadAttention(2, 3)(
        i[0], i[0], return_attention_scores=True)[1]),
    ("MultiHeadAttention that is causal", [LINE], lambda i: L.MultiHeadAttention(2, 3)(
        i[0], i[0], use_causal_mask=True)),
    ("MultiHeadAttention with a mask", ["tokens 7"], embedded(lambda a: L.MultiHeadAttention(2, 3)(a, a))),
    ("MultiHeadAttention with a causal mask", ["tokens 7"], embedded(
        lambda a: L.MultiHeadAttention(2, 3)(a, a, use_causal_mask=True))),
    ("MultiHeadAttention with two masks", ["tokens 7", "tokens 5"], embedded(
        lambda a, b: L.MultiHeadAttention(2, 3)(a, b))),
    ("MultiHeadAttention with masks and scores", ["tokens 7", "tokens 5"], embedded(
        lambda a, b: L.MultiHeadAttention(2, 3)(a, b, return_attention_scores=True)[0])),
    ("MultiHeadAttention with an attention mask", [LINE, (5, 4), Raw((9, 5))], lambda i: L.MultiHeadAttention(2, 3)(
        i[0], i[1], attention_mask=i[2] > -0.5)),
    ("transformer block", ["tokens 7"], transformer),
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(request):
    return judge_rows(request, TABLE)


@pytest.mark.parametrize("name", [row[0] for row in TABLE])
def test_layer_agrees_with_keras(answers, name):
    assert_agrees(answers[name])


def test_every_class_has_a_row(answers):
    assert not classes_without_a_row(answers, FAMILIES)
