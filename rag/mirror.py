"""Compares the Delta table of chunks with its LanceDB mirror, and copies rows from the table to the mirror."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument
from rag.chunking import headings_prefix
from rag.layout import CHUNK_COLUMNS, CURRENT_LAYOUT, EMBEDDER, LAYOUT, TABLE_ID, cjk, mirror_schema

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakehouse.tables import Snapshot

_COMPARED = ("id", "document", "title", "heading", "position", "start", "end", "labels")
_DELETE_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Ids of chunks to insert, to move (same text, other position), to delete, and of duplicates in the mirror."""

    new: list[str]
    moved: list[str]
    deleted: list[str]
    duplicates: list[str]

    def __bool__(self) -> bool:
        return bool(self.new or self.moved or self.deleted or self.duplicates)


def require_chunks(snapshot: Snapshot) -> None:
    """Checks that a table is a table of chunks.

    Raises:
        InvalidArgument: the table lacks columns of a table of chunks. The message lists them.
    """
    if missing := [column for column in CHUNK_COLUMNS if column not in snapshot.schema.names]:
        raise InvalidArgument(f"{snapshot.table} isn't an index: its table lacks the columns {', '.join(missing)}.")


def identity(snapshot: Snapshot) -> dict[str, str]:
    """Returns the mirror metadata of a snapshot: the table, the model that computed the vectors, and the layout."""
    rows = snapshot.to_arrow(columns=["embedder"], limit=1)["embedder"]
    embedder = str(rows[0].as_py()) if len(rows) else ""
    return {TABLE_ID: snapshot.table_id, EMBEDDER: embedder, LAYOUT: CURRENT_LAYOUT}


def stored_identity(table: Any) -> dict[str, str]:
    """Returns the metadata that a mirror stores about itself. Missing values are empty."""
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return {key: metadata.get(key, "") for key in (TABLE_ID, EMBEDDER, LAYOUT)}


def compare(table: Any, snapshot: Snapshot) -> Difference:
    """Compares the mirror with a snapshot. Ids cover text and vectors, so these aren't compared."""
    import polars as pl

    expected = _comparable(snapshot.scan().select(_COMPARED).collect())
    present = _comparable(pl.DataFrame(table.search().select(list(_COMPARED)).to_arrow()))
    duplicates = set(present.filter(pl.col("id").is_duplicated())["id"])
    known = set(present["id"]) - duplicates
    differing = expected.join(present, on=list(_COMPARED), how="anti")["id"].to_list()
    return Difference(
        new=sorted({item for item in differing if item not in known} | (duplicates & set(expected["id"]))),
        moved=sorted(item for item in differing if item in known),
        deleted=sorted(known - set(expected["id"])),
        duplicates=sorted(duplicates),
    )


def _comparable(rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    labels = pl.col("labels").list.join("\x1f").fill_null("")
    return rows.select(pl.exclude("position", "labels"), pl.col("position").cast(pl.Int64), labels.alias("labels"))


def apply(table: Any, snapshot: Snapshot, change: Difference) -> None:
    """Writes a difference to the mirror, in one commit unless many rows are deleted."""
    deleted = change.deleted
    _delete(table, change.duplicates)
    upserted = change.new + change.moved
    if not upserted or len(deleted) > _DELETE_BATCH:
        _delete(table, deleted)
        deleted = []
    if upserted:
        merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        if deleted:
            merge = merge.when_not_matched_by_source_delete(_id_in(deleted))
        merge.execute(mirror_rows(snapshot, ids=upserted))


def _delete(table: Any, ids: Sequence[str]) -> None:
    for first in range(0, len(ids), _DELETE_BATCH):
        table.delete(_id_in(ids[first : first + _DELETE_BATCH]))


def _id_in(ids: Sequence[str]) -> str:
    # Ids are hexadecimal digests, so they need no escaping.
    return "id IN (" + ", ".join(f"'{item}'" for item in ids) + ")"


def mirror_rows(snapshot: Snapshot, *, ids: Sequence[str] | None = None) -> pa.Table:
    """Converts rows of a snapshot to the schema of the mirror: the rows with these ids, or all rows."""
    import polars as pl
    import pyarrow as pa

    rows = snapshot.scan().select(CHUNK_COLUMNS)
    if ids is not None:
        rows = rows.filter(pl.col("id").is_in(list(ids)))
    frame = rows.collect()
    dimensions = len(frame["embedding"][0]) if frame.height else 1
    content = [
        headings_prefix(title, heading) + text
        for title, heading, text in frame.select("title", "heading", "text").iter_rows()
    ]
    schema = mirror_schema(dimensions, identity(snapshot))
    columns = frame.with_columns(
        pl.Series("content", content, dtype=pl.String),
        pl.Series("cjk", [cjk(text) for text in content], dtype=pl.String),
    ).rename({"embedding": "vector"})
    return pa.table(columns.select(schema.names).to_arrow()).cast(schema)
