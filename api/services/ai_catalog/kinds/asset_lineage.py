"""Lineage and provenance of an asset, as its runs recorded them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake.provenance import Provenance, ProvenanceQuery, data_version, explain
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import visible_assets
from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic import lineage
from api.services.ai_catalog.logic.lineage_items import ExternalNode, LineageItem, catalog_items, external_datasets


class LineageQuery(Query):
    """Start and extent of a lineage graph."""

    direction: Literal["upstream", "downstream"] = "upstream"
    """`upstream` for the inputs of the version, `downstream` for the versions produced from it."""

    version: Version | None = None
    """Version to start from: a table version or a data version. By default the latest recorded one."""

    depth: Annotated[int, Field(ge=1, le=100)] = 20
    """Maximum distance from the start."""

    max_nodes: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Maximum number of nodes to return."""


class LineageNode(Model):
    """A version of an asset, or of a source outside of the platform."""

    asset: str
    """Id of the asset, or of the source: `external:<project>:<dataset>` for a dataset of another system,
    `connection:<project>:<connection>:<table>` for a table that was read through a connection, and
    `run:<project>:<run>` and the like for runs and models."""

    external: ExternalNode | None = None
    """The dataset of another system that lineage events reported. Null for other nodes."""

    item: LineageItem | None = None
    """The run, logged model, registered model, or alias. Its version is a number for a version of a model, and a digest
    of the files for a logged model. Null for other nodes."""

    version: str | None
    """Data version. Null in a declared graph."""

    distance: int
    """Number of edges from the start."""

    tombstoned: bool
    """Whether the version was deleted. The graph does not continue beyond it."""


class LineageEdge(Model):
    """An edge: a version that was produced from another one."""

    out_asset: str
    """Id of the asset that was produced."""

    out_version: str | None
    """Version that was produced."""

    in_asset: str
    """Id of the input."""

    in_version: str | None
    """Version of the input that was read."""

    run: str | None
    """Id of the run."""

    step: str | None
    """Step of the run."""

    implied: bool
    """Whether the edge was not recorded but follows from the previous version, as after a compaction."""


class LineageGraph(Model):
    """A part of the lineage graph."""

    asset: str
    """Id of the asset, or of the other node, at which it starts."""

    version: str | None
    """Version at which it starts. Null if nothing was recorded yet."""

    direction: Literal["upstream", "downstream"]
    """Direction of the graph."""

    recorded: bool
    """Whether these are recorded versions. If nothing was recorded yet, the graph is the one that the code declares."""

    nodes: list[LineageNode]
    """Versions, nearest first."""

    edges: list[LineageEdge]
    """Edges between the versions."""

    truncated: bool
    """Whether `depth` or `max_nodes` cut the graph off."""


@ASSET.part("lineage", query=LineageQuery, result=LineageGraph)
async def get_asset_lineage(ctx: Context, asset: str, query: LineageQuery) -> LineageGraph:
    """Returns the lineage of an asset at a version, or the declared lineage if nothing was recorded yet."""
    view = ctx.view()
    lookup.asset(view, asset)
    recorded = await ctx.compute(_walk, ctx, asset, query)
    return recorded or LineageGraph.model_validate(
        lineage.declared(view, asset, query.direction, query.depth, query.max_nodes)
    )


@ASSET.part("provenance", query=ProvenanceQuery, result=Provenance)
async def get_asset_provenance(ctx: Context, asset: str, query: ProvenanceQuery) -> Provenance:
    """Returns the data, code, engine, run, and principal that produced a version."""
    lookup.asset(ctx.view(), asset)
    return await ctx.compute(explain, ctx, asset, query.version)


def _walk(ctx: Context, asset: str, query: LineageQuery) -> LineageGraph | None:
    platform = ctx.platform
    version = data_version(platform.part(open_tables), platform.part(open_lineage), asset, query.version)
    return None if version is None else walked(ctx, asset, version, query)


def walked(ctx: Context, node: str, version: str, query: LineageQuery) -> LineageGraph | None:
    """Returns the recorded graph around a version of a node, or None if nothing is recorded of it.

    Call it in a worker thread. Hidden nodes are left out and not followed.
    """
    platform = ctx.platform
    record = platform.part(open_lineage)
    walk = record.upstream if query.direction == "upstream" else record.downstream
    visible = visible_assets(platform, ctx.principal.access)
    graph = walk(node, version, depth=query.depth, max_nodes=query.max_nodes, visible=visible)
    if not graph.nodes:
        return None
    names = [one.asset for one in graph.nodes]
    with platform.database.read() as connection:
        external, items = external_datasets(connection, names), catalog_items(connection, names)
    return LineageGraph(
        asset=node,
        version=version,
        direction=query.direction,
        recorded=True,
        nodes=[
            LineageNode(
                asset=one.asset,
                external=external.get(one.asset),
                item=items.get(one.asset),
                version=one.version,
                distance=one.distance,
                tombstoned=one.tombstoned,
            )
            for one in graph.nodes
        ],
        edges=[
            LineageEdge(
                out_asset=edge.out_asset,
                out_version=edge.out_version,
                in_asset=edge.in_asset,
                in_version=edge.in_version,
                run=edge.run,
                step=edge.step,
                implied=edge.implied,
            )
            for edge in graph.edges
        ],
        truncated=graph.truncated,
    )
