"""How a table of chunks in Delta and its mirror in LanceDB compare, and how rows pass from one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument
from rag.chunking import place
from rag.layout import CHUNK_COLUMNS, EMBEDDER, TABLE_ID, mirror_schema

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakehouse.tables import Snapshot

_PLACED = ("id", "document", "title", "heading", "position", "start", "end", "labels")
_DELETED_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Ids of chunks to insert, to move (same text, other place), to delete, and of those present more than once."""

    new: list[str]
    moved: list[str]
    gone: list[str]
    doubled: list[str]

    def __bool__(self) -> bool:
        return bool(self.new or self.moved or self.gone or self.doubled)


def require_chunks(snapshot: Snapshot) -> None:
    """Refuses a table that holds no chunks.

    Raises:
        InvalidArgument: names the columns it lacks.
    """
    if missing := [column for column in CHUNK_COLUMNS if column not in snapshot.schema.names]:
        raise InvalidArgument(f"{snapshot.table} is no index: its table lacks the columns {', '.join(missing)}.")


def identity(snapshot: Snapshot) -> dict[str, str]:
    """What a mirror of this snapshot says of itself: whose it is and which model made the vectors."""
    rows = snapshot.to_arrow(columns=["embedder"], limit=1)["embedder"]
    return {TABLE_ID: snapshot.table_id, EMBEDDER: str(rows[0].as_py()) if len(rows) else ""}


def stated_identity(table: Any) -> dict[str, str]:
    """What a mirror says of itself."""
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return {key: metadata.get(key, "") for key in (TABLE_ID, EMBEDDER)}


def compare(table: Any, snapshot: Snapshot) -> Difference:
    """How the mirror differs from a snapshot. Text and vectors are not compared: they are part of the id."""
    import polars as pl

    wanted = _comparable(snapshot.scan().select(_PLACED).collect())
    present = _comparable(pl.DataFrame(table.search().select(list(_PLACED)).to_arrow()))
    doubled = set(present.filter(pl.col("id").is_duplicated())["id"])
    known = set(present["id"]) - doubled
    differing = wanted.join(present, on=list(_PLACED), how="anti")["id"].to_list()
    return Difference(
        new=sorted({item for item in differing if item not in known} | (doubled & set(wanted["id"]))),
        moved=sorted(item for item in differing if item in known),
        gone=sorted(known - set(wanted["id"])),
        doubled=sorted(doubled),
    )


def _comparable(rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    labels = pl.col("labels").list.join("\x1f").fill_null("")
    return rows.select(pl.exclude("position", "labels"), pl.col("position").cast(pl.Int64), labels.alias("labels"))


def apply(table: Any, snapshot: Snapshot, change: Difference) -> None:
    """Writes a difference into the mirror: one commit, unless there is very much to delete."""
    gone = change.gone
    _delete(table, change.doubled)
    written = change.new + change.moved
    if not written or len(gone) > _DELETED_AT_ONCE:
        _delete(table, gone)
        gone = []
    if written:
        merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        if gone:
            merge = merge.when_not_matched_by_source_delete(_among(gone))
        merge.execute(mirrored(snapshot, ids=written))


def _delete(table: Any, ids: Sequence[str]) -> None:
    for first in range(0, len(ids), _DELETED_AT_ONCE):
        table.delete(_among(ids[first : first + _DELETED_AT_ONCE]))


def _among(ids: Sequence[str]) -> str:
    # Ids are hexadecimal digests, so they need no quoting of their own.
    return "id IN (" + ", ".join(f"'{item}'" for item in ids) + ")"


def mirrored(snapshot: Snapshot, *, ids: Sequence[str] | None = None) -> pa.Table:
    """Rows of a snapshot in the mirror's shape; all of them where `ids` is None."""
    import polars as pl
    import pyarrow as pa

    rows = snapshot.scan().select(CHUNK_COLUMNS)
    if ids is not None:
        rows = rows.filter(pl.col("id").is_in(list(ids)))
    frame = rows.collect()
    dimensions = len(frame["embedding"][0]) if frame.height else 1
    content = [
        place(title, heading) + text for title, heading, text in frame.select("title", "heading", "text").iter_rows()
    ]
    schema = mirror_schema(dimensions, identity(snapshot))
    columns = frame.with_columns(pl.Series("content", content, dtype=pl.String)).rename({"embedding": "vector"})
    return pa.table(columns.select(schema.names).to_arrow()).cast(schema)
