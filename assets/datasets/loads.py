"""Loads of rows of a database into a table: in full, from a cursor on, or by key.

A load is one commit, and where the next one begins is read from the rows of the table. So a load that is interrupted
leaves nothing, and one that is repeated writes the same rows. If the rows of the table are of another origin, such as
another query, all rows are loaded again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from assets.datasets.columns import described
from assets.datasets.streams import Arriving
from core.errors import WriteConflict
from lakehouse.commits import entries_backwards
from lakehouse.environment import params_digest
from lakehouse.evolution import filled
from lakehouse.merges import keyed
from lakehouse.provenance import stored_provenance
from lakehouse.schemas import Prepared, plain
from lakehouse.writes import quoted

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.datasets.remote import SqlSource
    from connectors.rows import Rows
    from lakehouse.commits import Commit
    from lakehouse.snapshot import Snapshot
    from lakehouse.step import Step


class Load:
    """A load into the table of a step.

    Args:
        step: the unit of work.
        source: the rows.
        descriptions: description by column name.
    """

    def __init__(self, step: Step, source: SqlSource, descriptions: Mapping[str, str]) -> None:
        self._step = step
        self._source = source
        self._descriptions = descriptions
        # Before the rows are read: a load that was faster has read newer rows, which this one must not replace.
        self._current = loaded(step)

    @cached_property
    def since(self) -> str:
        """Value of the cursor from which on the rows are read; empty for all rows."""
        import polars as pl

        cursor = self._source.cursor
        if cursor is None or self._current is None or cursor not in self._current.schema.names:
            return ""
        highest = self._current.scan().select(pl.col(cursor).max()).collect().item()
        return "" if highest is None else _text(_lowered(highest, self._source.overlap))

    def write(self, rows: Rows) -> Commit:
        """Writes the rows.

        Raises:
            SchemaMismatch: a column has another type than in the table, and the table can't be changed to it.
            WriteConflict: another run has changed the table since this load began.
        """
        arriving = Arriving(rows.schema, rows.batches())
        with arriving.written():
            return self._written(rows.schema, arriving.data())

    def _written(self, read: pa.Schema, found: Prepared) -> Commit:
        if self._source.mode == "full" or self._current is None:
            complete = keyed(self._step.asset, found, self._source.key) if self._source.key else found
            return self._step.overwrite(described(complete, self._descriptions), evolve_schema=True)
        version = self._current.version
        schema = self._step.evolve(described(read.empty_table(), self._descriptions).schema)
        evolved = self._step.tables.snapshot(self._step.asset)
        if evolved.version - version > int(evolved.schema != self._current.schema):
            raise WriteConflict(f"Another run has changed {self._step.asset} in the meantime. Run it again.")
        fitting = _fitting(found, schema)
        if self._source.mode == "by_key":
            return self._step.merge(
                fitting,
                self._source.key,
                delete_missing=self._source.deletes == "detect",
                if_version=evolved.version,
            )
        if not self.since:
            return self._step.overwrite(fitting, if_version=evolved.version)
        assert self._source.cursor
        where = f"{quoted(self._source.cursor)} >= {_literal(schema.field(self._source.cursor).type, self.since)}"
        return self._step.overwrite(fitting, where=where, if_version=evolved.version)


def loaded(step: Step) -> Snapshot | None:
    """Returns the table if its rows are of the same origin; `None` if all rows must be loaded.

    The parameters of the step are the origin. A table whose log no longer says that is taken as one of the same origin:
    the other system may no longer have its rows.
    """
    if not step.tables.exists(step.asset):
        return None
    snapshot = step.tables.snapshot(step.asset)
    for entry in entries_backwards(step.tables.storage, step.asset, snapshot.version):
        provenance = stored_provenance(entry)
        if provenance is not None and provenance.get("step") == step.step:
            return snapshot if provenance.get("params_digest") == params_digest(step.params) else None
    return snapshot


def _lowered(value: Any, overlap: int) -> Any:
    try:
        if isinstance(value, datetime):
            return value - timedelta(seconds=overlap)
        return value - timedelta(days=overlap) if isinstance(value, date) else value - overlap
    except OverflowError:
        return value.min


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _literal(kind: pa.DataType, text: str) -> str:
    """Returns a value as a literal of SQL."""
    import pyarrow as pa

    if pa.types.is_integer(kind):
        return text
    # The text of a time takes the type of the column. A number would be a text, too, so it gets its type.
    decimal = f"CAST('{text}' AS DECIMAL({kind.precision}, {kind.scale}))" if pa.types.is_decimal(kind) else ""
    return decimal or f"'{text}'"


def _fitting(rows: Prepared, schema: pa.Schema) -> Prepared:
    """Returns the rows with the columns and types of the table. A column that the rows lack is null."""
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return filled(plain(rows), schema)
    target = filled(rows.schema.empty_table(), schema).schema
    parts = (filled(pa.Table.from_batches([batch]), schema).to_batches() for batch in rows)
    return pa.RecordBatchReader.from_batches(target, (batch for part in parts for batch in part))
