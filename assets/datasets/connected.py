"""Assets with the rows of a database that a connection leads to."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa

from assets.datasets.loads import Load
from assets.datasets.remote import ObjectSource, SqlSource
from assets.step_checks import StepCheck, checked_asset
from core.connection_sources import connection_source
from core.db import Database
from core.definitions import DEFINITION
from core.errors import Conflict
from core.ids import asset_id
from resources.delta import Delta, materialized

if TYPE_CHECKING:
    from connectors.rows import Rows
    from connectors.stored import OpenedConnection
    from lakehouse.step import Step

CONNECTION_METADATA = "headwater/connection"
"""Definition metadata of a table that is read through a connection: `core.connection_sources.connection_source`."""


def connected_asset(
    spec: dg.AssetSpec, source: SqlSource, descriptions: Mapping[str, str], checks: Sequence[StepCheck]
) -> dg.AssetsDefinition:
    """Returns an asset with the rows of a table or query of a database.

    Args:
        spec: the asset.
        source: the rows.
        descriptions: description by column name.
        checks: checks of the table that the step evaluates.
    """

    @checked_asset(specs=[spec], checks=checks, name="__".join(spec.key.path))
    def read(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
        from connectors.connector import Selection
        from connectors.rows import Rows

        connection = opened(delta, spec, source)
        origin = {"connection": connection.id, "table": source.table, "query": source.query, "key": source.key}
        step = delta.step(context, engine=connection.connector.name, params=origin)
        load = Load(step, source, descriptions)
        selection = Selection(source.path, source.query or "", source.cursor or "", load.since)
        with Rows(connection.connector, connection.config, connection.egress, selection) as rows:
            _use(step, source, connection, rows)
            commit = load.write(rows)
        return materialized(
            context,
            commit,
            metadata={
                "source/connection": connection.name,
                "source/version": rows.version,
                "source/since": load.since,
                "source/types": dg.JsonMetadataValue(rows.types),
            },
        )

    return read


def opened(delta: Delta, spec: dg.AssetSpec, source: SqlSource | ObjectSource) -> "OpenedConnection":
    """Returns the connection, with the right of the publisher of the definition."""
    from connectors.stored import open_connection

    plan = delta.plan()
    if plan is not None and plan.files is not None:
        raise Conflict("Another system returns only what it has now, so no run can repeat this version.")
    return open_connection(
        delta.database(),
        delta.settings(),
        project=spec.key.path[0],
        reference=source.connection,
        principal_id=_publisher(delta.database(), asset_id(spec.key.path)),
    )


def _publisher(database: Database, asset: str) -> str:
    with database.read() as connection:
        found = connection.scalar(sa.select(DEFINITION.c.published_by_id).where(DEFINITION.c.asset_id == asset))
    return found or ""


def _use(step: "Step", source: SqlSource, connection: "OpenedConnection", rows: "Rows") -> None:
    """Records the rows as an input of the step, and the columns that they become."""
    node = connection_source(step.asset.partition(".")[0], connection.id, source.part)
    step.use(node, rows.version, rows.schema.names)
    step.declare_columns({name: [(node, name)] for name in rows.schema.names})
