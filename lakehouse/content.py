"""A digest of the content of rows, independent of their order and of their layout in memory or in files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.schemas import Prepared

if TYPE_CHECKING:
    import pyarrow as pa

MAX_BYTES = 500_000_000
"""Rows that need more memory have no digest, because sorting them would need as much memory again."""

_FORM = b"headwater rows 1"


def digest(rows: pa.Table) -> str | None:
    """Returns the BLAKE2b digest (40 hex digits) of rows and their schema, including column comments.

    The order of the rows doesn't count, duplicates do. Rows that can be distinguished have different digests, even if
    they compare as equal (0.0 and -0.0). Returns `None` for rows that are too large, or of types without an order.
    """
    import polars as pl

    if rows.nbytes > MAX_BYTES:
        return None
    try:
        frame = pl.from_arrow(rows)
        assert isinstance(frame, pl.DataFrame)
        if rows.num_columns and rows.num_rows:
            frame = frame.sort(frame.columns, nulls_last=False)
        columns = [series.rechunk().to_arrow() for series in frame]
    except (pl.exceptions.PolarsError, TypeError, ValueError, NotImplementedError):
        return None
    state = hashlib.blake2b(_FORM, digest_size=20)
    state.update(f"{rows.num_rows}\0".encode())
    for field in rows.schema:
        comment = (field.metadata or {}).get(b"comment", b"").decode()
        state.update(repr((field.name, str(field.type), field.nullable, comment)).encode())
    for column in columns:
        _update(state, column)
    return state.hexdigest()


def overwrite_digest(data: Prepared, partition_by: Sequence[str]) -> str | None:
    """Returns a digest of rows and of the columns to partition them by. `None` as for `digest`, and for a reader."""
    import pyarrow as pa

    if not isinstance(data, pa.Table):  # computing the digest would consume the reader
        return None
    rows = digest(data)
    return None if rows is None else "/".join((rows, *partition_by))


def _update(state: Any, array: pa.Array) -> None:
    """Adds the positions of the missing values to a digest, then the other values, each type in one form."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    state.update(f"{kind}:{len(array)}:{array.null_count}\0".encode())
    if array.null_count:
        state.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
        array = array.drop_null()
    if pa.types.is_null(kind) or not len(array):
        return
    if pa.types.is_dictionary(kind):
        _update(state, array.dictionary_decode())
    elif pa.types.is_struct(kind):
        for part in array.flatten():
            _update(state, part)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        state.update(pc.list_value_length(array).cast(pa.int64()).to_numpy().tobytes())
        _update(state, array.flatten())
    elif pa.types.is_map(kind):
        ends = array.offsets.to_numpy()
        state.update(np.diff(ends).astype(np.int64).tobytes())
        for part in (array.keys, array.items):
            _update(state, part.slice(ends[0], ends[-1] - ends[0]))
    elif pa.types.is_boolean(kind):
        state.update(array.cast(pa.uint8()).to_numpy().tobytes())
    elif kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()):
        binary = array.cast(pa.large_binary())
        state.update(pc.binary_length(binary).cast(pa.int64()).to_numpy().tobytes())
        _, offsets, data = binary.buffers()
        ends = np.frombuffer(offsets, dtype=np.int64)[binary.offset : binary.offset + len(binary) + 1]
        if data is not None:
            state.update(memoryview(data)[int(ends[0]) : int(ends[-1])])
    else:
        width = kind.bit_width // 8
        state.update(memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width])
