"""Rows as an answer: JSON for people, an Arrow IPC stream for programs, from one Arrow table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from api.kernel.models import Model

if TYPE_CHECKING:
    import pyarrow as pa

R = TypeVar("R", bound=Model)

ARROW_STREAM = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class Rows(Generic[R]):
    """An Arrow table, how its rows become the JSON model, and headers that both forms carry."""

    table: pa.Table
    model: Callable[[list[dict[str, Any]]], R]
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_model(self) -> R:
        """The JSON form."""
        return self.model(self.table.to_pylist())

    def to_ipc(self) -> bytes:
        """The Arrow IPC stream form. One record batch at least, so that a reader always learns the schema."""
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        return bytes(sink.getvalue())
