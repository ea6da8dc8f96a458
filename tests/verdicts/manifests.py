"""Manifests to judge: a small one, a full one, and thousands that differ from good ones in a few places.

What is generated is JSON that any reader takes for the same, so that only rules can disagree, not readers. Pod
templates and metadata are other tests' business.
"""

import copy
import random

MISSING = object()

_CONTROL, _LONG, _WIDE, _TOO_WIDE = "a\x01b", "a" * 4097, "象" * 4096, "象" * 4097


def minimal():
    return {"apiVersion": "elephas.dev/v1alpha1", "kind": "ElephasJob", "metadata": {"name": "generated"},
            "spec": {"model": {"uri": "model.json"}, "compile": {"loss": "mse"}, "data": {"uri": "d.npz"},
                     "output": {"uri": "out"}}}


def full():
    """Every field has a value, but for those that exclude each other."""
    job = minimal()
    job["spec"] = {
        "task": "train", "mode": "synchronous", "frequency": "epoch",
        "model": {"inline": {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "Dense"}]}},
                  "weights": {"uri": "start.weights.h5"}},
        "compile": {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1, "momentum": 0.5}},
                    "loss": {"a": "mse", "b": {"class_name": "Huber", "config": {"delta": 2.0}}},
                    "loss_weights": [1.0, 0.5], "metrics": {"a": ["mae"], "b": ["mse", "accuracy"]},
                    "weighted_metrics": [["mae"], []], "run_eagerly": False, "steps_per_execution": 1,
                    "jit_compile": False},
        "fit": {"epochs": 3, "batchSize": 16, "validationSplit": 0.25, "shuffle": False, "seed": 5, "onNaN": "continue",
                "classWeight": {"0": 1.0, "1": 2.5},
                "earlyStopping": {"monitor": "val_loss", "minDelta": 0.5, "patience": 2, "mode": "min", "baseline": 1.5,
                                  "restoreBestWeights": True, "startFromEpoch": 1},
                "reduceLROnPlateau": {"monitor": "loss", "factor": 0.5, "patience": 2, "mode": "min", "minDelta": 0.5,
                                      "cooldown": 1, "minLR": 0.001},
                "modelCheckpoint": {"monitor": "val_loss", "mode": "min"}},
        "data": {"uri": "d.npz", "features": ["x", "z"], "labels": {"a": "y", "b": "w"}, "partitions": 6},
        "workers": {"replicas": 2, "device": "cpu", "threads": 2, "precision": "float32",
                    "template": {"metadata": {"labels": {"team": "a"}},
                                 "spec": {"nodeSelector": {"disk": "ssd"}, "terminationGracePeriodSeconds": 5}}},
        "parameterServers": {"replicas": 2, "port": 4001, "template": {"metadata": {"labels": {"team": "a"}}}},
        "transport": "rest",
        "checkpoint": {"uri": "ckpt", "every": {"epochs": 2}, "keep": 2, "resume": "latest"},
        "output": {"uri": "out"},
        "runPolicy": {"suspend": False, "backoffLimit": 4, "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 60,
                      "cleanPodPolicy": "All"},
    }
    return job


def value_at(document, path):
    """The value at a dotted path; MISSING where there is none."""
    for part in path.split("."):
        if not isinstance(document, dict) or part not in document:
            return MISSING
        document = document[part]
    return document


def put(document, path, value):
    """Puts a value at a dotted path, or takes it out when MISSING. What stands in the way is replaced."""
    *parents, last = path.split(".")
    for part in parents:
        if not isinstance(document.get(part), dict):
            if value is MISSING:
                return
            document[part] = {}
        document = document[part]
    if value is MISSING:
        document.pop(last, None)
    else:
        document[last] = copy.deepcopy(value)


# --- what may stand in a field ----------------------------------------------------------------------

_ANYTHING = [None, True, 0, -1, 1.5, "", "x", [], {}, [1], ["a"], {"a": 1}, {"a": "b"}]

_NAMES = ["y", ["y"], ["a", "b"], ["a", "a"], {"out": "y"}, {"a": "y", "b": "y"}, [], {}, "", [""], [_CONTROL],
          ["a", 3],
          {"out": 3}, {"out": None}, [None], {"out": ["y"]}, [["y"]], _WIDE, _TOO_WIDE, [_TOO_WIDE], ["é", "é"],
          [f"column_{i}" for i in range(250)], [f"column_{i % 249}" for i in range(250)]]

