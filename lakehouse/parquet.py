"""Rows as one Parquet file, made while it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.errors import InvalidArgument
from core.sink import Sink

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 100_000
"""Number of rows after which a row group is written, so that memory use does not depend on the number of rows."""


def parquet(rows: pa.RecordBatchReader) -> Iterator[bytes]:
    """Yields a Parquet file of rows. It has the schema also without rows.

    Raises:
        InvalidArgument: Parquet has no type for a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = Sink()
    try:
        writer = pq.ParquetWriter(pa.PythonFile(sink, mode="w"), rows.schema, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise InvalidArgument(
            f"These columns can't be written as Parquet: {error}. Cast the column, or accept JSON or Arrow IPC."
        ) from None
    with writer:
        pending: list[pa.RecordBatch] = []
        count = 0
        for batch in rows:
            pending.append(batch)
            count += batch.num_rows
            if count >= GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(pending, rows.schema))
                pending, count = [], 0
                yield sink.taken()
        if pending:
            writer.write_table(pa.Table.from_batches(pending, rows.schema))
    yield sink.taken()
