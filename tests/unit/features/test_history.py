"""Historical retrieval: never a later row, and a status where there is none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from core.errors import InvalidArgument, SchemaMismatch, UnknownColumn
from features.history import JoinedView, retrieve
from features.rows import ViewColumns
from tests.unit.features.frames import at, customers, rows_of

COLUMNS = ViewColumns(("customer",), "seen_at", ("spent",), timedelta(minutes=30))


def spine(*rows: tuple[Any, int | None], kind: pa.DataType | None = None) -> pa.Table:
    return pa.table(
        {
            "who": pa.array([row[0] for row in rows], kind or pa.int64()),
            "asked": pa.array([None if row[1] is None else at(row[1]) for row in rows], pa.timestamp("us", "UTC")),
        }
    )


def joined(content: pa.Table, columns: ViewColumns = COLUMNS) -> JoinedView:
    return JoinedView("view", rows_of(content, columns), {"spent": "spent"}, {"customer": "who"})


def test_each_row_gets_what_was_the_newest_at_its_time() -> None:
    content = customers((1, 10, 10.0), (1, 0, 0.0), (1, 20, None), (2, 5, 5.0))
    asked = spine((1, 9), (1, 10), (1, 25), (2, 4), (2, 35), (2, 36), (3, 9), (None, 9), (1, None))
    found = retrieve(asked, "asked", [joined(content)])
    assert found["spent"].to_pylist() == [0.0, 10.0, None, None, 5.0, None, None, None, None]
    assert found["view__status"].to_pylist() == [
        *["PRESENT"] * 3,
        "NOT_FOUND",
        "PRESENT",
        "OUTSIDE_MAX_AGE",
        *["NOT_FOUND"] * 3,
    ]
    assert found["view__event_at"].to_pylist()[:3] == [at(0), at(10), at(20)]
    assert found.column_names[:2] == asked.column_names


def test_of_rows_at_the_same_time_the_greatest_counts_in_any_order_of_files() -> None:
    for content in (customers((1, 0, 1.0), (1, 0, 2.0)), customers((1, 0, 2.0), (1, 0, 1.0))):
        assert retrieve(spine((1, 5)), "asked", [joined(content)])["spent"].to_pylist() == [2.0]


def test_a_smaller_integer_matches_a_larger_one() -> None:
    found = retrieve(spine((1, 5), kind=pa.int32()), "asked", [joined(customers((1, 0, 1.0)))])
    assert found["spent"].to_pylist() == [1.0]


def test_what_does_not_fit_is_refused() -> None:
    view = joined(customers((1, 0, 1.0)))
    with pytest.raises(SchemaMismatch, match="the key 'customer' of view is int64"):
        retrieve(spine(("1", 5), kind=pa.string()), "asked", [view])
    with pytest.raises(InvalidArgument, match="no column 'when'"):
        retrieve(spine((1, 5)), "when", [view])
    with pytest.raises(SchemaMismatch, match="timestamp with time zone"):
        retrieve(spine((1, 5)), "who", [view])
    with pytest.raises(InvalidArgument, match="Two columns"):
        retrieve(spine((1, 5)), "asked", [view, view])


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        (ViewColumns(("spent",), "seen_at", ()), "A key is an integer"),
        (ViewColumns(("customer",), "spent", ()), "timestamp with time zone"),
        (ViewColumns(("customer",), "seen_at", ("visits",)), "visits"),
    ],
)
def test_columns_that_make_no_view_are_refused(columns: ViewColumns, error: str) -> None:
    with pytest.raises((SchemaMismatch, UnknownColumn), match=error):
        rows_of(customers((1, 0, 1.0)), columns)
