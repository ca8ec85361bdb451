"""Bad conditions, odd data and lost answers: each a clear error, or the commit that stands."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from core.errors import (
    Conflict,
    HeadwaterError,
    InvalidArgument,
    SchemaMismatch,
    StorageFull,
    Unavailable,
    UnknownColumn,
    UnknownVersion,
    WriteConflict,
)
from lakehouse import writes
from lakehouse.faults import translated
from lakehouse.tables import Tables

NAME = "shop.silver.orders"


@pytest.fixture
def orders(tables: Tables) -> Tables:
    tables.append(NAME, pa.table({"id": [1, 2], "price": [1.0, 2.0], "name": ["a", "b"]}))
    return tables


@pytest.mark.parametrize(
    "condition",
    [
        "id = 'abc'",
        "foo(id) = 1",
        "price + 'x' > 1",
        "id",
        "id IN (SELECT 1)",
        "",
        "id = 1 OR",
        "sum(id) > 1",
        "id = 1/0",
    ],
)
def test_a_bad_condition_is_refused(orders: Tables, condition: str) -> None:
    with pytest.raises(InvalidArgument, match=f"condition on {NAME}"):
        orders.delete(NAME, condition)
    assert orders.snapshot(NAME).version == 0


@pytest.mark.parametrize("condition", ["Name = 'a'", '"NAME" = 1', "nope = 1", "t.nope = 1"])
def test_an_unknown_column_is_named(orders: Tables, condition: str) -> None:
    with pytest.raises(UnknownColumn, match="It has id, price, name"):
        orders.delete(NAME, condition)
    with pytest.raises(UnknownColumn):
        orders.add_constraint(NAME, "rule", condition)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pa.table([[1], [2]], names=["a", "a"]), "occur twice"),
        (pa.table([[1], [2]], names=["a", "A"]), "ignores case"),
        (pa.table([[1]], names=[""]), "each with a name"),
        (pa.table({}), "needs columns"),
        (pa.table({"a": [[]]}), "can't store the columns a"),
        (pa.table({"a": pa.array([{"x": 0}], pa.struct([("x", pa.time64("us"))]))}), "can't store the columns a"),
    ],
    ids=["twice", "twice but for case", "no name", "no columns", "list of nothing", "time in a struct"],
)
def test_odd_data_is_refused_before_anything_is_made(tables: Tables, data: pa.Table, reason: str) -> None:
    with pytest.raises(SchemaMismatch, match=reason):
        tables.append(NAME, data)
    assert not tables.exists(NAME)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x"]).dictionary_encode(),
        pa.array([b"abc"], pa.binary(3)),
        pa.array([86_400_000], pa.date64()),
        pa.array([1000], pa.timestamp("ns", "Europe/Paris")),
        pa.array(["x"], pa.large_string()),
        pa.array(["x"], pa.string_view()),
        pa.array([[200]], pa.list_(pa.uint8())),
        pa.array([{"x": 200}], pa.struct([("x", pa.uint8())])),
        pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)),
        pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([1.5], pa.float16()),
    ],
    ids=lambda column: str(column.type),
)
def test_every_layout_of_a_value_can_be_appended_again(tables: Tables, column: pa.Array) -> None:
    for _ in range(3):
        tables.append(NAME, pa.table({"a": column}))
    first, *others = tables.snapshot(NAME).to_arrow()["a"].to_pylist()
    assert others == [first, first]
    if not pa.types.is_timestamp(column.type):
        assert str(first) == str(column.to_pylist()[0]) or pa.types.is_date(column.type)


def test_lists_of_nothing_take_the_type_of_the_table(tables: Tables) -> None:
    tables.append(NAME, pa.table({"a": [["x"]]}))
    tables.append(NAME, pa.table({"a": [[]]}))
    assert sorted(tables.snapshot(NAME).to_arrow()["a"].to_pylist()) == [[], ["x"]]


def test_an_unknown_partition_column_is_named(tables: Tables) -> None:
    with pytest.raises(UnknownColumn, match="nope"):
        tables.create(NAME, pa.schema([("a", pa.int64())]), partition_by=["nope"])


class TestChanges:
    def test_need_the_feed(self, tables: Tables) -> None:
        write_deltalake(tables.uri(NAME), pa.table({"a": [1]}))
        with pytest.raises(Conflict, match="no change data feed"):
            tables.changes(NAME, 0)

    def test_are_read_forwards(self, orders: Tables) -> None:
        orders.delete(NAME, "id = 1")
        with pytest.raises(InvalidArgument, match="in ascending order"):
            orders.changes(NAME, 1, 0)

    def test_of_vacuumed_versions_are_gone(self, orders: Tables) -> None:
        orders.overwrite(NAME, pa.table({"id": [9], "price": [1.0], "name": ["x"]}))
        orders.vacuum(NAME, retention_hours=0)
        with pytest.raises(UnknownVersion, match="because of a vacuum"):
            orders.changes(NAME, 0)


class TestLostAnswer:
    """The store commits and the answer is lost: the write stands and is not done again."""

    @pytest.mark.parametrize(
        "error",
        [DeltaError("error sending request for url"), CommitFailedError("the version exists")],
        ids=["away", "taken"],
    )
    def test_is_found_in_the_log(self, orders: Tables, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        original, calls = writes.append, []

        def losing(*arguments: Any, **options: Any) -> None:
            calls.append(1)
            original(*arguments, **options)
            raise error

        monkeypatch.setattr(writes, "append", losing)
        commit = orders.append(NAME, pa.table({"id": [3], "price": [1.0], "name": ["c"]}))
        assert (commit.version, commit.changed, commit.row_count, len(calls)) == (1, True, 3, 1)
        monkeypatch.undo()
        assert orders.snapshot(NAME).row_count == 3
        assert orders.append(NAME, pa.table({"id": [4], "price": [1.0], "name": ["d"]})).version == 2

    def test_of_a_write_that_does_not_stand_is_told(self, orders: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(*_: Any, **__: Any) -> None:
            raise DeltaError("error sending request for url")

        monkeypatch.setattr(writes, "append", failing)
        with pytest.raises(Unavailable, match="didn't respond"):
            orders.append(NAME, pa.table({"id": [3], "price": [1.0], "name": ["c"]}))

    def test_an_append_is_tried_again_after_a_conflict(self, orders: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
        original, calls = writes.append, []

        def conflicting(*arguments: Any, **options: Any) -> None:
            calls.append(1)
            if len(calls) < 3:
                raise CommitFailedError("Metadata changed since last commit.")
            original(*arguments, **options)

        monkeypatch.setattr(writes, "append", conflicting)
        assert orders.append(NAME, pa.table({"id": [3], "price": [1.0], "name": ["c"]})).version == 1
        monkeypatch.setattr(writes, "overwrite", lambda *_, **__: (_ for _ in ()).throw(CommitFailedError("x")))
        with pytest.raises(WriteConflict, match="Nothing was written"):
            orders.overwrite(NAME, pa.table({"id": [3], "price": [1.0], "name": ["c"]}))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(28, "No space left on device"), StorageFull),
        (DeltaError("x: No space left on device (os error 28)"), StorageFull),
        (DeltaError("Generic S3 error: error sending request"), Unavailable),
        (OSError("AWS Error NETWORK_CONNECTION: Could not connect to server"), Unavailable),
        (DeltaError("InvalidAccessKeyId"), Unavailable),
        (DeltaError("Object at location x.parquet not found"), UnknownVersion),
        (Exception("Cast error: Cannot cast string 'q' to value of Int64 type"), SchemaMismatch),
    ],
)
def test_errors_of_others_become_ours(raised: Exception, expected: type[HeadwaterError]) -> None:
    with pytest.raises(expected) as caught, translated(NAME, "appending to"):
        raise raised
    assert caught.value.metadata["table"] == NAME
    assert caught.value.__cause__ is raised


def test_what_nobody_knows_stays_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), translated(NAME, "appending to"):
        raise ZeroDivisionError
