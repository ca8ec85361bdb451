"""Selection of the assets and partitions of a materialization."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from api.kernel import lookup
from core.errors import InvalidPayload
from core.ports import AssetNode, GraphView, Orchestrator
from core.runs import Launch

ACCEPT_TAG = "headwater/accept_unchecked"
"""Run tag that lets a run read inputs that did not pass their blocking checks. `resources.gates` reads it."""


def with_step_siblings(view: GraphView, assets: Iterable[str]) -> tuple[str, ...]:
    """Returns the assets, and those that the same steps always produce with them."""
    return tuple(dict.fromkeys(id for asset in assets for id in (asset, *view.nodes[asset].together)))


def with_upstream(view: GraphView, assets: Iterable[str]) -> tuple[str, ...]:
    """Returns the assets, and all executable upstream assets, including those that their checks compare with."""
    selected: dict[str, None] = {}
    waiting = list(assets)
    while waiting:
        id = waiting.pop()
        node = view.nodes.get(id)
        if id not in selected and node is not None:
            if node.executable:
                selected[id] = None
            waiting.extend((*node.upstream, *node.compared_with))
    return tuple(sorted(selected))


def obstacle(node: AssetNode) -> str | None:
    """Returns why an asset can't be materialized, or None if nothing keeps it from that."""
    if node.retired:
        return f"{node.id} is retired and no longer produced. Reinstate its definition first."
    if node.broken:
        return f"{node.id} can't be materialized: its definition is blocked or broken. See the asset's health."
    return None if node.executable else f"{node.id} can't be materialized: it is only observed."


async def plan(
    orchestrator: Orchestrator,
    view: GraphView,
    assets: Sequence[str],
    *,
    upstream: bool,
    partitions: Sequence[str],
    all_partitions: bool,
    config: Mapping[str, Mapping[str, Any]],
    accept_unchecked: bool = False,
) -> Launch:
    """Returns the launch of a request, in the part of the graph that the caller can see.

    With `accept_unchecked`, its runs read inputs that did not pass their blocking checks, and record it.

    Raises:
        UnknownAsset: An asset does not exist.
        InvalidPayload: An asset can't be materialized, or the partitions don't match.
    """
    for id in assets:
        if problem := obstacle(lookup.asset(view, id)):
            raise InvalidPayload(problem)
    selected = with_step_siblings(view, with_upstream(view, assets) if upstream else assets)
    partitioned = [id for id in selected if view.nodes[id].partitioned]
    requested = bool(partitions) or all_partitions
    if partitioned and not requested:
        raise _fault(f"{', '.join(partitioned)} has partitions. Send partitions or all_partitions.")
    if not partitioned and requested:
        raise _fault(f"{', '.join(selected)} has no partitions. Leave out partitions and all_partitions.")
    if partitions and all_partitions:
        raise _fault("Send either partitions or all_partitions.")
    for id in partitioned if partitions else ():
        await _require_partitions(orchestrator, id, partitions)
    if extra := sorted(set(config) - set(selected)):
        raise InvalidPayload(
            f"config contains {', '.join(extra)}, which is not among the assets to materialize.",
            errors=[{"pointer": f"/config/{id}", "detail": "not among the assets"} for id in extra],
        )
    tags = {ACCEPT_TAG: "true"} if accept_unchecked else {}
    return Launch(selected, tuple(dict.fromkeys(partitions)), all_partitions, config, tags)


async def _require_partitions(orchestrator: Orchestrator, asset: str, partitions: Sequence[str]) -> None:
    existing = await orchestrator.partitions(asset)
    missing = sorted(set(partitions) - set(existing))
    if missing:
        similar = lookup.similar_names(missing[0], existing)
        raise InvalidPayload(
            f"{asset} has no partition {', '.join(missing[:5])}. {lookup.suggestion(similar)}",
            errors=[{"pointer": "/partitions", "detail": f"unknown: {', '.join(missing[:5])}"}],
            metadata={"similar": similar},
        )


def _fault(detail: str) -> InvalidPayload:
    return InvalidPayload(detail, errors=[{"pointer": "/partitions", "detail": detail}])
