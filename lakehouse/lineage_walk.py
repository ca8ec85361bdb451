"""Traversal of lineage."""

from __future__ import annotations

from collections.abc import Callable

from lakehouse.graph import Direction, LineageGraph, LineageLink, LineageNode
from lakehouse.lineage_index import LineageIndex

_EDGES_PER_NODE = 50


def walk(
    index: LineageIndex,
    direction: Direction,
    asset: str,
    version: str | None,
    *,
    depth: int,
    max_nodes: int,
    visible: Callable[[str], bool] | None,
) -> LineageGraph:
    """Traverses the graph breadth first from one version, and returns the nodes with the edges between them.

    A traversal follows a limited number of edges for each node that it may return, so that a version with a million
    outputs doesn't delay others. `truncated` is set if it stops there.
    """
    start = version if version is not None else index.latest(asset)
    if start is None or (visible and not visible(asset)):
        return LineageGraph((), (), truncated=False)
    root = (asset, start)
    distances = {root: 0}
    level, links, truncated = [root], [], False
    remaining = _EDGES_PER_NODE * max_nodes
    while level:
        following = []
        for node in level:
            if index.is_deleted(*node):
                continue
            for other, edge in index.neighbors(direction, node):
                if visible and not visible(other[0]):
                    continue
                remaining -= 1  # hidden edges don't count, or `truncated` would tell of them
                if remaining < 0:
                    truncated = True
                    break
                if other not in distances:
                    if distances[node] >= depth or len(distances) >= max_nodes:
                        truncated = True
                        continue
                    distances[other] = distances[node] + 1
                    following.append(other)
                links.append(index.link(edge) if edge >= 0 else _implied_link(direction, node, other))
        level = following
    nodes = tuple(LineageNode(*node, distance, index.is_deleted(*node)) for node, distance in distances.items())
    return LineageGraph(nodes, tuple(links), truncated)


def _implied_link(direction: Direction, node: tuple[str, str], other: tuple[str, str]) -> LineageLink:
    out, source = (node, other) if direction == "upstream" else (other, node)
    return LineageLink(*out, *source, run="", step="", implied=True)
