"""Shapes shared by the writer and the reader: the chunk table in Delta and the table that mirrors it in LanceDB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from core.settings import Settings

CHUNK_COLUMNS = (
    "id",
    "document",
    "title",
    "heading",
    "position",
    "text",
    "start",
    "end",
    "digest",
    "labels",
    "embedder",
    "embedding",
)
"""Columns of the Delta table of every index."""


CHUNK_PROPERTIES = {
    # Statistics copy the smallest and largest values into the log, which is never rewritten: no text may get there,
    # or erasing a document would leave passages of it behind.
    "delta.dataSkippingStatsColumns": "id,document,position",
}
"""Properties of that table."""


def chunk_schema() -> pa.Schema:
    """The Delta table: one row per chunk. `embedding` is a unit vector; `embedder` names the model that made it."""
    import pyarrow as pa

    def column(name: str, kind: pa.DataType, comment: str) -> pa.Field:
        return pa.field(name, kind, metadata={"comment": comment})

    return pa.schema(
        [
            column("id", pa.string(), "Identity of the chunk: document, heading, text, chunker and embedder."),
            column("document", pa.string(), "Address of the document the chunk was cut from."),
            column("title", pa.string(), "Title of the document."),
            column("heading", pa.string(), "Headings above the chunk, outermost first, joined by ' > '."),
            column("position", pa.int32(), "Place of the chunk in its document, from 0."),
            column("text", pa.string(), "The passage itself."),
            column("start", pa.int64(), "First character of the passage in the document, from 0."),
            column("end", pa.int64(), "Character after the last one of the passage."),
            column("digest", pa.string(), "Digest of what was embedded and by which model: equal, equal vectors."),
            column("labels", pa.list_(pa.string()), "Labels to filter by, as name=value."),
            column("embedder", pa.string(), "Digest of the embedding model."),
            column("embedding", pa.list_(pa.float32()), "Unit vector of the passage under its headings."),
        ]
    )


def mirror_schema(dimensions: int, metadata: dict[str, str]) -> pa.Schema:
    """The LanceDB table. `content` is what is full-text indexed: headings, a blank line, then the passage."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("document", pa.string()),
            ("title", pa.string()),
            ("heading", pa.string()),
            ("position", pa.int32()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("labels", pa.list_(pa.string())),
            ("content", pa.string()),
            ("vector", pa.list_(pa.float32(), dimensions)),
        ],
        metadata=metadata,
    )


TABLE_ID = "headwater.table_id"
"""Metadata key of the mirror: which Delta table it mirrors. Versions of another table mean nothing."""

EMBEDDER = "headwater.embedder"
"""Metadata key of the mirror: which model made its vectors."""


def tag_of(version: int) -> str:
    """The LanceDB tag that marks the state equal to a Delta version."""
    return f"v{version}"


def version_of(tag: str) -> int | None:
    """The Delta version a tag marks; None for a tag of another kind."""
    return int(tag[1:]) if tag[:1] == "v" and tag[1:].isdigit() else None


@dataclass(frozen=True, slots=True)
class Store:
    """Where the mirrors live.

    Args:
        root: a folder, or the URL of a place in an object store.
        options: object store options.
    """

    root: str
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_settings(cls, settings: Settings) -> Store:
        """The store of a platform with these settings."""
        store = cls(settings.effective_vectors_url)
        return store if store.folder else cls(store.root, tuple(sorted(settings.storage_options.items())))

    @property
    def folder(self) -> Path | None:
        """The local folder, absolute; None for an object store."""
        if self.root.startswith("file://"):
            return Path(self.root.removeprefix("file://"))
        return None if "://" in self.root else Path(self.root).expanduser().absolute()

    @property
    def address(self) -> str:
        """What LanceDB is given: it takes a relative path for the name of a cloud database."""
        return self.root if self.folder is None else str(self.folder)

    def lock_path(self, name: str) -> Path | None:
        """The lock file of one index."""
        return None if self.folder is None else self.folder / ".locks" / name


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How an index is kept.

    Args:
        exact_below: vectors below which no vector index is built: scanning them all is as fast and exact.
        quantize_above: vectors above which the index holds them as bytes (IVF_SQ), a quarter of the size; up to there
            it keeps them whole (IVF_FLAT). Product quantization is smaller still, but on clustered data it found 43 %
            of the neighbours within a filter where this finds all.
        refine: how many times more candidates a quantized search re-ranks by their true vectors.
        optimize_after: fragments from which unindexed rows are worked into the indices; 1 does so after every write.
        keep_versions: how many versions stay searchable.
    """

    exact_below: int = 5_000
    quantize_above: int = 100_000
    refine: int = 3
    optimize_after: int = 1
    keep_versions: int = 8

    def partitions(self, rows: int) -> int:
        """Partitions of a vector index: about a thousand vectors each. A search that must probe all pays for each."""
        return max(8, min(4096, rows // 1000))
