"""Rows as a response, from one Arrow table: JSON for people, or Arrow IPC or Parquet for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from api.kernel.models import Model

if TYPE_CHECKING:
    import pyarrow as pa

R = TypeVar("R", bound=Model)

ARROW_STREAM = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True)
class Rows(Generic[R]):
    """An Arrow table, a function that returns its JSON model, and headers of all forms."""

    table: pa.Table
    model: Callable[[], R]
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_model(self) -> R:
        """Returns the JSON form."""
        return self.model()

    def to_ipc(self) -> bytes:
        """Returns the Arrow IPC stream form. It has a record batch even without rows, so readers get the schema."""
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        return bytes(sink.getvalue())

    def to_parquet(self) -> bytes:
        """Returns the Parquet form.

        Raises:
            InvalidArgument: Parquet has no type for a column.
        """
        from lakehouse.parquet import parquet

        return b"".join(parquet(self.table.to_reader()))
