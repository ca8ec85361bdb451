"""The retriever of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.kernel.platform import Platform, open_tables

if TYPE_CHECKING:
    from rag.retrieval import Retriever


def open_retriever(platform: Platform) -> Retriever:
    """Returns a retriever, one per process. It keeps the embedding model and opened indexes."""
    from rag.retrieval import Retriever

    return Retriever.from_settings(platform.settings, platform.part(open_tables))
