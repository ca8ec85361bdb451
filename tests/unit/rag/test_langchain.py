from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from rag.langchain import IndexRetriever, LangChainEmbeddings
from rag.retrieval import Retriever

if TYPE_CHECKING:
    from conftest import Workshop


def test_embeddings_are_those_of_the_engine() -> None:
    face = LangChainEmbeddings()
    documents = face.embed_documents(["fog at the airport", "engines"])
    assert documents[0] == face.embed_query("fog at the airport")
    assert documents[0] == pytest.approx(face.embedder.embed(["fog at the airport"])[0].tolist())
    assert [len(vector) for vector in documents] == [256, 256]
    assert face.embed_documents([]) == []


def test_the_retriever_composes_and_cites(workshop: Workshop, retriever: Retriever) -> None:
    snapshot = workshop.publish(workshop.pages)
    face = IndexRetriever(retriever=retriever, index=workshop.name, k=2)
    chain = face | (lambda documents: [document.metadata["source"] for document in documents])
    assert chain.invoke("fog at the origin")[0] == "guide/delays.md"
    document = face.invoke("fog at the origin", k=1)[0]
    assert document.metadata["version"] == snapshot.data_version
    assert document.metadata["heading"] == "Delays > Weather"
    assert document.id is not None
    assert document.id in document.metadata["citation"]


def test_filter_version_and_the_asynchronous_face(workshop: Workshop, retriever: Retriever) -> None:
    workshop.publish(workshop.pages)
    workshop.publish(workshop.without("admin/passwords.md"))
    pinned = IndexRetriever(retriever=retriever, index=workshop.name, version=1, filter={"section": "admin"})
    documents = asyncio.run(pinned.ainvoke("generated secret"))
    assert {document.metadata["source"] for document in documents} == {"admin/passwords.md"}
