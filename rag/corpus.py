"""Documents become the rows of a Delta table of chunks, and only chunks never seen before are embedded."""

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

_EMBEDDED_AT_ONCE = 512
_REPLACED_ONE_BY_ONE = 200
"""Documents up to which a write replaces them alone; beyond, rewriting the table is cheaper than finding them."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """The chunks of a set of documents, and how they differ from the table's previous version.

    Args:
        rows: every chunk, in the shape of `rag.layout.chunk_schema`.
        documents: documents with at least one chunk.
        blank: documents without any text, which therefore have no chunk.
        embedded: vectors computed.
        reused: chunks whose vector the previous version had already.
        deleted: chunks of the previous version that are no more.
        touched: documents of which a chunk is new, gone or elsewhere.
    """

    rows: pa.Table
    documents: int
    blank: tuple[str, ...]
    embedded: int
    reused: int
    deleted: int
    touched: tuple[str, ...]


def build(
    documents: Iterable[Document], chunker: Chunker, embedder: Embedder, previous: Snapshot | None = None
) -> Corpus:
    """Cuts and embeds documents, taking over every vector the previous version already has.

    Args:
        documents: all documents of the index; what is not among them disappears from it.
        chunker: must be made for the embedder: `Chunker(embedder=embedder.digest)`.
        embedder: the model.
        previous: the table as it stands; None for the first time.

    Raises:
        InvalidArgument: two documents have the same address, or the chunker was made for another embedder.
    """
    import polars as pl

    if chunker.embedder != embedder.digest:
        raise InvalidArgument("The chunker was made for another embedder. Use Chunker(embedder=embedder.digest).")
    chunks, documented, blank = _cut(documents, chunker)
    known = previous.scan().select(CHUNK_COLUMNS).collect() if previous else pl.DataFrame(chunk_schema().empty_table())
    vectors, embedded, reused = _vectors(chunks, embedder, known)
    rows = _rows(chunks, vectors, embedder.digest)
    labels = pl.col("labels").list.join("\x1f").alias("labels")
    compared = [*(name for name in CHUNK_COLUMNS if name not in ("labels", "embedding")), labels]
    before, after = known.select(compared), pl.DataFrame(rows).select(compared)
    columns = before.columns
    touched = pl.concat([after.join(before, columns, how="anti"), before.join(after, columns, how="anti")])["document"]
    deleted = len(set(before["id"]) - set(after["id"]))
    return Corpus(rows, documented, blank, embedded, reused, deleted, tuple(sorted(set(touched))))


def write(step: Step, corpus: Corpus) -> Snapshot:
    """Makes the step's table equal to a corpus, in one commit that touches only the documents that changed.

    Commits nothing where nothing changed, so that equal content keeps its version.
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
    if not corpus.touched:
        return tables.snapshot(step.asset)
    if len(corpus.touched) > _REPLACED_ONE_BY_ONE:
        step.overwrite(corpus.rows)
        return tables.snapshot(step.asset)
    where = "document IN (" + ", ".join("'" + uri.replace("'", "''") + "'" for uri in corpus.touched) + ")"
    rows = corpus.rows.filter(pc.is_in(corpus.rows["document"], pa.array(corpus.touched)))
    if rows.num_rows:
        step.overwrite(rows, where=where)
    else:
        step.delete(where)
    return tables.snapshot(step.asset)


def _cut(documents: Iterable[Document], chunker: Chunker) -> tuple[list[Chunk], int, tuple[str, ...]]:
    seen: set[str] = set()
    chunks: list[Chunk] = []
    blank = []
    for document in documents:
        if document.uri in seen:
            raise InvalidArgument(f"Two documents have the address {document.uri!r}. Give each its own.")
        seen.add(document.uri)
        pieces = chunker.split(document)
        chunks.extend(pieces)
        if not pieces:
            blank.append(document.uri)
    return chunks, len(seen) - len(blank), tuple(blank)


def _vectors(chunks: list[Chunk], embedder: Embedder, known: pl.DataFrame) -> tuple[npt.NDArray[np.float32], int, int]:
    """Vectors in the order of the chunks, how many were computed, and how many chunks needed none."""
    import numpy as np

    place = {digest: row for row, digest in enumerate(known["digest"].to_list())}
    missing = {chunk.digest: chunk.content for chunk in chunks if chunk.digest not in place}
    new = np.zeros((len(missing), embedder.dimensions), dtype=np.float32)
    texts = list(missing.values())
    for first in range(0, len(texts), _EMBEDDED_AT_ONCE):
        new[first : first + _EMBEDDED_AT_ONCE] = embedder.embed(texts[first : first + _EMBEDDED_AT_ONCE])
    offset = {digest: row for row, digest in enumerate(missing)}
    old = np.zeros((0, embedder.dimensions), dtype=np.float32)
    taken = [chunk.digest in place for chunk in chunks]
    if any(taken):
        old = known["embedding"].explode().to_numpy().reshape(known.height, -1)
    vectors = np.zeros((len(chunks), embedder.dimensions), dtype=np.float32)
    for row, chunk in enumerate(chunks):
        vectors[row] = old[place[chunk.digest]] if taken[row] else new[offset[chunk.digest]]
    return vectors, len(missing), sum(taken)


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
