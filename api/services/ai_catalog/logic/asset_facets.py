"""Facets of assets: what can be chosen, and how many assets each choice leaves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

FACETS = ("project", "layer", "kind", "owner", "health", "staleness", "label")


@dataclass(frozen=True, slots=True)
class Faceted:
    """An asset with its values by facet."""

    id: str
    values: Mapping[str, Collection[str]]


def chosen(
    assets: Iterable[Faceted], choice: Mapping[str, Collection[str]]
) -> tuple[list[str], dict[str, dict[str, int]]]:
    """Returns the ids of the assets that a choice leaves, and the counts of each facet's values.

    An asset must have one of the chosen values of each facet. The counts of a facet ignore what is chosen of the facet
    itself, so that they say what one more choice adds.
    """
    wanted = {facet: set(values) for facet, values in choice.items() if values}
    ids: list[str] = []
    counts: dict[str, dict[str, int]] = {facet: dict.fromkeys(wanted.get(facet, ()), 0) for facet in FACETS}
    for asset in assets:
        missed = [facet for facet, values in wanted.items() if values.isdisjoint(asset.values[facet])]
        if len(missed) > 1:
            continue
        if not missed:
            ids.append(asset.id)
        for facet in missed or FACETS:
            for value in asset.values[facet]:
                counts[facet][value] = counts[facet].get(value, 0) + 1
    return ids, counts
