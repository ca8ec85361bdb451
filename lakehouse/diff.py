"""Differences between two versions of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import InvalidArgument
from lakehouse.faults import translated
from lakehouse.handles import Handles
from lakehouse.restrictions import RestrictedSnapshot
from lakehouse.schemas import plain, require_columns
from lakehouse.snapshot import Snapshot

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

AnySnapshot = Snapshot | RestrictedSnapshot

_WEIGHT = "__weight"


@dataclass(frozen=True, slots=True)
class TableDiff:
    """Differences between two versions of one table. Tables of rows have at most `limit` rows; counts are exact."""

    table: str
    from_version: int
    to_version: int
    columns_added: Mapping[str, str]
    """Arrow types by column."""
    columns_removed: Mapping[str, str]
    columns_changed: Mapping[str, tuple[str, str]]
    """Types before and after, by column."""
    from_row_count: int
    to_row_count: int
    added_count: int
    removed_count: int
    changed_count: int | None
    """`None` without a key, because a changed row then counts as one removed and one added row."""
    added: pa.Table
    removed: pa.Table
    changed_before: pa.Table
    """Changed rows before the change, in the order of `changed_after`. Empty without a key."""
    changed_after: pa.Table


def compare(before: AnySnapshot, after: AnySnapshot, *, key: Sequence[str], limit: int) -> TableDiff:
    """Compares two snapshots of one table. Files that are in both aren't read.

    Raises:
        UnknownColumn: a key column is missing in one of the versions.
        InvalidArgument: the key isn't unique.
    """
    import polars as pl
    from polars import selectors

    for snapshot in (before, after):
        require_columns(snapshot.table, snapshot.schema.names, list(key))
    old, new = _rows_of_differing_files(before, after)
    columns = list(dict.fromkeys([*after.schema.names, *before.schema.names]))
    weighted = [_weighted(new, 1), _weighted(old, -1)]
    frames = pl.concat(_with_equal_types(weighted), how="diagonal")
    net = frames.group_by(selectors.by_name(columns)).agg(pl.col(_WEIGHT).sum())
    changes = net.filter(pl.col(_WEIGHT) != 0).collect()
    added, removed = _repeated(changes.filter(pl.col(_WEIGHT) > 0)), _repeated(changes.filter(pl.col(_WEIGHT) < 0))
    changed_before, changed_after = added.clear(), added.clear()
    if key:
        added, removed, changed_before, changed_after = _paired(before.table, added, removed, list(key))
    types_before, types_after = _types(before), _types(after)
    return TableDiff(
        table=before.table,
        from_version=before.version,
        to_version=after.version,
        columns_added={n: t for n, t in types_after.items() if n not in types_before},
        columns_removed={n: t for n, t in types_before.items() if n not in types_after},
        columns_changed={n: (t, types_after[n]) for n, t in types_before.items() if types_after.get(n, t) != t},
        from_row_count=before.row_count,
        to_row_count=after.row_count,
        added_count=added.height,
        removed_count=removed.height,
        changed_count=changed_after.height if key else None,
        added=_first_rows(added, after.schema.names, limit),
        removed=_first_rows(removed, before.schema.names, limit),
        changed_before=_first_rows(changed_before, before.schema.names, limit),
        changed_after=_first_rows(changed_after, after.schema.names, limit),
    )


def changes(handles: Handles, table: str, from_version: int, to_version: int | None) -> pa.Table:
    """Returns the change data feed from `from_version` through `to_version`.

    Raises:
        InvalidArgument: `to_version` is lower than `from_version`.
        UnknownVersion: a version doesn't exist.
        Conflict: the table has no change data feed at these versions.
    """
    import polars as pl
    import pyarrow as pa

    delta = handles.current(table)
    if to_version is not None and to_version < from_version:
        raise InvalidArgument(
            f"Changes of {table} are read in ascending order, but version {from_version} is after {to_version}. "
            "Exchange the versions."
        )
    for version in (from_version, from_version if to_version is None else to_version):
        if not 0 <= version <= delta.version():
            raise handles.unknown_version(table, version, delta.version())
    with translated(table, "reading the changes of"):
        feed = delta.load_cdf(starting_version=from_version, ending_version=to_version).read_all()
    return plain(pa.table(pl.DataFrame(feed).sort("_commit_version", maintain_order=True)))


def _rows_of_differing_files(before: AnySnapshot, after: AnySnapshot) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    if not isinstance(before, Snapshot) or not isinstance(after, Snapshot) or before.table_id != after.table_id:
        return before.scan(), after.scan()
    if not (before.comparable_by_file and after.comparable_by_file):
        return before.scan(), after.scan()
    common = set(before.paths) & set(after.paths)
    return before.scan_without(common), after.scan_without(common)


def _weighted(frame: pl.LazyFrame, weight: int) -> pl.LazyFrame:
    import polars as pl

    return frame.with_columns(pl.lit(weight, pl.Int64).alias(_WEIGHT))


def _with_equal_types(frames: list[pl.LazyFrame]) -> list[pl.LazyFrame]:
    """Converts columns whose type changed to text, so that they can be compared."""
    import polars as pl

    new, old = (frame.collect_schema() for frame in frames)
    texts = [name for name in new.names() if name in old and new[name] != old[name]]
    return [frame.with_columns(pl.col(texts).cast(pl.String)) for frame in frames]


def _repeated(changes: pl.DataFrame) -> pl.DataFrame:
    """Repeats each row as often as it was added or removed."""
    import polars as pl

    if not changes.height or changes[_WEIGHT].abs().max() == 1:
        return changes.drop(_WEIGHT)
    times = pl.int_ranges(pl.col(_WEIGHT).abs()).alias(_WEIGHT)
    return changes.with_columns(times).explode(_WEIGHT).drop(_WEIGHT)


def _paired(
    table: str, added: pl.DataFrame, removed: pl.DataFrame, key: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Separates the changed rows, whose key is in both frames.

    Returns the added rows, the removed rows, and the changed rows before and after.
    """
    for frame in (added, removed):
        if frame.height != frame.select(key).n_unique():
            raise InvalidArgument(
                f"Several rows of {table} have the same {', '.join(key)}. Specify columns that are unique as the key."
            )
    after = added.join(removed, on=key, how="semi", nulls_equal=True).sort(key)
    before = removed.join(added, on=key, how="semi", nulls_equal=True).sort(key)
    only_added = added.join(removed, on=key, how="anti", nulls_equal=True)
    only_removed = removed.join(added, on=key, how="anti", nulls_equal=True)
    return only_added, only_removed, before, after


def _first_rows(frame: pl.DataFrame, columns: list[str], limit: int) -> pa.Table:
    import pyarrow as pa

    return plain(pa.table(frame.select(columns).head(limit)))


def _types(snapshot: AnySnapshot) -> dict[str, str]:
    return {field.name: str(field.type) for field in snapshot.schema}
