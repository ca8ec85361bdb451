"""The part of the provenance graph that an export contains: versions, the steps that produced them, and derivations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.kernel.kinds.context import Context
from api.kernel.lake.provenance import Materialization, recorded
from api.kernel.permissions.graph import visible_assets
from api.kernel.platform import open_lineage
from core.ids import is_asset_id

Node = tuple[str, str]
"""Asset and data version."""


@dataclass(frozen=True, slots=True)
class Produced:
    """A step that produced a version, and the sources of the version's columns that it recorded."""

    asset: str
    version: str
    step: Materialization
    columns: Mapping[str, Sequence[tuple[str, str]]]
    """Visible asset and column of each source, by column."""


@dataclass(frozen=True, slots=True)
class ProvenanceDocument:
    """Versions with what produced them. Everything in it is visible to the caller."""

    versions: Mapping[Node, bool]
    """Whether each version was deleted."""
    produced: Sequence[Produced]
    """Steps, upstream first."""
    implied: Sequence[tuple[Node, Node]]
    """A version without a separate record, and the version that it continues."""
    truncated: bool


def collect(ctx: Context, asset: str, version: str, *, depth: int, max_nodes: int) -> ProvenanceDocument:
    """Returns the document of a version and of what it was produced from. Runs in a worker thread."""
    lineage = ctx.platform.part(open_lineage)
    visible = visible_assets(ctx.platform, ctx.principal.access)
    graph = lineage.upstream(asset, version, depth=depth, max_nodes=max_nodes, visible=visible)
    versions = {(node.asset, node.version): node.tombstoned for node in graph.nodes}
    produced: list[Produced] = []
    for node in reversed(graph.nodes):
        if node.tombstoned or node.distance >= depth or not is_asset_id(node.asset):
            continue
        found = recorded(ctx, node.asset, node.version)
        sources = {(one.run, one.step): one.sources for one in lineage.column_sources(node.asset, node.version)}
        for step in found.materializations if found else ():
            columns = {
                name: [source for source in used if visible(source[0])]
                for name, used in sources.get((step.run, step.step), {}).items()
            }
            produced.append(Produced(node.asset, node.version, step, columns))
            for used in step.inputs:
                versions.setdefault((used.asset, used.version), lineage.is_deleted(used.asset, used.version))
    implied = [
        ((edge.out_asset, edge.out_version), (edge.in_asset, edge.in_version)) for edge in graph.edges if edge.implied
    ]
    return ProvenanceDocument(versions, produced, implied, graph.truncated)
