"""Inputs of the runs of a pipeline: a run and its retries read the same version of each table.

The versions are recorded when the first of these runs begins, and pinned, so that no vacuum removes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from core import clock
from core.db import METADATA, Database, UtcDateTime
from core.errors import UnknownTable
from lakehouse.branches import pinned
from lakehouse.pins import PIN, add_pin
from lakehouse.snapshot import Snapshot
from lakehouse.table_writes import TableWrites
from lakehouse.tables import Tables

PIPELINE_INPUT = sa.Table(
    "pipeline_input",
    METADATA,
    # Id of the first run, which its retries share.
    sa.Column("run", sa.String(64), primary_key=True),
    sa.Column("table_name", sa.String(200), primary_key=True),
    sa.Column("version", sa.String(128), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
)


def inputs_of(database: Database, run: str) -> dict[str, str]:
    """Returns the recorded data version by table of a run and its retries. `run` is the first of them."""
    rows = sa.select(PIPELINE_INPUT).where(PIPELINE_INPUT.c.run == run).order_by(PIPELINE_INPUT.c.table_name)
    with database.read() as connection:
        return {row.table_name: row.version for row in connection.execute(rows)}


def record(database: Database, run: str, versions: Mapping[str, str]) -> dict[str, str]:
    """Records data versions of tables that are not recorded yet, and pins them. Returns all that are recorded.

    Of two processes that record another version of a table, the first one counts.
    """
    with database.write() as connection:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        for table, version in versions.items():
            row = {"run": run, "table_name": table, "version": version, "at": clock.now()}
            added = connection.execute(dialect.insert(PIPELINE_INPUT).values(row).on_conflict_do_nothing())
            if added.rowcount:
                add_pin(connection, run, table, int(version.rpartition("@")[2]))
    return inputs_of(database, run)


def release(database: Database, before: datetime) -> int:
    """Deletes the records and pins of runs that began before a time. Returns the number of these runs."""
    expired = sa.select(PIPELINE_INPUT.c.run).group_by(PIPELINE_INPUT.c.run)
    with database.write() as connection:
        runs = list(connection.execute(expired.having(sa.func.max(PIPELINE_INPUT.c.at) < before)).scalars())
        for run in runs:
            connection.execute(PIN.delete().where(PIN.c.holder == run))
            connection.execute(PIPELINE_INPUT.delete().where(PIPELINE_INPUT.c.run == run))
    return len(runs)


class PipelineTables(Tables):
    """The tables of a lakehouse as a run of a pipeline sees them: reads return the recorded versions.

    Tables that the run itself produces are read at their newest version. Writes go to the lakehouse.
    """

    def __init__(self, main: Tables, database: Database, run: str) -> None:
        """Opens the tables.

        Args:
            main: the tables of the lakehouse.
            database: the metadata database.
            run: id of the first run, which its retries share.
        """
        TableWrites.__init__(self, main.storage, main._handles)
        self.ledger = main.ledger
        self.pins = main.pins
        self._main = main
        self._database = database
        self._run = run
        self._produced: frozenset[str] = frozenset()
        self._begun = False
        self._versions = inputs_of(database, run)

    @property
    def begun(self) -> bool:
        """Whether `begin` was called."""
        return self._begun

    def begin(self, produced: Collection[str], earlier: Mapping[str, str], read: Collection[str]) -> None:
        """Records the versions that the steps of this run read, unless an earlier run has recorded them.

        Args:
            produced: tables that this run produces.
            earlier: data version by table that earlier runs of the same pipeline run produced.
            read: tables that the steps read.
        """
        self._produced = frozenset(produced)
        newest = {table: self._newest(table) for table in read if table not in {*produced, *earlier, *self._versions}}
        versions = {table: version for table, version in {**newest, **earlier}.items() if version is not None}
        self._versions = record(self._database, self._run, versions)
        self._begun = True

    def version_of(self, table: str) -> str | None:
        """Returns the data version at which this run reads a table; `None` for the newest one."""
        return None if table in self._produced else self._versions.get(table)

    def snapshot(self, table: str, *, version: int | None = None, timestamp: datetime | None = None) -> Snapshot:
        """Returns a table at its recorded version.

        Raises:
            UnknownVersion: the recorded version can't be read any more.
        """
        recorded = self.version_of(table) if version is None and timestamp is None else None
        if recorded is not None:
            return pinned(self._main, table, recorded)
        return self._main.snapshot(table, version=version, timestamp=timestamp)

    def _newest(self, table: str) -> str | None:
        try:
            return self._main.snapshot(table).data_version
        except UnknownTable:
            return None
