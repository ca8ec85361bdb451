"""Finding things by id, and saying what exists instead when there is no such thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from core.errors import NotFound, UnknownAsset
from core.ports import AssetNode, GraphView

T = TypeVar("T")


def asset(view: GraphView, id: str) -> AssetNode:
    """The asset with this id.

    Raises:
        UnknownAsset: there is none; names the most similar ones.
    """
    node = view.nodes.get(id)
    if node is None:
        raise unknown_asset(view, id)
    return node


def unknown_asset(view: GraphView, id: str) -> UnknownAsset:
    """The error for an id that no asset has."""
    similar = alike(id, view.nodes)
    return UnknownAsset(f"There is no asset {id!r}. {hint(similar)}", metadata={"similar": similar})


def one(found: Mapping[str, T], what: str, id: str) -> T:
    """The one of these things that has this id.

    Raises:
        NotFound: none has; names the most similar ones.
    """
    if id not in found:
        similar = alike(id, found)
        raise NotFound(f"There is no {what} {id!r}. {hint(similar)}", metadata={"similar": similar})
    return found[id]


def alike(text: str, names: Iterable[str], most: int = 5) -> list[str]:
    """The names most similar to what was asked for; the first few if none is."""
    known = list(names)
    return get_close_matches(text, known, n=most, cutoff=0.5) or sorted(known)[:most]


def hint(similar: list[str]) -> str:
    """A sentence that names them."""
    return f"There is, for example, {', '.join(similar)}." if similar else "There is none at all yet."
