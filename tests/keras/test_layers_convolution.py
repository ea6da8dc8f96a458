"""Convolutions, pools and what changes the size of images: one row per layer and option (matrix.py)."""

import itertools

import pytest
from judge import assert_agrees
from keras import constraints, layers as L
from matrix import classes_without_a_row, judge_rows, single

FAMILIES = ["Resizing", "Convolution", "Transposed convolution", "Pooling", "Global pooling"]

LINE, IMAGE, VOLUME = (9, 4), (8, 7, 4), (6, 5, 4, 2)
FIRST = {"data_format": "channels_first"}


def row(layer, shape, *arguments, **options):
    words = [str(argument) for argument in arguments]
    words += [f"{key} {getattr(value, 'name', value)}" for key, value in options.items()]
    return (" ".join([layer.__name__, *words]), [shape], single(lambda: layer(*arguments, **options)))


def grid(layer, shape, *arguments, **options):
    """Every combination of the options' values."""
    return [
        row(layer, shape, *arguments, **dict(zip(options, values))) for values in itertools.product(*options.values())
    ]


BOTH = ["valid", "same"]

CONVOLUTIONS = [
    row(L.Conv1D, LINE, 5, 3, activation="relu"),
    row(L.Conv1D, LINE, 5, 3, padding="causal", dilation_rate=2),
    row(L.Conv1D, LINE, 5, 2, padding="causal", strides=2),
    row(L.Conv1D, LINE, 6, 3, groups=2, padding="same", use_bias=False),
    row(L.Conv1D, LINE, 5, 3, **FIRST),
    *grid(L.Conv1D, LINE, 5, 4, padding=BOTH, strides=[1, 2, 3]),
    *grid(L.Conv2D, IMAGE, 5, (4, 3), padding=BOTH, strides=[1, 2, (2, 1)]),
    *grid(L.Conv2D, IMAGE, 5, 3, padding=BOTH, dilation_rate=[2, (1, 3)]),
    *grid(L.Conv2D, IMAGE, 6, 3, padding=BOTH, data_format=["channels_first"], strides=[1, 2]),
    row(L.Conv2D, IMAGE, 6, 3, groups=2),
    row(L.Conv2D, IMAGE, 8, 3, groups=4, padding="same", strides=2),
    row(L.Conv2D, IMAGE, 6, 3, groups=2, **FIRST),
    row(L.Conv2D, IMAGE, 5, 1, activation="swish"),
    row(L.Conv2D, IMAGE, 5, 3, kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2"),
    row(L.Conv2D, IMAGE, 5, 3, kernel_constraint=constraints.MaxNorm(0.7, axis=[0, 1, 2])),
    row(L.Conv3D, VOLUME, 3, 2, padding="same", strides=(2, 1, 2)),
    row(L.Conv3D, VOLUME, 4, 2, dilation_rate=2, groups=2),
    row(L.Conv3D, VOLUME, 3, 2, **FIRST),
    *grid(L.DepthwiseConv1D, LINE, 3, padding=BOTH, strides=[1, 2], depth_multiplier=[2]),
    row(L.DepthwiseConv1D, (3, 9), 3, use_bias=False, dilation_rate=2, **FIRST),
    *grid(L.DepthwiseConv2D, IMAGE, 3, padding=BOTH, strides=[1, 2], depth_multiplier=[1, 2]),
    row(L.DepthwiseConv2D, IMAGE, (2, 3), dilation_rate=2, activation="relu", depthwise_regularizer="l2"),
    row(L.DepthwiseConv2D, IMAGE, 3, padding="same", **FIRST),
    *grid(L.SeparableConv1D, LINE, 5, 3, padding=BOTH, strides=[1, 2], depth_multiplier=[2]),
    row(L.SeparableConv1D, (3, 9), 5, 3, dilation_rate=2, **FIRST),
    *grid(L.SeparableConv2D, IMAGE, 5, 3, padding=BOTH, strides=[1, 2]),
    row(L.SeparableConv2D, IMAGE, 5, 3, depth_multiplier=3, activation="relu", pointwise_regularizer="l1"),
    row(L.SeparableConv2D, IMAGE, 5, 3, use_bias=False, padding="same", **FIRST),
]

TRANSPOSED = [
    *grid(L.Conv1DTranspose, LINE, 3, 4, padding=BOTH, strides=[1, 2, 3]),
    *grid(L.Conv1DTranspose, LINE, 3, 3, padding=BOTH, strides=[3], output_padding=[0, 1, 2]),
    *grid(L.Conv1DTranspose, LINE, 3, 2, padding=BOTH, strides=[3]),
    row(L.Conv1DTranspose, LINE, 3, 3, dilation_rate=2, use_bias=False, **FIRST),
    *grid(L.Conv2DTranspose, IMAGE, 3, (3, 2), padding=BOTH, strides=[1, 2, (1, 2)]),
    *grid(L.Conv2DTranspose, IMAGE, 3, 3, padding=BOTH, strides=[2], output_padding=[0, 1]),
    *grid(L.Conv2DTranspose, IMAGE, 3, 3, padding=BOTH, dilation_rate=[2]),
    row(L.Conv2DTranspose, IMAGE, 3, 3, strides=2, activation="relu", kernel_regularizer="l2"),
    row(L.Conv2DTranspose, IMAGE, 3, 3, strides=2, padding="same", **FIRST),
    row(L.Conv3DTranspose, VOLUME, 2, 2, strides=2),
    row(L.Conv3DTranspose, VOLUME, 2, 3, strides=(1, 2, 2), padding="same"),
    row(L.Conv3DTranspose, VOLUME, 2, 2, **FIRST),
]

POOLS = [
    *itertools.chain.from_iterable(
        [
            *grid(layers[0], LINE, 3, padding=BOTH, strides=[1, 2, None]),
            *grid(layers[1], IMAGE, (3, 2), padding=BOTH, strides=[1, 2, None]),
            row(layers[0], LINE, 2, **FIRST),
            row(layers[1], IMAGE, 2, padding="same", **FIRST),
            *grid(layers[2], VOLUME, 2, padding=BOTH),
            row(layers[2], VOLUME, (3, 2, 2), strides=(1, 2, 1), padding="same"),
        ]
        for layers in (
            (L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D),
            (L.AveragePooling1D, L.AveragePooling2D, L.AveragePooling3D),
        )
    ),
    *itertools.chain.from_iterable(
        [row(layer, shape), row(layer, shape, keepdims=True), row(layer, shape, **FIRST)]
        for layer, shape in (
            (L.GlobalAveragePooling1D, LINE),
            (L.GlobalAveragePooling2D, IMAGE),
            (L.GlobalAveragePooling3D, VOLUME),
            (L.GlobalMaxPooling1D, LINE),
            (L.GlobalMaxPooling2D, IMAGE),
            (L.GlobalMaxPooling3D, VOLUME),
        )
    ),
]

RESIZING = [
    row(L.ZeroPadding1D, LINE, 2),
    row(L.ZeroPadding1D, LINE, (1, 2)),
    row(L.ZeroPadding2D, IMAGE, 1),
    row(L.ZeroPadding2D, IMAGE, (1, 2)),
    row(L.ZeroPadding2D, IMAGE, ((1, 0), (2, 1))),
    row(L.ZeroPadding2D, IMAGE, ((1, 0), (2, 1)), **FIRST),
    row(L.ZeroPadding3D, VOLUME, ((1, 0), (2, 1), (0, 3))),
    row(L.ZeroPadding3D, VOLUME, (1, 0, 2), **FIRST),
    row(L.Cropping1D, LINE, 2),
    row(L.Cropping1D, LINE, (1, 2)),
    row(L.Cropping2D, IMAGE, 1),
    row(L.Cropping2D, IMAGE, ((1, 0), (2, 1))),
    row(L.Cropping2D, IMAGE, (1, 1), **FIRST),
    row(L.Cropping3D, VOLUME, 1),
    row(L.Cropping3D, VOLUME, ((1, 2), (0, 1), (1, 0))),
    row(L.Cropping3D, VOLUME, ((1, 0), (0, 1), (1, 0)), **FIRST),
    row(L.UpSampling1D, LINE, 3),
    row(L.UpSampling2D, IMAGE, (2, 3)),
    row(L.UpSampling2D, IMAGE, 2, **FIRST),
    *grid(L.UpSampling2D, IMAGE, (2, 3), interpolation=["bilinear", "bicubic", "lanczos3", "lanczos5"]),
    row(L.UpSampling2D, IMAGE, 2, interpolation="bilinear", **FIRST),
    row(L.UpSampling3D, VOLUME, (2, 1, 3)),
    row(L.UpSampling3D, VOLUME, 2, **FIRST),
]

TABLE = CONVOLUTIONS + TRANSPOSED + POOLS + RESIZING


@pytest.fixture(scope="module")
def answers(request):
    return judge_rows(request, TABLE)


@pytest.mark.parametrize("name", [row[0] for row in TABLE])
def test_layer_agrees_with_keras(answers, name):
    assert_agrees(answers[name])


def test_every_class_has_a_row(answers):
    assert not classes_without_a_row(answers, FAMILIES)
