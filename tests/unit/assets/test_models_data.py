"""Splitting rows for a training, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import polars as pl
import pytest

from assets.models.data import Splits, columns_used, prepare
from core.errors import InvalidArgument, SchemaMismatch, UnknownColumn

SPLITS = Splits(train="month <= 9", tune="month IN (8, 9)", test="month >= 10")
INPUTS = ["x", "y"]
ROWS = pl.DataFrame(
    {
        "month": [1, 2, 8, 9, 10, 11, 12, 3],
        "x": [1.0, None, 3.0, math.nan, 5.0, 60.0, 7.0, 800.0],
        "y": [None] * 8,
        "site": ["a", "b", "a", None, "b", "a", "b", "a"],
        "late": [True, False, True, False, True, False, False, None],
    },
    schema_overrides={"y": pl.Float64},
)


class TestColumnsUsed:
    def test_inputs_target_and_what_expressions_name(self) -> None:
        assert columns_used(INPUTS, "late", SPLITS, ["site", "month % 2"]) == ["x", "y", "late", "month", "site"]

    def test_a_broken_expression_is_named(self) -> None:
        with pytest.raises(InvalidArgument, match="month <=' is not a SQL expression"):
            columns_used(INPUTS, "late", replace(SPLITS, train="month <="), [])


class TestPrepare:
    def test_splits_rows_with_a_known_target(self) -> None:
        data = prepare(ROWS, INPUTS, "late", SPLITS, ["site"])
        assert (len(data.train), len(data.test)) == (4, 3)
        assert data.tuning.tolist() == [False, False, True, True]
        assert data.train.target.tolist() == [True, False, True, False]
        assert data.train.inputs[:, 0].tolist() == pytest.approx([1, math.nan, 3, math.nan], nan_ok=True)
        assert data.train.groups.to_list() == ["a", "b", "a", "?"]
        assert data.train.inputs.dtype == "float32"

    def test_describes_the_training_rows_alone(self) -> None:
        x, y = prepare(ROWS, INPUTS, "late", SPLITS, []).features
        assert (x.name, x.minimum, x.maximum, x.median, x.missing_share) == ("x", 1, 3, 2, 0.5)
        assert (y.minimum, y.maximum, y.median, y.missing_share) == (None, None, None, 1.0)

    @pytest.mark.parametrize(
        ("splits", "complaint"),
        [
            (replace(SPLITS, train="month <= 10"), "`train` and `test` overlap: both select 1 rows"),
            (replace(SPLITS, tune="month IN (9, 10)"), "1 rows of `tune` are not rows of `train`"),
            (replace(SPLITS, test="month > 12"), r"The rows of test \(0\) do not contain both outcomes of late"),
            (replace(SPLITS, tune="month = 9"), r"The rows of tune \(1\) do not contain both outcomes"),
            (replace(SPLITS, tune="month <= 9"), r"The rows of train without tune \(0\)"),
        ],
    )
    def test_a_split_that_cannot_work_is_refused(self, splits: Splits, complaint: str) -> None:
        with pytest.raises(InvalidArgument, match=complaint):
            prepare(ROWS, INPUTS, "late", splits, [])

    def test_a_target_that_is_no_boolean_is_refused(self) -> None:
        with pytest.raises(SchemaMismatch, match="The target x is of type double"):
            prepare(ROWS, ["y"], "x", SPLITS, [])

    def test_a_column_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(UnknownColumn, match="year"):
            prepare(ROWS, INPUTS, "late", replace(SPLITS, test="year > 3"), [])
