"""Branches: runs that read pinned versions of the lakehouse, and write to tables of their own.

A branch has an area, a folder of the lakehouse that lists, queries, and graphs of its tables don't include. Tables that
the branch produces are in this area, under their usual names. All other tables are read at their pinned versions.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.db import Database
from core.errors import UnknownVersion
from lakehouse.column_sources import ColumnSources
from lakehouse.commits import Commit, entries_backwards, read_entry
from lakehouse.diff import TableDiff
from lakehouse.diff import compare as compare_snapshots
from lakehouse.handles import Handles
from lakehouse.ledger import Ledger
from lakehouse.lineage import Edge, Lineage
from lakehouse.provenance import commit_edges, stored_provenance
from lakehouse.snapshot import Snapshot
from lakehouse.storage import Storage
from lakehouse.table_writes import TableWrites
from lakehouse.tables import Tables

if TYPE_CHECKING:
    import pyarrow as pa

AREAS = "_branches"
"""Folder of the lakehouse with the areas of branches. No project has this name."""


@dataclass(frozen=True, slots=True)
class BranchPlan:
    """The tables of a branch: which it writes, and at which versions it reads the others."""

    id: str
    """Id of the branch, which names its area."""
    produced: tuple[str, ...]
    """Tables that the branch writes."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """Data version by table that the branch only reads. Tables without a pin are read at their newest version."""
    bases: Mapping[str, str] = field(default_factory=dict)
    """Data version by produced table whose rows the branch starts with. Without one, the table doesn't exist yet."""
    files: Mapping[str, str] | None = None
    """Digest by input of the landing files that a step ingests (`file:a.csv`); `None` for all that it finds."""

    def to_json(self) -> str:
        """Returns the plan as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> BranchPlan:
        """Reads a plan from JSON."""
        values = json.loads(text)
        return cls(values["id"], tuple(values["produced"]), values["pins"], values["bases"], values["files"])


def area_of(root: str, branch: str) -> str:
    """Returns the location of the area of a branch in the lakehouse at `root`."""
    return f"{root.rstrip('/')}/{AREAS}/{branch}"


def areas(storage: Storage) -> list[str]:
    """Returns the ids of the branches that have an area, sorted."""
    return sorted(storage.folders(AREAS))


def remove_area(storage: Storage, branch: str) -> None:
    """Deletes the area of a branch with everything in it. Idempotent."""
    if storage.folder:
        shutil.rmtree(storage.folder / AREAS / branch, ignore_errors=True)
        return
    from pyarrow.fs import FileType

    if storage.files.get_file_info(f"{AREAS}/{branch}").type == FileType.Directory:
        storage.files.delete_dir(f"{AREAS}/{branch}")


class BranchTables(Tables):
    """The tables of a lakehouse as a branch sees them. Only tables that the branch produces can be written."""

    def __init__(self, main: Tables, plan: BranchPlan) -> None:
        """Opens the tables of a branch.

        Args:
            main: the tables of the lakehouse.
            plan: the tables of the branch.
        """
        storage = Storage(area_of(main.storage.root, plan.id), main.storage.options)
        TableWrites.__init__(self, storage, Handles(storage, _NoLedger()))
        self.ledger = _NoLedger()
        self.pins = main.pins
        self.main = main
        self.plan = plan

    def start(self) -> None:
        """Copies the base version of each produced table that has one and doesn't exist in the branch yet.

        Raises:
            UnknownVersion: a base version can't be read any more.
        """
        for table, version in self.plan.bases.items():
            if not super().exists(table):
                base = pinned(self.main, table, version)
                # An append that the base contains isn't repeated in the branch.
                self.copy(base, table, transactions=transactions(self.main, base))

    def owns(self, table: str) -> bool:
        """Returns whether the branch reads its own version of a table."""
        return table in self.plan.produced

    def exists(self, table: str) -> bool:
        """See `Tables`."""
        return super().exists(table) if self.owns(table) else self.main.exists(table)

    def uri(self, table: str) -> str:
        """See `Tables`."""
        return super().uri(table) if self.owns(table) else self.main.uri(table)

    def snapshot(self, table: str, *, version: int | None = None, timestamp: datetime | None = None) -> Snapshot:
        """Returns a table of the branch, or the pinned version of another table.

        Raises:
            UnknownVersion: the pinned version can't be read any more.
        """
        if self.owns(table):
            return super().snapshot(table, version=version, timestamp=timestamp)
        if version is None and timestamp is None and (pin := self.plan.pins.get(table)) is not None:
            return pinned(self.main, table, pin)
        return self.main.snapshot(table, version=version, timestamp=timestamp)

    def content_version(self, table: str, version: int) -> int:
        """See `Tables`."""
        return (
            super().content_version(table, version) if self.owns(table) else self.main.content_version(table, version)
        )

    def commit_at(self, table: str, instant: datetime) -> Commit:
        """See `Tables`."""
        return super().commit_at(table, instant) if self.owns(table) else self.main.commit_at(table, instant)

    def history(self, table: str, *, limit: int = 100) -> list[Commit]:
        """See `Tables`."""
        return super().history(table, limit=limit) if self.owns(table) else self.main.history(table, limit=limit)

    def diff(
        self, table: str, from_version: int, to_version: int, *, key: Sequence[str] = (), limit: int = 1000
    ) -> TableDiff:
        """See `Tables`."""
        before, after = self.snapshot(table, version=from_version), self.snapshot(table, version=to_version)
        return compare_snapshots(before, after, key=key, limit=limit)

    def changes(self, table: str, from_version: int, to_version: int | None = None) -> pa.Table:
        """See `Tables`."""
        tables: Any = super() if self.owns(table) else self.main
        changed: pa.Table = tables.changes(table, from_version, to_version)
        return changed

    def produced_edges(self, asset: str) -> list[Edge]:
        """Returns the edges of the newest version of a table that a step of the branch wrote; none if it wrote none."""
        newest = self.snapshot(asset)
        for version in range(newest.version, -1, -1):
            if edges := self.edges(asset, f"{newest.table_id}@{version}"):
                return edges
        return []

    def sources(self, asset: str) -> frozenset[tuple[str, str]]:
        """Returns the versions that a table of the branch was made from, over all of its steps.

        They are versions of the lakehouse, and of other tables of the branch.
        """
        found: set[tuple[str, str]] = set()
        waiting, done = [asset], set()
        while waiting:
            table = waiting.pop()
            if table in done or not self.owns(table) or not self.exists(table):
                continue
            done.add(table)
            if base := self.plan.bases.get(table):
                found.add((table, base))
            newest = self.snapshot(table)
            if table != asset:
                found.add((table, newest.data_version))
            for version in range(newest.version + 1):
                for edge in self.edges(table, f"{newest.table_id}@{version}") or ():
                    if self.edges(edge.in_asset, edge.in_version) is not None:
                        waiting.append(edge.in_asset)
                    elif edge.in_asset:
                        found.add((edge.in_asset, edge.in_version))
        return frozenset(found)

    def edges(self, asset: str, version: str) -> list[Edge] | None:
        """Returns the lineage edges in the commit of a version of the branch; `None` for a version of another table."""
        table_id, _, number = version.rpartition("@")
        if not self.owns(asset) or not super().exists(asset) or super().snapshot(asset).table_id != table_id:
            return None
        entry = read_entry(self.storage, asset, int(number))
        provenance = stored_provenance(entry)
        return [] if provenance is None else commit_edges(provenance, asset, entry.commit(asset, table_id, None))

    # Last, because it hides the built-in `list` from the annotations below it.
    def list(self, prefix: str = "") -> list[str]:
        """Returns the names of the tables of the lakehouse and of the branch whose name begins with `prefix`."""
        return sorted({*self.main.list(prefix), *super().list(prefix)})


class BranchLineage(Lineage):
    """The lineage record as a branch sees it. Edges of the branch are only in the commits of its tables."""

    def __init__(self, database: Database, tables: BranchTables) -> None:
        super().__init__(database)
        self._tables = tables

    def record(self, edges: Sequence[Edge], columns: Sequence[ColumnSources] = ()) -> None:
        """Records nothing, because the edges are in the commits."""

    def provenance(self, asset: str, version: str) -> list[Edge]:
        """See `Lineage`."""
        edges = self._tables.edges(asset, version)
        return super().provenance(asset, version) if edges is None else edges


class _NoLedger(Ledger):
    """A ledger without records: a branch is temporary, and its tables have the names of others."""

    def __init__(self) -> None:
        pass

    def newest(self, table: str, table_id: str) -> tuple[int, str] | None:
        return None

    def has_commits(self, table: str) -> bool:
        return False

    def digests(self, table: str, table_id: str, versions: list[int] | None = None) -> dict[int, str]:
        return {}

    def record(self, table: str, table_id: str, digests: Mapping[int, str]) -> None:
        pass

    def forget(self, table: str) -> None:
        pass


def transactions(tables: Tables, snapshot: Snapshot, *, after: int = -1) -> list[str]:
    """Returns the application ids of the appends after a version and up to a snapshot, as far as the log has them."""
    entries = entries_backwards(tables.storage, snapshot.table, snapshot.version, snapshot.version - after)
    return sorted({id for entry in entries for id in entry.transactions})


def pinned(tables: Tables, table: str, version: str) -> Snapshot:
    """Returns the table at a data version.

    Raises:
        UnknownTable, UnknownVersion: the version doesn't exist any more, or belongs to another table of this name.
    """
    number = version.rpartition("@")[2]
    snapshot = tables.snapshot(table, version=int(number))
    if snapshot.data_version != version:
        raise UnknownVersion(
            f"Version {version} of {table} doesn't exist any more: the table was created again with other versions.",
            metadata={"table": table},
        )
    return snapshot
