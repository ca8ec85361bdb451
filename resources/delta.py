"""The lakehouse as a Dagster resource, and the function with which assets report the versions they write.

Connections are opened only when a run needs them, because the warm launcher forks from a process that has loaded every
definition.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import PrivateAttr

from core.definitions import DEFINITION_REVISION_KEY
from core.ids import asset_id, asset_key
from core.settings import Settings, load_settings
from resources import pipeline_runs
from resources.gates import GATES, check_input, gate_names

if TYPE_CHECKING:
    import pyarrow as pa

    from core.db import Database
    from lakehouse.branches import BranchPlan
    from lakehouse.lineage import Lineage
    from lakehouse.pins import Pins
    from lakehouse.pipeline_inputs import PipelineTables
    from lakehouse.query import Query
    from lakehouse.step import Step
    from lakehouse.tables import Commit, Snapshot, Tables

PRINCIPAL_TAG = "headwater/principal"
"""Run tag: the principal that requested the run."""

OPERATION_TAG = "headwater/operation"
"""Run tag: the API operation that the run belongs to."""

UNATTENDED = "system"
"""Principal of runs that a schedule, a sensor or an automation condition starts."""


@dataclass(frozen=True, slots=True)
class _Lakehouse:
    database: Database
    tables: Tables
    lineage: Lineage


class Delta(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Delta tables, their lineage and SQL over them, configured by the settings of this process.

    Connections are opened on first use and reused until the process exits.
    """

    branch: str = ""
    """`BranchPlan` as JSON, for a run in a branch. Empty: the run reads and writes the tables of the lakehouse."""

    _run: dg.DagsterRun | None = PrivateAttr(None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Reads from the run whether it belongs to a pipeline, whose runs read recorded versions."""
        self._run = context.run if not self.branch and pipeline_runs.is_of_pipeline(context.run) else None

    def settings(self) -> Settings:
        """Returns the settings of this process."""
        return load_settings()

    def database(self) -> Database:
        """Returns the metadata database."""
        return self._lakehouse().database

    def tables(self) -> Tables:
        """Returns the Delta tables."""
        return self.pipeline_tables() or self._lakehouse().tables

    def pipeline_tables(self) -> PipelineTables | None:
        """Returns the tables as a run of a pipeline sees them; `None` in any other run."""
        if self._run is None:
            return None
        return _pipeline_tables(self._lakehouse(), self._run.root_run_id or self._run.run_id, self._run.run_id)

    def lineage(self) -> Lineage:
        """Returns the lineage record."""
        return self._lakehouse().lineage

    def plan(self) -> BranchPlan | None:
        """Returns the branch of the run; `None` for a run that changes the project."""
        from lakehouse.branches import BranchPlan

        return BranchPlan.from_json(self.branch) if self.branch else None

    def pins(self) -> Pins:
        """Returns the pins: the table versions that a vacuum must not remove."""
        from lakehouse.pins import Pins

        return Pins(self.database())

    def query(self, *, timeout_seconds: float = 3600.0) -> Query:
        """Returns read-only SQL (DuckDB) over the tables. The default timeout is longer than that of the API."""
        from lakehouse.query import Query

        return Query(self.tables(), timeout_seconds=timeout_seconds)

    def step(
        self,
        context: dg.AssetExecutionContext,
        *,
        asset: dg.AssetKey | None = None,
        engine: str = "polars",
        params: Mapping[str, Any] | None = None,
    ) -> Step:
        """Opens the unit of work of one asset. It pins the versions that are read and records lineage for writes.

        Args:
            context: context of the running asset; run, step, code version and principal are taken from it.
            asset: asset that is written; only needed if the step writes several assets.
            engine: engine that computes (`polars`, `duckdb`, `spark`...); `step.engine` can change it later.
            params: further parameters that determine the result; the lineage contains their digest.
        """
        from lakehouse.step import Step

        key = asset or context.asset_key
        if (recorded := self.pipeline_tables()) is not None and not recorded.begun:
            pipeline_runs.begin(context, recorded)
        tables = self.tables()
        return Step(
            tables,
            self.lineage(),
            asset=asset_id(key.path),
            run=context.run.run_id,
            step=str(context.op_execution_context.op_handle),
            code_version=context.assets_def.code_versions_by_key.get(key) or "",
            engine=engine,
            principal=context.run.tags.get(PRINCIPAL_TAG, UNATTENDED),
            params=dict(params or {}),
            partition=context.partition_key if context.has_partition_key else "",
            # The instance of a run in a branch knows no checks of the versions that the branch reads.
            check_input=None if self.branch else lambda snapshot: check_input(context, key, tables, snapshot),
        )

    def _lakehouse(self) -> _Lakehouse:
        return _lakehouse(self.settings(), self.branch)


def materialized(
    context: dg.AssetExecutionContext,
    written: Snapshot | Commit,
    *,
    metadata: Mapping[str, Any] | None = None,
    check_results: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult[Any]:
    """Reports a committed version of an asset's table to Dagster.

    Adds the data version, table id, version, URI, row count and column schema to `metadata`.
    """
    from lakehouse.tables import Snapshot

    delta = _delta(context)
    tables, recorded = delta.tables(), delta.pipeline_tables()
    # Maintenance creates versions with the same rows. Dagster gets the version that wrote the rows.
    version = tables.content_version(written.table, written.version)
    if isinstance(written, Snapshot) and written.version == version:
        snapshot = written
    else:
        snapshot = tables.snapshot(written.table, version=version)
    key = dg.AssetKey(asset_key(snapshot.table))
    gates = gate_names(context, key)
    context.log.info("%s is now at version %d with %s rows", snapshot.table, snapshot.version, snapshot.row_count)
    uri = tables.uri(snapshot.table)
    return dg.MaterializeResult(
        asset_key=key,
        data_version=dg.DataVersion(snapshot.data_version),
        metadata={
            "delta/table_id": snapshot.table_id,
            "delta/version": snapshot.version,
            "delta/uri": uri,
            "dagster/uri": uri,
            "dagster/row_count": snapshot.row_count,
            "dagster/column_schema": table_schema(snapshot.schema),
            **({GATES: ",".join(gates)} if gates else {}),
            **_revision(context, key),
            **(metadata or {}),
        },
        check_results=list(check_results),
        tags=pipeline_runs.input_tags(context, key, recorded) if recorded is not None else None,
    )


def table_schema(schema: pa.Schema) -> dg.TableSchema:
    """Converts an Arrow schema for Dagster. Column descriptions are the Delta column comments."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=(field.metadata or {}).get(b"comment", b"").decode() or None,
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in schema
        ]
    )


