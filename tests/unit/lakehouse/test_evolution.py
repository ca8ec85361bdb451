"""A table that keeps its rows follows a changed declaration, or the change is refused with what to do.

The kind of fault: the columns of rows that are appended differ from the table's (one more, one fewer, another type,
another case), every write fails from then on, and the message advises what is impossible.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import SchemaMismatch, WriteConflict
from lakehouse import evolution
from lakehouse.evolution import Effect, filled, plan
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from tests.databases import with_tables

TABLE = "p.bronze.t"
VALUES: dict[pa.DataType, list[Any]] = {
    pa.int8(): [-128, 127, None],
    pa.int16(): [-(2**15), 2**15 - 1, None],
    pa.int32(): [-(2**31), 2**31 - 1, None],
    pa.int64(): [-(2**63), 2**63 - 1, 2**53 + 1, None],
    pa.float32(): [0.1, float("inf"), -0.0, None],
    pa.float64(): [0.1, 1e300, float("-inf"), None],
    pa.decimal128(5, 2): [Decimal("999.99"), Decimal("-0.01"), None],
    pa.decimal128(9, 3): [Decimal("999999.999"), None],
    pa.decimal128(9, 0): [Decimal("999999999"), None],
    pa.string(): ["1", "", "\u00e9", None],
    pa.binary(): [b"\xff", b"", None],
    pa.bool_(): [True, False, None],
    pa.date32(): [datetime.date(1, 1, 1), datetime.date(9999, 12, 31), None],
    pa.timestamp("us", "UTC"): [datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC), None],
    pa.list_(pa.int32()): [[1, None], [], None],
}


@pytest.mark.parametrize("new", VALUES, ids=str)
@pytest.mark.parametrize("old", VALUES, ids=str)
def test_every_pair_of_types(tables: Tables, old: pa.DataType, new: pa.DataType) -> None:
    """Either every value stays what it is and rows of the new type follow, or nothing changes and it is said why."""
    rows = pa.table({"v": pa.array(VALUES[old], old)})
    tables.append(TABLE, rows)
    declared = pa.schema([("v", new)])
    (change,) = plan(TABLE, tables.snapshot(TABLE).schema, declared).changes or (None,)
    if change is not None and change.effect is Effect.REFUSED:
        with pytest.raises(SchemaMismatch, match="asset id"):
            tables.evolve(TABLE, declared)
        assert tables.snapshot(TABLE).version == 0
        return
    made = tables.evolve(TABLE, declared)
    assert (made is None) == (change is None or change.effect is Effect.UNCHANGED)
    stored = tables.snapshot(TABLE).to_arrow()
    assert stored["v"].to_pylist() == rows["v"].to_pylist()
    extra = pa.table({"v": pa.array(VALUES[new], new)})
    tables.append(TABLE, filled(extra, tables.snapshot(TABLE).schema))
    assert _same(tables.snapshot(TABLE).to_arrow().to_pylist(), rows.to_pylist() + extra.to_pylist())


TYPES = st.sampled_from([pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string()])
SCHEMAS = st.dictionaries(st.sampled_from(["a", "b", "c", "A", "d"]), TYPES, min_size=1, max_size=4).filter(
    lambda found: len({name.lower() for name in found}) == len(found)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(SCHEMAS, min_size=2, max_size=4))
def test_a_history_of_declarations(declarations: list[dict[str, pa.DataType]]) -> None:
    """Whatever the declarations are, one after another: no row and no value is lost, and no earlier version changes."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        database = with_tables(f"sqlite:///{folder}/metadata.db")
        tables = Tables(f"{folder}/lake", database)
        expected: list[dict[str, Any]] = []
        past: dict[int, list[Any]] = {}
        for number, declaration in enumerate(declarations, 1):
            schema = pa.schema(list(declaration.items()))
            values = {name: str(number) if kind == pa.string() else number for name, kind in declaration.items()}
            rows = pa.Table.from_pylist([values], schema=schema)
            if tables.exists(TABLE):
                try:
                    tables.evolve(TABLE, schema)
                except SchemaMismatch:
                    continue
                rows = filled(rows, tables.snapshot(TABLE).schema)
            tables.append(TABLE, rows)
            expected.append(values)
            snapshot = tables.snapshot(TABLE)
            found = snapshot.to_arrow().to_pylist()
            names = snapshot.schema.names
            whole = [{name: row.get(name) for name in names} for row in expected]
            assert _same(found, whole)
            for version, content in past.items():
                assert tables.snapshot(TABLE, version=version).to_arrow().to_pylist() == content
            past[snapshot.version] = found
        database.close()


def _same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    """Whether rows are equal by value: a widened 1 is 1.0."""
    rest = list(expected)
    for row in found:
        if row not in rest:
            return False
        rest.remove(row)
    return not rest


