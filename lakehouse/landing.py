"""Ingestion of landing files. Each content becomes rows exactly once.

The digest of a file's content is the key of its appends. A file that lands twice, or whose ingestion is interrupted and
repeated, adds its rows once. Lines that don't match the declared columns go to the quarantine of the table, with the
reason, the line number, and the raw bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from core import clock
from lakehouse.comparison import Comparison
from lakehouse.evolution import filled
from lakehouse.files.options import FileOptions
from lakehouse.files.reading import read_rows
from lakehouse.landing_files import LandingFile, input_of
from lakehouse.landing_record import Landed, LandingRecord
from lakehouse.landing_tables import landed_schema, quarantine_schema, quarantined, with_origin
from lakehouse.step import Step

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.commits import Commit
    from lakehouse.files.rows import Column


LANDED_ROWS = Comparison(appends=True, varying=("_landed_at",))
"""A version of a landing table or quarantine adds the rows of one file. Only the time of the ingestion differs."""


def quarantine_table(table: str) -> str:
    """Returns the name of the quarantine of a landing table."""
    return f"{table}_quarantine"


class Landing:
    """The ingestion of files into one table and its quarantine."""

    def __init__(
        self,
        table: str,
        columns: Sequence[Column],
        record: LandingRecord | None,
        open_step: Callable[[str], Step],
        *,
        options: FileOptions | None = None,
        descriptions: Mapping[str, str] | None = None,
    ) -> None:
        """Configures the ingestion.

        Args:
            table: id of the table.
            columns: declared columns.
            record: record of ingested files; `None` for a table of a branch.
            open_step: creates the step that writes the given table. It's called once for each commit.
            options: format options of the files.
            descriptions: column descriptions, stored as Delta column comments.
        """
        self.table = table
        self._columns = columns
        self._record = record
        self._open_step = open_step
        self._options = options or FileOptions()
        self._schema = landed_schema(columns, descriptions or {})
        self._table_schemas: dict[str, pa.Schema] = {}

    def prepare(self) -> None:
        """Creates both tables if they're missing; otherwise, adds columns that were declared since then.

        Raises:
            SchemaMismatch: a column can't be changed as declared. The message says why and what to do.
        """
        for table, schema in ((self.table, self._schema), (quarantine_table(self.table), quarantine_schema())):
            step = self._open_step(table)
            if step.tables.exists(table):
                self._table_schemas[table] = step.evolve(schema)
            else:
                step.append(schema.empty_table(), once="prepare")

    def ingest(self, file: LandingFile) -> Landed | None:
        """Ingests one file. Returns `None` if the file changed while it was read. Idempotent for each content.

        Raises:
            StorageFull, WriteConflict, Unavailable: the file isn't recorded as ingested. Repeat the call later.
            PermissionDenied, PayloadTooLarge: the file can't be read.
        """
        content = file.content()
        if content is None:
            return None
        checksum, name, at = hashlib.sha256(content).hexdigest(), file.display_name, clock.now()
        parsed = read_rows(content, name, self._columns, self._options)
        data = self._open_step(self.table)
        if parsed.rows.height:
            rows = with_origin(parsed.rows, name, checksum, at).to_arrow().cast(self._schema)
            _append(data, self._with_table_schema(self.table, rows), name, checksum)
        if parsed.rejected:
            rejected = quarantined(parsed.rejected, name, checksum, at)
            quarantine = quarantine_table(self.table)
            _append(self._open_step(quarantine), self._with_table_schema(quarantine, rejected), name, checksum)
        landed = Landed(name, checksum, len(content), parsed.rows.height, len(parsed.rejected), data.run, at)
        if self._record is not None:
            self._record.record(self.table, landed)
        return landed

    def _with_table_schema(self, table: str, rows: pa.Table) -> pa.Table:
        """Returns the rows with the schema of the table, which may have additional columns or wider types."""
        return filled(rows, self._table_schemas[table]) if table in self._table_schemas else rows


def _append(step: Step, rows: pa.Table, name: str, checksum: str) -> Commit:
    step.use(input_of(name), f"sha256:{checksum}")
    return step.append(rows, once=f"file:{checksum}")
