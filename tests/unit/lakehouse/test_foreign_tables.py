"""Tables that others wrote.

The kind: a table uses a Delta feature, or spells something, in a way that one reader knows and another does not, so
that the same table shows other rows, nulls, an exception of a library, or a wrong count, depending on the door. Every
table here meets every door: the rows that Apache Spark reads, or one refusal that names the feature.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from core.errors import TableDamaged, UnknownVersion, UnsupportedTable
from lakehouse.query import Query
from lakehouse.tables import Tables
from tests.foreign_tables.checkpoints import CHECKPOINTS, ROWS, VERSION, make
from tests.foreign_tables.doors import DIFF, DOORS, Door, texts_of
from tests.foreign_tables.make import FOLDER, TABLES
from tests.foreign_tables.refused import REFUSED_READS, REFUSED_WRITES
from tests.foreign_tables.unpack import unpack

NAME = "shop.silver.orders"


@pytest.fixture
def place(root: Path) -> Path:
    """Where the table lies."""
    return root.joinpath(*NAME.split("."))


def test_every_table_that_is_made_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.zip")} == set(TABLES)


PAIRS = [(name, door) for name in sorted(set(TABLES) - set(REFUSED_READS)) for door in DOORS]
PAIRS.remove(("column_mapping_name", DIFF))  # a diff shows a column whose type has changed as text


@pytest.mark.parametrize(("name", "opened"), PAIRS)
def test_every_door_shows_the_rows_that_spark_shows(tables: Tables, place: Path, name: str, opened: str) -> None:
    rows, door = unpack(name, place), DOORS[opened]
    schema = tables.snapshot(NAME).schema
    key = schema.names[0]
    assert texts_of(door(tables, NAME), schema, key) == texts_of(rows, schema, key)
    assert tables.snapshot(NAME).row_count == rows.num_rows


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("name", sorted(REFUSED_READS))
def test_every_door_refuses_what_is_not_read_by_name(tables: Tables, place: Path, name: str, door: Door) -> None:
    unpack(name, place)
    with pytest.raises(UnsupportedTable, match=REFUSED_READS[name]):
        door(tables, NAME)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_write_adds_its_row_or_names_the_feature(tables: Tables, place: Path, name: str) -> None:
    rows = unpack(name, place)
    if name in REFUSED_WRITES:
        before = sorted(place.rglob("*"))
        new = pa.table({"id": [77]})
        for write in (
            lambda: tables.append(NAME, new),
            lambda: tables.overwrite(NAME, new),
            lambda: tables.merge(NAME, new, ["id"]),
            lambda: tables.delete(NAME, "1 = 1"),
            lambda: tables.optimize(NAME),
        ):
            with pytest.raises(UnsupportedTable, match=REFUSED_WRITES[name]):
                write()
        assert sorted(place.rglob("*")) == before
        return
    if name == "shallow_clone":
        return
    schema = tables.snapshot(NAME).schema
    new = pa.table({f.name: pa.array([77 if f.name == "id" else None], f.type) for f in schema})
    commit = tables.append(NAME, new)
    assert commit.row_count in (rows.num_rows + 1, None)
    expected = pa.concat_tables(
        [tables.snapshot(NAME, version=commit.version - 1).to_arrow(), new], promote_options="permissive"
    )
    for door in DOORS.values():
        if door is not DOORS[DIFF]:
            assert texts_of(door(tables, NAME), schema, "id") == texts_of(expected, schema, "id")
    tables.delete(NAME, "id = 77")
    assert texts_of(tables.snapshot(NAME).to_arrow(), schema, "id") == texts_of(rows, schema, "id")


def hand_written(
    place: Path,
    *,
    protocol: Mapping[str, Any] | None = None,
    fields: list[Mapping[str, Any]] | None = None,
    add: Mapping[str, Any] | None = None,
    info: Any = None,
    rows: pa.Table | None = None,
    configuration: Mapping[str, str] | None = None,
) -> None:
    """A table of one commit and one file, as its log says it is."""
    (place / "_delta_log").mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 2]}) if rows is None else rows, place / "f.parquet")
    schema = {"type": "struct", "fields": fields or [column("long")]}
    actions: list[Mapping[str, Any]] = [
        *([{"commitInfo": info}] if info is not None else []),
        {"protocol": protocol or {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": "11111111-1111-1111-1111-111111111111",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps(schema),
                "partitionColumns": [],
                "configuration": dict(configuration or {}),
                "createdTime": 0,
            }
        },
        {
            "add": {
                "path": "f.parquet",
                "partitionValues": {},
                "size": (place / "f.parquet").stat().st_size,
                "modificationTime": 0,
                "dataChange": True,
                **(add or {}),
            }
        },
    ]
    log = place / "_delta_log" / f"{0:020}.json"
    log.write_text("\n".join(map(json.dumps, actions)))


def column(kind: object, name: str = "id", **metadata: object) -> dict[str, Any]:
    """A column as the log describes it."""
    return {"name": name, "type": kind, "nullable": True, "metadata": metadata}


def _features(*names: str) -> dict[str, Any]:
    return {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": names, "writerFeatures": names}


UNREADABLE: dict[str, tuple[dict[str, Any], str]] = {
    "a feature of the future": ({"protocol": _features("teleport")}, "teleport"),
    "a catalog's table": ({"protocol": _features("catalogManaged")}, "catalogManaged"),
    "shredded variants": ({"protocol": _features("variantShredding-preview")}, "variantShredding"),
    **{
        f"the type {kind}": ({"fields": [column(kind)]}, kind.split("(")[0])
        for kind in ("geometry(OGC:CRS84)", "geography", "string collate UTF8_LCASE", "char(5)", "time(6)", "nonsense")
    },
    "a type of intervals": ({"fields": [column("interval year to month")]}, "interval"),
    "names that differ by case": ({"fields": [column("long"), column("long", "ID")]}, "differ only by case"),
    "a path upwards": ({"add": {"path": "../f.parquet"}}, "outside"),
    "a path upwards, encoded": ({"add": {"path": "%2e%2e/f.parquet"}}, "outside"),
    "an absolute path": ({"add": {"path": "/tmp/f.parquet"}}, "outside"),
    "a URI": ({"add": {"path": "s3://bucket/f.parquet"}}, "outside"),
    "a file of larger numbers": (
        {"fields": [column("integer")], "rows": pa.table({"id": [1, 2**40]})},
        "not in range",
    ),
    "a file of unsigned numbers": (
        {"fields": [column("byte")], "rows": pa.table({"id": pa.array([1, 255], pa.uint8())})},
        "not in range",
    ),
    "a file of structs": ({"fields": [column("string")], "rows": pa.table({"id": [{"a": 1}]})}, "struct"),
    "a file that spells columns otherwise": ({"fields": [column("long", "ID")]}, "the column ID is named id"),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_refused_alike(tables: Tables, place: Path, case: str, door: Door) -> None:
    made, words = UNREADABLE[case]
    hand_written(place, **made)
    with pytest.raises(UnsupportedTable, match=words.replace("(", r"\(")) as refusal:
        door(tables, NAME)
    assert refusal.value.metadata["features"]
    assert "Traceback" not in refusal.value.detail


def _mapped(name: str, kind: object, number: int) -> dict[str, Any]:
    return column(kind, name, **{"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"col-{number}"})


def _field(name: str, kind: pa.DataType, number: int | None) -> pa.Field:
    return pa.field(name, kind, metadata=None if number is None else {"PARQUET:field_id": str(number)})


def _structs(name: str, number: int | None) -> pa.Schema:
    return pa.schema([_field("col-1", pa.struct([_field(name, pa.int64(), number)]), 1)])


def _lists(name: str, number: int | None) -> pa.Schema:
    return pa.schema([_field("col-1", pa.list_(pa.struct([_field(name, pa.int64(), number)])), 1)])


_FLAT = [_mapped("id", "long", 1), _mapped("name", "string", 2)]
_STRUCT = {"type": "struct", "fields": [_mapped("x", "long", 3)]}
_ARRAY = {"type": "array", "elementType": _STRUCT, "containsNull": True}
MAPPED_BY_ID: dict[str, tuple[list[dict[str, Any]], pa.Schema, bool]] = {
    "names and ids": (
        _FLAT,
        pa.schema([_field("col-1", pa.int64(), 1), _field("col-2", pa.string(), 2)]),
        True,
    ),
    "a column that was dropped": (
        _FLAT[:1],
        pa.schema([_field("col-1", pa.int64(), 1), _field("col-2", pa.string(), 2)]),
        True,
    ),
    "a column that was added": (_FLAT, pa.schema([_field("col-1", pa.int64(), 1)]), True),
    "a struct": ([_mapped("id", _STRUCT, 1)], _structs("col-3", 3), True),
    "structs in a list": ([_mapped("id", _ARRAY, 1)], _lists("col-3", 3), True),
    "ids alone": (_FLAT, pa.schema([_field("id", pa.int64(), 1), _field("name", pa.string(), 2)]), False),
    "the id alone of one": (_FLAT, pa.schema([_field("col-1", pa.int64(), 1), _field("z", pa.string(), 2)]), False),
    "exchanged ids": (_FLAT, pa.schema([_field("col-1", pa.int64(), 2), _field("col-2", pa.string(), 1)]), False),
    "names alone": (_FLAT, pa.schema([("col-1", pa.int64()), ("col-2", pa.string())]), False),
    "the table's names alone": (_FLAT, pa.schema([("id", pa.int64()), ("name", pa.string())]), False),
    "a struct by its id alone": ([_mapped("id", _STRUCT, 1)], _structs("x", 3), False),
    "a struct with another id": ([_mapped("id", _STRUCT, 1)], _structs("col-3", 9), False),
    "structs in a list by their id alone": ([_mapped("id", _ARRAY, 1)], _lists("x", 3), False),
}
"""What the log has, what the file has, and whether readers that match by name read what those that match by id do."""


@pytest.mark.parametrize("opened", [name for name in DOORS if name != DIFF])
@pytest.mark.parametrize("case", MAPPED_BY_ID)
def test_columns_mapped_by_id_are_right_or_refused(tables: Tables, place: Path, case: str, opened: str) -> None:
    """The kind: a reader that matches columns by name finds none in a file that has ids alone, and shows nulls."""
    fields, schema, read = MAPPED_BY_ID[case]
    values: dict[str, Any] = {"col-1": [1, 2], "col-2": ["a", "b"], "id": [1, 2], "name": ["a", "b"], "z": ["a", "b"]}
    if "struct" in case:
        (inner,) = [name for name in ("col-3", "x") if name in str(schema)]
        values["col-1"] = [{inner: 1}, {inner: 2}] if "list" not in case else [[{inner: 1}], [{inner: 2}]]
    hand_written(
        place,
        protocol={"minReaderVersion": 2, "minWriterVersion": 5},
        fields=fields,
        rows=pa.table([pa.array(values[field.name], field.type) for field in schema], schema=schema),
        configuration={"delta.columnMapping.mode": "id", "delta.columnMapping.maxColumnId": "9"},
    )
    if not read:
        with pytest.raises(UnsupportedTable, match="columnMapping by id"):
            DOORS[opened](tables, NAME)
        return
    rows = DOORS[opened](tables, NAME).to_pylist()
    name = "b" if "added" not in case else None
    last = {"a struct": {"x": 2}, "structs in a list": [{"x": 2}]}.get(case, 2)
    assert rows[1] == {"id": last} | ({"name": name} if len(fields) == 2 else {})


@pytest.mark.parametrize("opened", [name for name in DOORS if name != DIFF])
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_checkpoints_of_other_writers_are_read(tables: Tables, place: Path, kind: str, opened: str) -> None:
    checkpoint, features = CHECKPOINTS[kind]
    make(place, checkpoint, features=features)
    assert sorted(DOORS[opened](tables, NAME)["id"].to_pylist()) == ROWS
    assert tables.snapshot(NAME, version=VERSION).row_count == len(ROWS) - 1
    with pytest.raises(UnknownVersion, match=f"it has versions {VERSION} to {VERSION + 1}"):
        tables.snapshot(NAME, version=0)


@pytest.mark.parametrize("damage", ["missing", "damaged", "empty"])
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_lost_part_of_a_checkpoint_is_named(tables: Tables, place: Path, kind: str, damage: str) -> None:
    checkpoint, features = CHECKPOINTS[kind]
    log = make(place, checkpoint, features=features)
    part = sorted([*log.glob("_sidecars/*.parquet")] or [*log.glob("*.checkpoint.*.parquet")])[1]
    content = part.read_bytes()
    part.unlink() if damage == "missing" else part.write_bytes(b"something" if damage == "damaged" else b"")
    with pytest.raises(TableDamaged, match=f"{part.name}` of {NAME} is {damage}"):
        tables.snapshot(NAME)
    part.write_bytes(content)
    assert sorted(tables.snapshot(NAME).to_arrow()["id"].to_pylist()) == ROWS


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_data_file_that_is_none_is_damage_in_every_door(tables: Tables, place: Path, door: Door) -> None:
    hand_written(place)
    (place / "f.parquet").write_bytes(b"not a file of this kind")
    with pytest.raises(TableDamaged, match="Parquet"):
        door(tables, NAME)


STATISTICS: dict[str, object] = {
    "none": None,
    "no JSON": "nonsense",
    "of wrong types": {"numRecords": "x", "minValues": {"id": "a"}},
    "without a null count": {
        "numRecords": 3,
        "minValues": {"id": 1, "t": "a", "x": -0.0},
        "maxValues": {"id": 2, "x": 0.0},
    },
    "without a row count": {"minValues": {"id": 1}, "maxValues": {"id": 2}, "nullCount": {"id": 1}},
    "the wrong way round": {
        "numRecords": 3,
        "minValues": {"id": 2, "t": "b"},
        "maxValues": {"id": 1, "t": "a"},
        "nullCount": {"id": 1, "t": 1},
    },
    "cut off": {"numRecords": 3, "minValues": {"t": "a"}, "maxValues": {"t": "z" * 32}, "nullCount": {"t": 1}},
    "of null": {"numRecords": 3, "minValues": {"id": None}, "maxValues": {"id": None}, "nullCount": {"id": None}},
}


@pytest.mark.parametrize("statistics", STATISTICS.values(), ids=STATISTICS)
def test_statistics_that_promise_too_much_hide_no_row(tables: Tables, place: Path, statistics: object) -> None:
    """The kind: a filter skips a file because of a bound that the file does not keep, or that says nothing of nulls."""
    rows = pa.table({"id": [1, 2, None], "t": ["a", "z" * 40, None], "x": [float("nan"), -0.0, None]})
    stats = statistics if isinstance(statistics, str | None) else json.dumps(statistics)
    hand_written(
        place,
        fields=[column("long"), column("string", "t"), column("double", "x")],
        add={"stats": stats} if stats is not None else {},
        rows=rows,
    )
    # Two files, so that skipping one is worth while.
    tables.append(NAME, pa.table({"id": [100], "t": ["q"], "x": [1.0]}))
    for condition, expected in {
        "id IS NULL": [None],
        "id = 2": [2],
        "t IS NULL": [None],
        f"t = '{'z' * 40}'": [2],
        "t > 'zz'": [2],
        "isnan(x)": [1],
        "x = 0": [2],
        "x IS NULL": [None],
        "id = 100": [100],
    }.items():
        assert (condition, _sql(tables, condition)) == (condition, expected)
        assert (condition, _polars(tables, condition)) == (condition, expected)


def _sql(tables: Tables, condition: str) -> list[Any]:
    return Query(tables).sql(f"SELECT id FROM {NAME} WHERE {condition}").table["id"].to_pylist()


def _polars(tables: Tables, condition: str) -> list[Any]:
    nan = condition == "isnan(x)"
    stored = pl.col("x").is_nan() if nan else pl.sql_expr(condition)
    return tables.snapshot(NAME).scan().filter(stored).collect()["id"].to_list()


UNDATED: dict[str, Any] = {
    "no commitInfo": None,
    "no timestamp": {"operation": "WRITE"},
    "null": {"timestamp": None},
    "text": {"timestamp": "2024-01-01", "operation": 5, "operationParameters": "x", "operationMetrics": [1]},
    "zero": {"timestamp": 0},
    "negative": {"timestamp": -5},
    "beyond all years": {"timestamp": 10**30},
    "no object": "x",
}


@pytest.mark.parametrize("info", UNDATED.values(), ids=UNDATED)
def test_a_commit_without_a_date_has_that_of_its_file(tables: Tables, place: Path, info: Any) -> None:
    """The kind: a commit says nothing sound of when it was made; dated 1970, it hides all versions but the newest."""
    hand_written(place, info=info)
    log = place / "_delta_log"
    for version, moment in enumerate((1_600_000_000, 1_700_000_000, 1_750_000_000)):
        path = log / f"{version:020}.json"
        if version:
            path.write_text(
                json.dumps({"commitInfo": info} if info is not None else {"txn": {"appId": "a", "version": version}})
            )
        os.utime(path, (moment, moment))
    assert [commit.committed_at.timestamp() for commit in tables.history(NAME)] == [1.75e9, 1.7e9, 1.6e9]
    assert tables.snapshot(NAME, timestamp=datetime.fromtimestamp(1_720_000_000, UTC)).version == 1
    with pytest.raises(UnknownVersion):
        tables.snapshot(NAME, timestamp=datetime.fromtimestamp(1_500_000_000, UTC))


def test_the_date_in_the_commit_is_that_of_in_commit_timestamps(tables: Tables, place: Path) -> None:
    hand_written(place, info={"timestamp": 1_600_000_000_000, "inCommitTimestamp": 1_700_000_000_000})
    assert tables.history(NAME)[0].committed_at.timestamp() == 1.7e9


@pytest.mark.parametrize("name", sorted(set(TABLES) - set(REFUSED_READS)))
def test_the_history_of_every_table_can_be_read(tables: Tables, place: Path, name: str) -> None:
    """The kind: a number in another writer's commit is text, or missing, and the history is an exception."""
    unpack(name, place)
    history = tables.history(NAME)
    assert history[-1].version == 0
    assert all(commit.committed_at.year >= 2024 for commit in history)