def test_what_is_done_and_what_stays(tables: Tables, tmp_path: Path) -> None:
    field = pa.field("id", pa.int32(), metadata={"comment": "The key."})
    rows = pa.table({"id": [1, 2], "day": ["a", "b"], "old": [1.5, 2.5]}, schema=None)
    rows = rows.cast(pa.schema([field, pa.field("day", pa.string()), pa.field("old", pa.float64())]))
    tables.create_with(TABLE, rows, partition_by=["day"], description="Orders.")
    tables.add_constraint(TABLE, "positive", "id > 0")
    tables.append(TABLE, rows, once="file:1")
    before = tables.snapshot(TABLE)
    tables.pins.pin("model", TABLE, before.version)
    declared = pa.schema([("id", pa.int64()), ("day", pa.string()), ("new", pa.string())])
    commit = tables.evolve(TABLE, declared)
    assert commit is not None
    after = tables.snapshot(TABLE)
    assert after.version == before.version + 1
    assert (after.table_id, after.row_count, after.description) == (before.table_id, 4, "Orders.")
    assert (after.partition_columns, after.constraints) == (["day"], {"positive": "id > 0"})
    assert after.properties == before.properties
    assert after.schema.names == ["id", "day", "old", "new"]
    assert after.schema.field("id").metadata == {b"comment": b"The key."}
    assert after.schema.field("id").type == pa.int64()
    assert tables.snapshot(TABLE, version=before.version).schema.field("id").type == pa.int32()
    assert not tables.append(TABLE, filled(rows, after.schema), once="file:1").changed
    assert tables.evolve(TABLE, declared) is None
    tables.vacuum(TABLE, retention_hours=0)
    assert tables.snapshot(TABLE, version=before.version).to_arrow().num_rows == 4
    assert tables.diff(TABLE, before.version, after.version).added_count == 0


def test_rows_that_are_appended_meanwhile_are_kept(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rewriting must not undo what another writer commits between its reading and its commit."""
    tables.append(TABLE, pa.table({"id": pa.array([1], pa.int32())}))
    other = Tables(tables.storage.root, tables.ledger._database)
    writing = evolution.evolution_write
    rounds: list[int] = []

    def evolving(*args: Any) -> Any:
        write = writing(*args)
        if len(rounds) < 2:
            rounds.append(len(rounds))
            other.append(TABLE, pa.table({"id": pa.array([10 + len(rounds)], pa.int32())}))
        return write

    monkeypatch.setattr("lakehouse.tables.evolution_write", evolving)
    tables.evolve(TABLE, pa.schema([("id", pa.int64())]))
    snapshot = tables.snapshot(TABLE)
    assert sorted(snapshot.to_arrow()["id"].to_pylist()) == [1, 11, 12]
    assert snapshot.schema.field("id").type == pa.int64()

    def never(*args: Any) -> Any:
        write = writing(*args)
        other.append(TABLE, pa.table({"id": pa.array([99], pa.int64())}))
        return write

    monkeypatch.setattr("lakehouse.tables.evolution_write", never)
    with pytest.raises(WriteConflict):
        tables.evolve(TABLE, pa.schema([("id", pa.int64()), ("new", pa.string())]))
    assert tables.snapshot(TABLE).row_count == 7


@pytest.mark.parametrize(
    ("existing", "declared", "empty", "text"),
    [
        ([("id", pa.int64())], [("ID", pa.int64())], False, "only by case"),
        ([("id", pa.int64())], [pa.field("id", pa.int64()), pa.field("k", pa.string(), nullable=False)], False, "null"),
        ([pa.field("id", pa.int64(), nullable=False), ("v", pa.string())], [("v", pa.string())], False, "every row"),
        ([("id", pa.int64())], [("id", pa.string())], False, "not every int64 is a string"),
    ],
)
def test_refusals_name_the_column(existing: Any, declared: Any, empty: bool, text: str) -> None:
    made = plan(TABLE, pa.schema(existing), pa.schema(declared), empty=empty)
    assert len(made.refused) == 1
    assert text in made.refused[0].detail
    with pytest.raises(SchemaMismatch) as caught:
        made.require()
    assert [error["pointer"] for error in caught.value.errors] == [f"/{made.refused[0].column}"]


def test_a_step_records_the_change_as_a_version_of_its_own(tables: Tables, step_of: Callable[[str], Step]) -> None:
    step = step_of(TABLE)
    assert step.evolve(pa.schema([("id", pa.int32())])) == pa.schema([("id", pa.int32())])
    assert not tables.exists(TABLE)
    step.append(pa.table({"id": pa.array([1], pa.int32())}))
    schema = step.evolve(pa.schema([("id", pa.int64())]))
    assert schema.field("id").type == pa.int64()
    snapshot = tables.snapshot(TABLE)
    (edge,) = Lineage(tables.ledger._database).provenance(TABLE, snapshot.data_version)
    assert (edge.in_asset, edge.in_version) == (TABLE, f"{snapshot.table_id}@{snapshot.version - 1}")
    version = snapshot.version
    step.evolve(pa.schema([("id", pa.int64())]))
    assert tables.snapshot(TABLE).version == version


@pytest.fixture
def step_of(tables: Tables) -> Callable[[str], Step]:
    def make(asset: str) -> Step:
        return Step(
            tables, Lineage(tables.ledger._database), asset=asset, run="r", step="s", code_version="1",
            engine="polars", principal="tester",
        )  # fmt: skip

    return make
