"""Rows as a response: JSON for people or an Arrow IPC stream for programs, from one Arrow table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from api.kernel.models import Model

if TYPE_CHECKING:
    import pyarrow as pa

R = TypeVar("R", bound=Model)

ARROW_STREAM = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class Rows(Generic[R]):
    """An Arrow table, a function that returns its JSON model, and headers of both forms."""

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
