"""Twenty steps of every optimizer, option and schedule leave Keras' weights."""

import keras
import numpy as np
import pytest
from judge import Case, assert_agrees, judge
from keras import layers
from keras import optimizers as O
from keras.optimizers import schedules as S

random = np.random.default_rng(23)
X = random.normal(size=(80, 6)).astype(np.float32)
Y = (X @ random.normal(size=(6, 3)) + 0.3).astype(np.float32)

OPTIMIZERS = {
    "sgd": lambda: O.SGD(0.05),
    "sgd momentum": lambda: O.SGD(0.05, momentum=0.9),
    "sgd nesterov": lambda: O.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: O.Adam(0.01),
    "adam amsgrad": lambda: O.Adam(0.01, amsgrad=True, beta_1=0.8),
    "adamw": lambda: O.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: O.RMSprop(0.01),
    "rmsprop momentum": lambda: O.RMSprop(0.01, momentum=0.8),
    "rmsprop centered": lambda: O.RMSprop(0.01, centered=True),
    "rmsprop centered momentum": lambda: O.RMSprop(0.01, centered=True, momentum=0.8),
    "adagrad": lambda: O.Adagrad(0.05),
    "adadelta": lambda: O.Adadelta(1.0),
    "adamax": lambda: O.Adamax(0.01),
    "nadam": lambda: O.Nadam(0.01),
    "ftrl": lambda: O.Ftrl(0.05),
    "ftrl with penalties": lambda: O.Ftrl(
        0.05, l1_regularization_strength=0.01, l2_regularization_strength=0.02,
        l2_shrinkage_regularization_strength=0.03, beta=0.1, learning_rate_power=-0.4),
    "lion": lambda: O.Lion(0.01),
    "lion with decay": lambda: O.Lion(0.01, weight_decay=0.1, beta_1=0.8),
    "nadam with decay and clipping": lambda: O.Nadam(0.01, weight_decay=0.05, clipnorm=0.5),
    "adamax with clipping": lambda: O.Adamax(0.01, clipvalue=0.05, beta_1=0.7),
    "adagrad with options": lambda: O.Adagrad(0.05, initial_accumulator_value=0.5, epsilon=1e-3),
    "adadelta with options": lambda: O.Adadelta(1.0, rho=0.8, epsilon=1e-5),
    "rmsprop with options": lambda: O.RMSprop(0.01, rho=0.7, epsilon=1e-3, weight_decay=0.01),
    "adam with a schedule": lambda: O.Adam(S.CosineDecay(0.05, 15, alpha=0.1), epsilon=1e-4),
    "nadam with a schedule": lambda: O.Nadam(S.ExponentialDecay(0.05, 5, 0.7)),
    "weight decay": lambda: O.SGD(0.05, weight_decay=0.1),
    "clipnorm": lambda: O.SGD(0.05, clipnorm=0.3),
    "clipvalue": lambda: O.SGD(0.05, clipvalue=0.1),
    "global clipnorm": lambda: O.SGD(0.05, momentum=0.9, global_clipnorm=0.3),
    "global clipnorm in adam": lambda: O.Adam(0.01, global_clipnorm=0.3),
    "gradient accumulation": lambda: O.Adam(0.05, gradient_accumulation_steps=3),
    "gradient accumulation and clipping": lambda: O.SGD(0.05, momentum=0.5, gradient_accumulation_steps=2, clipnorm=0.3),
    "gradient accumulation and a schedule": lambda: O.Adam(
        S.ExponentialDecay(0.05, 5, 0.7), gradient_accumulation_steps=2),
    "gradient accumulation and ema": lambda: O.SGD(
        0.05, gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=3),
    "gradient accumulation and decay": lambda: O.AdamW(0.05, gradient_accumulation_steps=4, weight_decay=0.1),
    "gradient accumulation in nadam": lambda: O.Nadam(0.05, gradient_accumulation_steps=2),
    "ema": lambda: O.SGD(0.05, use_ema=True, ema_momentum=0.8),
    "ema that overwrites": lambda: O.Adam(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=4),
    "exponential decay": lambda: O.SGD(S.ExponentialDecay(0.1, 5, 0.7)),
    "exponential decay in stairs": lambda: O.SGD(S.ExponentialDecay(0.1, 5, 0.7, staircase=True)),
    "inverse time decay": lambda: O.SGD(S.InverseTimeDecay(0.1, 5, 0.7)),
    "polynomial decay": lambda: O.SGD(S.PolynomialDecay(0.1, 7, 0.01, power=2.0)),
    "polynomial decay in cycles": lambda: O.SGD(S.PolynomialDecay(0.1, 7, 0.01, cycle=True)),
    "cosine decay": lambda: O.SGD(S.CosineDecay(0.1, 15, alpha=0.1)),
    "cosine decay with warmup": lambda: O.SGD(S.CosineDecay(0.01, 15, warmup_target=0.1, warmup_steps=5)),
    "cosine decay with restarts": lambda: O.SGD(S.CosineDecayRestarts(0.1, 4, t_mul=2.0, m_mul=0.8)),
    "cosine decay with equal restarts": lambda: O.SGD(S.CosineDecayRestarts(0.1, 4, t_mul=1.0)),
    "piecewise constant": lambda: O.SGD(S.PiecewiseConstantDecay([4, 9], [0.1, 0.05, 0.01])),
}


def make():
    return keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="tanh"), layers.Dense(3)])


@pytest.fixture(scope="module")
def answers():
    return judge([
        Case(name, make, X, Y, dict(optimizer=optimizer(), loss="mse"), batch_size=16, epochs=4)
        for name, optimizer in OPTIMIZERS.items()
    ])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_agrees_with_keras_after_twenty_steps(answers, name):
    assert_agrees(answers[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_config_opens_in_keras(answers, name):
    config = answers[name].reply["optimizer"]
    opened = keras.optimizers.deserialize(config).get_config()
    expected = OPTIMIZERS[name]().get_config()
    for config in (opened, expected):
        config.pop("name")
    assert opened == expected
