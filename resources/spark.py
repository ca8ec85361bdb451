"""Spark as a Dagster resource, always by Spark Connect: Sail, local Apache Spark, or any `sc://` endpoint."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import PrivateAttr

from core.errors import InvalidArgument, Unavailable
from core.settings import Settings, load_settings
from resources import spark_commits
from resources.spark_faults import translated
from resources.spark_server import Server, endpoint
from resources.spark_session import connect
from resources.spark_writes import SOURCE_VIEW, TABLE, FrameWrite, commented, conformed, merge_statement, storable

if TYPE_CHECKING:
    import pyarrow as pa
    from dagster_pyspark import PySparkResource
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.step import Step
    from lakehouse.tables import Commit, Snapshot

Mode = Literal["overwrite", "append", "merge"]

_METADATA_CONF = "spark.databricks.delta.commitInfo.userMetadata"


class Spark(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A Spark Connect session on the platform's engine (setting `spark`), started on first use.

    Spark computes and, where the engine can keep everything a table promises, also commits. Sail cannot write a change
    data feed, so what it computes for a table that has one is written by the lakehouse. Either way the version written
    and its lineage are on record.
    """

    _session: Any = PrivateAttr(default=None)
    _server: Server | None = PrivateAttr(default=None)

    def settings(self) -> Settings:
        """The settings of this process."""
        return load_settings()

    def session(self) -> SparkSession:
        """The session, kept while its server lives; a new one on a new server after that.

        Raises:
            Unavailable: the server does not start or answer; says why.
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
        """Name and version of what computes, as lineage records it: `sail 0.7.2`, `spark 4.2.0`."""
        session = self.session()
        assert self._server is not None
        if self._server.engine == "embedded":
            return f"sail {installed_version('pysail')}"
        with translated("asking for the version"):
            return f"spark {session.version}"

    def close(self) -> None:
        """Ends the session, if there is one. The server stays, for others."""
        session, server, self._session, self._server = self._session, self._server, None, None
        if session is None:
            return
        # A dead server cannot release it, but PySpark must still forget it as the session that functions fall back on.
        session.release_session_on_close = server is not None and server.alive
        session.stop()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Ends the session with the run."""
        self.close()

    def table_path(self, table: str) -> str:
        """Location of a table as Spark statements name it: delta.`<path>`."""
        from lakehouse.storage import Storage

        settings = self.settings()
        return Storage(settings.effective_lakehouse_url, settings.storage_options).uri(table)

    def read(self, snapshot: Snapshot) -> DataFrame:
        """The rows of a snapshot, of exactly its version."""
        with translated(f"reading {snapshot.table}"):
            reader = self.session().read.format("delta").option("versionAsOf", str(snapshot.version))
            return reader.load(self.table_path(snapshot.table))

    def sql(self, statement: str, views: Mapping[str, DataFrame] | None = None) -> DataFrame:
        """Spark SQL over temporary views.

        Args:
            statement: a query.
            views: view name to rows.

        Raises:
            InvalidArgument, UnknownColumn: the statement is wrong; says where.
        """
        with translated("running SQL"):
            for name, frame in (views or {}).items():
                frame.createOrReplaceTempView(name)
            return self.session().sql(statement)

    def arrow(self, frame: DataFrame) -> pa.Table:
        """Computes a frame and brings its rows here."""
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
        """Computes a frame, writes it to the step's asset and records lineage. Makes the table if it is missing.

        Args:
            step: says which table, and what was read for it.
            frame: the rows.
            mode: replace all rows, add, or update and insert by the key `on`.
            on: key columns of a merge; the frame must hold each key once.
            delete_missing: a merge also deletes the rows whose key the frame lacks.
            evolve_schema: whether columns may be added (an overwrite may also replace them).
            partition_by: partition columns of a table that is made.
            comments: column name to description, for a table that is made or replaced with its schema.

        Returns:
            The version written; the current one, with `changed` false, if nothing had to be.

        Raises:
            SchemaMismatch: names the columns that do not fit.
            ConstraintViolated, WriteConflict, StorageFull: nothing was committed.
            Unavailable: Spark went away, and nothing was committed.
        """
        if mode == "merge" and not on:
            raise InvalidArgument(f"Merging into {step.asset} needs at least one key column in `on`.")
        step.engine = self.engine
        target = step.tables.snapshot(step.asset) if step.tables.exists(step.asset) else None
        if not self._commits(target, evolve_schema=evolve_schema):
            data = commented(self.arrow(frame), comments)
            if mode == "merge":
                return step.merge(data, on, delete_missing=delete_missing, evolve_schema=evolve_schema)
            if mode == "append":
                return step.append(data, evolve_schema=evolve_schema)
            return step.overwrite(data, evolve_schema=evolve_schema, partition_by=partition_by)
        with translated("analysing the frame"):
            if target is None or evolve_schema:
                frame = storable(frame, comments)
            if target is not None and not (mode == "overwrite" and evolve_schema):
                frame = conformed(frame, target, evolve=evolve_schema)
        if mode == "merge" and target is not None:
            frame.createOrReplaceTempView(SOURCE_VIEW)
            return self.change(step, merge_statement(on, delete_missing=delete_missing))
        writing = FrameWrite(frame, "append" if mode == "append" else "overwrite", evolve_schema, partition_by)
        path = self.table_path(step.asset)
        return self._committed(
            step,
            lambda metadata: writing.save(path, metadata, new=target is None),
            continues=mode == "append",
            tagged=True,
        )

    def change(self, step: Step, statement: str) -> Commit:
        """Runs one UPDATE, DELETE or MERGE on the step's asset and records lineage.

        Args:
            step: says which table, and what was read for it.
            statement: Spark SQL in which `{table}` stands for the table: `UPDATE {table} SET late = false WHERE ...`.

        Raises:
            InvalidArgument: the statement is wrong, or the engine cannot change a table with these Delta features.
            UnknownTable: the table does not exist.
            ConstraintViolated, WriteConflict, StorageFull: nothing was committed.
            Unavailable: Spark went away, and nothing was committed.
        """
        step.engine = self.engine
        step.tables.snapshot(step.asset)  # says which tables exist, which Spark does not
        text = statement.replace(TABLE, f"delta.`{self.table_path(step.asset)}`")
        session, tagged = self.session(), self._tags()

        def run(metadata: str) -> None:
            if tagged:
                session.conf.set(_METADATA_CONF, metadata)
            try:
                session.sql(text).collect()
            finally:
                if tagged and self._server is not None and self._server.alive:
                    session.conf.unset(_METADATA_CONF)

        return self._committed(step, run, continues=True, tagged=tagged)

    def _committed(self, step: Step, run: Callable[[str], object], *, continues: bool, tagged: bool) -> Commit:
        metadata = step.commit_metadata(continues=continues)
        writer = "sail" if step.engine.startswith("sail") else "Apache-Spark"
        with self._alone(step.asset):
            before = spark_commits.newest_version(step.tables, step.asset)
            lost: Unavailable | None = None
            try:
                with translated(f"writing {step.asset}"):
                    run(metadata)
            except Unavailable as error:
                lost = error  # the answer is gone, but perhaps the commit had been made
            commit = spark_commits.written(
                step.tables, step.asset, after=before, metadata=metadata, tagged=tagged, writer=writer
            )
        if commit is None:
            if lost:
                raise lost
            return spark_commits.unchanged(step.tables, step.asset)
        return step.wrote(commit, continues=continues)

    @contextmanager
    def _alone(self, table: str) -> Iterator[None]:
        # Sail does not tag the commits of MERGE, UPDATE and DELETE, so two at a time could not be told apart.
        folder = self.settings().run_dir
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"spark-{table}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _tags(self) -> bool:
        """Whether the engine puts our metadata into the commits of SQL statements."""
        return self._server is None or self._server.engine != "embedded"

    def _commits(self, target: Snapshot | None, *, evolve_schema: bool) -> bool:
        """Whether the engine itself can write this table without losing anything it promises."""
        if self._tags():
            return True
        # Sail refuses tables with a change data feed, which new tables have, and drops columns it should add.
        if target is None or evolve_schema:
            return False
        return target.properties.get("delta.enableChangeDataFeed", "false") != "true"


def pyspark_resource(settings: Settings) -> PySparkResource:
    """dagster-pyspark's own resource on the same engine, for assets written against it.

    The server is started when a run sets the resource up, not when definitions are loaded.
    """
    from dagster_pyspark import PySparkResource

    class ConnectedPySparkResource(PySparkResource):
        """`PySparkResource` whose endpoint is the platform's Spark Connect server."""

        def setup_for_execution(self, context: dg.InitResourceContext) -> None:
            """Connects, starting the server if need be."""
            self._spark_session: Any = connect(endpoint(settings))

        def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
            """Ends the session."""
            self._spark_session.stop()

    return ConnectedPySparkResource(spark_config={})
