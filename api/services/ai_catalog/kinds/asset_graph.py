"""The graph of assets in one compact response, with the versions that were read along its edges."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.encoded import Encoded
from api.kernel.lake.names import AssetId
from api.kernel.models import Model, Query
from api.kernel.platform import open_lineage
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.graph_edges import edges_of, neighborhood
from api.services.ai_catalog.logic.health import Health, assess
from core.ports import GraphView, Staleness


class GraphQuery(Query):
    """The part of the graph to return."""

    focus: AssetId = ""
    """Asset around which to return the graph. By default the whole graph."""

    upstream: Annotated[int, Field(ge=0, le=100)] = 3
    """With `focus`: the maximum number of steps to its inputs."""

    downstream: Annotated[int, Field(ge=0, le=100)] = 3
    """With `focus`: the maximum number of steps to what is produced from it."""

    max_nodes: Annotated[int, Field(ge=1, le=20_000)] = 10_000
    """Maximum number of assets to return."""

    show_retired: bool = False
    """Whether to include assets whose definition is retired."""


class GraphNode(Model):
    """An asset in the graph."""

    id: str
    """Id of the asset: `<project>.<layer>.<name>`."""

    kinds: list[str]
    """Technologies and data types, such as `polars`."""

    owners: list[str]
    """Owners: addresses, or names with `team:`."""

    health: Health
    """HEALTHY, STALE, WARNING, UNCHECKED, RUNNING, DEGRADED, or UNKNOWN."""

    staleness: Staleness
    """FRESH, STALE, or MISSING."""

    running: bool
    """Whether a run produces it now."""

    data_version: str | None
    """Latest data version. Null if it was never materialized."""

    materialized_at: datetime | None
    """Time of the latest materialization."""


class GraphEdge(Model):
    """An input of an asset."""

    source: int
    """Position of the input in `nodes`."""

    target: int
    """Position of the asset that reads it in `nodes`."""

    declared: bool
    """Whether the code declares the input. Otherwise only a run recorded that it read it."""

    version: str | None
    """Data version of the input that the latest recorded version of the asset read. Null if no read is recorded."""

    behind: bool
    """Whether the input has a newer version than the one that was read."""


class AssetGraph(Model):
    """Assets and their inputs."""

    nodes: list[GraphNode]
    """Assets by id, or nearest to the focus first."""

    edges: list[GraphEdge]
    """Edges between these assets."""

    truncated: bool
    """Whether `max_nodes` cut assets off."""

    observed_at: datetime
    """Time of this state."""

    stale_since: datetime | None
    """Time of this state while Dagster does not respond. Null otherwise."""


@ASSET.collection_read("graph", query=GraphQuery, result=AssetGraph)
async def graph_assets(ctx: Context, query: GraphQuery) -> Any:
    """Returns the graph of the assets that the caller can see, or the part around one of them.

    Each edge has the version of the input that the latest recorded version of the asset read.
    """
    view = ctx.view()
    if query.focus:
        lookup.asset(view, query.focus)
    return await ctx.compute(_graph, ctx, view, query)


def _graph(ctx: Context, view: GraphView, query: GraphQuery) -> Encoded:
    included = {id for id, node in view.nodes.items() if query.show_retired or not node.retired or id == query.focus}
    near = neighborhood(view, query.focus, query.upstream, query.downstream, included) if query.focus else None
    ids = sorted(included) if near is None else near
    nearest = ids[: query.max_nodes]
    # Models of thousands of nodes and edges take several times as long as their JSON.
    return Encoded.of(
        {
            "nodes": [_node(view, id) for id in nearest],
            "edges": edges_of(view, ctx.platform.part(open_lineage), nearest),
            "truncated": len(nearest) < len(ids),
            "observed_at": view.observed_at,
            "stale_since": view.stale_since,
        }
    )


def _node(view: GraphView, id: str) -> dict[str, Any]:
    """Returns a `GraphNode`."""
    node, state = view.nodes[id], view.states.get(id)
    materialization = state.materialization if state else None
    return {
        "id": id,
        "kinds": node.kinds,
        "owners": node.owners,
        "health": assess(node, state)[0],
        "staleness": state.staleness if state else Staleness.MISSING,
        "running": bool(state and state.runs_in_progress),
        "data_version": materialization.data_version if materialization else None,
        "materialized_at": materialization.at if materialization else None,
    }
