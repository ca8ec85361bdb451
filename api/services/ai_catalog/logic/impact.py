"""The assets that a change of an asset or a column reaches, with how certain that is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from api.kernel.kinds.context import Context
from api.kernel.permissions.graph import visible_assets
from api.kernel.platform import open_lineage
from core.ids import is_asset_id
from core.ports import GraphView


class Certainty(StrEnum):
    """How certain an impact is. ASSUMED: the asset reads the other one, but it isn't recorded which columns."""

    EXACT = "EXACT"
    ASSUMED = "ASSUMED"


@dataclass(slots=True)
class Reach:
    """An asset that the change reaches."""

    asset: str
    path: tuple[str, ...]
    """Assets from the start to this one."""
    certainty: Certainty
    columns: set[str] | None
    """Columns that are lost; `None` if it's unknown, or if the whole asset is affected."""
    recorded: bool
    """Whether a run recorded the read. Otherwise only the code declares it."""


class ImpactWalk:
    """Follows readers breadth first. Hidden assets are left out and not followed. Runs in a worker thread."""

    def __init__(self, ctx: Context, view: GraphView, *, depth: int, max_nodes: int) -> None:
        self._lineage = ctx.platform.part(open_lineage)
        self._visible = visible_assets(ctx.platform, ctx.principal.access)
        self._view = view
        self._depth = depth
        self._max_nodes = max_nodes
        self.truncated = False

    def reached(self, asset: str, column: str) -> list[Reach]:
        """Returns what reads the asset now, directly and indirectly, nearest first.

        With a column, assets are left out of which it's recorded that they read other columns only.
        """
        start = Reach(asset, (asset,), Certainty.EXACT, {column} if column else None, recorded=True)
        found: dict[str, Reach] = {}
        level = [start]
        while level:
            following: dict[str, Reach] = {}
            for source in level:
                for reader in self._readers(source.asset):
                    if reader in source.path or reader == asset:
                        continue
                    reach = self._reach(source, reader, whole=not column)
                    if reach is None:
                        continue
                    before = found.get(reader)
                    if before is None and (len(source.path) > self._depth or len(found) >= self._max_nodes):
                        self.truncated = True
                        continue
                    merged = reach if before is None else _merged(before, reach)
                    if merged != before:
                        found[reader] = merged
                        following[reader] = merged
            # An asset without lost columns breaks, and what reads it does not.
            level = [reach for reach in following.values() if reach.columns is None or reach.columns]
        return sorted(found.values(), key=lambda reach: (len(reach.path), reach.asset))

    def _readers(self, asset: str) -> list[str]:
        names = {*self._lineage.readers(asset), *self._view.downstream.get(asset, ())}
        return sorted(name for name in names if is_asset_id(name) and self._visible(name) and not self._retired(name))

    def _retired(self, asset: str) -> bool:
        node = self._view.nodes.get(asset)
        return node is not None and node.retired

    def _reach(self, source: Reach, reader: str, *, whole: bool) -> Reach | None:
        """Returns how the reader is affected; `None` if it isn't, or doesn't read the source any more."""
        latest = self._lineage.latest(reader)
        version = self._lineage.recorded_version(reader, latest) if latest else ""
        edges = [edge for edge in self._lineage.provenance(reader, version) if edge.in_asset == source.asset]
        node = self._view.nodes.get(reader)
        declared = node is not None and source.asset in node.upstream
        if not edges and not declared:
            return None
        path = (*source.path, reader)
        if whole:
            return Reach(reader, path, Certainty.EXACT, None, recorded=bool(edges))
        if source.columns is None or not edges:
            return Reach(reader, path, Certainty.ASSUMED, None, recorded=bool(edges))
        records = self._lineage.column_sources(reader, version)
        lost = {
            name
            for record in records
            for column in source.columns
            for name in record.computed_from(source.asset, column)
        }
        known = all(edge.in_columns for edge in edges)
        read = {column for edge in edges for column in edge.in_columns}
        if known and not read & source.columns and not lost:
            return None
        exact = bool(lost or read & source.columns) and source.certainty is Certainty.EXACT
        certainty = Certainty.EXACT if exact else Certainty.ASSUMED
        return Reach(reader, path, certainty, lost if records else None, recorded=True)


def _merged(before: Reach, other: Reach) -> Reach:
    """Returns both impacts on one asset as one. The shorter path stays."""
    certainty = Certainty.EXACT if Certainty.EXACT in (before.certainty, other.certainty) else Certainty.ASSUMED
    unknown = before.columns is None or other.columns is None
    columns = None if unknown else {*(before.columns or ()), *(other.columns or ())}
    return Reach(before.asset, before.path, certainty, columns, before.recorded or other.recorded)


def launched(view: GraphView, assets: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Returns the schedules and the sensors that launch some of the assets, each with these assets."""
    affected = set(assets)

    def of(automations: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, list[str]]:
        return {id: sorted(affected.intersection(ids)) for id, ids in automations if affected.intersection(ids)}

    return (
        of((id, one.assets) for id, one in view.schedules.items()),
        of((id, one.assets) for id, one in view.sensors.items()),
    )
