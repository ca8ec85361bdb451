"""Tables that others wrote.

The kind: a table uses a Delta feature, or spells something, in a way that one reader knows and another does not, so
that the same table shows other rows, nulls, an exception of a library, or a wrong count, depending on the door. Every
table here meets every door: the rows that Apache Spark reads, or one refusal that names the feature.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.errors import TableDamaged, UnsupportedTable
from lakehouse.tables import Tables
from tests.foreign_tables.doors import DIFF, DOORS, Door, texts_of
from tests.foreign_tables.hand_written import NAME, column, hand_written
from tests.foreign_tables.make import FOLDER, TABLES
from tests.foreign_tables.refused import REFUSED_READS, REFUSED_WRITES
from tests.foreign_tables.unpack import unpack


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


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_data_file_that_is_none_is_damage_in_every_door(tables: Tables, place: Path, door: Door) -> None:
    hand_written(place)
    (place / "f.parquet").write_bytes(b"not a file of this kind")
    with pytest.raises(TableDamaged, match="Parquet"):
        door(tables, NAME)
