"""A walk from the columns of a version to the recorded columns that they were computed from."""

from __future__ import annotations

from dataclasses import dataclass, field

from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.permissions.graph import visible_assets
from api.kernel.platform import open_lineage, open_tables
from core.errors import HeadwaterError, UnknownColumn
from core.ids import is_asset_id

_Column = tuple[str, str, str]
"""Asset, data version, and column."""


@dataclass(slots=True)
class FoundColumn:
    """A column, and what is recorded of its sources."""

    asset: str
    version: str
    column: str
    distance: int
    recorded: bool
    sources: list[_Column]
    possible_inputs: list[str]
    continues: list[str]


@dataclass(slots=True)
class _Version:
    """What is recorded of a version, without what the caller cannot see."""

    inputs: list[str] = field(default_factory=list)
    continues: list[str] = field(default_factory=list)
    sources: dict[str, set[_Column]] = field(default_factory=dict)


class ColumnWalk:
    """Follows columns breadth first. Hidden assets are left out and not followed. Runs in a worker thread."""

    def __init__(self, ctx: Context, *, depth: int, max_columns: int) -> None:
        self._lineage = ctx.platform.part(open_lineage)
        self._tables = ctx.platform.part(open_tables)
        self._visible = visible_assets(ctx.platform, ctx.principal.access)
        self._depth = depth
        self._max_columns = max_columns
        self._versions: dict[tuple[str, str], _Version] = {}
        self.truncated = False

    def columns(self, asset: str, version: str, column: str) -> list[FoundColumn]:
        """Returns the columns, or one column, of a version and their sources, nearest first.

        Raises:
            UnknownColumn: the version has no such column.
        """
        names = self._names(asset, version)
        if column and names and column not in names:
            raise UnknownColumn(
                f"{asset} at {version} has no column {column!r}. It has {', '.join(names)}.",
                metadata={"similar": names},
            )
        level: list[_Column] = [(asset, version, name) for name in ([column] if column and names else names)]
        found: list[FoundColumn] = []
        seen = set(level[: self._max_columns])
        self.truncated = len(level) > self._max_columns
        level = level[: self._max_columns]
        distance = 0
        while level:
            following: list[_Column] = []
            for node in level:
                one = self._found(node, distance)
                found.append(one)
                for source in one.sources:
                    if source in seen:
                        continue
                    if distance >= self._depth or len(seen) >= self._max_columns:
                        self.truncated = True
                        continue
                    seen.add(source)
                    following.append(source)
            level, distance = following, distance + 1
        return found

    def _found(self, node: _Column, distance: int) -> FoundColumn:
        asset, version, column = node
        record = self._version(asset, version)
        sources = record.sources.get(column)
        return FoundColumn(
            asset,
            version,
            column,
            distance,
            recorded=sources is not None,
            sources=sorted(sources or ()),
            possible_inputs=[] if sources is not None else record.inputs,
            continues=record.continues,
        )

    def _names(self, asset: str, version: str) -> list[str]:
        """Returns the columns of a version: those of the table, or the recorded ones if it cannot be read any more."""
        try:
            return list(versions.snapshot(self._tables, asset, version).schema.names)
        except HeadwaterError:
            return sorted(self._version(asset, version).sources)

    def _version(self, asset: str, version: str) -> _Version:
        key = (asset, version)
        if key not in self._versions:
            self._versions[key] = self._read(asset, version)
        return self._versions[key]

    def _read(self, asset: str, version: str) -> _Version:
        if not is_asset_id(asset):
            return _Version()
        version = self._lineage.recorded_version(asset, version)
        read: dict[tuple[str, str, str], set[str]] = {}
        result = _Version()
        for edge in self._lineage.provenance(asset, version):
            if not edge.in_asset or not self._visible(edge.in_asset):
                continue
            if edge.in_asset == asset:
                result.continues.append(edge.in_version)
                continue
            read.setdefault((edge.run, edge.step, edge.in_asset), set()).add(edge.in_version)
            if edge.in_asset not in result.inputs:
                result.inputs.append(edge.in_asset)
        for record in self._lineage.column_sources(asset, version):
            for column, used in record.sources.items():
                result.sources.setdefault(column, set()).update(
                    (source, source_version, name)
                    for source, name in used
                    for source_version in read.get((record.run, record.step, source), ())
                )
        return result
