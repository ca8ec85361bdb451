"""The rule for copies: a principal who may not read a table may not read its copies either."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.kernel.lake import releases
from api.kernel.lake.releases import Release
from api.kernel.lake.row_access import closes_copy, is_restricted
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, READ_ROWS, asset_securable, item_node
from api.kernel.permissions.projects import Projects
from api.kernel.platform import Platform, open_lineage, open_tables
from core.errors import PermissionDenied, TableDamaged, UnknownTable, UnsupportedTable
from core.ids import is_asset_id

if TYPE_CHECKING:
    from lakehouse.copies import Copied

_MAX_CACHED = 10_000

Source = tuple[str, str]
"""An asset and its data version."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table from which another one was copied, and whether that keeps a principal from reading the copy."""

    asset: str
    """Id of the table."""
    columns: tuple[str, ...] | None
    """Its columns that were copied; None if that is not known, so that all count."""
    readable: bool
    """Whether the principal may read it."""
    releases: tuple[str, ...]
    """Ids of the releases that open every way from the table to the copy."""

    @property
    def opens(self) -> bool:
        """Whether the principal may read what was copied from it."""
        return self.readable or bool(self.releases)


@dataclass(frozen=True, slots=True)
class Origins:
    """The tables from which a version was copied."""

    tables: Sequence[CopiedTable]
    """The tables, by id."""
    complete: bool
    """Whether these are all. The lineage of a version can be too large to follow."""

    @property
    def open(self) -> bool:
        """Whether they let the principal read the copy."""
        return self.complete and all(table.opens for table in self.tables)


def may_read_rows(platform: Platform, access: Access, asset: str) -> bool:
    """Returns whether the grants of an access allow to read the rows of an asset, whatever they were copied from."""
    place = asset_securable(platform, asset)
    return access.allows(READ_ASSET, place) and access.allows(READ_ROWS, place)


def may_read_copy(
    platform: Platform, access: Access, asset: str, version: str | None = None, also: frozenset[Source] = frozenset()
) -> bool:
    """Returns whether the tables from which a version was copied let a principal read it.

    **The rule.** A principal who may read the rows of an asset by their grants reads them only if, for each table that
    its version was copied from:

    - they may read that table too, or
    - on every way from that table to the version, there is a table that the owner released: a principal with
      `ai_catalog.release.create` on the table that was copied.

    What counts as copied follows from the recorded lineage of the version, over any number of steps: a column that a
    written column was computed from, also by an aggregate; everything that was read, if the writer recorded no columns.
    Columns that only select or join rows aren't copied. The rows of earlier versions that a version continues count.

    - Rights on a table that was deleted, or whose project was, still decide. To delete a table opens no copy.
    - Files, and data sets of other systems, have no readers on the platform. They are followed, not checked.
    - A release holds only within one organization.
    - A policy that restricts what the principal reads of the table closes its copies, unless it is applied to them.
    - Lineage that is too large to follow is refused, never open.
    - The rule is the same for what is not a table: without the right to read the documents, a principal can't search
      their index, and without the right to read the training data, they can't use the model.

    Args:
        platform: what the process shares.
        access: the rights of the principal.
        asset: id of the asset.
        version: data version that is read; None for any version, so that all count.
        also: versions from which it was copied and that the lineage doesn't record, such as those of a branch.
    """
    if access.unrestricted(READ_ASSET) and access.unrestricted(READ_ROWS) and not access.reader.policies:
        return True
    return platform.part(Copies).origins(access, asset, version, closed_only=True, also=also).open


def require_copy(platform: Platform, access: Access, made: str, version: str | None = None) -> None:
    """Requires what `may_read_copy` decides, of a model, an index, or files that a principal may use otherwise.

    Runs in a worker thread.

    Args:
        platform: what the process shares.
        access: the rights of the principal.
        made: id of the asset, or another node of the lineage graph, such as a run.
        version: version that is used; None for any.

    Raises:
        PermissionDenied: a policy restricts the caller, or the tables that it was made from keep it closed. The error
            names none of them.
    """
    if is_asset_id(made) and is_restricted(platform, access, made):
        raise PermissionDenied("A policy restricts what you read of this. See the `policies` of the asset.")
    if not may_read_copy(platform, access, made, version):
        raise PermissionDenied(
            "This was made from tables that you can't read, and their owners did not release it. Ask them for a "
            "release. The part `access` of an asset says which are missing."
        )


