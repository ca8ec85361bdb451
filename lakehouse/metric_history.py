"""The history of metrics: every logged value of every run, in one Delta table for each project.

The tables are in a folder of the lakehouse that lists, queries, and graphs of tables don't include. They are named by
the id of their project, so that they stay when it is renamed or moved.

A value is identified by its run, metric, step, time, and bits. `add` adds a value that the table doesn't have, and only
to the version of the table that it compared with. So a value that is added again, after a kill or by another process,
is there once.

New values are added to the newest part of a table. When a part has many files or is full, its rows are sorted by run,
metric, and step, so that one metric of one run is read from few row groups.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from core.db import Database
from core.errors import Conflict, UnknownTable, WriteConflict
from core.settings import Settings
from lakehouse.metric_series import MetricSeries
from lakehouse.tables import Snapshot, Tables

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

FOLDER = "_metrics"
"""Folder of the lakehouse with the tables. No project has this name."""

_KEY = ("run_id", "key", "step", "at_ms", "bits")
_PART = "part"
_PART_ROWS = 1_000_000
"""Number of rows from which a part is full."""
_PART_FILES = 32
"""Number of files from which a part is sorted."""
_GROUP_ROWS = 32_768
_RETENTION_HOURS = 1.0
"""Time for which replaced files stay, for reads in progress."""
_MAX_ATTEMPTS = 4


class MetricHistory:
    """The history of metrics of a lakehouse. Thread-safe; create it after a fork, never before."""

    def __init__(self, root: str, database: Database, *, storage_options: Mapping[str, str] | None = None) -> None:
        self._tables = Tables(f"{root.rstrip('/')}/{FOLDER}", database, storage_options=storage_options)

    @classmethod
    def from_settings(cls, settings: Settings, database: Database) -> MetricHistory:
        """Returns the history in the lakehouse of the settings."""
        return cls(settings.effective_lakehouse_url, database, storage_options=settings.storage_options)

    def series(self, project: str, run: str, key: str) -> MetricSeries:
        """Returns the values of a metric of a run, by the id of its project."""
        import polars as pl

        columns = _KEY[2:]
        try:
            rows = self._tables.snapshot(_table(project)).scan()
        except UnknownTable:  # it is created with the first value that moves
            rows = pl.LazyFrame(schema=dict.fromkeys(_KEY, pl.Int64) | dict.fromkeys(_KEY[:2], pl.String))
        found = rows.filter(pl.col("run_id") == run, pl.col("key") == key).select(columns).collect()
        return MetricSeries.of(found[name].to_numpy() for name in columns)

    def add(self, project: str, points: pa.Table) -> int:
        """Adds values that the table of a project doesn't have. Returns their number.

        Args:
            project: id of the project.
            points: the columns `run_id`, `key`, `step`, `at_ms`, and `bits`, without repeated rows.

        Raises:
            WriteConflict: other processes keep changing the table.
        """
        import polars as pl

        table = _table(project)
        rows = pl.DataFrame(points).sort(_KEY)
        for attempt in range(_MAX_ATTEMPTS):
            snapshot = self._opened(table)
            new = _missing(snapshot, rows)
            if new.is_empty():
                return 0
            parts = _parts(snapshot)
            newest = max(parts, default=0)
            if newest in parts and parts[newest].rows >= _PART_ROWS:
                newest += 1
            try:
                part = pl.lit(newest, pl.Int32).alias(_PART)
                self._tables.append(table, new.select(part, *_KEY), if_version=snapshot.version)
            except WriteConflict:
                if attempt == _MAX_ATTEMPTS - 1:
                    raise
            else:
                return new.height
        raise AssertionError("unreachable")

    def sort(self, project: str) -> int:
        """Sorts the parts of a table that have many files or are full. Returns their number.

        Raises:
            WriteConflict: another process changed the table. What is sorted already stays.
        """
        table = _table(project)
        parts = _parts(self._tables.snapshot(table))
        due = [
            number
            for number, part in parts.items()
            if part.files > 1 and (part.files >= _PART_FILES or part.rows >= _PART_ROWS)
        ]
        for number in due:
            self._tables.sort_partition(table, _PART, number, by=_KEY, group_rows=_GROUP_ROWS)
        if due:
            self._tables.vacuum(table, retention_hours=_RETENTION_HOURS)
        return len(due)

    def remove(self, project: str) -> None:
        """Deletes the table of a project. Idempotent."""
        storage, table = self._tables.storage, _table(project)
        if storage.folder is not None:
            shutil.rmtree(storage.folder / project, ignore_errors=True)
        elif storage.has_files(table):
            storage.files.delete_dir(project)
        self._tables.adopt(table)

    def verify(self) -> dict[str, list[str]]:
        """Returns the findings of each table; none if it is intact."""
        return {table: self._tables.verify(table) for table in self._tables.list()}

    def _opened(self, table: str) -> Snapshot:
        """Returns the newest version of a table, which is created if it is missing."""
        with suppress(UnknownTable):
            return self._tables.snapshot(table)
        # The rows aren't changed by anyone else, and sorting them would appear as a change of all of them.
        properties = {"delta.enableChangeDataFeed": "false"}
        with suppress(Conflict):  # another process created it
            self._tables.create(table, _schema(), partition_by=[_PART], properties=properties)
        return self._tables.snapshot(table)


class _Part(NamedTuple):
    files: int
    rows: int


def _table(project: str) -> str:
    return f"{project}.runs.metrics"


def _schema() -> pa.Schema:
    import pyarrow as pa

    types = (pa.int32(), pa.string(), pa.string(), pa.int64(), pa.int64(), pa.int64())
    names = (_PART, *_KEY)
    return pa.schema([pa.field(name, type, nullable=False) for name, type in zip(names, types, strict=True)])


def _parts(snapshot: Snapshot) -> dict[int, _Part]:
    parts: dict[int, _Part] = {}
    for values, rows in snapshot.files():
        files, total = parts.get(number := values[_PART], _Part(0, 0))
        parts[number] = _Part(files + 1, total + rows)
    return parts


def _missing(snapshot: Snapshot, rows: pl.DataFrame) -> pl.DataFrame:
    """Returns the rows that a version of a table doesn't have."""
    import polars as pl

    # The bounds leave out most files and row groups: later runs have higher ids, and a run logs later steps.
    bounds = [pl.col(name).is_between(pl.lit(rows[name].min()), pl.lit(rows[name].max())) for name in _KEY[:4]]
    of_runs = pl.col("run_id").is_in(rows["run_id"].unique().to_list())
    stored = snapshot.scan().filter(*bounds, of_runs).select(_KEY).collect()
    return rows.join(stored, on=_KEY, how="anti", maintain_order="left")
