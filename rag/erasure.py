"""Erases deleted text from storage: from old states of the mirror and from old versions of the Delta table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import Conflict

if TYPE_CHECKING:
    from lakehouse.tables import Tables
    from rag.index import Index


@dataclass(frozen=True, slots=True)
class Erasure:
    """The result of an erasure: the remaining version, the number of deleted files, and the searchable versions."""

    version: int
    files: int
    searchable: tuple[int, ...]


def erase(index: Index, tables: Tables) -> Erasure:
    """Removes all text from storage except the text of the newest version.

    Deleting the rows of a document only hides them: LanceDB keeps them in data files until it rewrites those files, and
    Delta keeps them in the files of older versions. After an erasure, older versions can't be searched or read.

    Raises:
        Conflict: a pin holds an older version of the table. The message lists the pinned versions. Nothing was removed.
        UnknownTable: the index doesn't exist.
        WriteConflict: another writer didn't finish in time.
    """
    with index.write_lock():
        newest = tables.snapshot(index.name)
        if pinned := [version for version in tables.pins.versions(index.name) if version != newest.version]:
            raise Conflict(
                f"Versions {', '.join(map(str, sorted(pinned)))} of {index.name} are pinned, so their text can't be "
                "erased. Unpin them first.",
                metadata={"table": index.name, "pinned": sorted(pinned)},
            )
        # The newest Delta version contains no deleted rows, because every write rewrites the files that it changes. The
        # vacuum is a separate commit, and the mirror must match that commit.
        index.sync(newest)
        removed = tables.vacuum(index.name, retention_hours=0)
        newest = tables.snapshot(index.name)
        index.erase(newest)
        return Erasure(newest.version, len(removed), tuple(index.versions()))
