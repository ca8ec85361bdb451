"""Lookups by id whose errors name similar ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from api.kernel.permissions.patterns import pattern_matches
from core.errors import InvalidPayload, NotFound, UnknownAsset
from core.ports import AssetNode, GraphView

T = TypeVar("T")


def asset(view: GraphView, id: str) -> AssetNode:
    """Returns the asset with this id.

    Raises:
        UnknownAsset: there is none. The error names similar ids.
    """
    node = view.nodes.get(id)
    if node is None:
        raise unknown_asset(view, id)
    return node


def unknown_asset(view: GraphView, id: str) -> UnknownAsset:
    """Returns the error for an id that no asset has."""
    similar = similar_names(id, view.nodes)
    return UnknownAsset(f"There is no asset {id!r}. {suggestion(similar)}", metadata={"similar": similar})


def item(items: Mapping[str, T], noun: str, id: str) -> T:
    """Returns the item with this id.

    Raises:
        NotFound: there is none. The error names similar ids.
    """
    if id not in items:
        similar = similar_names(id, items)
        raise NotFound(f"There is no {noun} {id!r}. {suggestion(similar)}", metadata={"similar": similar})
    return items[id]


def require_known(name: str, names: Iterable[str], noun: str, pointer: str) -> None:
    """Raises `InvalidPayload` unless the name is one of `names`. The error names similar ones."""
    existing = set(names)
    if name not in existing:
        detail = f"There is no {noun} {name!r}."
        raise _unknown_name(detail, f"is not an existing {noun}", similar_names(name, existing), pointer)


def require_match(pattern: str, names: Iterable[str], noun: str, pointer: str) -> None:
    """Raises `InvalidPayload` unless the pattern matches one of `names`. The error names similar ones."""
    existing = set(names)
    if not any(pattern_matches(pattern, name) for name in existing):
        detail = f"{pattern!r} matches no existing {noun}."
        raise _unknown_name(detail, f"matches no {noun}", similar_names(pattern, existing), pointer)


def _unknown_name(detail: str, fault: str, similar: list[str], pointer: str) -> InvalidPayload:
    errors = [{"pointer": pointer, "detail": fault}]
    return InvalidPayload(f"{detail} {suggestion(similar)}", errors=errors, metadata={"similar": similar})


def close_names(text: str, names: Iterable[str], limit: int = 5, percent: int = 50) -> list[str]:
    """Returns the names whose similarity to a text is at least this percentage, most similar first."""
    from rapidfuzz import fuzz, process

    return [
        name for name, _, _ in process.extract(text, list(names), scorer=fuzz.ratio, limit=limit, score_cutoff=percent)
    ]


def similar_names(text: str, names: Iterable[str], limit: int = 5) -> list[str]:
    """Returns the names most similar to a text, or the first names in order if none is similar."""
    candidates = sorted(names)
    return close_names(text, candidates, limit) or candidates[:limit]


def suggestion(similar: list[str]) -> str:
    """Returns the sentence of an error message that lists similar names."""
    return f"There is, for example, {', '.join(similar)}." if similar else "There are none yet."
