"""The lakehouse as a Dagster resource, and the one way an asset reports what it wrote.

Nothing is opened before a run asks for it: the warm launcher forks from a process that has loaded every definition.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from core.ids import asset_id, asset_key
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    import pyarrow as pa

    from core.db import Database
    from lakehouse.lineage import Lineage
    from lakehouse.pins import Pins
    from lakehouse.query import Query
    from lakehouse.step import Step
    from lakehouse.tables import Commit, Snapshot, Tables

PRINCIPAL_TAG = "headwater/principal"
"""Run tag: who asked for the run."""

OPERATION_TAG = "headwater/operation"
"""Run tag: the API operation the run belongs to."""

UNATTENDED = "system"
"""Principal of runs started by a schedule, a sensor or an automation condition."""


@dataclass(frozen=True, slots=True)
class _Lakehouse:
    database: Database
    tables: Tables


class Delta(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Delta tables, their lineage and SQL over them, as the settings of this process say.

    Connections are opened on first use and kept for the life of the process.
    """

    def settings(self) -> Settings:
        """The settings of this process."""
        return load_settings()

    def database(self) -> Database:
        """The metadata database."""
        return _lakehouse(self.settings()).database

    def tables(self) -> Tables:
        """The Delta tables."""
        return _lakehouse(self.settings()).tables

    def lineage(self) -> Lineage:
        """The lineage record."""
        from lakehouse.lineage import Lineage

        return Lineage(self.database())

    def pins(self) -> Pins:
        """The versions that vacuum must keep."""
        from lakehouse.pins import Pins

        return Pins(self.database())

    def query(self, *, timeout_seconds: float = 3600.0) -> Query:
        """Read-only SQL (DuckDB) over the tables; a run may take longer than a person at a prompt."""
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
        """Opens the unit of work of one asset: it pins what is read and records lineage for what is written.

        Args:
            context: the running asset's context; run, step, code version and principal come from it.
            asset: which asset is written; needed only where one step writes several.
            engine: what computes (`polars`, `duckdb`, `spark`...); changeable later as `step.engine`.
            params: what else decided the result; its digest becomes part of the lineage.
        """
        from lakehouse.step import Step

        key = asset or context.asset_key
        return Step(
            self.tables(),
            self.lineage(),
            asset=asset_id(key.path),
            run=context.run.run_id,
            step=str(context.op_execution_context.op_handle),
            code_version=context.assets_def.code_versions_by_key.get(key) or "",
            engine=engine,
            principal=context.run.tags.get(PRINCIPAL_TAG, UNATTENDED),
            params=dict(params or {}),
        )


def materialized(
    context: dg.AssetExecutionContext,
    written: Snapshot | Commit,
    *,
    metadata: Mapping[str, Any] | None = None,
    check_results: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult[Any]:
    """Reports one committed version of an asset's table to Dagster.

    Adds the exact data version, table id, version, address, row count and column schema to `metadata`.
    """
    from lakehouse.tables import Snapshot

    tables = _lakehouse(load_settings()).tables
    snapshot = written if isinstance(written, Snapshot) else tables.snapshot(written.table, version=written.version)
    context.log.info("%s is now at version %d with %s rows", snapshot.table, snapshot.version, snapshot.row_count)
    uri = tables.uri(snapshot.table)
    return dg.MaterializeResult(
        asset_key=dg.AssetKey(asset_key(snapshot.table)),
        data_version=dg.DataVersion(snapshot.data_version),
        metadata={
            "delta/table_id": snapshot.table_id,
            "delta/version": snapshot.version,
            "delta/uri": uri,
            "dagster/uri": uri,
            "dagster/row_count": snapshot.row_count,
            "dagster/column_schema": table_schema(snapshot.schema),
            **(metadata or {}),
        },
        check_results=list(check_results),
    )


def table_schema(schema: pa.Schema) -> dg.TableSchema:
    """The Arrow schema as Dagster shows it; column descriptions are the Delta column comments."""
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


def _lakehouse(settings: Settings) -> _Lakehouse:
    # The process id is part of the key: a forked child must not share its parent's connections.
    options = tuple(sorted(settings.storage_options.items()))
    return _open(os.getpid(), settings.effective_database_url, settings.effective_lakehouse_url, options)


@lru_cache(maxsize=8)
def _open(_process: int, database_url: str, root: str, options: tuple[tuple[str, str], ...]) -> _Lakehouse:
    from core.db import Database
    from lakehouse.tables import Tables

    database = Database(database_url)
    return _Lakehouse(database, Tables(root, database, storage_options=dict(options)))
