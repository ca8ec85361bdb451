"""Values and types that real data has.

The kinds: a value is written and then cannot be read, or is read as another by one of the doors; a type is taken that
no reader gives back, or ends in a panic of a library. Whatever is written is read back alike by every door, or is
refused by name before anything is committed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidPayload, SchemaMismatch
from lakehouse.python_rows import python_rows
from lakehouse.query import Query
from lakehouse.tables import Tables
from tests.databases import with_tables
from tests.foreign_tables.doors import DIFF, DOORS, texts_of

NAME = "shop.silver.orders"
TEXTS = [
    "R&D",
    "a b",
    "Zürich",
    "12:30",
    "a/b",
    "50%",
    "%20",
    "it's",
    'say "x"',
    "a\nb",
    "a=b",
    "a\\b",
    "日本",
    "#?",
    "+",
]
TEXTS += [
    "😀",
    "..",
    ".",
    "null",
    " ",
    "\x7f",
    "{x}",
    "*",
    "2024-01-01",
    "true",
    "/",
    "%2F",
    "p=%25",
    "z" * 40,
    "\U0010ffff" * 40,
]
NULL = st.none()


def _values(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(NULL, *strategies)


COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), _values(st.sampled_from(["", *TEXTS]), st.text(max_size=40))),
    "number": (pa.int64(), _values(st.sampled_from([0, -1, 2**63 - 1, -(2**63), 2**53 + 1]), st.integers(-9, 9))),
    "small": (pa.int8(), _values(st.integers(-128, 127))),
    "real": (
        pa.float64(),
        _values(st.sampled_from([float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 5e-324, 1e16]), st.floats()),
    ),
    "single": (pa.float32(), _values(st.floats(width=32))),
    "flag": (pa.bool_(), _values(st.booleans())),
    "day": (pa.date32(), _values(st.dates(), st.integers(-2_000_000, 4_000_000))),
    "instant": (
        pa.timestamp("us", "UTC"),
        _values(
            st.datetimes(timezones=st.just(UTC)),
            st.integers(-(10**17), 3 * 10**17),
            st.sampled_from([253402300800000000, -62135596800000001]),
        ),
    ),
    "local": (pa.timestamp("us"), _values(st.datetimes())),
    "price": (pa.decimal128(38, 2), _values(st.decimals(-(10**35), 10**35, places=2))),
    "bytes": (pa.binary(), _values(st.binary(max_size=8))),
    "list": (pa.list_(pa.string()), _values(st.lists(st.one_of(NULL, st.text(max_size=3)), max_size=3))),
    "record": (
        pa.struct([("a b", pa.int32()), ("list", pa.list_(pa.date32()))]),
        _values(
            st.fixed_dictionaries(
                {"a b": _values(st.integers(0, 9)), "list": _values(st.lists(st.dates(), max_size=2))}
            )
        ),
    ),
}
PARTITIONS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), st.one_of(NULL, st.sampled_from(TEXTS[:-1]))),
    "number": (pa.int64(), st.one_of(NULL, st.sampled_from([0, -1, 2**63 - 1, -(2**63)]))),
    "real": (pa.float64(), st.one_of(NULL, st.sampled_from([1.5, float("nan"), float("inf"), -0.0]))),
    "flag": (pa.bool_(), st.one_of(NULL, st.booleans())),
    "day": (pa.date32(), st.one_of(NULL, st.sampled_from([date(1, 1, 1), date(9999, 12, 31), 2932897, -719530]))),
    "instant": (
        pa.timestamp("us", "UTC"),
        st.one_of(NULL, st.sampled_from([datetime(2024, 2, 29, 12, 30, 0, 123456, UTC), 0, 253402300800000000, -1])),
    ),
    "price": (pa.decimal128(10, 2), st.one_of(NULL, st.sampled_from([Decimal("1.50"), Decimal("-1.00")]))),
}


@st.composite
def tables_of_rows(draw: st.DrawFn) -> tuple[pa.Table, list[str]]:
    """Rows with a key, and the columns to partition them by."""
    count = draw(st.integers(1, 6))
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=5, unique=True))
    columns = {name: _column(draw, COLUMNS[name], count) for name in names}
    parts = draw(st.lists(st.sampled_from(sorted(PARTITIONS)), max_size=2, unique=True))
    columns |= {f"p {name}": _column(draw, PARTITIONS[name], count) for name in parts}
    return pa.table({"id": pa.array(range(count), pa.int64())} | columns), [f"p {name}" for name in parts]


def _column(draw: st.DrawFn, kind: tuple[pa.DataType, st.SearchStrategy[Any]], count: int) -> pa.Array:
    arrow, strategy = kind
    values = draw(st.lists(strategy, min_size=count, max_size=count))
    if pa.types.is_temporal(arrow):  # Python's own dates and plain numbers of the same unit
        number = pa.int32() if pa.types.is_date32(arrow) else pa.int64()
        single = [pa.scalar(v, number).cast(arrow) if isinstance(v, int) else pa.scalar(v, arrow) for v in values]
        return pa.array(single, arrow)
    return pa.array(values, arrow)


@contextmanager
def lakehouse() -> Iterator[Tables]:
    with tempfile.TemporaryDirectory() as folder:
        database = with_tables(f"sqlite:///{Path(folder, 'metadata.db')}")
        try:
            yield Tables(f"{folder}/lakehouse", database)
        finally:
            database.close()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=tables_of_rows(), by_headwater=st.booleans(), halves=st.booleans())
def test_every_door_gives_back_what_was_written(
    made: tuple[pa.Table, list[str]], by_headwater: bool, halves: bool
) -> None:
    rows, parts = made
    pieces = [rows.slice(0, 1), rows.slice(1)] if halves and rows.num_rows > 1 else [rows]
    with lakehouse() as tables:
        tables.create(NAME, rows.schema, partition_by=parts)
        for piece in pieces:
            if by_headwater:
                tables.append(NAME, piece)
            else:
                write_deltalake(tables.uri(NAME), piece, mode="append")
        for name, door in DOORS.items():
            found = texts_of(door(tables, NAME), rows.schema, "id")
            expected = texts_of(rows, rows.schema, "id")
            if name == DIFF:  # a zero of either sign is the same row
                found, expected = ([row.replace("'-0.0'", "'0.0'") for row in form] for form in (found, expected))
            assert (name, found) == (name, expected)
        for column in rows.column_names:
            nulls = [key for key, value in zip(rows["id"].to_pylist(), rows[column], strict=True) if not value.is_valid]
            found = Query(tables).sql(f'SELECT id FROM {NAME} WHERE "{column}" IS NULL ORDER BY id').table
            assert found["id"].to_pylist() == nulls
            null_rows = tables.snapshot(NAME).scan().filter(pl.col(column).is_null()).select("id").collect()
            assert sorted(null_rows["id"]) == nulls
        assert tables.snapshot(NAME).row_count == rows.num_rows
        assert len(python_rows(tables.snapshot(NAME).to_arrow())) == rows.num_rows


def _extension(kind: pa.BaseExtensionType, storage: pa.Array) -> pa.Array:
    return pa.ExtensionArray.from_storage(kind, storage)


STORED: dict[str, tuple[pa.Array, pa.DataType]] = {
    "fixed-size list": (pa.array([[1, 2], None], pa.list_(pa.int64(), 2)), pa.list_(pa.int64())),
    "fixed-size list of unsigned": (pa.array([[1, 65535], None], pa.list_(pa.uint16(), 2)), pa.list_(pa.int32())),
    "categories": (pa.array(["a", None]).dictionary_encode(), pa.string()),
    "categories in a list": (
        pa.ListArray.from_arrays([0, 1, 2], pa.array(["a", "b"]).dictionary_encode()),
        pa.list_(pa.string()),
    ),
    "Polars enum": (pl.Series(["a", None], dtype=pl.Enum(["a", "b"])).to_arrow(), pa.string()),
    "Polars categorical": (pl.Series(["a", None], dtype=pl.Categorical).to_arrow(), pa.string()),
    "map of unsigned": (
        pa.array([[("k", 65535)], []], pa.map_(pa.string(), pa.uint16())),
        pa.map_(pa.string(), pa.int32()),
    ),
    "map by unsigned": (pa.array([[(255, 1)], []], pa.map_(pa.uint8(), pa.int16())), pa.map_(pa.int16(), pa.int16())),
    "unsigned": (pa.array([2**32 - 1, None], pa.uint32()), pa.int64()),
    "64-bit unsigned that fits": (pa.array([2**63 - 1, None], pa.uint64()), pa.int64()),
    "nanoseconds without a rest": (pa.array([1000, None], pa.timestamp("ns")), pa.timestamp("us")),
    "seconds of Berlin": (pa.array([1, None], pa.timestamp("s", "Europe/Berlin")), pa.timestamp("us", "UTC")),
    "half floats": (pa.array([1.5, None], pa.float16()), pa.float32()),
    "text views": (pa.array(["a", None], pa.string_view()), pa.string()),
    "large bytes": (pa.array([b"a", None], pa.large_binary()), pa.binary()),
    "fixed-size bytes": (pa.array([b"ab", None], pa.binary(2)), pa.binary()),
    "large list of views": (pa.array([["a"], None], pa.large_list(pa.string_view())), pa.list_(pa.string())),
    "wide decimal that fits": (pa.array([Decimal("1.25"), None], pa.decimal256(38, 2)), pa.decimal128(38, 2)),
    "narrow decimal": (pa.array([Decimal("1.25"), None], pa.decimal32(5, 2)), pa.decimal128(5, 2)),
    "decimal of hundreds": (pa.array([Decimal(100), None], pa.decimal128(5, -2)), pa.decimal128(7, 0)),
    "days in milliseconds": (pa.array([86_400_000, None], pa.date64()), pa.date32()),
    "JSON texts": (pa.array(["{}", None], pa.json_()), pa.string()),
    "UUIDs": (pa.array([b"a" * 16, None], pa.uuid()), pa.binary()),
    "8-bit flags": (_extension(pa.bool8(), pa.array([1, 0], pa.int8())), pa.bool_()),
    "year 10000": (pa.array([2932897, None], pa.date32()), pa.date32()),
    "year 0": (pa.array([-719528, None], pa.date32()), pa.date32()),
    "year -1": (pa.array([-62198755200000000, None], pa.timestamp("us", "UTC")), pa.timestamp("us", "UTC")),
    "empty lists and maps": (pa.array([[], None], pa.list_(pa.list_(pa.int64()))), pa.list_(pa.list_(pa.int64()))),
}
REFUSED: dict[str, tuple[pa.Array, str]] = {
    "64-bit unsigned": (pa.array([1, 2**63], pa.uint64()), "too large"),
    "nanoseconds": (pa.array([1], pa.timestamp("ns")), "too precise"),
    "seconds beyond microseconds": (pa.array([2**62], pa.timestamp("s")), "too large"),
    "milliseconds within a day": (pa.array([86_400_005], pa.date64()), "too precise"),
    "dates without end": (pa.array([2**31 - 1], pa.date32()), "too far"),
    "instants without end": (pa.array([2**63 - 1], pa.timestamp("us", "UTC")), "too far"),
    "dates without end in a list": (
        pa.array([[None], [2**31 - 1]], pa.list_(pa.int32())).view(pa.list_(pa.date32())),
        "too far",
    ),
    "time of day": (pa.array([1], pa.time64("us")), "times of day"),
    "duration": (pa.array([1], pa.duration("us")), "durations"),
    "interval": (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "intervals"),
    "nothing": (pa.nulls(1), "a type"),
    "lists of nothing": (pa.array([[None]], pa.list_(pa.null())), "a type"),
    "wide decimal": (pa.array([Decimal(1)], pa.decimal256(60, 2)), "38 digits"),
    "list view": (pa.array([[1]], pa.list_view(pa.int64())), "list views"),
    "run-end encoded": (pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array(["a"])), "run-end"),
    "union": (pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]), "unions"),
    "tensor": (
        _extension(pa.fixed_shape_tensor(pa.int32(), [2]), pa.array([[1, 2]], pa.list_(pa.int32(), 2))),
        "fixed_shape_tensor",
    ),
    "struct of nothing": (pa.array([{}], pa.struct([])), "at least one field"),
    "struct with a name twice": (
        pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "A"]),
        "occurs twice",
    ),
    "struct with an empty name": (pa.StructArray.from_arrays([pa.array([1])], [""]), "empty"),
    "struct with a zero in a name": (pa.StructArray.from_arrays([pa.array([1])], ["a\0b"]), "control character"),
}


@pytest.mark.parametrize(("column", "kind"), STORED.values(), ids=STORED)
def test_a_type_that_delta_lacks_is_stored_without_loss(tables: Tables, column: pa.Array, kind: pa.DataType) -> None:
    rows = pa.table({"id": list(range(len(column))), "x": column})
    tables.create(NAME, pa.schema([("id", pa.int64()), ("x", kind)]))
    tables.append(NAME, rows)
    tables.append(NAME, pa.table({"id": [7, 8][: len(column)], "x": column}))
    tables.delete(NAME, "id > 6")
    plain = column.storage if isinstance(column, pa.ExtensionArray) and kind != pa.bool_() else column
    expected = pa.table({"id": rows["id"], "x": pa.chunked_array([plain.cast(kind)])})
    for name, door in DOORS.items():
        assert (name, texts_of(door(tables, NAME), expected.schema, "id")) == (
            name,
            texts_of(expected, expected.schema, "id"),
        )
    assert len(python_rows(tables.snapshot(NAME).to_arrow())) == rows.num_rows


@pytest.mark.parametrize("streamed", [False, True], ids=["table", "stream"])
@pytest.mark.parametrize(("column", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_stored_is_refused_before_anything_is_made(
    tables: Tables, column: pa.Array, words: str, streamed: bool
) -> None:
    def data() -> pa.Table | pa.RecordBatchReader:
        rows = pa.table({"x": column})
        return rows.to_reader() if streamed else rows

    with pytest.raises(SchemaMismatch, match=words) as refusal:
        tables.append(NAME, data())
    assert "x" in refusal.value.detail
    assert not tables.exists(NAME)
    tables.append(NAME, pa.table({"y": [1]}))
    with pytest.raises(SchemaMismatch, match=words):
        tables.append(NAME, data(), evolve_schema=True)
    assert tables.snapshot(NAME).version == 0
    with pytest.raises(SchemaMismatch):
        tables.add_columns(NAME, [pa.field("z", column.type)]) if words in _BY_TYPE else tables.overwrite(
            NAME, data(), evolve_schema=True
        )
    assert tables.snapshot(NAME).to_arrow().to_pylist() == [{"y": 1}]


_BY_TYPE = {"times of day", "durations", "intervals", "a type", "38 digits", "list views", "run-end", "unions"}


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pa.array([""]), "empty"),
        (pa.array(["__HIVE_DEFAULT_PARTITION__"]), "reads as null"),
        (pa.array(["\U0010ffff" * 30]), "too long"),
        (pa.array([b"x"]), "type is binary"),
        (pa.array([[1]]), "type is list"),
        (pa.array([Decimal("-0.01")], pa.decimal128(10, 2)), "negative decimal"),
    ],
)
def test_partition_values_that_delta_reads_as_others_are_refused(tables: Tables, column: pa.Array, words: str) -> None:
    """The kind: a partition value is kept as text, and its text stands for another value."""
    rows = pa.table({"id": [1], "p": column})
    for data in (rows, rows.to_reader()):
        with pytest.raises(SchemaMismatch, match=words):
            tables.overwrite(NAME, data, partition_by=["p"])
    assert not tables.exists(NAME)


def test_columns_that_differ_by_case_are_never_added(tables: Tables) -> None:
    tables.append(NAME, pa.table({"id": [1]}))
    with pytest.raises(SchemaMismatch, match="differs only by case"):
        tables.append(NAME, pa.table({"id": [1], "ID": [2]}).drop(["id"]), evolve_schema=True)


KEYS: dict[str, tuple[pa.Array, pa.Array]] = {
    "null": (pa.array([1, None]), pa.array([None, 2])),
    "NaN": (pa.array([1.0, float("nan")]), pa.array([float("nan"), 2.0])),
    "zeros of both signs": (pa.array([1.0, 0.0]), pa.array([-0.0, 2.0])),
    "text": (pa.array(["a", ""]), pa.array(["", None])),
}


@pytest.mark.parametrize(("existing", "brought"), KEYS.values(), ids=KEYS)
def test_a_merge_done_twice_leaves_the_same_rows(tables: Tables, existing: pa.Array, brought: pa.Array) -> None:
    """The kind: a key that does not equal itself is inserted again with every merge."""
    rest = pa.array(["k"] * 2)
    tables.append(NAME, pa.table({"k": existing, "second": rest, "v": [1, 2]}))
    data = pa.table({"k": brought, "second": rest, "v": [20, 30]})
    for given_data in (data, data, data.to_reader(), pl.DataFrame(data).lazy()):
        tables.merge(NAME, given_data, ["k", "second"])
        rows = tables.snapshot(NAME).to_arrow()
        assert sorted(rows["v"].to_pylist()) == [1, 20, 30]


@pytest.mark.parametrize("key", [1, None, float("nan"), "x", 0.0])
@pytest.mark.parametrize("exists", [False, True], ids=["new table", "table"])
def test_a_merge_needs_each_key_once(tables: Tables, key: object, exists: bool) -> None:
    """The kind: of several rows with one key, one wins by chance, or all are inserted."""
    twin = -0.0 if key == 0.0 and isinstance(key, float) else key
    data = (
        pa.table({"k": pa.array([key, twin]), "v": [1, 2]})
        if key is not None
        else pa.table({"k": pa.nulls(2, pa.int64()), "v": [1, 2]})
    )
    if exists:
        tables.append(NAME, data.slice(0, 0))
    for given_data in (data, data.to_reader()):
        with pytest.raises(InvalidPayload, match="same key"):
            tables.merge(NAME, given_data, ["k"])
    assert tables.exists(NAME) == exists