_LOSS_NAMES = ["mse", "MSE", "Mse", "MeanSquaredError", "mean_squared_error", "mean_sqared_error", "kld", "KLD",
               "kl_divergence", "KLDivergence", "bce", "ce", "CE", "crossentropy", "CrossEntropy", "logcosh", "LogCosh",
               "log_cosh", "huber", "Huber", "huberr", "ctc", "CTC", "dice", "", "accuracy",
               "sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", "categorical_crossentropy"]
_METRIC_NAMES = ["accuracy", "acc", "ACC", "Accuracy", "acuracy", "mse", "MSE", "mae", "auc", "AUC", "Auc", "f1_score",
                 "F1Score", "fbeta_score", "f_beta_score", "F_BETA_SCORE", "io_u", "IoU", "ce", "crossentropy", "huber",
                 "precision", "Precision", "top_k_categorical_accuracy", "log_cosh_error", "logcosh", "bce", "kld", ""]

_OPTIMIZERS = ["sgd", "SGD", "Adam", "adam", "ADAMW", "rmsprop", "RMSprop", "Ftrl", "lion", "nadam", "adadelta",
               "adagrad", "Adamax", "sgdd", "", "momentum"]
_OPTIONS = ["name", "learning_rate", "momentum", "nesterov", "beta_1", "beta_2", "epsilon", "rho", "centered",
            "amsgrad",
            "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum",
            "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps", "jit_compile",
            "is_legacy_optimizer", "decay", "initial_accumulator_value", "learning_rate_power", "beta",
            "l1_regularization_strength", "l2_regularization_strength", "l2_shrinkage_regularization_strength", "lr"]
_OPTION_VALUES = [0, 1, 2, -1, 0.0, 0.5, 0.9, 1.0, 1.5, 2.0, -0.5, 1e-7, 1e301, True, False, None, "x", "", [],
                  [0.1], {},
                  {"class_name": "ExponentialDecay"}]
_SCHEDULES = {
    "ExponentialDecay": ["initial_learning_rate", "decay_steps", "decay_rate", "staircase"],
    "InverseTimeDecay": ["initial_learning_rate", "decay_steps", "decay_rate", "staircase"],
    "PolynomialDecay": ["initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle"],
    "CosineDecay": ["initial_learning_rate", "decay_steps", "alpha", "warmup_target", "warmup_steps"],
    "CosineDecayRestarts": ["initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha"],
    "PiecewiseConstantDecay": ["boundaries", "values"],
    "exponentialdecay": ["initial_learning_rate", "decay_steps", "decay_rate"],
    "LinearDecay": [],
}

_URIS = ["d.npz", "x.npy", "d.csv", "d.libsvm", "d.svm", "d.CSV", ".npz", "a/.npz", "d.parquet", "model.keras",
         "model.h5",
         "model.json", "w.weights.h5", ".weights.h5", "w.safetensors", "out", "out/", "out.keras", "out/m.h5", "x.h5",
         "s3://bucket/d.npz", "file:///data/d.npz", "file://localhost/m.json", "file://localhost", "file://d.npz",
         "FILE:///d.npz", "file:///a%20b.npz", "file:///a%2.npz", "file:///a%zz.csv", "file:///a%00.npz",
         "file:///%25.json",
         "file:///a%C3%A9.npz", "run:1/d.npz", "C:/out", "a://b.npz", "://d.npz", "a b://d.npz", "%zz.npz",
         _CONTROL + ".npz",
         _LONG, "é" * 4092 + ".npz", "é" * 4093 + ".npz", "x\x7f.npz", ""]