class Copies:
    """What versions were copied from. One instance serves the process and remembers what it has followed."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._followed: dict[tuple[object, ...], tuple[int, Copied]] = {}
        self._unrecorded: dict[tuple[str, str], frozenset[tuple[str, str]]] = {}

    def origins(
        self,
        access: Access,
        asset: str,
        version: str | None,
        *,
        closed_only: bool = False,
        also: frozenset[Source] = frozenset(),
    ) -> Origins:
        """Returns the tables that a version was copied from, as they concern a principal.

        Args:
            access: the rights of the principal.
            asset: id of the asset.
            version: data version; None for all versions.
            closed_only: whether to leave out tables that the principal can read, which is much faster.
            also: sources that the lineage doesn't record.
        """
        also |= self._pending(asset, version)
        with self._platform.part(open_lineage).index() as index:
            upstream = index.sources(asset).union(*({name} | index.sources(name) for name, _ in also))
        readable = {
            name: self._readable(access, name, asset, None) for name in upstream if is_asset_id(name) and name != asset
        }
        if closed_only and all(readable.values()):
            return Origins((), complete=True)
        found = self._copied(asset, version, also)
        readable |= {
            name: self._readable(access, name, asset, columns)
            for name, columns in found.columns.items()
            if name in readable and not readable[name]
        }
        names = sorted(name for name in found.columns if name in readable and not (closed_only and readable[name]))
        with self._platform.database.read() as connection:
            released = releases.of_assets(connection, names)
        tables = []
        for name in names:
            opening = self._opening(name, released.get(name, []), upstream | {asset})
            opens = opening and self._cut_off(name, opening, asset, version, also)
            columns = found.columns[name]
            tables.append(
                CopiedTable(
                    name,
                    None if columns is None else tuple(sorted(columns)),
                    readable[name],
                    tuple(sorted(id for id, _ in opening)) if opens else (),
                )
            )
        return Origins(tables, found.complete)

    def _readable(self, access: Access, source: str, copy: str, columns: Collection[str] | None) -> bool:
        """Returns whether a principal may read what a copy has from these columns of a table, or from all if None."""
        permitted = may_read_rows(self._platform, access, source)
        return permitted and not closes_copy(self._platform, access, source, copy, columns)

    def _opening(self, source: str, released: Iterable[Release], assets: Iterable[str]) -> set[tuple[str, str]]:
        """Returns the releases of a table with the assets of its organization that each covers."""
        organization = self._organization(source)
        return {
            (id, name)
            for id, copies in released
            for name in assets
            if name != source
            and releases.covers(copies, name)
            and organization is not None
            and self._organization(name) == organization
        }

    def _organization(self, node: str) -> str | None:
        """Returns the organization of an asset, or of another node of the lineage graph."""
        item = item_node(node)
        return self._platform.part(Projects).of(item.project if item else node.partition(".")[0]).organization_id

    def _cut_off(
        self,
        source: str,
        opening: set[tuple[str, str]],
        asset: str,
        version: str | None,
        also: frozenset[tuple[str, str]],
    ) -> bool:
        """Returns whether every way from a table to a version goes through a released asset."""
        without = frozenset(name for _, name in opening)
        if asset in without:
            return True
        rest = self._copied(asset, version, also, without)
        return rest.complete and source not in rest.columns

    def _copied(
        self,
        asset: str,
        version: str | None,
        also: frozenset[tuple[str, str]],
        without: frozenset[str] = frozenset(),
    ) -> Copied:
        from lakehouse.copies import copied

        lineage = self._platform.part(open_lineage)
        with lineage.index() as index:
            edges = index.edges
        key = asset, version, also, without
        known = self._followed.get(key)
        if known is None or known[0] != edges:
            if len(self._followed) >= _MAX_CACHED:
                self._followed.clear()
            known = self._followed[key] = edges, copied(lineage, asset, version, also=also, without=without)
        return known[1]

    def _pending(self, asset: str, version: str | None) -> frozenset[tuple[str, str]]:
        """Returns the sources of versions whose writer has committed them, but not recorded their lineage yet."""
        from lakehouse.repair import unrecorded_edges

        if not is_asset_id(asset):
            return frozenset()
        tables, lineage = self._platform.part(open_tables), self._platform.part(open_lineage)
        # A table that can't be opened has no readers.
        with suppress(UnknownTable, TableDamaged, UnsupportedTable):
            newest = version or tables.snapshot(asset).data_version
            with lineage.index() as index:
                if index.is_recorded(asset, newest):
                    return frozenset()
            if (asset, newest) not in self._unrecorded:
                if len(self._unrecorded) >= _MAX_CACHED:
                    self._unrecorded.clear()
                edges = unrecorded_edges(tables, lineage, asset)
                self._unrecorded[asset, newest] = frozenset((one.in_asset, one.in_version) for one in edges)
            return self._unrecorded[asset, newest] - {("", "")}
        return frozenset()
