"""Columns of landing tables and quarantines, and the rows of landing files with their origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakehouse.files.rows import Column, Rejected

_ARROW_TYPES = {"float64": "double", "date": "date32"}


def declared_schema(columns: Sequence[Column], descriptions: Mapping[str, str]) -> pa.Schema:
    """Returns the schema of declared columns, with their descriptions as Delta column comments."""
    import pyarrow as pa

    return pa.schema(
        pa.field(column.name, _arrow_type(column.type), metadata=_comment(descriptions.get(column.name)))
        for column in columns
    )


def landed_schema(columns: Sequence[Column], descriptions: Mapping[str, str]) -> pa.Schema:
    """Returns the schema of a landing table.

    Args:
        columns: declared columns. All are nullable, because rows from before a declaration have no value.
        descriptions: column descriptions, stored as Delta column comments.
    """
    import pyarrow as pa

    line = pa.field("_line", pa.int64(), metadata=_comment("Line of the file on which the row begins."))
    return pa.schema([*declared_schema(columns, descriptions), line, *_origin_fields()])


def quarantine_schema() -> pa.Schema:
    """Returns the schema of quarantines."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("line", pa.int64(), metadata=_comment("Line of the file, counted from 1.")),
            pa.field("reason", pa.string(), metadata=_comment("Reason why the line was rejected.")),
            pa.field("raw", pa.string(), metadata=_comment("Text of the line. Undecodable bytes are \\x escapes.")),
            pa.field("raw_bytes", pa.binary(), metadata=_comment("Exact bytes, if they aren't `raw` in UTF-8.")),
            *_origin_fields(),
        ]
    )


def _origin_fields() -> list[pa.Field]:
    import pyarrow as pa

    return [
        pa.field("_file", pa.string(), metadata=_comment("Name of the file.")),
        pa.field("_sha256", pa.string(), metadata=_comment("SHA-256 digest of the file.")),
        pa.field("_landed_at", pa.timestamp("us", "UTC"), metadata=_comment("When the file was ingested.")),
    ]


def with_origin(rows: pl.DataFrame, name: str, checksum: str, at: datetime) -> pl.DataFrame:
    """Returns the rows of a file with its name, its digest, and the time of ingestion."""
    import polars as pl

    landed_at = pl.lit(at, pl.Datetime("us", "UTC"))
    return rows.with_columns(
        pl.lit(name).alias("_file"), pl.lit(checksum).alias("_sha256"), landed_at.alias("_landed_at")
    )


def quarantined(rejected: Sequence[Rejected], name: str, checksum: str, at: datetime) -> pa.Table:
    """Returns rejected lines as rows of the quarantine."""
    import pyarrow as pa

    rows = []
    for item in rejected:
        text = item.raw.decode(item.encoding, errors="backslashreplace")
        exact = text.encode() == item.raw
        rows.append(
            {
                "line": item.line,
                "reason": item.reason,
                "raw": text,
                "raw_bytes": None if exact else item.raw,
                "_file": name,
                "_sha256": checksum,
                "_landed_at": at,
            }
        )
    return pa.Table.from_pylist(rows, schema=quarantine_schema())


def _arrow_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us", "UTC") if kind == "timestamp" else pa.type_for_alias(_ARROW_TYPES.get(kind, kind))


def _comment(text: str | None) -> dict[str, str] | None:
    return {"comment": text} if text else None
