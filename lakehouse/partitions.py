"""Partition values. The Delta log contains them as text, so not every value is possible."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from core.errors import SchemaMismatch

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.schemas import Prepared

_MAX_FOLDER_BYTES = 255
"""Maximum length of a folder name in file systems. The folder name of a partition contains the escaped value."""

_UNFIT = re.compile(r"[:\x00-\x1f\x7f]|^\s|\s$")

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""Text of a null in paths of data files."""


def require_partitionable(data: Prepared, columns: Sequence[str], table: str) -> Prepared:
    """Checks that readers get the same partition values as were written. Returns the data; streams are checked lazily.

    Args:
        data: rows.
        columns: columns to partition by.
        table: table id.

    Raises:
        SchemaMismatch: a column's type has no text form in the log, or the text of a value has another meaning. For
            example, an empty text is a null in Delta.
    """
    import pyarrow as pa

    names = [name for name in columns if name in data.schema.names]
    for name in names:
        if _UNFIT.search(name):
            raise SchemaMismatch(
                f"{table} can't be partitioned by {name!r}: it becomes a folder name, which can't contain colons, "
                "line ends, tabs, or white space at its ends. Rename the column.",
                errors=[{"pointer": f"/{name}", "detail": "the name can't be a folder name"}],
                metadata={"table": table, "columns": [name]},
            )
        if not _has_text(data.schema.field(name).type):
            raise _refused(table, name, f"the type is {data.schema.field(name).type}")
    if not names:
        return data
    if isinstance(data, pa.Table):
        _check(data, names, table)
        return data

    def checked_batches() -> Iterator[pa.RecordBatch]:
        for batch in data:
            _check(batch, names, table)
            yield batch

    return pa.RecordBatchReader.from_batches(data.schema, checked_batches())


def _has_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return not (types.is_nested(kind) or _is_bytes(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )


def _check(data: pa.Table | pa.RecordBatch, names: Sequence[str], table: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in names:
        column, kind = data.column(name), data.schema.field(name).type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            texts = column.cast(pa.large_string())
            if pc.any(pc.is_in(texts, pa.array(["", NULL_PARTITION], pa.large_string()))).as_py():
                raise _refused(table, name, f"a value is empty or {NULL_PARTITION}, which Delta reads as null")
            _check_length(texts, name, table)
        elif pa.types.is_decimal(kind) and _negative_fractions(column):
            raise _refused(table, name, "a negative decimal has a fraction, which Delta writers store wrongly")


def _negative_fractions(column: pa.ChunkedArray | pa.Array) -> bool:
    """Returns whether a decimal is negative and has a fraction. delta-rs writes -2.50 as `-2.-50`."""
    import pyarrow.compute as pc

    return bool(pc.any(pc.and_(pc.less(column, 0), pc.not_equal(pc.trunc(column), column))).as_py())


def _check_length(texts: pa.ChunkedArray | pa.Array, name: str, table: str) -> None:
    import pyarrow.compute as pc

    max_length = _MAX_FOLDER_BYTES - len(quote(name, safe="")) - 1
    if (pc.max(pc.binary_length(texts)).as_py() or 0) * 3 <= max_length:  # escaping makes a byte three characters long
        return
    for text in pc.unique(texts).to_pylist():
        if text is not None and len(quote(text, safe="")) > max_length:
            raise _refused(table, name, f"a value of {len(text)} characters is too long for a folder name")


def _refused(table: str, name: str, reason: str) -> SchemaMismatch:
    return SchemaMismatch(
        f"{table} can't be partitioned by these values of {name}: {reason}. Partition by another column, or change the "
        "values.",
        errors=[{"pointer": f"/{name}", "detail": reason}],
        metadata={"table": table, "columns": [name]},
    )
