"""Table and mirror of an index on an S3-compatible store, with the platform's own settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import UnknownVersion
from core.settings import Settings, load_settings
from lakehouse.tables import Tables
from rag.chunking import Chunker, Document
from rag.corpus import build
from rag.embedding import WordLlamaEmbedder
from rag.erasure import erase
from rag.index import Index
from rag.layout import Store
from rag.retrieval import Retriever
from tests.databases import with_tables
from tests.s3_store import s3_store

INDEX = "shop.index.manuals"

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with s3_store("platform") as options:
        yield load_settings(
            {
                "HEADWATER_HOME": str(tmp_path),
                "HEADWATER_LAKEHOUSE_URL": "s3://platform/lakehouse",
                "HEADWATER_VECTORS_URL": "s3://platform/vectors",
                "HEADWATER_STORAGE_OPTIONS": json.dumps(options),
            }
        )


def test_publish_search_pin_and_erase(settings: Settings) -> None:
    database = with_tables(settings.effective_database_url)
    tables, embedder = Tables.from_settings(settings, database), WordLlamaEmbedder()
    index = Index(Store.from_settings(settings), INDEX)

    def publish(pages: list[Document]) -> int:
        previous = tables.snapshot(INDEX) if tables.exists(INDEX) else None
        tables.overwrite(INDEX, build(pages, Chunker(embedder=embedder.digest), embedder, previous).rows)
        return index.sync(tables.snapshot(INDEX)).version

    pump = Document("pump.md", "Pump", "# Pump\n\nPrime the pump before starting.\n")
    valve = Document("valve.md", "Valve", "# Valve\n\nOpen the valve slowly.\n")
    first = publish([pump, valve])
    publish([pump])

    retriever = Retriever.from_settings(settings, tables)
    try:
        assert [hit.document for hit in retriever.search(INDEX, "open the valve").hits] == ["pump.md"]
        assert retriever.search(INDEX, "open the valve", version=first).hits[0].document == "valve.md"
        erase(index, tables)
        assert retriever.search(INDEX, "pump").hits[0].document == "pump.md"
        with pytest.raises(UnknownVersion):
            retriever.search(INDEX, "valve", version=first)
    finally:
        retriever.close()
        database.close()
