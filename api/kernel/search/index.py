"""The search index: a folder of tantivy, written by one process at a time and read by any number.

A commit is atomic and contains the position in the outbox up to which the index is current. After a kill, the index
continues at its last commit.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.kernel.search.document import Document

if TYPE_CHECKING:
    import tantivy

_LAYOUT = 1
"""Increment it when the fields or their analysis change. Each layout has its own folder."""

_ANALYZER = "headwater_words"
_POSITION = "position"
_WRITER_BYTES = 30_000_000
FACETS = ("kind", "scope", "owner", "label")
"""Fields that answers count by value."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far an index is."""

    database: str = ""
    """Identity of the metadata database."""

    sequence: int = 0
    """Sequence number of the last event that the index contains."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search."""

    documents: list[Document]
    total: int
    facets: Mapping[str, Mapping[str, int]]
    """Number of documents by field and value, the most frequent values of each field."""

    excerpts: list[tuple[str, list[tuple[int, int]]]]
    """For each document, a part of its description and the ranges in it that match."""


class SearchIndex:
    """An index in a folder. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / f"layout-{_LAYOUT}"
        self._lock = threading.RLock()
        self._writer: tantivy.IndexWriter | None = None
        self._commits = 0
        self._scopes: tuple[tuple[int, ...], frozenset[str]] | None = None
        self._index = self._open()
        self.schema = self._index.schema

    def begin(self) -> bool:
        """Becomes the writer of the index. Returns False if another process writes it."""
        with self._lock:
            if self._writer is None:
                try:
                    self._writer = self._index.writer(_WRITER_BYTES, 1)
                except ValueError:  # tantivy's lock of the folder is held
                    return False
            return True

    def close(self) -> None:
        """Ends writing. What was not committed is lost."""
        with self._lock:
            if self._writer is not None:
                self._writer.wait_merging_threads()
                self._writer = None

    def clear(self) -> None:
        """Removes all documents and the position."""
        self._written.delete_all_documents()

    def put(self, documents: Iterable[Document]) -> None:
        """Adds documents, each in place of an earlier one with the same key."""
        writer = self._written
        for document in documents:
            writer.delete_documents_by_term("key", document.key)
            writer.add_document(_stored(document))

    def remove(self, keys: Iterable[str]) -> None:
        """Removes the documents with these keys."""
        for key in keys:
            self._written.delete_documents_by_term("key", key)

    def remove_scope(self, scope: str) -> None:
        """Removes all documents of a project or organization."""
        self._written.delete_documents_by_term("scope", scope)

    def commit(self, position: Position) -> None:
        """Makes all changes visible, and stores the position with them."""
        import tantivy

        writer = self._written
        writer.delete_documents_by_term("key", _POSITION)
        writer.add_document(tantivy.Document(key=[_POSITION], body=[json.dumps(asdict(position)).encode()]))
        writer.commit()
        self._index.reload()
        self._commits += 1

    def rollback(self) -> None:
        """Discards the changes since the last commit."""
        with self._lock:
            if self._writer is not None:
                with contextlib.suppress(ValueError):
                    self._writer.rollback()

    def position(self) -> Position:
        """Returns the position of the last commit."""
        import tantivy

        searcher = self.searcher()
        hits = searcher.search(tantivy.Query.term_query(self.schema, "key", _POSITION), 1, count=False).hits
        return Position(**json.loads(searcher.doc(hits[0][1])["body"][0])) if hits else Position()

    def searcher(self) -> tantivy.Searcher:
        """Returns the state of the last commit."""
        if self._writer is None:
            self._index.reload()
        return self._index.searcher()

    def scopes(self) -> set[str]:
        """Returns the scopes of all documents. They are counted once for each commit."""
        import tantivy

        state = self._state()
        if self._scopes is None or self._scopes[0] != state:
            found = _counted(self.searcher(), tantivy.Query.all_query(), ("scope",), 100_000)
            self._scopes = state, frozenset(found["scope"])
        return set(self._scopes[1])

    def _state(self) -> tuple[int, ...]:
        """Returns what changes with every commit, of this process or another."""
        file = (self._folder / "meta.json").stat()
        return self._commits, file.st_ino, file.st_mtime_ns, file.st_size

    def versions(self, kind: str) -> dict[str, str]:
        """Returns the versions of all documents of a kind, by id."""
        import tantivy

        searcher = self.searcher()
        found = searcher.search(
            tantivy.Query.term_query(self.schema, "kind", kind), max(1, searcher.num_docs), count=False
        )
        bodies = (json.loads(searcher.doc(address)["body"][0]) for _, address in found.hits)
        return {body["id"]: body["version"] for body in bodies}

    def search(
        self, query: tantivy.Query, text: tantivy.Query | None, *, limit: int, offset: int, facets: Sequence[str]
    ) -> Found:
        """Runs a query.

        Args:
            query: the query with all conditions.
            text: the part of the query that matches words, for excerpts. None for no excerpts.
            limit: maximum number of documents.
            offset: number of documents to skip.
            facets: fields to count by.
        """
        import tantivy

        searcher = self.searcher()
        result = searcher.search(query, limit, count=True, offset=offset)
        stored = [searcher.doc(address) for _, address in result.hits]
        excerpts = []
        if text is not None:
            snippets = tantivy.SnippetGenerator.create(searcher, text, self.schema, "description")
            snippets.set_max_num_chars(200)
            excerpts = [_excerpt(snippets.snippet_from_doc(document)) for document in stored]
        return Found(
            documents=[_document(document) for document in stored],
            total=result.count or 0,  # type: ignore[attr-defined]  # the stub lacks it
            facets=_counted(searcher, query, facets, 50) if facets else {},
            excerpts=excerpts,
        )

    def words(self, text: str) -> list[str]:
        """Returns the words of a text, as the index has them."""
        return list(_analyzer().analyze(text))

    @property
    def _written(self) -> tantivy.IndexWriter:
        if self._writer is None:
            raise RuntimeError("call begin() first")
        return self._writer

    def _open(self) -> tantivy.Index:
        import tantivy

        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            index = tantivy.Index(_schema(), path=str(self._folder))
            index.searcher()
        except ValueError:
            # An index is a copy. One that cannot be read is built again.
            shutil.rmtree(self._folder)
            self._folder.mkdir(parents=True)
            index = tantivy.Index(_schema(), path=str(self._folder))
        index.register_tokenizer(_ANALYZER, _analyzer())
        return index


def _schema() -> tantivy.Schema:
    import tantivy

    fields = tantivy.SchemaBuilder()
    for name in ("key", "id"):
        fields.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in FACETS:
        fields.add_text_field(name, tokenizer_name="raw", index_option="basic", fast=True)
    for name in ("name", "title", "words"):
        fields.add_text_field(name, tokenizer_name=_ANALYZER, index_option="freq")
    fields.add_text_field("description", tokenizer_name=_ANALYZER, index_option="freq", stored=True)
    fields.add_bytes_field("body", stored=True, indexed=False)
    return fields.build()


def _analyzer() -> tantivy.TextAnalyzer:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    builder = TextAnalyzerBuilder(Tokenizer.simple())
    for step in (Filter.remove_long(100), Filter.lowercase(), Filter.ascii_fold()):
        builder = builder.filter(step)
    return builder.build()


def _stored(document: Document) -> tantivy.Document:
    import tantivy

    body = asdict(document)
    del body["description"], body["words"]
    return tantivy.Document(
        key=[document.key],
        id=[document.id],
        kind=[document.kind],
        scope=[document.scope],
        owner=[document.owner] if document.owner else [],
        label=list(document.labels),
        name=[document.name],
        title=[document.title],
        words=[*document.words, *document.labels],
        description=[document.description],
        body=[json.dumps(body).encode()],
    )


def _document(stored: tantivy.Document) -> Document:
    values: dict[str, Any] = json.loads(stored["body"][0])
    return Document(**values | {"labels": tuple(values["labels"]), "description": stored["description"][0]})


def _excerpt(snippet: tantivy.Snippet) -> tuple[str, list[tuple[int, int]]]:
    """Returns the text of a snippet and its matches. Tantivy counts bytes, and callers count characters."""
    text = snippet.fragment()
    encoded = text.encode()
    ranges = [
        (len(encoded[: part.start].decode()), len(encoded[: part.end].decode())) for part in snippet.highlighted()
    ]
    return text, ranges


def _counted(
    searcher: tantivy.Searcher, query: tantivy.Query, fields: Sequence[str], size: int
) -> dict[str, dict[str, int]]:
    """Returns the number of documents by field and value, in one pass over the documents of a query."""
    counted = searcher.aggregate(query, {field: {"terms": {"field": field, "size": size}} for field in fields})
    return {field: {bucket["key"]: bucket["doc_count"] for bucket in counted[field]["buckets"]} for field in fields}
