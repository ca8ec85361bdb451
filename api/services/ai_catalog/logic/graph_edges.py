"""Edges between assets, with the versions that were read along them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.ports import GraphView

if TYPE_CHECKING:
    from lakehouse.lineage import Lineage


@dataclass(frozen=True, slots=True)
class ReadEdge:
    """An input of an asset, by the positions of both. `version` is what the latest version of the asset read of it."""

    source: int
    target: int
    declared: bool
    version: str | None
    behind: bool


def neighborhood(view: GraphView, focus: str, upstream: int, downstream: int, included: Collection[str]) -> list[str]:
    """Returns the included assets around one of them, nearest first, by the inputs that the code declares."""

    def inputs(id: str) -> Iterable[str]:
        return view.nodes[id].upstream

    def outputs(id: str) -> Iterable[str]:
        return view.downstream.get(id, ())

    above = _steps(focus, inputs, upstream, included)
    below = _steps(focus, outputs, downstream, included)
    return sorted(above | below, key=lambda id: (min(above.get(id, 999), below.get(id, 999)), id))


def _steps(focus: str, beyond: Callable[[str], Iterable[str]], depth: int, included: Collection[str]) -> dict[str, int]:
    found = {focus: 0}
    level = [focus]
    for distance in range(1, depth + 1):
        level = sorted({far for near in level for far in beyond(near) if far in included} - found.keys())
        found |= dict.fromkeys(level, distance)
    return found


def edges_of(view: GraphView, lineage: Lineage, ids: Sequence[str]) -> list[ReadEdge]:
    """Returns the edges between these assets: those that the code declares, and those that runs recorded."""
    positions = {id: position for position, id in enumerate(ids)}
    edges: list[ReadEdge] = []
    with lineage.index() as index:
        for id, target in positions.items():
            latest = index.latest(id)
            links = index.links_into(id, latest) if latest and index.is_recorded(id, latest) else []
            read = {link.in_asset: link.in_version for link in reversed(links)}
            declared = view.nodes[id].upstream
            for source in dict.fromkeys((*declared, *sorted(read))):
                if source == id or source not in positions:
                    continue
                version = read.get(source)
                newest = _newest(view, source)
                behind = version is not None and newest is not None and newest != version
                edges.append(ReadEdge(positions[source], target, source in declared, version, behind))
    return edges


def _newest(view: GraphView, id: str) -> str | None:
    state = view.states.get(id)
    return state.materialization.data_version if state and state.materialization else None
