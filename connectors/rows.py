"""Rows of another system, read in a separate process, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from connectors.connector import Config, Connector, Selection
from connectors.egress import Egress
from connectors.reading import Reader

if TYPE_CHECKING:
    import pyarrow as pa


class Rows(Reader):
    """Rows as another system has them at one moment."""

    schema: pa.Schema
    types: dict[str, str]
    """Type of each column, as the other system writes it."""
    version: str
    """Position of the other system at that moment."""

    def __init__(self, connector: Connector, config: Config, egress: Egress, selection: Selection) -> None:
        super().__init__(connector, config, egress, {"do": "read", "selection": asdict(selection)})

    def _begin(self) -> None:
        described = self._line()
        self.version, self.types = described["version"], described["types"]
        self.schema = self._table(self._line()["bytes"]).schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the rows once. Raises as `__enter__`."""
        while "bytes" in (line := self._line()):
            yield from self._table(line["bytes"]).to_batches()

    def _table(self, size: int) -> pa.Table:
        import pyarrow as pa

        return pa.ipc.open_stream(self._bytes(size)).read_all()
