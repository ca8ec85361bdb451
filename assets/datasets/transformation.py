"""Assets that are the result of a SQL statement over versions of other tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.datasets.column_lineage import lineage_metadata
from assets.datasets.columns import described
from assets.step_checks import StepCheck, checked_asset
from core.errors import InvalidPayload
from lakehouse.sql_lineage import named_sources
from resources.delta import Delta, materialized


def sql_asset(
    spec: dg.AssetSpec,
    statement: str,
    tables: Sequence[str],
    descriptions: Mapping[str, str],
    checks: Sequence[StepCheck],
) -> dg.AssetsDefinition:
    """Returns an asset that is the result of a statement. A run replaces the table.

    Args:
        spec: the asset.
        statement: one SELECT in DuckDB's dialect that names tables by id.
        tables: ids of the tables that it reads.
        descriptions: description by column name.
        checks: checks of the table that the step evaluates.
    """

    @checked_asset(specs=[spec], checks=checks, name="__".join(spec.key.path))
    def transform(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
        query = delta.query()
        if (read := query.tables(statement)) != sorted(tables):
            raise InvalidPayload(
                f"The statement reads {', '.join(read) or 'no table'}, but the asset was defined with the inputs "
                f"{', '.join(tables) or 'none'}. Name each table as project.schema.table right after FROM or JOIN."
            )
        step = delta.step(context, engine="duckdb")
        inputs = {table: step.read(table) for table in tables}
        result = query.sql(statement, inputs=inputs)
        rows = described(result.table, descriptions)
        schemas = {table: snapshot.schema.names for table, snapshot in inputs.items()}
        sources = named_sources(statement, schemas, rows.schema.names)
        step.declare_columns(sources)
        commit = step.overwrite(rows, evolve_schema=True)
        versions = {f"input/{table}": snapshot.version for table, snapshot in inputs.items()}
        return materialized(context, commit, metadata={**versions, **lineage_metadata(sources)})

    return transform
