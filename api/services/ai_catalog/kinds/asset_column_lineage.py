"""Column lineage of an asset: the input columns that each column of a version was computed from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake.names import ColumnName
from api.kernel.lake.provenance import explain, require_version
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.column_lineage import ColumnWalk


class Knowledge(StrEnum):
    """Whether the sources of a column are recorded. UNKNOWN: the writer of the version did not record them."""

    RECORDED = "RECORDED"
    UNKNOWN = "UNKNOWN"


class ColumnLineageQuery(Query):
    """Start and extent of column lineage."""

    version: Version | None = None
    """Version to start from: a table version or a data version. By default the latest recorded one."""

    column: ColumnName = ""
    """Column to start from. By default all columns."""

    depth: Annotated[int, Field(ge=1, le=20)] = 1
    """Maximum distance of a source from the start."""

    max_columns: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Maximum number of columns to return."""


class ColumnSource(Model):
    """A column of an input version."""

    asset: str
    """Id of the input asset."""

    version: str
    """Data version that was read."""

    column: str
    """Name of the column."""


class ColumnNode(Model):
    """A column of a version, and the columns that it was computed from."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version."""

    column: str
    """Name of the column."""

    distance: int
    """Number of steps from the start."""

    knowledge: Knowledge
    """RECORDED, or UNKNOWN if the writer of the version did not record the sources of this column."""

    sources: list[ColumnSource]
    """Columns that it was computed from, as far as the caller can see them. Columns that only select or join rows are
    no sources. Empty for a constant, and if the sources are unknown."""

    possible_inputs: list[str]
    """Inputs that it may come from, if the sources are unknown and the caller can see the inputs."""

    continues: list[str]
    """Earlier data versions of the same asset, whose rows this version contains, too."""


class ColumnLineage(Model):
    """Columns of a version with the columns that they come from."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version."""

    columns: list[ColumnNode]
    """Columns, nearest first."""

    truncated: bool
    """Whether `depth` or `max_columns` cut off sources."""


@ASSET.part("column-lineage", query=ColumnLineageQuery, result=ColumnLineage)
async def get_asset_column_lineage(ctx: Context, asset: str, query: ColumnLineageQuery) -> ColumnLineage:
    """Returns the input columns that each column of a version was computed from, as the run recorded them.

    A column without recorded sources is UNKNOWN. The response doesn't guess them from names.
    """
    lookup.asset(ctx.view(), asset)
    return await ctx.compute(_walk, ctx, asset, query)


def _walk(ctx: Context, asset: str, query: ColumnLineageQuery) -> ColumnLineage:
    version = require_version(ctx, asset, query.version)
    walk = ColumnWalk(ctx, depth=query.depth, max_columns=query.max_columns)
    found = walk.columns(asset, version, query.column)
    if not found:
        explain(ctx, asset, version)  # raises for a version that never was
    nodes = [
        ColumnNode(
            asset=column.asset,
            version=column.version,
            column=column.column,
            distance=column.distance,
            knowledge=Knowledge.RECORDED if column.recorded else Knowledge.UNKNOWN,
            sources=[ColumnSource(asset=a, version=v, column=c) for a, v, c in column.sources],
            possible_inputs=column.possible_inputs,
            continues=column.continues,
        )
        for column in found
    ]
    return ColumnLineage(asset=asset, version=version, columns=nodes, truncated=walk.truncated)
