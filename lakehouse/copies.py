"""Copies: the columns of other tables whose values a version of a table contains, directly or through other versions.

A column is copied if the writer recorded it as a source of a written column, whatever the expression between them:
`max(salary)` is a salary, too. Columns that only select or join rows aren't copied. If the writer recorded no sources,
everything that it read counts as copied.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lakehouse.column_sources import Sources
from lakehouse.column_sources import of_asset as column_sources_of
from lakehouse.graph import LineageLink
from lakehouse.lineage import Lineage
from lakehouse.lineage_index import LineageIndex

MAX_VERSIONS = 20_000
"""Versions that one walk visits."""

Columns = frozenset[str] | None
"""Names of columns; `None` for all."""

_Version = tuple[str, str]
_Recorded = Mapping[tuple[str, str, str], Sources]
"""Recorded column sources of an asset, by version, run, and step."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a version of a table was copied from."""

    columns: Mapping[str, Columns]
    """Columns by the asset, or other source, that they were copied from."""
    complete: bool
    """Whether the walk reached its end. Otherwise, there may be further sources."""


def copied(
    lineage: Lineage,
    asset: str,
    version: str | None = None,
    *,
    also: Collection[tuple[str, str]] = (),
    without: Collection[str] = (),
    max_versions: int = MAX_VERSIONS,
) -> Copied:
    """Returns what a version was copied from.

    A deleted source is still a source. Rows that an earlier version of the same table leaves in a later one count, too.

    Args:
        lineage: the lineage record.
        asset: id of the table.
        version: data version; `None` for all recorded versions.
        also: further assets and versions that it was produced from, and that aren't recorded.
        without: assets through which the walk doesn't go. They aren't part of the result either.
        max_versions: number of versions after which the walk gives up.
    """
    with lineage.index() as index:
        versions = index.recorded_versions(asset) if version is None else [version]
        walk = _Walk(lineage, index, frozenset(without) - {asset}, max_versions)
        return walk.result(asset, [*((asset, one) for one in versions), *also])


class _Walk:
    """A walk from versions to the columns that they were copied from, while the index is locked."""

    def __init__(self, lineage: Lineage, index: LineageIndex, without: frozenset[str], max_versions: int) -> None:
        self._lineage = lineage
        self._index = index
        self._without = without
        self._max_versions = max_versions
        self._wanted: dict[_Version, Columns] = {}
        self._pending: deque[tuple[_Version, Columns]] = deque()
        self._recorded: dict[str, _Recorded] = {}

    def result(self, asset: str, starts: Sequence[_Version]) -> Copied:
        """Returns what an asset was copied from, beginning with its versions and with direct sources."""
        for start in starts:
            if start[0] not in self._without:
                self._want(start, None)
        while self._pending and len(self._wanted) <= self._max_versions:
            version, columns = self._pending.popleft()
            for source, names in self._sources(version, columns):
                if source[0] not in self._without:
                    self._want(source, names)
        found: dict[str, Columns] = {}
        for (name, _), columns in self._wanted.items():
            known = found.get(name, frozenset())
            found[name] = None if known is None or columns is None else known | columns
        found.pop(asset, None)
        return Copied(found, complete=not self._pending)

    def _want(self, version: _Version, columns: Columns) -> None:
        """Adds columns of a version, and follows those that were not known before."""
        known = self._wanted.get(version, frozenset())
        if known is None:
            return
        new = None if columns is None else columns - known
        if new is None or new or version not in self._wanted:
            self._wanted[version] = None if new is None else known | new
            self._pending.append((version, new))

    def _sources(self, version: _Version, columns: Columns) -> Iterator[tuple[_Version, Columns]]:
        """Yields the versions, and their columns, from which columns of a version were copied."""
        steps: dict[tuple[str, str], list[LineageLink]] = defaultdict(list)
        for link in self._index.links_into(*version):
            steps[link.run, link.step].append(link)
        for (run, step), links in steps.items():
            sources = self._column_sources(version[0]).get((version[1], run, step))
            used = None if sources is None else _used(sources, columns)
            for link in links:
                source = link.in_asset, link.in_version
                if used is None:
                    yield source, None
                elif link.in_asset == version[0]:
                    # The rows of the earlier version may still be there.
                    yield source, None if columns is None else columns | used.get(link.in_asset, frozenset())
                elif link.in_asset in used:
                    yield source, used[link.in_asset]

    def _column_sources(self, asset: str) -> _Recorded:
        if asset not in self._recorded:
            with self._lineage.database.read() as connection:
                self._recorded[asset] = column_sources_of(connection, asset)
        return self._recorded[asset]


def _used(sources: Sources, columns: Columns) -> dict[str, frozenset[str]] | None:
    """Returns the columns of each input from which columns were computed; `None` if one of them isn't recorded."""
    if columns is not None and not columns <= sources.keys():
        return None
    used: dict[str, set[str]] = defaultdict(set)
    for name in sources if columns is None else columns:
        for asset, column in sources[name]:
            used[asset].add(column)
    return {asset: frozenset(names) for asset, names in used.items()}
