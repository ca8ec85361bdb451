"""What changed between two versions of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.faults import translated
from lakehouse.handles import Handles
from lakehouse.schemas import plain
from lakehouse.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class TableDiff:
    """Differences between two versions of one table."""

    table: str
    from_version: int
    to_version: int


def compare(before: Snapshot, after: Snapshot, *, key: Sequence[str]) -> TableDiff:
    """Compares two snapshots of one table."""
    raise NotImplementedError


def changes(handles: Handles, table: str, from_version: int, to_version: int | None) -> pa.Table:
    """Reads the change data feed."""
    import polars as pl
    import pyarrow as pa

    delta = handles.current(table)
    with translated(table, "reading the changes of"):
        feed = delta.load_cdf(starting_version=from_version, ending_version=to_version).read_all()
    return plain(pa.table(pl.DataFrame(feed).sort("_commit_version", maintain_order=True)))
