from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from rag.langchain import IndexRetriever, LangChainEmbeddings
from rag.retrieval import Retriever

if TYPE_CHECKING:
    from conftest import Workshop


def test_embeddings_equal_those_of_the_engine() -> None:
    embeddings = LangChainEmbeddings()
    documents = embeddings.embed_documents(["fog at the airport", "engines"])
    assert documents[0] == embeddings.embed_query("fog at the airport")
    assert documents[0] == pytest.approx(embeddings.embedder.embed(["fog at the airport"])[0].tolist())
    assert [len(vector) for vector in documents] == [256, 256]
    assert embeddings.embed_documents([]) == []


def test_the_retriever_works_in_a_chain_and_returns_citations(workshop: Workshop, retriever: Retriever) -> None:
    snapshot = workshop.publish(workshop.pages)
    index = IndexRetriever(retriever=retriever, index=workshop.name, k=2)
    chain = index | (lambda documents: [document.metadata["source"] for document in documents])
    assert chain.invoke("fog at the origin")[0] == "guide/delays.md"
    document = index.invoke("fog at the origin", k=1)[0]
    assert document.metadata["version"] == snapshot.data_version
    assert document.metadata["heading"] == "Delays > Weather"
    assert document.id is not None
    assert document.id in document.metadata["citation"]


def test_filter_and_version_apply_to_asynchronous_calls(workshop: Workshop, retriever: Retriever) -> None:
    workshop.publish(workshop.pages)
    workshop.publish(workshop.without("admin/passwords.md"))
    pinned = IndexRetriever(retriever=retriever, index=workshop.name, version=1, filter={"section": "admin"})
    documents = asyncio.run(pinned.ainvoke("generated secret"))
    assert {document.metadata["source"] for document in documents} == {"admin/passwords.md"}
