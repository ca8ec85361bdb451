"""Measures of drift against their definitions."""

from __future__ import annotations

from math import log
from typing import Any

import polars as pl
import pytest

from features.drift import FeatureDrift, _drift


def drifted(before: list[Any], after: list[Any]) -> FeatureDrift:
    return _drift("f", pl.Series(before, strict=False), pl.Series(after, strict=False))


def test_equal_numbers_do_not_drift() -> None:
    found = drifted([float(n) for n in range(1000)], [float(n) for n in range(1000)])
    assert (found.statistic, found.psi, found.jensen_shannon, found.wasserstein) == (0.0, 0.0, 0.0, 0.0)


def test_the_index_of_few_numbers_is_that_of_their_values() -> None:
    found = drifted([1] * 50 + [2] * 50, [1] * 80 + [2] * 20)
    assert found.psi == pytest.approx(0.3 * log(0.8 / 0.5) - 0.3 * log(0.2 / 0.5))
    beyond = drifted([1] * 50 + [2] * 50, [3] * 100)
    assert beyond.psi
    assert beyond.psi > 1
    assert beyond.jensen_shannon == 1.0


@pytest.mark.parametrize("extreme", [float("inf"), float("-inf"), 1e308, -1e308, 5e-324])
def test_extreme_numbers_have_a_finite_index(extreme: float) -> None:
    values = [float(n) for n in range(100)]
    found = drifted([*values, extreme], [*values, *[extreme] * 100])
    assert found.psi
    assert 0 < found.psi < 100
    assert drifted([extreme], [extreme]).psi == 0.0


def test_new_categories_are_counted() -> None:
    found = drifted(["a"] * 50 + ["b"] * 50, ["a"] * 50 + ["c"] * 25 + ["d"] * 25)
    assert (found.method, found.new_categories, found.new_share) == ("chi_squared", 2, 0.5)
    assert found.psi
    assert found.psi > 1
    assert drifted([True], [True]).psi == 0.0


def test_shares_of_missing_values() -> None:
    found = drifted([1.0, None, float("nan"), 2.0], [None, None, None])
    assert (found.method, found.missing_before, found.missing_after) == ("not_compared", 0.5, 1.0)
