"""The lineage that the code declares, for assets without recorded lineage."""

from __future__ import annotations

from typing import Any

from core.ports import GraphView


def declared(view: GraphView, asset: str, direction: str, depth: int, max_nodes: int) -> dict[str, Any]:
    """Returns the declared graph in the form of a recorded one, without versions."""
    upward = direction == "upstream"
    distances = {asset: 0}
    edges: list[dict[str, Any]] = []
    truncated = False
    frontier = [asset]
    for distance in range(1, depth + 2):
        reached: list[str] = []
        for near in frontier:
            node = view.nodes.get(near)
            beyond = (node.upstream if node else ()) if upward else view.downstream.get(near, ())
            for far in beyond:
                if far not in distances:
                    if distance > depth or len(distances) >= max_nodes:
                        truncated = True
                        continue
                    distances[far] = distance
                    reached.append(far)
                out, inward = (near, far) if upward else (far, near)
                versionless = {"out_version": None, "in_version": None, "run": None, "step": None, "implied": False}
                edges.append({"out_asset": out, "in_asset": inward, **versionless})
        frontier = reached
    nodes = [
        {"asset": id, "version": None, "distance": distance, "tombstoned": False} for id, distance in distances.items()
    ]
    start = {"asset": asset, "version": None, "direction": direction, "recorded": False}
    return {**start, "nodes": nodes, "edges": edges, "truncated": truncated}
