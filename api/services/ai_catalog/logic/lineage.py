"""Lineage at a version, and what the code declares while nothing is on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from api.services.ai_catalog.logic import versions
from core.errors import UnknownVersion
from core.ports import GraphView

if TYPE_CHECKING:
    from lakehouse.lineage import Edge, Lineage
    from lakehouse.tables import Tables


def data_version(tables: Tables, record: Lineage, asset: str, version: str | None) -> str | None:
    """The data version a caller means; None if he means the latest and there is none.

    Raises:
        UnknownVersion: the table has no such version.
    """
    if version is None:
        return record.latest(asset)
    if "@" in version:
        versions.number(version)
        return version
    return versions.snapshot(tables, asset, version).data_version


def require_version(tables: Tables, record: Lineage, asset: str, version: str | None) -> str:
    """As `data_version`; raises `UnknownVersion` if nothing is on record."""
    found = data_version(tables, record, asset, version)
    if found is None:
        raise UnknownVersion(f"Nothing is on record of {asset} yet: materialize it first.")
    return found


def require_edges(record: Lineage, asset: str, version: str) -> Sequence[Edge]:
    """The direct inputs of a version; raises `UnknownVersion` if it is not on record."""
    edges = record.provenance(asset, version)
    if not edges:
        latest = record.latest(asset)
        raise UnknownVersion(
            f"Version {version!r} of {asset} is not on record. "
            + (f"The latest that is: {latest}." if latest else "No version is."),
            metadata={"similar": [latest] if latest else []},
        )
    return edges


def declared(view: GraphView, asset: str, direction: str, depth: int, max_nodes: int) -> dict[str, Any]:
    """The graph as the code declares it: the shape of a recorded one, without versions."""
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
    facts = {"asset": asset, "version": None, "direction": direction, "recorded": False}
    return {**facts, "nodes": nodes, "edges": edges, "truncated": truncated}
