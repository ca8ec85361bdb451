"""The values of one metric of one run in memory: each once, in order, in pages and samples."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from lakehouse.metric_series import MetricSeries

LOW, HIGH = -(2**63), 2**63 - 1


def series(*values: tuple[int, int, int]) -> MetricSeries:
    columns = np.array(values, np.int64).reshape(-1, 3).T
    return MetricSeries.of(columns)


def rows(found: MetricSeries) -> list[tuple[int, ...]]:
    return [tuple(row) for row in found.page(None, len(found.step))]


@pytest.mark.parametrize("steps", [1, 3, 1000])
def test_values_in_any_order_are_ordered_and_there_once(steps: int) -> None:
    source = random.Random(steps)
    values = [(source.randrange(steps), source.randrange(5), source.choice([LOW, -1, 7])) for _ in range(300)]
    assert rows(series(*values)) == sorted(set(values))
    assert rows(series(*values[:150]).with_values(values[100:])) == sorted(set(values))
    assert rows(MetricSeries.empty().with_values([])) == []


@pytest.mark.parametrize("size", [1, 2, 7])
def test_pages_neither_repeat_nor_lose_values_of_the_same_step(size: int) -> None:
    values = sorted((step, at_ms, bits) for step in (LOW, 0, HIGH) for at_ms in (0, 1) for bits in (LOW, -1, 5))
    found, seen = series(*values), list[tuple[int, ...]]()
    while page := found.page(seen[-1] if seen else None, size):  # type: ignore[arg-type]
        assert len(page) <= size
        seen += page
    assert seen == values
    assert found.page((0, 0, 4), 1) == [(0, 0, 5)], "the position need not be a value"


def test_a_sample_is_even_over_the_steps_and_has_both_ends() -> None:
    found = series(*((step, 0, 0) for step in range(1000)))
    steps = [value.step for value in found.sampled(10)]
    assert (steps[0], steps[-1]) == (0, 999)
    assert len(steps) <= 10
    assert max(b - a for a, b in itertools.pairwise(steps)) <= 200
    inside = [value.step for value in found.sampled(10, 100, 104)]
    assert inside == [100, 101, 102, 103, 104]
    assert series().sampled(10) == []


def test_a_sample_of_extreme_or_equal_steps_is_bounded() -> None:
    extreme = series((LOW, 0, 0), *((step, 0, 0) for step in range(50)), (HIGH, 0, 0))
    assert [value.step for value in extreme.sampled(3)] == [LOW, HIGH]
    equal = series(*((0, at_ms, 0) for at_ms in range(1000)))
    times = [value.at_ms for value in equal.sampled(10)]
    assert (len(times), times[0], times[-1]) == (10, 0, 999)
