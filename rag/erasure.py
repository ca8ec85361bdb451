"""Removes deleted text from disk: from old states of the mirror and from old versions of the Delta table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import Conflict

if TYPE_CHECKING:
    from lakehouse.tables import Tables
    from rag.index import Index


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was removed."""

    version: int
    files: int
    searchable: tuple[int, ...]


def erase(index: Index, tables: Tables) -> Erasure:
    """Leaves nothing on disk but the newest version's text.

    Deleting a document's rows only hides them: LanceDB keeps them in data files until these are rewritten, Delta in
    files of older versions. Afterwards older versions can neither be searched nor read.

    Raises:
        Conflict: a pin holds an older version of the table; says which. Nothing was removed.
        UnknownTable: there is no such index.
        WriteConflict: another writer did not finish in time.
    """
    with index.writing():
        newest = tables.snapshot(index.name)
        if pinned := [version for version in tables.pins.versions(index.name) if version != newest.version]:
            raise Conflict(
                f"Versions {', '.join(map(str, sorted(pinned)))} of {index.name} are pinned, so their text must stay. "
                "Unpin them first.",
                metadata={"table": index.name, "pinned": sorted(pinned)},
            )
        # Delta first: its newest version holds no deleted row, since every write rewrites the files it touches. The
        # vacuum is a commit of its own, and the mirror must equal that one.
        index.sync(newest)
        removed = tables.vacuum(index.name, retention_hours=0)
        newest = tables.snapshot(index.name)
        index.erase(newest)
        return Erasure(newest.version, len(removed), tuple(index.versions()))
