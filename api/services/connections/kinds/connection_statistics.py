"""Statistics: what the database behind a connection estimates about its tables."""

from __future__ import annotations

from api.kernel.kinds.context import Context
from api.kernel.models import Model
from api.kernel.roles import Role
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.kinds.connection_inspection import TIMEOUT_SECONDS, TableRequest, asked, table_of


class ColumnStatistics(Model):
    """What the database estimates about a column."""

    name: str
    """Name."""

    null_fraction: float
    """Share of nulls."""

    mean_bytes: int
    """Mean size of a value in bytes."""

    distinct_values: float | None
    """Number of different values. Null if the database estimates it as a share."""

    distinct_fraction: float | None
    """Number of different values as a share of the rows. Null if the database estimates it as a number."""


class TableStatistics(Model):
    """What the database estimates about a table. It contains no values."""

    row_count: int | None
    """Number of rows. Null if the table was never analyzed."""

    bytes: int
    """Size of the table in bytes."""

    index_bytes: int
    """Size of its indexes in bytes."""

    analyzed_at: str | None
    """Time of the last analysis, as the database writes it. Null if there was none."""

    columns: list[ColumnStatistics]
    """Columns that were analyzed, by name."""


@CONNECTION.action(
    "statistics",
    request=TableRequest,
    result=TableStatistics,
    reads=True,
    role=Role.EDITOR,
    timeout_seconds=TIMEOUT_SECONDS,
)
async def get_remote_statistics(ctx: Context, connection: str, request: TableRequest) -> TableStatistics:
    """Returns what the database estimates about a table, without reading it and without its values."""
    return await asked(ctx, connection, "statistics", TableStatistics, **table_of(request))
