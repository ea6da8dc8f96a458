"""What a chaos run does: which job comes as number N, and what is killed in it when.

A plan is a pure function of (seed, number of the job). It names processes and points of the job's progress, no times, so
that the same seed kills the same processes at the same points again, as far as a machine lets anybody.
"""

import dataclasses
import random

# (task, mode, frequency). Job N is of kind N modulo their number, so that a run of some jobs has seen them all.
KINDS = (
    ("train", "asynchronous", "batch"),
    ("train", "synchronous", "batch"),
    ("train", "hogwild", "epoch"),
    ("train", "synchronous", "epoch"),
    ("train", "asynchronous", "epoch"),
    ("train", "synchronous", "fit"),
    ("train", "hogwild", "batch"),
    ("evaluate", "asynchronous", "epoch"),
    ("predict", "asynchronous", "epoch"),
)
SERVERS = (1, 2, 3)
CLASSIFIER_EXAMPLES = 203  # as many as the job of tests/integration/test_same_bits.py has

SUPERVISOR = "elephas"  # `elephas run` itself; its processes die with it, and the job is continued with --resume
# A process that dies again and again is started after growing pauses.
_KILLS_OF_ONE_PROCESS = 6
# Each costs all that was trained.
_STARTS_OVER = 2

# The moments at which something is killed.
PROGRESS = "progress"  # as soon as so much of the job's work is in the ledger
BIRTH = "birth"  # as soon as the victim, which this plan has just killed, has been started again
CHECKPOINT = "checkpoint"  # as soon as something happens in the folder of checkpoints
OUTPUT = "output"  # as soon as something is in the folder of results


@dataclasses.dataclass(frozen=True)
class Kill:
    """One moment, and who is killed at it."""

    when: str
    at: float  # not before so much of the work is done; for OUTPUT: all of it
    victims: tuple[str, ...]  # names of processes: worker-0, paramserver-1. The first must be alive at that moment

    def __str__(self):
        moment = self.when if self.when in (BIRTH, OUTPUT) else f"{self.when} {self.at:.3f}"
        return f"{moment}: {', '.join(self.victims)}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A job and its kills, in their order."""

    seed: int
    number: int
    task: str
    mode: str
    frequency: str
    model: str  # counter: its weights count examples; classifier: with state of all kinds; linear: to evaluate and predict
    examples: int
    validation: float
    epochs: int
    batch_size: int
    partitions: int
    workers: int
    servers: int
    checkpoint_every: int | None  # epochs
    checkpoint_keep: int
    kills: tuple[Kill, ...]

    @property
    def training_examples(self):
        return int(self.examples * (1.0 - self.validation))  # Keras' own split

    def __str__(self):
        what = f"{self.mode} {self.frequency}" if self.task == "train" else self.task
        checkpoints = f"checkpoint every {self.checkpoint_every}" if self.checkpoint_every else "no checkpoints"
        return (f"{what}, {self.model} of {self.examples} examples, {self.epochs} epochs, {self.servers} servers, "
                f"{self.workers} workers, {checkpoints}")


def plan(seed, number):
    choose = random.Random(f"{seed}/{number}")
    task, mode, frequency = KINDS[number % len(KINDS)]
    servers = SERVERS[number // len(KINDS) % len(SERVERS)]
    workers = choose.randint(1, 4)
    train = task == "train"
    # Servers of a job without checkpoints start it over. What evaluates or predicts has no epochs to make them after.
    checkpoint_every = choose.choice((1, 1, 2, 3, 5, None)) if train and frequency != "fit" else None
    shape = _shape(choose, task, mode, frequency)
    return Plan(seed=seed, number=number, task=task, mode=mode, frequency=frequency, workers=workers, servers=servers,
                checkpoint_every=checkpoint_every, checkpoint_keep=choose.randint(1, 3),
                kills=_kills(choose, workers, servers, checkpoint_every), **shape)


def _shape(choose, task, mode, frequency):
    """Small models, and so many epochs of small batches that a job takes some seconds."""
    if task != "train":
        return {"model": "linear", "examples": choose.randint(30000, 50000), "validation": 0.0, "epochs": 1,
                "batch_size": 1, "partitions": choose.randint(4, 40)}
    shape = {"partitions": choose.randint(3, 8), "batch_size": choose.randint(1, 3)}
    if mode == "synchronous" and choose.random() < 0.6:
        epochs = {"batch": 60, "epoch": 150, "fit": 90}[frequency]
        return {"model": "classifier", "examples": CLASSIFIER_EXAMPLES, "validation": choose.choice((0.0, 0.1)),
                "epochs": epochs + choose.randint(0, 20), **shape}
    epochs = {"batch": 200, "epoch": 600, "fit": 500}[frequency]
    return {"model": "counter", "examples": choose.randint(70, 110), "validation": 0.0,
            "epochs": epochs + choose.randint(0, 20), **shape}


def _kills(choose, workers, servers, checkpoint_every):
    """In the order of progress. One of a job with checkpoints may take the supervisor, and all else with it."""
    names = {"worker": [f"worker-{index}" for index in range(workers)],
             "server": [f"paramserver-{index}" for index in range(servers)]}
    often = dict.fromkeys(names["worker"] + names["server"], 0)
    starts_over = 0 if checkpoint_every is None else -1  # -1: never

    def pick(role):
        nonlocal starts_over
        if role == "server" and starts_over >= _STARTS_OVER:
            role = "worker"
        name = choose.choice(names[role])
        if often[name] >= _KILLS_OF_ONE_PROCESS:
            return None
        if role == "server" and starts_over >= 0:
            starts_over += 1
        often[name] += 1
        return name

    def victims(first, companions):
        chosen = [name for name in (pick(first), *(pick(role) for role in companions)) if name]
        return tuple(dict.fromkeys(chosen))  # each once

    kills = []
    for at in sorted(choose.uniform(0.02, 0.97) for _ in range(choose.randint(10, 16))):
        role = "worker" if choose.random() < 0.6 else "server"
        companions = [choose.choice(("worker", "server"))] if choose.random() < 0.2 else []
        when = PROGRESS
        if checkpoint_every is not None and role == "server" and choose.random() < 0.3:
            when = CHECKPOINT
        chosen = victims(role, companions)
        if chosen:
            kills.append(Kill(when, round(at, 3), chosen))
            if choose.random() < 0.15 and often[chosen[0]] < _KILLS_OF_ONE_PROCESS and not (
                    chosen[0] in names["server"] and starts_over >= 0):
                often[chosen[0]] += 1
                kills.append(Kill(BIRTH, round(at, 3), chosen[:1]))
    if checkpoint_every is not None and choose.random() < 0.25:
        place = choose.randrange(1, len(kills))
        kills.insert(place, Kill(PROGRESS, max(0.3, kills[place - 1].at), (SUPERVISOR,)))
    if choose.random() < 0.5:
        chosen = victims(choose.choice(("worker", "server")), [])
        if chosen:
            kills.append(Kill(OUTPUT, 1.0, chosen))
    return tuple(kills)
