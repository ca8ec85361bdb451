"""Parquet files. Ideas from parquet-testing."""

# One case a line, with the characters that it is about.
# ruff: noqa: E501

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.file_corpus.case import Case

AB = "a:int64 b:string"


def written(table: pa.Table, **options: Any) -> bytes:
    """The bytes of a table as a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def parquet(name: str, content: bytes, *arguments: Any, **options: Any) -> Case:
    return Case(f"Parquet: {name}", content, *arguments, file="f.parquet", **options)


def one(name: str, kind: pa.DataType, values: list[Any], expected: list[Any], types: str, **options: Any) -> Case:
    """One column `v`."""
    content = written(pa.table({"v": pa.array(values, kind)}), **options)
    return parquet(name, content, [(value,) for value in expected], types=types)


def refused(name: str, kind: pa.DataType, values: list[Any], says: str, **options: Any) -> Case:
    return parquet(name, written(pa.table({"v": pa.array(values, kind)}), **options), refused=says)


def encrypted() -> bytes:
    import base64

    from pyarrow.parquet import encryption

    class Plain(encryption.KmsClient):  # type: ignore[misc]
        def wrap_key(self, key: bytes, _name: str) -> bytes:
            return base64.b64encode(key)

        def unwrap_key(self, key: bytes, _name: str) -> bytes:
            return base64.b64decode(key)

    properties = encryption.CryptoFactory(lambda _config: Plain()).file_encryption_properties(
        encryption.KmsConnectionConfig(), encryption.EncryptionConfiguration(footer_key="k", column_keys={"k": ["v"]})
    )
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, pa.schema([("v", pa.int64())]), encryption_properties=properties) as writer:
        writer.write_table(pa.table({"v": [1]}))
    return buffer.getvalue()


SOUND = written(
    pa.table({"a": [1, 2], "b": ["x", None]}), compression="none", use_dictionary=False, write_page_checksum=True
)
CHANGED = SOUND.replace((1).to_bytes(8, "little") + (2).to_bytes(8, "little"), (9).to_bytes(8, "little") * 2, 1)
TWICE = written(pa.table([pa.array([1]), pa.array([2])], names=["v", "v"]))
FAR = 253_402_300_800_000_000  # microseconds to the year 10000

CASES = [
    parquet("a file", SOUND, [(1, "x"), (2, None)], types="int64 string"),
    parquet("a file with declared columns", SOUND, [(1, "x"), (2, None)], AB),
    parquet("columns in another order", written(pa.table({"b": ["x"], "a": [1]})), [(1, "x")], AB),
    parquet("a needed value", SOUND, [(1, "x")], "a:int64 b:string!", {2: "b is missing"}),
    parquet("an undeclared column", SOUND, [], "a:int64", {1: "undeclared columns b"}),
    parquet("a column that is missing", SOUND, [], "a:int64 b:string c:string", {1: "lacks c"}),
    parquet("a column of another type", SOUND, [], "a:string b:string", {1: "a is int64 in the file, not string"}),
    parquet("a wider type that does not fit", written(pa.table({"a": [2**40]})), [], "a:int32", {1: "column a"}),
    parquet("a narrower type", written(pa.table({"a": pa.array([7], pa.int8())})), [(7,)], "a:int64"),
    parquet("a local timestamp is no instant", written(pa.table({"t": pa.array([0], pa.timestamp("us"))})), [],
            "t:timestamp", {1: "not timestamp"}),
    parquet("no rows", written(pa.table({"v": pa.array([], pa.int64())})), [], types="int64"),
    parquet("no columns", written(pa.table({})), refused="no columns"),
    parquet("a column twice", TWICE, refused="several columns named v"),
    parquet("names that differ by case", written(pa.table({"v": [1], "V": [2]})), refused="twice"),
    parquet("a control character in a name", written(pa.table({"v\n": [1]})), refused="control character in the name"),
    parquet("zero bytes", b"", refused="empty"),
    parquet("magic bytes alone", b"PAR1", refused="can't be read as Parquet"),
    parquet("a CSV file", b"a,b\n1,x\n", refused="can't be read as Parquet"),
    parquet("cut at the end", SOUND[:-9], refused="can't be read as Parquet"),
    parquet("cut at the end, declared", SOUND[:-9], [], AB, {1: "can't be read as Parquet"}),
    parquet("a broken footer", SOUND[:-60] + b"\xff" * 52 + SOUND[-8:], refused="can't be read as Parquet"),
    parquet("a changed byte in a page", CHANGED, refused="can't be read as Parquet"),
    parquet("encrypted", encrypted(), refused="can't be read as Parquet"),
    one("a dictionary", pa.dictionary(pa.int8(), pa.string()), ["x", "y", "x"], ["x", "y", "x"], "string"),
    one("8 bits without a sign", pa.uint8(), [0, 255], [0, 255], "int16"),
    one("16 bits without a sign", pa.uint16(), [65535], [65535], "int32"),
    one("32 bits without a sign", pa.uint32(), [2**32 - 1], [2**32 - 1], "int64"),
    one("64 bits without a sign that fit", pa.uint64(), [2**63 - 1], [2**63 - 1], "int64"),
    refused("64 bits without a sign that do not fit", pa.uint64(), [2**63], "column v (uint64) can't be stored as int64"),
    one("half floats", pa.float16(), [0.5, None], [0.5, None], "float"),
    one("decimals", pa.decimal128(38, 10), [Decimal("1234567890123456789012345678.0123456789")],
        [Decimal("1234567890123456789012345678.0123456789")], "decimal128(38, 10)"),
    one("bytes", pa.binary(), [b"\x00\xff"], [b"\x00\xff"], "binary"),
    one("bytes of one length", pa.binary(2), [b"ab"], [b"ab"], "binary"),
    one("large texts", pa.large_string(), ["x"], ["x"], "string"),
    one("dates", pa.date32(), [date(1, 1, 1), date(9999, 12, 31)], [date(1, 1, 1), date(9999, 12, 31)], "date32[day]"),
    refused("a date in the year 0", pa.date32(), [-719_163], "a year outside of 1 to 9999"),
    refused("a date in the year 10000", pa.date32(), [2_932_897], "a year outside of 1 to 9999"),
    one("instants in ms", pa.timestamp("ms", "UTC"), [1], [datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)],
        "timestamp[us, tz=UTC]"),
    one("instants of another zone", pa.timestamp("us", "Europe/Berlin"), [0], [datetime(1970, 1, 1, tzinfo=UTC)],
        "timestamp[us, tz=UTC]"),
    one("instants in whole microseconds of ns", pa.timestamp("ns", "UTC"), [1000],
        [datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)], "timestamp[us, tz=UTC]"),
    refused("instants finer than microseconds", pa.timestamp("ns", "UTC"), [1001], "can't be stored as timestamp[us"),
    refused("an instant in the year 10000", pa.timestamp("us", "UTC"), [FAR], "a year outside of 1 to 9999"),
    one("local timestamps", pa.timestamp("us"), [0], [datetime(1970, 1, 1)], "timestamp[us]"),  # noqa: DTZ001
    one("INT96", pa.timestamp("ns"), [1_357_000_000_123_456_000], [datetime(2013, 1, 1, 0, 26, 40, 123456)],  # noqa: DTZ001
        "timestamp[us]", use_deprecated_int96_timestamps=True),
    refused("INT96 finer than microseconds", pa.timestamp("ns"), [1], "timestamps with nanoseconds",
            use_deprecated_int96_timestamps=True),
    one("lists", pa.list_(pa.int32()), [[1, None], [], None], [[1, None], [], None], "list<element: int32>"),
    one("lists of one length", pa.list_(pa.int64(), 2), [[1, 2]], [[1, 2]], "list<element: int64>"),
    one("structs", pa.struct([("x", pa.uint8()), ("y", pa.string())]), [{"x": 255, "y": "z"}], [{"x": 255, "y": "z"}],
        "struct<x: int16, y: string>"),
    one("maps", pa.map_(pa.string(), pa.int64()), [[("k", 1)]], [[("k", 1)]], "map<string, int64>"),
    refused("times of day", pa.time64("us"), [1], "Delta doesn't support"),
    refused("durations", pa.duration("us"), [1], "Delta doesn't support"),
    one("nothing but null", pa.null(), [None, None], [None, None], "string"),
    one("NaN and infinities", pa.float64(), [float("inf"), None, -0.0], [float("inf"), None, -0.0], "double"),
]  # fmt: skip
