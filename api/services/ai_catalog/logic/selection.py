"""Which assets and partitions a materialization covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from api.kernel import lookup
from core.errors import InvalidPayload
from core.ports import GraphView, Launch, Orchestrator


def whole_steps(view: GraphView, assets: Iterable[str]) -> tuple[str, ...]:
    """The assets and those that the same steps cannot leave out."""
    return tuple(dict.fromkeys(id for asset in assets for id in (asset, *view.nodes[asset].together)))


def with_upstream(view: GraphView, assets: Iterable[str]) -> tuple[str, ...]:
    """The assets and everything executable that they are made from and that their checks compare them with."""
    found: dict[str, None] = {}
    waiting = list(assets)
    while waiting:
        id = waiting.pop()
        node = view.nodes.get(id)
        if id not in found and node is not None:
            if node.executable:
                found[id] = None
            waiting.extend((*node.upstream, *node.compared_with))
    return tuple(sorted(found))


async def plan(
    orchestrator: Orchestrator,
    view: GraphView,
    assets: Sequence[str],
    *,
    upstream: bool,
    partitions: Sequence[str],
    all_partitions: bool,
    config: Mapping[str, Mapping[str, Any]],
) -> Launch:
    """The launch these wishes come to, in the part of the graph that the caller may see.

    Raises:
        UnknownAsset: one of the assets does not exist.
        InvalidPayload: one cannot be materialized, or the partitions do not fit.
    """
    for id in assets:
        if not lookup.asset(view, id).executable:
            raise InvalidPayload(f"{id} is observed, not made here: it cannot be materialized.")
    chosen = whole_steps(view, with_upstream(view, assets) if upstream else assets)
    partitioned = [id for id in chosen if view.nodes[id].partitioned]
    wants = bool(partitions) or all_partitions
    if partitioned and not wants:
        raise _fault(f"{', '.join(partitioned)} has partitions: name some, or send all_partitions.")
    if not partitioned and wants:
        raise _fault(f"{', '.join(chosen)}: no partitions to choose from; leave partitions and all_partitions out.")
    if partitions and all_partitions:
        raise _fault("Send either partitions or all_partitions.")
    for id in partitioned if partitions else ():
        await _require_partitions(orchestrator, id, partitions)
    if extra := sorted(set(config) - set(chosen)):
        raise InvalidPayload(
            f"config names {', '.join(extra)}, which is not among the assets to materialize.",
            errors=[{"pointer": f"/config/{id}", "detail": "not among the assets"} for id in extra],
        )
    return Launch(chosen, tuple(dict.fromkeys(partitions)), all_partitions, config)


async def _require_partitions(orchestrator: Orchestrator, asset: str, partitions: Sequence[str]) -> None:
    known = await orchestrator.partitions(asset)
    missing = sorted(set(partitions) - set(known))
    if missing:
        similar = lookup.alike(missing[0], known)
        raise InvalidPayload(
            f"{asset} has no partition {', '.join(missing[:5])}. {lookup.hint(similar)}",
            errors=[{"pointer": "/partitions", "detail": f"unknown: {', '.join(missing[:5])}"}],
            metadata={"similar": similar},
        )


def _fault(detail: str) -> InvalidPayload:
    return InvalidPayload(detail, errors=[{"pointer": "/partitions", "detail": detail}])
