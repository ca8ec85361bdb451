"""Spark as a Dagster resource, always over Spark Connect: Sail, local Apache Spark, or any `sc://` endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import PrivateAttr

from core.errors import InvalidArgument
from core.settings import Settings, load_settings
from resources.spark import commits
from resources.spark.content import content
from resources.spark.faults import translated
from resources.spark.server import Server, endpoint
from resources.spark.session import connect
from resources.spark.writes import (
    SOURCE_VIEW,
    TABLE,
    TARGET_VIEW,
    FrameWrite,
    arrow_schema,
    conform_to_table,
    differences,
    merge_statement,
    nullable_schema,
    once_per_key,
    storable,
    with_comments,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.step import Step
    from lakehouse.tables import Commit, Snapshot

Mode = Literal["overwrite", "append", "merge"]

_SQL_ON_FILES = "spark.sql.runSQLOnFiles"
"""Spark setting: whether SQL may read a file or a table by its path, as in `delta.`<path>``."""

_METADATA_CONF = "spark.databricks.delta.commitInfo.userMetadata"


class Spark(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A Spark Connect session on the platform's engine (setting `spark`), which is started on first use.

    Spark computes. If the engine supports all features of a table, Spark also commits. Sail can't write a change data
    feed, so the lakehouse writes the results for tables that have one. In both cases, the written version and its
    lineage are recorded.
    """

    _session: Any = PrivateAttr(default=None)
    _server: Server | None = PrivateAttr(default=None)

    def settings(self) -> Settings:
        """Returns the settings of this process."""
        return load_settings()

    def session(self) -> SparkSession:
        """Returns the session. Reuses it while its server is alive; otherwise opens a new session on a new server.

        Raises:
            Unavailable: the server doesn't start or doesn't respond. The message says why.
        """
        session: SparkSession | None = self._session
        if session is not None and self._server is not None and self._server.alive:
            return session
        self.close()
        server = endpoint(self.settings())
        with translated("connecting"):
            session = connect(server)
        self._session, self._server = session, server
        return session

    @property
    def engine(self) -> str:
        """Name and version of the engine, as lineage records it: `sail 0.7.2`, `spark 4.2.0`."""
        session = self.session()
        assert self._server is not None
        if self._server.engine == "embedded":
            return f"sail {installed_version('pysail')}"
        with translated("reading the version"):
            return f"spark {session.version}"

    def close(self) -> None:
        """Ends the session, if one is open. The server continues to run for other sessions."""
        session, server, self._session, self._server = self._session, self._server, None, None
        if session is None:
            return
        # A dead server can't release the session, but PySpark must still drop it as its default session.
        session.release_session_on_close = server is not None and server.alive
        session.stop()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Ends the session at the end of the run."""
        self.close()

    def table_path(self, table: str) -> str:
        """Returns the location of a table for Spark statements: delta.`<path>`."""
        from lakehouse.storage import Storage

        settings = self.settings()
        return Storage(settings.effective_lakehouse_url, settings.storage_options).uri(table)

    def read(self, snapshot: Snapshot) -> DataFrame:
        """Reads the rows of a snapshot at exactly its version.

        Sail supports only tables without special Delta features; for others, the lakehouse provides the rows.

        Raises:
            UnsupportedTable: the table uses an unsupported Delta feature. The message names it.
        """
        plain = snapshot.plain
        with translated(f"reading {snapshot.table}"):
            if not plain and self._is_sail():
                return self.session().createDataFrame(snapshot.to_arrow())
            reader = self.session().read.format("delta").option("versionAsOf", str(snapshot.version))
            return reader.load(self.table_path(snapshot.table))

    def sql(self, statement: str, views: Mapping[str, DataFrame] | None = None) -> DataFrame:
        """Runs Spark SQL over temporary views.

        Args:
            statement: a query.
            views: frames by view name.

        Raises:
            InvalidArgument, UnknownColumn: the statement is invalid. The message includes the position.
        """
        with translated("running SQL"):
            for name, frame in (views or {}).items():
                frame.createOrReplaceTempView(name)
            return self.session().sql(statement)

    def query(self, statement: str, views: Mapping[str, DataFrame]) -> DataFrame:
        """Runs a checked user statement, in a session that can't read files by path from then on.

        Sail and some remote engines don't have this setting. There, only the check of the statement prevents access to
        files.
        """
        with suppress(Exception):
            self.session().conf.set(_SQL_ON_FILES, "false")
        return self.sql(statement, views)

    def arrow(self, frame: DataFrame) -> pa.Table:
        """Computes a frame and returns its rows."""
        with translated("computing"):
            return frame.toArrow()

    def write(
        self,
        step: Step,
        frame: DataFrame,
        *,
        mode: Mode = "overwrite",
        on: Sequence[str] = (),
        delete_missing: bool = False,
        evolve_schema: bool = False,
        partition_by: Sequence[str] = (),
        comments: Mapping[str, str] = {},
    ) -> Commit:
        """Computes a frame, writes it to the step's asset and records lineage. Creates the table if it doesn't exist.

        Args:
            step: unit of work; determines the table and the inputs.
            frame: the rows.
            mode: `overwrite` replaces all rows, `append` adds rows, `merge` updates and inserts by the key `on`.
            on: key columns of a merge. Each key may occur only once in the frame.
            delete_missing: whether a merge also deletes rows whose key isn't in the frame.
            evolve_schema: whether columns may be added and types widened (an overwrite may also replace columns).
            partition_by: partition columns of a new table.
            comments: column descriptions by column name, for a new table or a replaced schema.

        Returns:
            The written version, or the current version with `changed` set to false if there was nothing to write.

        Raises:
            SchemaMismatch: columns don't match the table. The message lists them.
            ConstraintViolated, WriteConflict, StorageFull: nothing was committed.
            Unavailable: the connection to Spark was lost, and nothing was committed.
        """
        if mode == "merge" and not on:
            raise InvalidArgument(f"A merge into {step.asset} needs at least one key column in `on`.")
        step.engine = self.engine
        target = step.tables.snapshot(step.asset) if step.tables.exists(step.asset) else None
        if not self._can_commit(target, evolve_schema=evolve_schema):
            data = with_comments(self.arrow(frame), comments)
            if evolve_schema and mode != "overwrite":
                step.evolve(nullable_schema(data.schema))
            if mode == "merge":
                return step.merge(data, on, delete_missing=delete_missing, evolve_schema=evolve_schema)
            if mode == "append":
                return step.append(data, evolve_schema=evolve_schema)
            return step.overwrite(data, evolve_schema=evolve_schema, partition_by=partition_by)
        with translated("analyzing the frame"):
            if target is None or evolve_schema:
                frame = storable(frame, comments)
            if target is not None and evolve_schema and mode != "overwrite":
                step.evolve(nullable_schema(arrow_schema(frame)))
                target = step.tables.snapshot(step.asset)
            if target is not None and not (mode == "overwrite" and evolve_schema):
                frame = conform_to_table(frame, target, evolve=evolve_schema)
        if mode == "merge":
            with translated("analyzing the frame"):
                frame = once_per_key(frame, on)
        if mode == "merge" and target is not None:
            return self._merged(step, frame, target, on=on, delete_missing=delete_missing)
        if mode == "overwrite":
            return self._overwritten(step, frame, evolve=evolve_schema, partition_by=partition_by, new=target is None)
        writing = FrameWrite(frame, "append" if mode == "append" else "overwrite", evolve_schema, partition_by)
        return self._saved(step, writing, new=target is None)

    def _overwritten(
        self, step: Step, frame: DataFrame, *, evolve: bool, partition_by: Sequence[str], new: bool
    ) -> Commit:
        """Replaces all rows, unless the table has these very rows: they are computed once, kept, and compared first."""
        with translated(f"computing {step.asset}"):
            frame = frame.persist()
            digest = content(frame, partition_by)
        try:
            if digest is not None and (same := step.reuse_version(digest)):
                return same
            return self._saved(
                step, FrameWrite(frame, "overwrite", evolve, partition_by), new=new, content_digest=digest
            )
        finally:
            with suppress(Exception):  # the server may be gone, and what it kept with it
                frame.unpersist()

    def _merged(
        self, step: Step, frame: DataFrame, target: Snapshot, *, on: Sequence[str], delete_missing: bool
    ) -> Commit:
        """Updates and inserts rows, unless all rows would stay the same: Apache Spark would commit a version then."""
        frame = frame.persist() if self._supports_tags() else frame
        try:
            frame.createOrReplaceTempView(SOURCE_VIEW)
            if self._supports_tags() and (queries := differences(on, frame.schema, delete_missing=delete_missing)):
                with translated(f"comparing the rows with {step.asset}"):
                    self.read(target).createOrReplaceTempView(TARGET_VIEW)
                    if not any(self.session().sql(query).head(1) for query in queries):
                        return step.record_unchanged(commits.unchanged_commit(step.tables, step.asset))
            return self.change(step, merge_statement(on, frame.schema, delete_missing=delete_missing))
        finally:
            with suppress(Exception):  # the server may be gone, and what it kept with it
                frame.unpersist()

    def _saved(self, step: Step, writing: FrameWrite, *, new: bool, content_digest: str | None = None) -> Commit:
        path, continues = self.table_path(step.asset), writing.mode == "append"
        metadata = step.commit_metadata(continues=continues, content_digest=content_digest)
        return commits.run_and_record(
            step, lambda metadata: writing.save(path, metadata, new=new), metadata, continues=continues, tagged=True
        )

    def change(self, step: Step, statement: str) -> Commit:
        """Runs one UPDATE, DELETE or MERGE on the table of the step and records lineage.

        Args:
            step: unit of work; determines the table and the inputs.
            statement: Spark SQL with `{table}` as the name of the table: `UPDATE {table} SET late = false WHERE ...`.

        Raises:
            InvalidArgument: the statement is invalid, or the engine can't change a table with these Delta features.
            UnknownTable: the table doesn't exist.
            ConstraintViolated, WriteConflict, StorageFull: nothing was committed.
            Unavailable: the connection to Spark was lost, and nothing was committed.
        """
        step.engine = self.engine
        step.tables.snapshot(step.asset)  # raises UnknownTable with the known tables, which Spark doesn't
        text = statement.replace(TABLE, f"delta.`{self.table_path(step.asset)}`")
        session, tagged = self.session(), self._supports_tags()

        def run(metadata: str) -> None:
            on_files = (session.conf.get(_SQL_ON_FILES, "true") if tagged else None) or "true"
            if tagged:
                session.conf.set(_METADATA_CONF, metadata)
                session.conf.set(_SQL_ON_FILES, "true")  # the statement refers to the table by its path
            try:
                session.sql(text).collect()
            finally:
                if tagged and self._server is not None and self._server.alive:
                    session.conf.unset(_METADATA_CONF)
                    session.conf.set(_SQL_ON_FILES, on_files)

        metadata = step.commit_metadata(continues=True)
        return commits.run_and_record(step, run, metadata, continues=True, tagged=tagged)

    def _is_sail(self) -> bool:
        self.session()
        return self._server is not None and self._server.engine == "embedded"

    def _supports_tags(self) -> bool:
        """Returns whether the engine writes commit metadata for SQL statements."""
        return self._server is None or self._server.engine != "embedded"

    def _can_commit(self, target: Snapshot | None, *, evolve_schema: bool) -> bool:
        """Returns whether the engine supports all features of this table, so that it can write the table itself."""
        if self._supports_tags():
            return True
        # Sail refuses tables with a change data feed, which is the default for new tables, and doesn't add columns.
        if target is None or evolve_schema:
            return False
        return target.properties.get("delta.enableChangeDataFeed", "false") != "true"
