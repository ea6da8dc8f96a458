"""The jobs of a chaos run, and what must have come out of them."""

import json

import numpy as np
from job import counting_job, counts, dense, history, manifest, sequential
from safetensors.numpy import load_file, save_file
from test_same_bits import classifier_job

WIDTH = 8  # of the rows that are evaluated and predicted


def write_job(plan, folder, workers=None, servers=None):
    """The manifest and the data of a plan in a folder that is made for it."""
    folder.mkdir(parents=True)
    path = {"counter": _counter, "classifier": _classifier, "linear": _linear}[plan.model](plan, folder)
    document = json.loads(path.read_text())
    spec = document["spec"]
    spec.update(task=plan.task, mode=plan.mode, frequency=plan.frequency, runPolicy={"backoffLimit": 1000},
                parameterServers={"replicas": servers or plan.servers})
    spec["workers"]["replicas"] = workers or plan.workers
    spec["data"]["partitions"] = plan.partitions
    spec["fit"] = {"batchSize": plan.batch_size}
    if plan.task == "train":
        # In rounds of batches, how much an example counts follows from its place in its partition.
        in_order = plan.model == "counter" and plan.mode == "synchronous"
        spec["fit"].update(epochs=plan.epochs, seed=plan.number, shuffle=not in_order, validationSplit=plan.validation)
    if plan.checkpoint_every:
        spec["checkpoint"] = {"uri": "ckpt", "every": {"epochs": plan.checkpoint_every}, "keep": plan.checkpoint_keep}
    path.write_text(json.dumps(document, indent=1))
    return path


def _counter(plan, folder):
    return counting_job(folder, plan.examples)


def _classifier(plan, folder):
    return classifier_job(folder, plan.frequency, plan.workers)


def _linear_data(plan):
    """Small whole numbers, so that sums are exact in float32, and every row has an error of its own."""
    choose = np.random.default_rng(plan.number)
    kernel = choose.integers(-3, 4, size=(WIDTH, 1)).astype(np.float32)
    x = choose.integers(-9, 10, size=(plan.examples, WIDTH)).astype(np.float32)
    error = np.arange(1, plan.examples + 1, dtype=np.float32)[:, None]
    return kernel, x, x @ kernel + error


def _linear(plan, folder):
    kernel, x, y = _linear_data(plan)
    np.savez(folder / "data.npz", x=x, y=y)
    save_file({"product/kernel": kernel}, folder / "start.safetensors")
    model = sequential((WIDTH,), dense(1, "product", use_bias=False, initializer="zeros"))
    return manifest(folder, model, model_weights={"uri": "start.safetensors"}, compile={"loss": "mean_absolute_error"})


# --- the verdict --------------------------------------------------------------------------------------


def problems_of(plan, folder, reference=None):
    """What is wrong with the results of a job that succeeded, a sentence each. `reference` is the folder of the same
    job undisturbed; only synchronous training needs one."""
    judge = {"train": _judge_training, "evaluate": _judge_evaluation, "predict": _judge_predictions}[plan.task]
    try:
        return list(judge(plan, folder, reference))
    except (OSError, ValueError, KeyError) as error:
        return [f"the results cannot be read: {error!r}"]


def _judge_training(plan, folder, reference):
    told = history(folder)
    expected = [plan.training_examples] * plan.epochs
    if told["examples"] != expected:
        wrong = [(epoch + 1, seen) for epoch, seen in enumerate(told["examples"]) if seen != plan.training_examples]
        yield (f"history.json has {len(told['examples'])} epochs of {plan.epochs}; not of {plan.training_examples} examples: "
               f"(epoch, examples) {wrong[:5]}")
    for name, values in told.items():
        if len(values) != plan.epochs:
            yield f"history.json has {len(values)} values of {name}, for {plan.epochs} epochs"
    if plan.model == "counter":
        yield from _judge_counts(plan, counts(folder))
    if plan.mode == "synchronous":
        yield from _judge_bits(folder, reference, told)


def partition_sizes(examples, partitions):
    return [examples // partitions + (index < examples % partitions) for index in range(partitions)]


def expected_counts(plan):
    """How often each example was applied. Asynchronous updates add up; a synchronous round is a mean over the
    partitions, weighted by the examples that each has in it."""
    if plan.mode != "synchronous":
        return np.full(plan.examples, plan.epochs, dtype=np.float64)
    sizes = partition_sizes(plan.examples, plan.partitions)
    per_epoch = []
    for size in sizes:
        for row in range(size):
            if plan.frequency == "batch":
                first = row // plan.batch_size * plan.batch_size
                in_round = [max(0, min(plan.batch_size, other - first)) for other in sizes]
                per_epoch.append(min(plan.batch_size, size - first) / sum(in_round))
            else:
                per_epoch.append(size / plan.examples)
    return np.array(per_epoch) * plan.epochs


def _judge_counts(plan, seen):
    expected = expected_counts(plan)
    # One example more or less in a synchronous run moves its count by 1 / epochs; rounding by far less.
    tolerance = 0.2 / plan.epochs if plan.mode == "synchronous" else 0.0
    wrong = np.flatnonzero(~(np.abs(seen - expected) <= tolerance * expected))
    if wrong.size:
        some = [(int(row), float(seen[row]), float(expected[row])) for row in wrong[:5]]
        yield f"{wrong.size} of {plan.examples} examples were not applied as often as they had to be: (row, seen, expected) {some}"


def _judge_bits(folder, reference, told):
    ours, theirs = (place / "out" / "model.safetensors" for place in (folder, reference))
    if ours.read_bytes() != theirs.read_bytes():
        there = load_file(theirs)
        distance = {name: float(np.max(np.abs(weight - there[name]))) for name, weight in load_file(ours).items()}
        yield f"the weights are not the bits of the undisturbed run; largest differences: {distance}"
    undisturbed = history(reference)
    for name in sorted(set(told) & set(undisturbed) - {"seconds"}):
        pairs = [(mine, other) for mine, other in zip(told[name], undisturbed[name]) if (mine, other) != (None, None)]
        if any(None in pair or not np.isclose(*pair, rtol=1e-9, atol=0) for pair in pairs):
            yield f"history.json tells another {name} than that of the undisturbed run"


def _judge_evaluation(plan, folder, _):
    told = json.loads((folder / "out" / "metrics.json").read_text())
    expected = (plan.examples + 1) / 2  # the mean of the rows' errors 1, 2, …
    if not np.isclose(told["loss"], expected, rtol=1e-6, atol=0):
        yield f"metrics.json says loss {told['loss']}, and every row once gives {expected}"


def _judge_predictions(plan, folder, _):
    kernel, x, _ = _linear_data(plan)
    seen = np.load(folder / "out" / "predictions.npy")
    expected = x @ kernel
    if seen.shape != expected.shape:
        yield f"predictions.npy is of shape {seen.shape}, not {expected.shape}"
    elif not np.array_equal(seen, expected):
        yield f"{np.count_nonzero(seen != expected)} of {plan.examples} rows of predictions.npy are wrong"
