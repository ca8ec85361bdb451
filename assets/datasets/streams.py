"""Rows that arrive while they are written: a table if they are few, otherwise a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from core.errors import HeadwaterError
from lakehouse.schemas import Prepared

if TYPE_CHECKING:
    import pyarrow as pa

_MEMORY_BYTES = 256 << 20
"""Rows up to this size are compared with those of the table, so that the same rows stay the same version."""


class Arriving:
    """Rows that arrive.

    Args:
        schema: their columns.
        batches: the rows. An error that they raise reaches the caller of `write` as it is.
    """

    def __init__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        self._schema = schema
        self._batches = self._remembered(batches)
        self._error: HeadwaterError | None = None

    def data(self) -> Prepared:
        """Returns the rows as a table, or as a stream if they are too large for that."""
        import pyarrow as pa

        first, size = list[pa.RecordBatch](), 0
        for batch in self._batches:
            first.append(batch)
            size += batch.nbytes
            if size > _MEMORY_BYTES:
                return pa.RecordBatchReader.from_batches(self._schema, self._all(first))
        return pa.Table.from_batches(first, self._schema)

    @contextmanager
    def written(self) -> Iterator[None]:
        """Raises the error with which the rows ended instead of that of the writer, whose input they were."""
        try:
            yield
        except Exception as error:
            if self._error is None or self._error is error:
                raise
            raise self._error from error

    def _remembered(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except HeadwaterError as error:
            self._error = error
            raise

    def _all(self, first: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        while first:
            yield first.pop(0)
        yield from self._batches
