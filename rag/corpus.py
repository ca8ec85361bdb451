"""Turns documents into the rows of a Delta table of chunks, and embeds only chunks that are new."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import InvalidArgument
from rag.chunking import Chunk, Chunker, Document
from rag.layout import CHUNK_COLUMNS, CHUNK_PROPERTIES, chunk_schema

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl
    import pyarrow as pa

    from lakehouse.step import Step
    from lakehouse.tables import Snapshot
    from rag.embedding import Embedder

_EMBEDDING_BATCH = 512
_MAX_REPLACED_DOCUMENTS = 200
"""Up to this many changed documents, a write replaces only their rows. For more, rewriting the table is cheaper."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """The chunks of a set of documents, and how they differ from the previous version of the table.

    Args:
        rows: all chunks, with the schema of `rag.layout.chunk_schema`.
        documents: number of documents that have at least one chunk.
        empty_documents: addresses of documents without text, and therefore without chunks.
        embedded: number of vectors computed.
        reused: number of chunks whose vector was taken from the previous version.
        deleted: number of chunks of the previous version that no longer exist.
        changed_documents: addresses of documents with a chunk that is new, deleted or moved.
    """

    rows: pa.Table
    documents: int
    empty_documents: tuple[str, ...]
    embedded: int
    reused: int
    deleted: int
    changed_documents: tuple[str, ...]


def build(
    documents: Iterable[Document], chunker: Chunker, embedder: Embedder, previous: Snapshot | None = None
) -> Corpus:
    """Splits and embeds documents. Reuses every vector that the previous version already has.

    Args:
        documents: all documents of the index. Documents that are missing here are removed from the index.
        chunker: must match the embedder: `Chunker(embedder=embedder.digest)`.
        embedder: the embedding model.
        previous: the current version of the table; None if it doesn't exist yet.

    Raises:
        InvalidArgument: two documents have the same address, or the chunker is for another embedder.
    """
    import polars as pl

    if chunker.embedder != embedder.digest:
        raise InvalidArgument("The chunker is for another embedder. Use Chunker(embedder=embedder.digest).")
    chunks, document_count, empty_documents = _split(documents, chunker)
    known = previous.scan().select(CHUNK_COLUMNS).collect() if previous else pl.DataFrame(chunk_schema().empty_table())
    vectors, embedded, reused = _vectors(chunks, embedder, known)
    rows = _rows(chunks, vectors, embedder.digest)
    labels = pl.col("labels").list.join("\x1f").alias("labels")
    compared = [*(name for name in CHUNK_COLUMNS if name not in ("labels", "embedding")), labels]
    before, after = known.select(compared), pl.DataFrame(rows).select(compared)
    columns = before.columns
    changed = pl.concat([after.join(before, columns, how="anti"), before.join(after, columns, how="anti")])["document"]
    deleted = len(set(before["id"]) - set(after["id"]))
    return Corpus(rows, document_count, empty_documents, embedded, reused, deleted, tuple(sorted(set(changed))))


def write(step: Step, corpus: Corpus) -> Snapshot:
    """Makes the table of the step equal to a corpus, in one commit that rewrites only documents that changed.

    Commits nothing if nothing changed, so that the same content keeps its version.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = step.tables
    if not tables.exists(step.asset):
        tables.create(
            step.asset,
            chunk_schema(),
            description="Chunks of documents with their vectors; searched through the index of the same name.",
            properties=CHUNK_PROPERTIES,
        )
    if not corpus.changed_documents:
        return tables.snapshot(step.asset)
    if len(corpus.changed_documents) > _MAX_REPLACED_DOCUMENTS:
        step.overwrite(corpus.rows)
        return tables.snapshot(step.asset)
    where = "document IN (" + ", ".join("'" + uri.replace("'", "''") + "'" for uri in corpus.changed_documents) + ")"
    rows = corpus.rows.filter(pc.is_in(corpus.rows["document"], pa.array(corpus.changed_documents)))
    if rows.num_rows:
        step.overwrite(rows, where=where)
    else:
        step.delete(where)
    return tables.snapshot(step.asset)


def _split(documents: Iterable[Document], chunker: Chunker) -> tuple[list[Chunk], int, tuple[str, ...]]:
    seen: set[str] = set()
    chunks: list[Chunk] = []
    empty = []
    for document in documents:
        if document.uri in seen:
            raise InvalidArgument(f"Two documents have the address {document.uri!r}. Addresses must be unique.")
        seen.add(document.uri)
        pieces = chunker.split(document)
        chunks.extend(pieces)
        if not pieces:
            empty.append(document.uri)
    return chunks, len(seen) - len(empty), tuple(empty)


def _vectors(chunks: list[Chunk], embedder: Embedder, known: pl.DataFrame) -> tuple[npt.NDArray[np.float32], int, int]:
    """Returns the vectors in chunk order, the number of computed vectors, and the number of reused vectors."""
    import numpy as np

    known_rows = {digest: row for row, digest in enumerate(known["digest"].to_list())}
    missing = {chunk.digest: chunk.content for chunk in chunks if chunk.digest not in known_rows}
    new = np.zeros((len(missing), embedder.dimensions), dtype=np.float32)
    texts = list(missing.values())
    for first in range(0, len(texts), _EMBEDDING_BATCH):
        new[first : first + _EMBEDDING_BATCH] = embedder.embed(texts[first : first + _EMBEDDING_BATCH])
    new_rows = {digest: row for row, digest in enumerate(missing)}
    old = np.zeros((0, embedder.dimensions), dtype=np.float32)
    is_known = [chunk.digest in known_rows for chunk in chunks]
    if any(is_known):
        old = known["embedding"].explode().to_numpy().reshape(known.height, -1)
    vectors = np.zeros((len(chunks), embedder.dimensions), dtype=np.float32)
    for row, chunk in enumerate(chunks):
        vectors[row] = old[known_rows[chunk.digest]] if is_known[row] else new[new_rows[chunk.digest]]
    return vectors, len(missing), sum(is_known)


def _rows(chunks: list[Chunk], vectors: npt.NDArray[np.float32], embedder: str) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    dimensions = vectors.shape[1]
    offsets = np.arange(0, (len(chunks) + 1) * dimensions, dimensions, dtype=np.int32)
    columns = {
        "id": [chunk.id for chunk in chunks],
        "document": [chunk.document for chunk in chunks],
        "title": [chunk.title for chunk in chunks],
        "heading": [chunk.heading for chunk in chunks],
        "position": [chunk.position for chunk in chunks],
        "text": [chunk.text for chunk in chunks],
        "start": [chunk.start for chunk in chunks],
        "end": [chunk.end for chunk in chunks],
        "digest": [chunk.digest for chunk in chunks],
        "labels": [list(chunk.labels) for chunk in chunks],
        "embedder": [embedder] * len(chunks),
    }
    schema = chunk_schema()
    arrays = [pa.array(columns[name], type=schema.field(name).type) for name in schema.names[:-1]]
    return pa.table([*arrays, pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1)))], schema=schema)
