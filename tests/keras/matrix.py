"""What the test matrices over layers share: rows of (name, input shapes, how the layer is called),
and perhaps a tolerance.

A shape comes without the batch axis. A string instead of a shape makes integer tokens of that length
("tokens 7"), whose last one is 0. Numbers pass a Dense layer first, so that gradients flow through the layer in
question, too, unless the row says Raw(shape). Predictions, masks, twenty steps of SGD and moving statistics are
compared.
"""

import keras
import numpy as np
from judge import Case, judge, supported
from keras import layers as L

ROWS = 12
TOKENS = 9


class Raw(tuple):
    """A shape whose numbers reach the layer as they are."""


def single(layer):
    return lambda inputs: layer()(inputs[0])


def several(layer):
    return lambda inputs: layer()(inputs)


def masked(layer, mask_zero=True):
    """The layer behind an Embedding with masks."""
    return lambda inputs: layer()(L.Embedding(TOKENS, 4, mask_zero=mask_zero)(inputs[0]))


def make_case(name, shapes, call, tolerance=1e-5):
    random = np.random.default_rng(sum(map(ord, name)))
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
        tensors = [tensor() for tensor in inputs]
        prepared = [
            tensor if isinstance(shape, (str, Raw)) else L.Dense(shape[-1])(tensor)
            for tensor, shape in zip(tensors, shapes)
        ]
        return keras.Model(tensors if len(tensors) > 1 else tensors[0], call(prepared))

    def labels(predictions):
        return [random.normal(size=p.shape).astype(np.float32) for p in predictions]

    return Case(
        name,
        make,
        data if len(data) > 1 else data[0],
        labels,
        dict(optimizer=keras.optimizers.SGD(0.02), loss="mse"),
        batch_size=ROWS // 3,
        epochs=7,
        evaluates=False,
        tolerance=tolerance,
    )


def judge_rows(request, table):
    """The answers of the rows that this run of pytest wants."""
    items = [item for item in request.session.items if item.module is request.module]
    wanted = {item.callspec.params["name"] for item in items if hasattr(item, "callspec")}
    whole = any(not hasattr(item, "callspec") for item in items)
    return judge([make_case(*row) for row in table if whole or row[0] in wanted])


def classes_in(config):
    """The class names of all layers in a model's JSON; operations as "ops.Add"."""
    found = set()
    if isinstance(config, dict):
        if "class_name" in config:
            module = config.get("module") or ""
            found.add(("ops." if module.startswith("keras.src.ops") else "") + str(config["class_name"]))
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            found |= classes_in(item)
    return found


def classes_without_a_row(answers, families):
    """Supported classes of these families that no model of the matrix holds."""
    seen = set().union(*(classes_in(answer.config) for answer in answers.values() if answer.config))
    names = supported()["layers"]
    return {name for family in families for name in names[family]} - seen
