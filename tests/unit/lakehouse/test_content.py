"""Rows that say the same make no new version.

The kind: something that did not change (order of rows, chunks, offsets, a run that repeats another) passed for a change
of the data, and everything downstream was made again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from core.db import Database
from core.errors import ConstraintViolated, InvalidArgument, SchemaMismatch, UnknownColumn
from lakehouse.commits import Commit
from lakehouse.content import digest
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from tests.databases import with_tables

SOURCE, TARGET = "shop.bronze.orders", "shop.silver.orders"


def test_digests_stay_what_they_are() -> None:
    """Commits keep them: another form of the digest would make every table once more."""
    rows = pa.table({"id": pa.array([2, 1, None], pa.int64()), "kind": ["b", "ä", None]})
    assert digest(rows) == "17aa80fb6c961ad2edd66f54fbf29ef1451bf82f"


@settings(deadline=None)
@given(
    frame=dataframes(
        max_size=12,
        allowed_dtypes=[
            *(pl.Int64, pl.Int8, pl.Float64, pl.String, pl.Boolean, pl.Date, pl.Binary, pl.Datetime("us", "UTC")),
            *(pl.Decimal(12, 2), pl.List(pl.Int64), pl.Struct({"a": pl.Int64, "b": pl.String})),
        ],
    ),
    seed=st.integers(0, 1000),
    cut=st.integers(0, 12),
)
def test_neither_order_nor_chunks_nor_offsets_count(frame: pl.DataFrame, seed: int, cut: int) -> None:
    rows = frame.to_arrow()
    expected = digest(rows)
    assert expected is not None
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=seed) if frame.height else frame
    assert digest(shuffled.to_arrow()) == expected
    parts = pa.concat_tables([rows.slice(0, cut), rows.slice(cut)])
    assert digest(parts) == expected
    longer = pa.concat_tables([rows, rows]).combine_chunks() if frame.width else rows
    assert digest(longer.slice(frame.height)) == expected


NESTED = {
    "map": (pa.map_(pa.string(), pa.int64()), [[("k", 1)], None, [], [("a", 2), ("b", 3)]]),
    "list of maps": (pa.list_(pa.map_(pa.string(), pa.int64())), [[[("k", 1)], []], None, [], [[("a", 2)]]]),
    "map of lists": (pa.map_(pa.string(), pa.list_(pa.int8())), [[("k", [1])], None, [("k", None)], [("k", [])]]),
    "struct of maps": (pa.struct([("m", pa.map_(pa.int64(), pa.bool_()))]), [{"m": [(1, True)]}, {"m": None}, None]),
}
"""Types of Delta that are not among those that hypothesis makes."""


@pytest.mark.parametrize("name", NESTED)
def test_nested_values_count_one_by_one(name: str) -> None:
    kind, values = NESTED[name]
    rows = pa.table({"v": pa.array(values, kind)})
    expected = digest(rows)
    assert expected is not None
    twice = pa.concat_tables([rows, rows]).combine_chunks()
    assert digest(twice.slice(len(values))) == expected
    assert digest(rows.take(list(reversed(range(len(values)))))) == expected
    others = [
        digest(rows.take([*range(n), *range(n + 1, len(values)), (n + 1) % len(values)])) for n in range(len(values))
    ]
    assert len({expected, *others}) == len(values) + 1


ROWS = {"id": [1, 2, 3], "kind": ["a", None, ""], "at": [1.5, None, 0.0]}
SCHEMA = pa.schema([("id", pa.int64()), ("kind", pa.string()), ("at", pa.float64())])


@pytest.mark.parametrize(
    ("changed", "schema"),
    [
        ({"id": [1, 2, 4]}, {}),
        ({"kind": ["a", "", ""]}, {}),
        ({"kind": ["a", None, None]}, {}),
        ({"kind": ["", None, "a"]}, {}),
        ({"at": [1.5, 0.0, 0.0]}, {}),
        ({"at": [1.5, None, -0.0]}, {}),
        ({"at": [None, 1.5, 0.0]}, {}),
        ({}, {"id": pa.field("id", pa.int32())}),
        ({}, {"id": pa.field("id", pa.int64(), metadata={"comment": "Number."})}),
        ({}, {"id": pa.field("number", pa.int64())}),
        ({"id": [1, 2, 3, 3], "kind": ["a", None, "", ""], "at": [1.5, None, 0.0, 0.0]}, {}),
    ],
)
def test_every_real_change_counts(changed: dict[str, Any], schema: dict[str, pa.Field]) -> None:
    fields = pa.schema([schema.get(field.name, field) for field in SCHEMA])
    values = [pa.array({**ROWS, **changed}[field.name], schema.get(field.name, field).type) for field in SCHEMA]
    assert digest(pa.Table.from_arrays(values, schema=fields)) != digest(pa.table(ROWS, schema=SCHEMA))


@pytest.fixture
def lineage(database: Database) -> Lineage:
    return Lineage(database)


def step(tables: Tables, lineage: Lineage, run: str) -> Step:
    arguments = {"asset": TARGET, "run": run, "step": "s", "code_version": "1", "engine": "polars", "principal": "ann"}
    return Step(tables, lineage, **arguments)


def made(tables: Tables, lineage: Lineage, run: str, rows: pa.Table, **options: Any) -> Any:
    working = step(tables, lineage, run)
    working.read(SOURCE)
    return working.overwrite(rows, **options)


def test_the_same_rows_keep_their_version_and_each_run_its_exact_inputs(tables: Tables, lineage: Lineage) -> None:
    rows = pa.table(ROWS, schema=SCHEMA)
    tables.append(SOURCE, rows)
    first = made(tables, lineage, "run-1", rows)
    tables.append(SOURCE, rows)
    again = made(tables, lineage, "run-2", rows.take([2, 0, 1]))
    assert (first.changed, again.changed) == (True, False)
    assert again.data_version == first.data_version
    assert tables.snapshot(TARGET).version == first.version
    edges = lineage.provenance(TARGET, first.data_version)
    source = tables.snapshot(SOURCE).table_id
    assert [(edge.run, edge.in_version) for edge in edges] == [("run-1", f"{source}@0"), ("run-2", f"{source}@1")]


def test_upkeep_in_between_changes_nothing(tables: Tables, lineage: Lineage) -> None:
    rows = pa.table(ROWS, schema=SCHEMA)
    tables.append(SOURCE, rows)
    first = made(tables, lineage, "run-1", rows)
    tables.add_constraint(TARGET, "some", "id > 0")
    assert tables.snapshot(TARGET).version > first.version
    assert made(tables, lineage, "run-2", rows).data_version == first.data_version


def test_what_another_writer_did_in_between_is_undone(tables: Tables, lineage: Lineage) -> None:
    rows = pa.table(ROWS, schema=SCHEMA)
    tables.append(SOURCE, rows)
    first = made(tables, lineage, "run-1", rows)
    changes = (
        lambda: tables.append(TARGET, rows),
        lambda: tables.delete(TARGET, "id = 1"),
        lambda: tables.merge(TARGET, rows.slice(0, 1).set_column(0, SCHEMA[0], pa.array([99], SCHEMA[0].type)), ["id"]),
        lambda: tables.restore(TARGET, first.version),
        lambda: tables.add_columns(TARGET, [pa.field("more", pa.int64())]),
    )
    for number, change in enumerate(changes):
        before = change().version
        commit = made(tables, lineage, f"run-{number + 2}", rows, evolve_schema=True)
        assert (commit.changed, commit.version) == (True, before + 1)
        assert tables.snapshot(TARGET).to_arrow().num_rows == rows.num_rows


def test_other_columns_to_partition_by_are_a_change(tables: Tables, lineage: Lineage) -> None:
    rows = pa.table({"id": [1, 2], "day": ["a", "b"]})
    tables.append(SOURCE, rows)
    assert made(tables, lineage, "run-1", rows, evolve_schema=True).changed
    assert made(tables, lineage, "run-2", rows, evolve_schema=True, partition_by=["day"]).changed
    assert not made(tables, lineage, "run-3", rows, evolve_schema=True, partition_by=["day"]).changed


KEYED = pa.table({"id": [1, 2, 3, None], "kind": ["a", "b", None, "d"], "price": [0.0, float("nan"), None, 1.5]})


@pytest.mark.parametrize(
    "rows",
    [
        KEYED,
        KEYED.take([3, 1, 0, 2]),
        KEYED.slice(1, 2),
        KEYED.slice(3),
        KEYED.slice(0, 0),
        KEYED.select(["price", "kind", "id"]),
    ],
    ids=["all", "another order", "some", "a null key", "none", "another order of columns"],
)
def test_a_merge_that_changes_no_row_commits_nothing(tables: Tables, lineage: Lineage, rows: pa.Table) -> None:
    first = tables.append(TARGET, KEYED)
    tables.append(SOURCE, KEYED)
    tables.add_constraint(TARGET, "some", "price IS NULL OR price > -1")  # the version that brought the rows counts
    newest = tables.snapshot(TARGET).version
    merging = step(tables, lineage, "run-1")
    merging.read(SOURCE)
    commit = merging.merge(rows, ["id"])
    assert (commit.changed, commit.data_version) == (False, first.data_version)
    assert tables.snapshot(TARGET).version == newest
    source = f"{tables.snapshot(SOURCE).table_id}@0"
    edges = lineage.provenance(TARGET, first.data_version)
    assert [(edge.run, edge.in_version) for edge in edges] == [("run-1", source)]


@pytest.mark.parametrize(
    ("change", "delete_missing"),
    [
        ({"kind": ["A", "b", None, "d"]}, False),
        ({"price": [-0.0, float("nan"), None, 1.5]}, False),
        ({"price": [0.0, None, None, 1.5]}, False),
        ({"id": [1, 2, 3, 4]}, False),
        ({"id": [1, 2, 3, 4]}, True),
        ({}, True),
    ],
    ids=["text", "sign of zero", "NaN and null", "a new key", "a new and a missing key", "a missing key"],
)
def test_a_merge_that_changes_a_row_commits(tables: Tables, change: dict[str, list[Any]], delete_missing: bool) -> None:
    tables.append(TARGET, KEYED if change else pa.concat_tables([KEYED, KEYED.slice(0, 1).set_column(0, "id", [[9]])]))
    before = tables.snapshot(TARGET).version
    rows = pa.table(
        {name: pa.array(change.get(name, KEYED[name].to_pylist()), KEYED[name].type) for name in KEYED.column_names}
    )
    commit = tables.merge(TARGET, rows, ["id"], delete_missing=delete_missing)
    assert (commit.changed, commit.version) == (True, before + 1)
    found = tables.snapshot(TARGET).to_arrow()
    expected = rows if delete_missing or "id" not in change else pa.concat_tables([rows, KEYED.slice(3)])
    assert digest(found.select(rows.column_names)) == digest(expected)


@settings(deadline=None, max_examples=40)
@given(
    old=st.dictionaries(st.integers(0, 5), st.sampled_from([None, "x", "y", ""]), min_size=1),
    new=st.dictionaries(st.integers(0, 5), st.sampled_from([None, "x", "y", ""])),
    delete_missing=st.booleans(),
)
def test_a_merge_commits_exactly_if_a_row_changes(
    tmp_path_factory: pytest.TempPathFactory, old: dict[int, Any], new: dict[int, Any], delete_missing: bool
) -> None:
    database = with_tables("sqlite://")
    tables = Tables(str(tmp_path_factory.mktemp("lake")), database)
    schema = pa.schema([("id", pa.int64()), ("kind", pa.string())])
    rows = [pa.table({"id": list(known), "kind": list(known.values())}, schema=schema) for known in (old, new)]
    tables.append(TARGET, rows[0])
    commit = tables.merge(TARGET, rows[1], ["id"], delete_missing=delete_missing)
    expected = new if delete_missing else {**old, **new}
    found = tables.snapshot(TARGET).to_arrow().to_pydict()
    assert dict(zip(found["id"], found["kind"], strict=True)) == expected
    assert commit.changed is (expected != old)


PARTS = pa.table(
    {
        "day": ["a", "a", "b", None],
        "id": [1, 2, 3, 4],
        "price": [0.0, float("nan"), None, 1.5],
        "nested": pa.array(
            [{"tags": ["x"], "counts": [("k", 1)]}, None, {"tags": [], "counts": None}, {"tags": None, "counts": []}],
            pa.struct([("tags", pa.list_(pa.string())), ("counts", pa.map_(pa.string(), pa.int64()))]),
        ),
    }
)


def of_day(rows: pa.Table, day: str | None) -> pa.Table:
    return rows.filter(pa.array([value == day for value in rows["day"].to_pylist()]))


UNCHANGED: dict[str, Callable[[Step], Commit]] = {
    "an append of no rows": lambda step: step.append(PARTS.slice(0, 0)),
    "an append of no rows, as a lazy frame": lambda step: step.append(pl.DataFrame(PARTS.slice(0, 0)).lazy()),
    "an append of no rows with a key": lambda step: step.append(PARTS.slice(0, 0), once="x"),
    "a part": lambda step: step.overwrite(of_day(PARTS, "a"), where="day = 'a'"),
    "a part in another order": lambda step: step.overwrite(of_day(PARTS, "a").take([1, 0]), where="day = 'a'"),
    "the null part": lambda step: step.overwrite(of_day(PARTS, None), where="day IS NULL"),
    "rows of several parts": lambda step: step.overwrite(PARTS.slice(1, 2), where="id IN (2, 3)"),
    "all rows by a condition": lambda step: step.overwrite(PARTS, where="id > 0"),
    "no rows where there are none": lambda step: step.overwrite(PARTS.slice(0, 0), where="day = 'c'"),
    "a merge of no rows": lambda step: step.merge(PARTS.slice(0, 0), ["id"]),
    "a merge of nested rows": lambda step: step.merge(PARTS.slice(0, 2), ["id"]),
    "a deletion of no rows": lambda step: step.delete("id = 99"),
}


@pytest.mark.parametrize("partition_by", [["day"], []], ids=["partitioned", "unpartitioned"])
@pytest.mark.parametrize("case", UNCHANGED)
def test_a_step_that_changes_no_row_makes_no_version(
    tables: Tables, lineage: Lineage, case: str, partition_by: list[str]
) -> None:
    first = tables.create_with(TARGET, PARTS, partition_by=partition_by)
    tables.append(SOURCE, PARTS)
    working = step(tables, lineage, "run-1")
    working.read(SOURCE)
    commit = UNCHANGED[case](working)
    assert (commit.changed, commit.data_version) == (False, first.data_version)
    assert tables.snapshot(TARGET).version == first.version
    if "deletion" not in case:  # what it read is an input of the version all the same
        edges = lineage.provenance(TARGET, first.data_version)
        assert [(edge.run, edge.in_asset) for edge in edges] == [("run-1", SOURCE)]


CHANGED: dict[str, Callable[[Step], Commit]] = {
    "a row more in a part": lambda step: step.overwrite(
        pa.concat_tables([of_day(PARTS, "a"), PARTS.slice(0, 1)]), where="day = 'a'"
    ),
    "a row fewer in a part": lambda step: step.overwrite(PARTS.slice(0, 1), where="day = 'a'"),
    "another value in a part": lambda step: step.overwrite(
        of_day(PARTS, "a").set_column(1, "id", [[1, 9]]), where="day = 'a'"
    ),
    "another sign of zero": lambda step: step.overwrite(
        PARTS.slice(0, 1).set_column(2, "price", [[-0.0]]), where="id = 1"
    ),
    "another nested value": lambda step: step.overwrite(
        PARTS.slice(0, 1).set_column(3, "nested", PARTS.slice(2, 1)["nested"]), where="id = 1"
    ),
    "no rows instead of some": lambda step: step.overwrite(PARTS.slice(0, 0), where="day = 'a'"),
    "some rows instead of none": lambda step: step.overwrite(
        PARTS.slice(0, 1).set_column(0, "day", [["c"]]), where="day = 'c'"
    ),
    "an append": lambda step: step.append(PARTS.slice(0, 1)),
    "an append of no rows with a new column": lambda step: step.append(
        PARTS.slice(0, 0).append_column("more", pa.array([], pa.int64())), evolve_schema=True
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_step_that_changes_a_row_makes_a_version(tables: Tables, lineage: Lineage, case: str) -> None:
    first = tables.create_with(TARGET, PARTS, partition_by=["day"])
    commit = CHANGED[case](step(tables, lineage, "run-1"))
    assert (commit.changed, commit.version) == (True, first.version + 1)


@pytest.mark.parametrize("where", ["nothing = 1", "id = = 1", "id = 'x'"])
def test_a_condition_that_cannot_be_evaluated_is_refused_as_before(tables: Tables, where: str) -> None:
    tables.create_with(TARGET, PARTS)
    with pytest.raises((InvalidArgument, UnknownColumn, SchemaMismatch)):
        tables.overwrite(TARGET, PARTS, where=where)


def test_rows_outside_of_the_condition_are_refused_although_the_others_are_the_same(tables: Tables) -> None:
    tables.create_with(TARGET, PARTS, partition_by=["day"])
    with pytest.raises(ConstraintViolated):
        tables.overwrite(TARGET, pa.concat_tables([of_day(PARTS, "a"), of_day(PARTS, "b")]), where="day = 'a'")
    with pytest.raises(SchemaMismatch):
        tables.append(TARGET, PARTS.slice(0, 0).drop_columns(["id"]))