def _revision(context: dg.AssetExecutionContext, key: dg.AssetKey) -> dict[str, Any]:
    """Returns the metadata entry of the revision of a published definition; none for an asset of the repository."""
    revision = context.assets_def.metadata_by_key.get(key, {}).get(DEFINITION_REVISION_KEY)
    return {} if revision is None else {DEFINITION_REVISION_KEY: revision}


def _delta(context: dg.AssetExecutionContext) -> Delta:
    """Returns the lakehouse of a step: its own resource, which may be that of a branch."""
    found = getattr(context.resources, "delta", None)
    return found if isinstance(found, Delta) else Delta()


def _lakehouse(settings: Settings, branch: str) -> _Lakehouse:
    # The process id is part of the cache key, because a forked child must not share connections with its parent.
    options = tuple(sorted(settings.storage_options.items()))
    process = os.getpid()
    opened = _open(process, settings.effective_database_url, settings.effective_lakehouse_url, options)
    return _open_branch(opened, branch) if branch else opened


@lru_cache(maxsize=8)
def _open(_process: int, database_url: str, root: str, options: tuple[tuple[str, str], ...]) -> _Lakehouse:
    from core.db import Database
    from lakehouse.lineage import Lineage
    from lakehouse.tables import Tables

    _create_if_missing(database_url)
    database = Database(database_url)
    return _Lakehouse(database, Tables(root, database, storage_options=dict(options)), Lineage(database))


@lru_cache(maxsize=8)
def _open_branch(opened: _Lakehouse, plan: str) -> _Lakehouse:
    from lakehouse.branches import BranchLineage, BranchPlan, BranchTables

    tables = BranchTables(opened.tables, BranchPlan.from_json(plan))
    return _Lakehouse(opened.database, tables, BranchLineage(opened.database, tables))


@lru_cache(maxsize=8)
def _pipeline_tables(opened: _Lakehouse, first_run: str, _run: str) -> PipelineTables:
    # Each retry has its own, because it produces other tables.
    from lakehouse.pipeline_inputs import PipelineTables

    return PipelineTables(opened.tables, opened.database, first_run)


def _create_if_missing(database_url: str) -> None:
    """Creates the embedded metadata database if only `dagster dev` was started on this home folder."""
    from sqlalchemy import make_url

    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database or Path(url.database).exists():
        return
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    # In a separate process: the database includes the tables of the API, which the Dagster side never imports.
    environment = dict(os.environ) | {"HEADWATER_DATABASE_URL": database_url}
    root = Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, "-m", "migrations"], check=True, env=environment, cwd=root)