class Generator:
    """Manifests of one seed, always the same."""

    def __init__(self, seed, fields):
        self._random = random.Random(seed)
        self._fields = [field for field in fields
                        if field["path"].startswith("spec.") and not field["path"].endswith(".template")]

    def manifest(self):
        draw = self._random
        job = full() if draw.random() < 0.5 else minimal()
        if draw.random() < 0.5:  # from what is right but for one thing, to where rules meet
            job["spec"].get("fit", {}).pop("classWeight", None)
        for _ in range(draw.choice([0, 1, 1, 1, 2, 2, 3, 5])):
            self._change(job)
        return job

    def _change(self, job):
        draw = self._random
        if draw.random() < 0.35:
            path, value = self._combination()
        else:
            field = draw.choice(self._fields)
            path, value = field["path"], self._value(field)
        put(job, path, value)

    def _value(self, field):
        draw = self._random
        if draw.random() < 0.1:
            return MISSING
        if draw.random() < 0.1:
            return draw.choice(_ANYTHING)
        path = field["path"]
        special = {"spec.compile.loss": self._loss, "spec.compile.metrics": self._metrics,
                   "spec.compile.weighted_metrics": self._metrics, "spec.compile.optimizer": self._optimizer,
                   "spec.compile.loss_weights": self._loss_weights, "spec.model.inline": self._inline}.get(path)
        if special:
            return special()
        return getattr(self, "_" + field["type"].replace("-", "_"), lambda _: draw.choice(_ANYTHING))(field)

    def _section(self, field):
        return self._random.choice([MISSING, None, {}, "x", []])

    def _text(self, field):
        if field["path"].startswith("spec.model.configMapRef"):
            return self._random.choice(["models", "Models", "a.b", "a..b", "-a", "a_b", "a/b", "model.json", "..",
                                        ".", "..a",
                                        "a" * 253, "a" * 254, "é", _CONTROL])
        return self._random.choice(["loss", "val_loss", "val_", "accuracy", "", _CONTROL, _LONG, _WIDE, _TOO_WIDE, 3])

    def _uri(self, field):
        return self._random.choice(_URIS)

    def _word(self, field):
        words = field["words"]
        return self._random.choice([*words, *words, *words, words[0].upper(), words[0] + "x", "", 3])

    def _integer(self, field):
        low, high = int(field.get("minimum", 0)), int(field.get("maximum", 2**53))
        return self._random.choice([low, low + 1, high, high - 1, low - 1, high + 1, 1, 2, -1, 1.5, "3", True])

    def _number(self, field):
        return self._random.choice([0, 0.0, 0.5, 1, 1.0, -1, -0.5, 0.999, 2, 1e-9, "0.5", False])

    def _boolean(self, field):
        return self._random.choice([True, False, 0, "true", "yes"])

    def _names(self, field):
        return self._random.choice(_NAMES)

    def _weights(self, field):
        draw = self._random
        keys = ["0", "1", "7", "01", "-1", "a", "", "1.5", "999999999", "1000000000", " 1"]
        values = [0, 1, 2.5, -1, -0.1, None, "1", True, [1]]
        good = draw.random() < 0.5
        return {draw.choice(keys[:3] if good else keys): draw.choice(values[:3] if good else values)
                for _ in range(draw.randrange(4))}

    def _object_of(self, names):
        draw = self._random
        name = draw.choice(names)
        config = draw.choice([{}, {}, {"name": "mine"}, None, "x", []])
        return draw.choice([
            name, name, name,
            {"class_name": name, "config": config}, {"class_name": name}, {"class_name": "function", "config": name},
            {"class_name": "function", "config": {}}, {"config": {}}, {"class_name": 3},
            {"class_name": name, "config": {}, "module": "keras.losses", "registered_name": None},
            {"class_name": name, "registered_name": draw.choice([name, "us>" + name])}, 3, None, True])

    def _loss(self):
        draw = self._random
        if draw.random() < 0.5:
            return self._object_of(_LOSS_NAMES)
        some = [self._object_of(_LOSS_NAMES) for _ in range(draw.randrange(3))]
        return some if draw.random() < 0.5 else dict(zip("abc", some))

    def _nested(self, depth):
        draw = self._random
        if depth == 0 or draw.random() < 0.6:
            return self._object_of(_METRIC_NAMES)
        some = [self._nested(depth - 1) for _ in range(draw.randrange(3))]
        return some if draw.random() < 0.6 else dict(zip("abc", some))

    def _metrics(self):
        draw = self._random
        if draw.random() < 0.4:
            return [draw.choice(_METRIC_NAMES) for _ in range(draw.randrange(3))]
        return self._nested(draw.randrange(7))

    def _loss_weights(self):
        return self._random.choice([1, 0.5, [1, 2], [1, None], ["1"], {"a": 1}, {"a": "1"}, [], {}, "1", [[1]],
                                    None, True])

    def _named_config(self, name, config):
        draw = self._random
        named = {"class_name": name, "config": config}
        change = draw.random()
        if change < 0.05:
            named["config"] = draw.choice([None, "x", []])
        elif change < 0.1:
            named[draw.choice(["module", "build_config", "shared_object_id", "registered_name", "other"])] = \
                draw.choice([None, "x", "us>x", 3, {}])
        elif change < 0.13:
            named["class_name"] = draw.choice([None, 3, ""])
        elif change < 0.16:
            del named[draw.choice(["class_name", "config"])]
        return named

    def _optimizer(self):
        draw = self._random
        name = draw.choice(_OPTIMIZERS[:-3] if draw.random() < 0.8 else _OPTIMIZERS)
        if draw.random() < 0.2:
            return draw.choice([name, name, name, None, 3, [], {}])
        config = {draw.choice(_OPTIONS): draw.choice(_OPTION_VALUES) for _ in range(draw.choice([0, 1, 1, 2, 3]))}
        if draw.random() < 0.4:
            config["learning_rate"] = self._schedule()
        return self._named_config(name, config)

    def _schedule(self):
        draw = self._random
        name = draw.choice(list(_SCHEDULES))
        config = {option: draw.choice([0.1, 1, 10, 0.5]) for option in _SCHEDULES[name]}
        for flag in {"staircase", "cycle"} & config.keys():
            config[flag] = draw.choice([True, False])
        if "t_mul" in config:
            config["t_mul"] = draw.choice([1, 2, 0.5])
        if "boundaries" in config:
            config["boundaries"] = draw.choice([[1, 2], [10], [], ["a"], 3])
            config["values"] = draw.choice([[0.1, 0.2, 0.3], [1, 2], [], [None], 3])
        if draw.random() < 0.4 and config:
            config[draw.choice(list(config))] = draw.choice(_OPTION_VALUES)
        if draw.random() < 0.2 and config:
            del config[draw.choice(list(config))]
        if draw.random() < 0.1:
            config[draw.choice(["name", "other"])] = draw.choice(["x", 3])
        return self._named_config(name, config)

    def _inline(self):
        draw = self._random
        model = {"class_name": "Sequential", "config": {"layers": []}}
        if draw.random() < 0.7:
            model["compile_config"] = draw.choice([
                {}, None, "x", {"loss": self._loss()}, {"loss": self._loss(), "optimizer": self._optimizer()},
                {"loss": "mse", "metrics": self._metrics(), "optimizer": self._optimizer(), "weighted_metrics": None},
                {"loss": "mse", "loss_weights": self._loss_weights(), "other": 3}])
        return model

    def _combination(self):
        """Fields whose values the rules between fields look at."""
        draw = self._random
        return draw.choice([
            ("spec.task", draw.choice(["train", "evaluate", "predict"])),
            ("spec.mode", draw.choice(["synchronous", "asynchronous", "hogwild"])),
            ("spec.frequency", draw.choice(["batch", "epoch", "fit"])),
            ("spec.transport", draw.choice(["auto", "rest", "nccl"])),
            ("spec.workers.device", draw.choice(["auto", "cpu", "cuda"])),
            ("spec.parameterServers.replicas", draw.choice([1, 2])),
            ("spec.fit." + draw.choice(["earlyStopping", "reduceLROnPlateau", "modelCheckpoint"]),
             draw.choice([MISSING, {}, {"monitor": "loss"}, {"monitor": "val_loss"}])),
            ("spec.fit.validationSplit", draw.choice([MISSING, 0, 0.1])),
            ("spec.fit.classWeight", draw.choice([MISSING, {"0": 1, "1": 2}])),
            ("spec.data.sampleWeights", draw.choice([MISSING, "w", ["w"], [], {}])),
            ("spec.data.uri", draw.choice(["d.npz", "x.npy", "d.csv", "d.svm"])),
            ("spec.data." + draw.choice(["labels", "features"]), draw.choice([MISSING, "y", ["a", "b"], [], {},
             {"a": "b"}])),
            ("spec.output.uri", draw.choice(["out", "out.keras", "out.h5"])),
            ("spec.compile", draw.choice([MISSING, {}, None, {"loss": "mse"}])),
            ("spec.compile.optimizer", self._optimizer()),
            ("spec.compile.optimizer", {"class_name": "sgd", "config": {"learning_rate": self._schedule()}}),
            ("spec.compile.loss", self._loss()),
            ("spec.compile.metrics", self._metrics()),
            ("spec.model", draw.choice([{"uri": "m.keras"}, {"inline": self._inline()}, {"inline": self._inline()},
                                        {"configMapRef": {"name": "m", "key": "k"}}, {}])),
        ])
