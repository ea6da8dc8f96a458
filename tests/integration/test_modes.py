"""Every mode and frequency, with 1, 2 and 5 workers, against sums that are known in closed form."""

import numpy as np
import pytest
from job import counting_job, counts, history

EXAMPLES = 64
EPOCHS = 3

MODES = [
    ("asynchronous", "batch"),
    ("asynchronous", "epoch"),
    ("hogwild", "batch"),
    ("hogwild", "epoch"),
    ("synchronous", "batch"),
    ("synchronous", "epoch"),
    ("synchronous", "fit"),
]


def partition_sizes(examples, partitions):
    return [examples // partitions + (p < examples % partitions) for p in range(partitions)]


def expected_counts(mode, frequency, partitions, batch_size):
    """Asynchronous updates add up: each example counts once per epoch. A synchronous round is a mean over the
    partitions, weighted by their examples in it."""
    if mode != "synchronous":
        return np.full(EXAMPLES, EPOCHS, dtype=np.float64)
    sizes = partition_sizes(EXAMPLES, partitions)
    result = []
    for size in sizes:
        for row in range(size):
            if frequency == "batch":
                batch = row // batch_size
                in_round = [max(0, min(batch_size, s - batch * batch_size)) for s in sizes]
                own = in_round[sizes.index(size)]
                result.append(EPOCHS * own / sum(in_round))
            else:
                result.append(EPOCHS * size / EXAMPLES)
    return np.array(result)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("mode,frequency", MODES)
def test_each_example_is_applied_exactly_once_per_epoch(tmp_path, run, mode, frequency, workers):
    partitions = 5
    path = counting_job(
        tmp_path,
        EXAMPLES,
        mode=mode,
        frequency=frequency,
        fit={"epochs": EPOCHS, "batchSize": 4, "shuffle": False},
        data_partitions=partitions,
        workers_replicas=workers,
    )
    run(path, "--quiet")
    expected = expected_counts(mode, frequency, partitions, 4)
    if mode == "synchronous":
        np.testing.assert_allclose(counts(tmp_path), expected, rtol=1e-6)
    else:
        np.testing.assert_array_equal(counts(tmp_path), expected)
    assert history(tmp_path)["examples"] == [EXAMPLES] * EPOCHS


@pytest.mark.parametrize("partitions", [1, 40, 64, 70])
@pytest.mark.parametrize("mode,frequency", [("asynchronous", "epoch"), ("synchronous", "batch")])
def test_partitions_smaller_than_a_batch_are_trained_like_any_other(
    tmp_path, run, mode, frequency, partitions
):
    path = counting_job(
        tmp_path,
        EXAMPLES,
        mode=mode,
        frequency=frequency,
        fit={"epochs": EPOCHS, "batchSize": 32, "shuffle": True, "seed": 3},
        data_partitions=partitions,
        workers_replicas=2,
    )
    run(path, "--quiet")
    if mode == "asynchronous":
        np.testing.assert_array_equal(counts(tmp_path), np.full(EXAMPLES, EPOCHS))
    elif partitions > 2:  # one batch per partition: every round is the whole dataset
        sizes = partition_sizes(EXAMPLES, partitions)
        expected = [EPOCHS * size / EXAMPLES for size in sizes for _ in range(size)]
        np.testing.assert_allclose(counts(tmp_path), expected, rtol=1e-6)
    assert history(tmp_path)["examples"] == [EXAMPLES] * EPOCHS


@pytest.mark.parametrize("mode,frequency", MODES)
def test_several_servers_hold_the_same_result(tmp_path, run, mode, frequency):
    path = counting_job(
        tmp_path,
        EXAMPLES,
        mode=mode,
        frequency=frequency,
        fit={"epochs": EPOCHS, "batchSize": 4, "shuffle": False},
        data_partitions=4,
        workers_replicas=2,
        parameterServers={"replicas": 3},
    )
    run(path, "--quiet")
    expected = expected_counts(mode, frequency, 4, 4)
    np.testing.assert_array_equal(counts(tmp_path), expected)  # sixteenths: exact in float32
    assert history(tmp_path)["examples"] == [EXAMPLES] * EPOCHS
