"""LangChain adapters for the retrieval engine."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from rag.embedding import Embedder, WordLlamaEmbedder
from rag.filters import Filter
from rag.fusion import Hit
from rag.retrieval import Mode, Retriever


class LangChainEmbeddings(Embeddings):
    """An `Embedder` as LangChain `Embeddings`. Uses the bundled model by default."""

    def __init__(self, embedder: Embedder | None = None) -> None:
        self.embedder = embedder or WordLlamaEmbedder()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embeds passages. Returns one unit vector per passage."""
        return [[float(value) for value in vector] for vector in self.embedder.embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        """Embeds a query."""
        return self.embed_documents([text])[0]


class IndexRetriever(BaseRetriever):
    """A LangChain retriever over one index. The metadata of each document contains citation, scores and span."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    retriever: Retriever
    index: str
    k: int = 10
    filter: dict[str, Any] | None = None
    version: int | None = None
    mode: Mode = "hybrid"

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        search_filter: Filter | None = options.get("filter", self.filter)
        result = self.retriever.search(
            self.index, query, options.get("k", self.k), search_filter, self.version, mode=self.mode
        )
        return [_document(hit) for hit in result.hits]


def _document(hit: Hit) -> Document:
    return Document(
        id=hit.chunk,
        page_content=hit.text,
        metadata={
            "source": hit.document,
            "title": hit.title,
            "heading": hit.heading,
            "start": hit.start,
            "end": hit.end,
            "index": hit.index,
            "version": hit.version,
            "score": hit.score,
            "vector_score": hit.vector_score,
            "text_score": hit.text_score,
            "citation": hit.citation,
        },
    )
