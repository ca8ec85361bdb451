"""Differences between two versions, checked against sets of rows."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidArgument, UnknownColumn, UnknownVersion
from lakehouse.tables import TableDiff, Tables

NAME = "shop.silver.orders"


def rows(*pairs: tuple[int, str | None]) -> pa.Table:
    return pa.table(
        {"id": pa.array([p[0] for p in pairs], pa.int64()), "v": pa.array([p[1] for p in pairs], pa.string())}
    )


def rows_of(table: pa.Table) -> list[tuple[object, ...]]:
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


def test_without_a_key_rows_are_added_and_removed(tables: Tables) -> None:
    tables.append(NAME, rows((1, "a"), (2, "b"), (3, None)))
    tables.merge(NAME, rows((2, "B"), (4, "d")), ["id"])
    diff = tables.diff(NAME, 0, 1)
    assert (diff.from_row_count, diff.to_row_count) == (3, 4)
    assert (diff.added_count, diff.removed_count, diff.changed_count) == (2, 1, None)
    assert rows_of(diff.added) == [(2, "B"), (4, "d")]
    assert rows_of(diff.removed) == [(2, "b")]


def test_with_a_key_rows_change(tables: Tables) -> None:
    tables.append(NAME, rows((1, "a"), (2, "b"), (3, None)))
    tables.merge(NAME, rows((2, "B"), (3, "c"), (4, "d")), ["id"])
    tables.delete(NAME, "id = 1")
    diff = tables.diff(NAME, 0, 2, key=["id"])
    assert (diff.added_count, diff.removed_count, diff.changed_count) == (1, 1, 2)
    assert rows_of(diff.added) == [(4, "d")]
    assert rows_of(diff.removed) == [(1, "a")]
    assert diff.changed_before.to_pylist() == [{"id": 2, "v": "b"}, {"id": 3, "v": None}]
    assert diff.changed_after.to_pylist() == [{"id": 2, "v": "B"}, {"id": 3, "v": "c"}]


def test_rows_that_only_moved_are_no_difference(tables: Tables) -> None:
    for number in range(4):
        tables.append(NAME, rows((number, "x")))
    tables.optimize(NAME)
    diff = tables.diff(NAME, 3, 4)
    assert (diff.added_count, diff.removed_count) == (0, 0)


def test_works_backwards(tables: Tables) -> None:
    tables.append(NAME, rows((1, "a")))
    tables.append(NAME, rows((2, "b")))
    diff = tables.diff(NAME, 1, 0)
    assert (diff.added_count, rows_of(diff.removed)) == (0, [(2, "b")])


def test_counts_equal_rows_as_often_as_they_occur(tables: Tables) -> None:
    tables.append(NAME, rows((1, "a")))
    tables.append(NAME, rows((1, "a"), (1, "a")))
    diff = tables.diff(NAME, 0, 1)
    assert (diff.added_count, rows_of(diff.added)) == (2, [(1, "a"), (1, "a")])


def test_shows_changes_of_the_schema(tables: Tables) -> None:
    tables.append(NAME, rows((1, "a")))
    tables.append(NAME, pa.table({"id": [2], "v": ["b"], "n": [1]}), evolve_schema=True)
    tables.overwrite(NAME, pa.table({"id": ["1", "2"], "n": [None, 1]}), evolve_schema=True)
    first, second = tables.diff(NAME, 0, 1), tables.diff(NAME, 1, 2)
    assert (first.columns_added, first.columns_removed, first.columns_changed) == ({"n": "int64"}, {}, {})
    assert rows_of(first.added) == [(2, "b", 1)]
    assert (second.columns_removed, second.columns_changed) == ({"v": "string"}, {"id": ("int64", "string")})


def test_shows_a_bounded_number_of_rows(tables: Tables) -> None:
    tables.append(NAME, rows((0, "a")))
    tables.append(NAME, rows(*((n, "b") for n in range(1, 51))))
    diff = tables.diff(NAME, 0, 1, limit=5)
    assert (diff.added_count, diff.added.num_rows) == (50, 5)


def test_compares_nested_values_and_partitions(tables: Tables) -> None:
    schema = pa.schema([("id", pa.int64()), ("tags", pa.list_(pa.string())), ("at", pa.struct([("x", pa.int64())]))])
    tables.overwrite(
        NAME, pa.table({"id": [1, 2], "tags": [["a"], None], "at": [{"x": 1}, None]}, schema), partition_by=["id"]
    )
    tables.merge(NAME, pa.table({"id": [2], "tags": [["b"]], "at": [{"x": 2}]}, schema), ["id"])
    diff = tables.diff(NAME, 0, 1, key=["id"])
    assert (diff.added_count, diff.removed_count, diff.changed_count) == (0, 0, 1)
    assert diff.changed_after.to_pylist() == [{"id": 2, "tags": ["b"], "at": {"x": 2}}]


def test_refuses_a_key_that_does_not_tell_rows_apart(tables: Tables) -> None:
    tables.append(NAME, rows((1, "a")))
    tables.append(NAME, rows((2, "a"), (2, "b")))
    with pytest.raises(InvalidArgument, match="same id"):
        tables.diff(NAME, 0, 1, key=["id"])
    with pytest.raises(UnknownColumn, match="nope"):
        tables.diff(NAME, 0, 1, key=["nope"])
    with pytest.raises(UnknownVersion):
        tables.diff(NAME, 0, 9)


_ROWS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "b", None])), max_size=8, unique_by=lambda r: r[0])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=_ROWS, after=_ROWS)
def test_adds_up_to_the_true_difference(
    tables: Tables, before: list[tuple[int, str | None]], after: list[tuple[int, str | None]]
) -> None:
    first = tables.overwrite(NAME, rows(*before)).version
    second = tables.overwrite(NAME, rows(*after)).version
    diff: TableDiff = tables.diff(NAME, first, second, key=["id"])
    old, new = dict(before), dict(after)
    assert rows_of(diff.added) == sorted(((k, new[k]) for k in new.keys() - old.keys()), key=repr)
    assert rows_of(diff.removed) == sorted(((k, old[k]) for k in old.keys() - new.keys()), key=repr)
    assert diff.changed_after.to_pylist() == [
        {"id": k, "v": new[k]} for k in sorted(old.keys() & new.keys()) if old[k] != new[k]
    ]


class TestChanges:
    def test_feeds_every_change_in_order(self, tables: Tables) -> None:
        tables.append(NAME, rows((1, "a"), (2, "b")))
        tables.merge(NAME, rows((2, "B")), ["id"])
        tables.delete(NAME, "id = 1")
        feed = tables.changes(NAME, 0)
        seen = [
            (row["_commit_version"], row["_change_type"], row["id"], row["v"])
            for row in feed.select(["_commit_version", "_change_type", "id", "v"]).to_pylist()
        ]
        assert sorted(seen[:2]) == [(0, "insert", 1, "a"), (0, "insert", 2, "b")]
        assert sorted(seen[2:4]) == [(1, "update_postimage", 2, "B"), (1, "update_preimage", 2, "b")]
        assert seen[4:] == [(2, "delete", 1, "a")]
        assert feed.schema.field("v").type == pa.string()

    def test_is_bounded_by_versions(self, tables: Tables) -> None:
        for number in range(4):
            tables.append(NAME, rows((number, "x")))
        assert tables.changes(NAME, 1, 2)["id"].to_pylist() == [1, 2]
        with pytest.raises(UnknownVersion, match="no version 9"):
            tables.changes(NAME, 9)
        with pytest.raises(UnknownVersion, match="no version 7"):
            tables.changes(NAME, 1, 7)
