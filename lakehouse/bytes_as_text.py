"""Bytes as text, for JSON and terminals."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = "utf-8"
BASE64 = "base64url"


def bytes_as_text(rows: pa.Table) -> pa.Table:
    """Returns the rows with each column of bytes as text, followed by a column with the encoding of each value.

    A valid UTF-8 value is decoded (`utf-8`). Other values are base64 in the URL-safe alphabet (`base64url`). The name
    of the added column is `<name>_encoding`, with leading underscores if such a column exists.
    """
    import pyarrow as pa

    taken = {name.lower() for name in rows.column_names}
    names, columns = list[str](), list[pa.ChunkedArray]()
    for field, column in zip(rows.schema, rows.columns, strict=True):
        names.append(field.name)
        if not _is_bytes(field.type):
            columns.append(column)
            continue
        encoded = [_encoded(value) for value in column.to_pylist()]
        columns.append(pa.chunked_array([pa.array([text for text, _ in encoded], pa.string())]))
        encoding_name = f"{field.name}_encoding"
        while encoding_name.lower() in taken:
            encoding_name = f"_{encoding_name}"
        taken.add(encoding_name.lower())
        names.append(encoding_name)
        columns.append(pa.chunked_array([pa.array([encoding for _, encoding in encoded], pa.string())]))
    return rows if names == rows.column_names else pa.table(columns, names=names)


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return any(
        test(kind)
        for test in (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    )


def _encoded(value: bytes | None) -> tuple[str | None, str | None]:
    if value is None:
        return None, None
    try:
        return value.decode(), TEXT
    except UnicodeDecodeError:
        return base64.urlsafe_b64encode(value).decode(), BASE64
