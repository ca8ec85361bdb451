"""Examples of the RAG service, for the conformance suite."""

from __future__ import annotations

from typing import Any

BODIES: dict[str, dict[str, Any]] = {
    "rag_search_index": {"query": "anything"},
}
"""A valid body of each operation that requires one, with made-up ids."""

DRAFTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
"""A spec to create each stored kind with, and a change of it."""
