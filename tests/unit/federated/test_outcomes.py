"""Which replies count: one malformed client spoils neither the sum nor the judgement."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict

from federated import model
from federated.outcomes import evaluate_fault, moments_fault, train_fault
from federated.strategies import _seeded_sampling

EXPECTED = {"weights": np.zeros(3), "bias": np.zeros(1)}


def reply(arrays: dict[str, Any] | None, metrics: dict[str, Any] | None) -> Any:
    """What of a message counts: its records, and that it is no error."""
    content = RecordDict()
    if arrays is not None:
        content["arrays"] = ArrayRecord({name: Array(np.asarray(value)) for name, value in arrays.items()})
    if metrics is not None:
        content["metrics"] = MetricRecord(metrics)
    return SimpleNamespace(content=content, has_error=lambda: False)


GOOD = {"weights": np.ones(3), "bias": np.ones(1)}
METRICS = {"num-examples": 5, "loss": 0.5}


@pytest.mark.parametrize(
    ("arrays", "metrics", "fault"),
    [
        (GOOD, METRICS, None),
        (GOOD | {"weights": np.array([1, np.nan, 1])}, METRICS, "arrays are not finite"),
        (GOOD | {"bias": np.array([np.inf])}, METRICS, "arrays are not finite"),
        (GOOD | {"weights": np.ones(2)}, METRICS, "malformed arrays"),
        (GOOD | {"more": np.ones(2)}, METRICS, "malformed arrays"),
        ({"weights": np.ones(3)}, METRICS, "malformed arrays"),
        (None, METRICS, "malformed arrays"),
        (GOOD, None, "malformed metrics"),
        (GOOD, {"num-examples": 5}, "malformed metrics"),
        (GOOD, METRICS | {"more": 1.0}, "malformed metrics"),
        (GOOD, METRICS | {"loss": float("nan")}, "metrics are not finite"),
        (GOOD, METRICS | {"loss": float("inf")}, "metrics are not finite"),
        (GOOD, METRICS | {"num-examples": 0}, "no examples"),
        (GOOD, METRICS | {"num-examples": -1}, "no examples"),
    ],
)
def test_a_training_reply_counts_only_whole(arrays: Any, metrics: Any, fault: str | None) -> None:
    assert train_fault(reply(arrays, metrics), EXPECTED) == fault


@pytest.mark.parametrize(
    ("arrays", "metrics", "fault"),
    [
        ({}, {}, None),
        ({"histogram": np.zeros((2, 3))}, {}, "malformed histogram"),
        ({}, {"loss": float("nan")}, "metrics are not finite"),
        ({}, {"brier": float("inf")}, "metrics are not finite"),
        ({}, {"num-examples": 0}, "no examples"),
    ],
)
def test_an_evaluation_counts_only_whole(arrays: Any, metrics: Any, fault: str | None) -> None:
    good = {"histogram": np.ones((2, model.HISTOGRAM_BINS))} | arrays
    metrics_sent = {"num-examples": 5, "loss": 0.5, "brier": 0.2} | metrics
    assert evaluate_fault(reply(good, metrics_sent)) == fault


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda moments: moments, None),
        (lambda moments: moments | {"mean": np.array([np.nan, 1])}, "moments are not finite"),
        (lambda moments: moments | {"square": np.array([-1.0, 1])}, "moments are negative"),
        (lambda moments: moments | {"count": np.array([-1.0, 1])}, "moments are negative"),
        (lambda moments: moments | {"mean": np.ones(3)}, "malformed moments"),
        (lambda moments: {"mean": moments["mean"]}, "malformed moments"),
    ],
)
def test_moments_are_added_up_only_if_they_can_be(change: Callable[[Any], Any], fault: str | None) -> None:
    moments = {name: np.ones(2) for name in ("count", "mean", "square")}
    assert moments_fault(reply(change(moments), None), 2) == fault


def test_each_round_draws_numbers_of_its_own_and_the_same_ones_again() -> None:
    """A training that continues draws what an unbroken one would, whatever was drawn before; rounds differ."""

    def drawn(seed: int, number: int) -> list[float]:
        with _seeded_sampling(seed, number):
            return [random.random() for _ in range(4)]

    random.seed(1)
    state = random.getstate()
    first = [drawn(11, number) for number in (1, 2, 3)]
    assert random.getstate() == state, "no other random numbers change"
    random.seed(2)
    assert [drawn(11, number) for number in (1, 2, 3)] == first
    assert len({tuple(numbers) for numbers in [*first, drawn(12, 1), drawn(1, 11)]}) == 5
