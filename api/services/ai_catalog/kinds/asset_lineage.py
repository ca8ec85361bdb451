"""Lineage and provenance of an asset: exact versions, from what the runs recorded."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake.provenance import Provenance, ProvenanceQuery, data_version, explain
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import sees
from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic import lineage


class LineageQuery(Query):
    """Where to start and how far to go."""

    direction: Literal["upstream", "downstream"] = "upstream"
    """Upstream is what it was made from; downstream what was made from it."""

    version: Version | None = None
    """Version to start from: a table version or a data version; by default the latest on record."""

    depth: Annotated[int, Field(ge=1, le=100)] = 20
    """Most steps away from the start."""

    max_nodes: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Most nodes to return."""


class LineageNode(Model):
    """One version of one asset."""

    asset: str
    """Id of the asset."""

    version: str | None
    """Data version; null in a declared graph."""

    distance: int
    """Steps from the start."""

    tombstoned: bool
    """Deleted: shown, but not walked through."""


class LineageEdge(Model):
    """One version was made from another."""

    out_asset: str
    """What was made."""

    out_version: str | None
    """Its version."""

    in_asset: str
    """What it was made from."""

    in_version: str | None
    """The version that was read."""

    run: str | None
    """The run it happened in."""

    step: str | None
    """The step of the run."""

    implied: bool
    """Not recorded itself: it continues the version before, as compaction does."""


class LineageGraph(Model):
    """A part of the lineage graph."""

    asset: str
    """Where it starts."""

    version: str | None
    """The version it starts from; null if nothing was recorded yet."""

    direction: Literal["upstream", "downstream"]
    """Which way it goes."""

    recorded: bool
    """True: exact versions, as recorded. False: nothing was recorded yet, so this is what the code declares."""

    nodes: list[LineageNode]
    """Versions, nearest first."""

    edges: list[LineageEdge]
    """What was made from what."""

    truncated: bool
    """Whether depth or max_nodes cut something off."""


@ASSET.part("lineage", query=LineageQuery, result=LineageGraph)
async def get_asset_lineage(ctx: Context, asset: str, query: LineageQuery) -> LineageGraph:
    """Walks the lineage of an asset at a version. Before anything was recorded, shows what the code declares."""
    view = ctx.view()
    lookup.asset(view, asset)
    found = await ctx.work(_walk, ctx, asset, query)
    return found or LineageGraph.model_validate(
        lineage.declared(view, asset, query.direction, query.depth, query.max_nodes)
    )


@ASSET.part("provenance", query=ProvenanceQuery, result=Provenance)
async def get_asset_provenance(ctx: Context, asset: str, query: ProvenanceQuery) -> Provenance:
    """Tells which data, code, engine, run and principal stand behind a version."""
    lookup.asset(ctx.view(), asset)
    return await ctx.work(explain, ctx, asset, query.version)


def _walk(ctx: Context, asset: str, query: LineageQuery) -> LineageGraph | None:
    platform = ctx.platform
    record = platform.part(open_lineage)
    version = data_version(platform.part(open_tables), record, asset, query.version)
    if version is None:
        return None
    walk = record.upstream if query.direction == "upstream" else record.downstream
    seen = sees(platform, ctx.principal.access)
    found = walk(asset, version, depth=query.depth, max_nodes=query.max_nodes, visible=seen)
    if not found.nodes:
        return None
    return LineageGraph(
        asset=asset,
        version=version,
        direction=query.direction,
        recorded=True,
        nodes=[
            LineageNode(asset=node.asset, version=node.version, distance=node.distance, tombstoned=node.tombstoned)
            for node in found.nodes
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
            for edge in found.edges
        ],
        truncated=found.truncated,
    )
