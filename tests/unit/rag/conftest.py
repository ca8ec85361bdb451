"""Fixtures: a lakehouse and a store for mirrors in a temporary folder, and documents with realistic prose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Snapshot, Tables
from rag.chunking import Chunker, Document
from rag.corpus import Corpus, build, write
from rag.embedding import WordLlamaEmbedder
from rag.index import Index
from rag.layout import Policy, Store
from rag.retrieval import Retriever
from tests.databases import with_tables

INDEX = "test.index.pages"

PAGES = [
    Document(
        "guide/delays.md",
        "Delays",
        "# Delays\n\nA flight counts as late when it arrives more than fifteen minutes after schedule.\n\n"
        "## Weather\n\nFog and thunderstorms at the origin hold planes on the ground.\n\n"
        "## Congestion\n\nWhen many departures share one hour, queues grow on the taxiway.\n",
        {"section": "guide"},
    ),
    Document(
        "guide/aircraft.md",
        "Aircraft",
        "# Aircraft\n\nEvery airframe has a tail number, a manufacturer and a year of construction.\n\n"
        "## Engines\n\nTurbofans power nearly the whole fleet; a handful of propeller machines remain.\n",
        {"section": "guide"},
    ),
    Document(
        "admin/passwords.md",
        "Passwords",
        "# Passwords\n\nThe first administrator receives a generated secret, printed once at start.\n\n"
        "## Rotation\n\nChange credentials every ninety days and revoke old tokens.\n",
        {"section": "admin"},
    ),
]


class CountingEmbedder(WordLlamaEmbedder):
    """The real model. Records the texts that it embeds."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.texts.extend(texts)
        return super().embed(texts)


@pytest.fixture(scope="session")
def model() -> WordLlamaEmbedder:
    return WordLlamaEmbedder()


class Workshop:
    """A lakehouse with one index."""

    name = INDEX
    pages = PAGES

    def __init__(self, folder: Path) -> None:
        self.database = with_tables(f"sqlite:///{folder / 'metadata.db'}")
        self.tables = Tables(str(folder / "lakehouse"), self.database)
        self.lineage = Lineage(self.database)
        self.store = Store(str(folder / "vectors"))
        self.folder = folder
        self.embedder = CountingEmbedder()
        self.runs = 0

    def step(self) -> Step:
        self.runs += 1
        return Step(
            self.tables,
            self.lineage,
            asset=INDEX,
            run=f"run-{self.runs}",
            step="index",
            code_version="1",
            engine="wordllama",
            principal="tester",
        )

    def write(self, documents: Sequence[Document], *, size: int = 900) -> tuple[Corpus, Snapshot]:
        """Writes these documents to the Delta table, without synchronizing the mirror."""
        previous = self.tables.snapshot(INDEX) if self.tables.exists(INDEX) else None
        corpus = build(documents, Chunker(size, self.embedder.digest), self.embedder, previous)
        return corpus, write(self.step(), corpus)

    def publish(self, documents: Sequence[Document], *, policy: Policy | None = None, size: int = 900) -> Snapshot:
        """Writes these documents to the Delta table and synchronizes the mirror."""
        snapshot = self.write(documents, size=size)[1]
        self.index(policy).sync(snapshot)
        return snapshot

    def index(self, policy: Policy | None = None) -> Index:
        return Index(self.store, INDEX, policy)

    def edited(self, uri: str, old: str, new: str) -> list[Document]:
        """Returns all pages, with one passage of one page replaced."""
        assert any(old in page.text for page in PAGES if page.uri == uri)
        return [replace(page, text=page.text.replace(old, new)) if page.uri == uri else page for page in PAGES]

    def without(self, uri: str) -> list[Document]:
        """Returns all pages except one."""
        return [page for page in PAGES if page.uri != uri]

    def mirror(self) -> Any:
        """Opens the LanceDB table directly."""
        import lancedb

        return lancedb.connect(self.store.address).open_table(INDEX)

    def files_with(self, text: str) -> list[str]:
        """Returns the files of the lakehouse and the mirrors whose bytes contain a text."""
        roots = (self.folder / "lakehouse", self.folder / "vectors")
        files = [path for root in roots for path in root.rglob("*") if path.is_file()]
        return [str(path) for path in files if text.encode() in path.read_bytes()]


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path)
    yield workshop
    workshop.database.close()


@pytest.fixture
def retriever(workshop: Workshop) -> Iterator[Retriever]:
    retriever = Retriever(workshop.store, workshop.tables)
    yield retriever
    retriever.close()


@pytest.fixture
def search(retriever: Retriever) -> Callable[..., list[str]]:
    """Searches the index and returns the documents of the hits, best first."""

    def documents(query: str, **options: object) -> list[str]:
        return [hit.document for hit in retriever.search(INDEX, query, **options).hits]  # type: ignore[arg-type]

    return documents
