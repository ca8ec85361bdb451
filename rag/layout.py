"""Schemas and settings that writer and reader share: the Delta table of chunks and its LanceDB mirror."""

from __future__ import annotations

import re
import unicodedata
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
"""Columns of the Delta table of an index."""


CHUNK_PROPERTIES = {
    # Statistics copy minimum and maximum values into the Delta log, which is never rewritten. Text columns are omitted,
    # because erasing a document would otherwise leave parts of its text in the log.
    "delta.dataSkippingStatsColumns": "id,document,position",
}
"""Table properties of the Delta table of an index."""


def chunk_schema() -> pa.Schema:
    """Returns the schema of the Delta table: one row per chunk."""
    import pyarrow as pa

    def column(name: str, kind: pa.DataType, comment: str) -> pa.Field:
        return pa.field(name, kind, metadata={"comment": comment})

    return pa.schema(
        [
            column("id", pa.string(), "Identity of the chunk: document, heading, text, chunker and embedder."),
            column("document", pa.string(), "Address of the document that contains the chunk."),
            column("title", pa.string(), "Title of the document."),
            column("heading", pa.string(), "Headings above the chunk, outermost first, joined by ' > '."),
            column("position", pa.int32(), "Position of the chunk in its document, from 0."),
            column("text", pa.string(), "The passage itself."),
            column("start", pa.int64(), "First character of the passage in the document, from 0."),
            column("end", pa.int64(), "Character after the last character of the passage."),
            column(
                "digest", pa.string(), "Digest of the embedded text and the model. Equal digests mean equal vectors."
            ),
            column("labels", pa.list_(pa.string()), "Labels to filter by, as name=value."),
            column("embedder", pa.string(), "Digest of the embedding model."),
            column("embedding", pa.list_(pa.float32()), "Unit vector of the passage with its headings."),
        ]
    )


def mirror_schema(dimensions: int, metadata: dict[str, str]) -> pa.Schema:
    """Returns the schema of the LanceDB table.

    `content` is the text of the full-text index: headings, a blank line, then the passage. `cjk` repeats its Chinese,
    Japanese and Korean parts for a separate index; null if there are none.
    """
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
            ("cjk", pa.string()),
            ("vector", pa.list_(pa.float32(), dimensions)),
        ],
        metadata=metadata,
    )


TABLE_ID = "headwater.table_id"
"""Metadata key of the mirror: id of the mirrored Delta table. Version numbers of another table are unrelated."""

EMBEDDER = "headwater.embedder"
"""Metadata key of the mirror: digest of the model that computed its vectors."""


LAYOUT = "headwater.shape"
"""Metadata key of the mirror: version of its columns and indices. A mirror with another layout version is rebuilt."""

CURRENT_LAYOUT = "2"

_CJK = re.compile(
    # Hangul, kana and bopomofo, ideographs with their extensions and iteration marks, half-width kana and Hangul
    "[\u1100-\u11ff\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u312f"
    "\u3131-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\uff66-\uffdc\U00016fe0-\U00018cff\U0001aff0-\U0001b16f\U00020000-\U0003347f]+"
)


def cjk(text: str) -> str | None:
    """Returns the Chinese, Japanese and Korean parts of a text, separated by spaces; None if there are none."""
    return " ".join(_CJK.findall(unicodedata.normalize("NFKC", text))) or None


def version_tag(version: int) -> str:
    """Returns the LanceDB tag of the state that equals a Delta version."""
    return f"v{version}"


def tagged_version(tag: str) -> int | None:
    """Returns the Delta version that a tag names; None for other tags."""
    return int(tag[1:]) if tag[:1] == "v" and tag[1:].isdigit() else None


@dataclass(frozen=True, slots=True)
class Store:
    """Storage location of the mirrors.

    Args:
        root: a folder, or an object store URL with prefix.
        options: object store options.
    """

    root: str
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_settings(cls, settings: Settings) -> Store:
        """Returns the store that the settings configure."""
        store = cls(settings.effective_vectors_url)
        return store if store.folder else cls(store.root, tuple(sorted(settings.storage_options.items())))

    @property
    def folder(self) -> Path | None:
        """Absolute path of the local folder; None for an object store."""
        if self.root.startswith("file://"):
            return Path(self.root.removeprefix("file://"))
        return None if "://" in self.root else Path(self.root).expanduser().absolute()

    @property
    def address(self) -> str:
        """Address for LanceDB. Absolute, because LanceDB reads a relative path as the name of a cloud database."""
        return self.root if self.folder is None else str(self.folder)

    def lock_path(self, name: str) -> Path | None:
        """Returns the path of the lock file of an index; None for an object store."""
        return None if self.folder is None else self.folder / ".locks" / name


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Maintenance policy of an index.

    Args:
        exact_below: number of vectors below which no vector index is built, because an exact scan is as fast.
        quantize_above: number of vectors above which the index stores one byte per number (IVF_SQ), a quarter of the
            size of the full vectors (IVF_FLAT). Product quantization is smaller still, but on clustered data with a
            filter it found 43 % of the true neighbors, while this index found all.
        refine: factor of additional candidates that a quantized search ranks again by their full vectors.
        optimize_after: number of fragments from which unindexed rows are added to the indices. 1: after every write.
        keep_versions: number of versions that stay searchable.
    """

    exact_below: int = 5_000
    quantize_above: int = 100_000
    refine: int = 3
    optimize_after: int = 1
    keep_versions: int = 8

    def partitions(self, rows: int) -> int:
        """Returns the number of partitions of a vector index: one per thousand vectors, at least 8 and at most 4096."""
        return max(8, min(4096, rows // 1000))