def _compacted(log: Path, table: Path) -> None:
    DeltaTable(str(table)).compact_logs(1, 4)


def _with_checkpoint(log: Path, table: Path) -> None:
    DeltaTable(str(table)).create_checkpoint()
    for version in range(4):
        (log / f"{version:020}.json").unlink()


def _with_foreign_files(log: Path, table: Path) -> None:
    for version in range(6):
        (log / f"{version:020}.crc").write_text("{}")
        (log / f".{version:020}.json.crc").write_bytes(b"crc")
    (log / "_staged_commits").mkdir()
    (log / f"{9:020}.json.tmp").write_text("x")


def _with_a_torn_hint(log: Path, table: Path) -> None:
    (log / "_last_checkpoint").write_text("{")


@pytest.mark.parametrize("change", [_compacted, _with_checkpoint, _with_foreign_files, _with_a_torn_hint])
def test_what_lies_in_a_log_beside_its_commits_hides_no_row(tables: Tables, place: Path, change: Any) -> None:
    """The kind: files that the protocol knows, or other writers leave, are taken for commits or stop a reader."""
    for number in range(6):
        write_deltalake(str(place), pa.table({"id": [number]}), mode="append")
    change(place / "_delta_log", place)
    for door in DOORS.values():
        if door is not DOORS[DIFF]:
            assert sorted(door(tables, NAME)["id"].to_pylist()) == list(range(6))
    assert tables.append(NAME, pa.table({"id": [9]})).row_count == 7
    assert tables.history(NAME)[0].version == 6


def test_a_log_whose_checkpoint_is_gone_is_damage(tables: Tables, place: Path) -> None:
    for number in range(6):
        write_deltalake(str(place), pa.table({"id": [number]}), mode="append")
    _with_checkpoint(place / "_delta_log", place)
    (place / "_delta_log" / f"{5:020}.checkpoint.parquet").unlink()
    for door in DOORS.values():
        with pytest.raises(TableDamaged, match="heckpoint"):
            door(tables, NAME)
