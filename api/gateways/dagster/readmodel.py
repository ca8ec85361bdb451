"""The asset graph in memory, so that reads never wait for Dagster.

A cheap probe asks what runs and which code is loaded. Only when its answer changes, or while something runs, are the
states of the assets read again; the graph itself only when a code location changed. What the probe cannot see (events
reported from outside, a schedule switched in Dagster's UI) is found by a slow full look.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from api.gateways.dagster import parsing, queries
from api.gateways.dagster.client import DagsterClient
from core import clock, ids
from core.errors import Unavailable
from core.ports import AssetNode, AssetState, Automation, GraphView, LocationState

PROBE_SECONDS = 1.0
BUSY_SECONDS = 0.5
REST = 3
"""After reading states, so many times as long as that took nothing is read unasked: Dagster has runs to serve."""

START_SECONDS = 0.3
FULL_SECONDS = 15.0
T = TypeVar("T", AssetNode, Automation)
_log = logging.getLogger("headwater.orchestrator")


class ReadModel:
    """Keeps a `GraphView` up to date. One per process."""

    def __init__(self, client: DagsterClient) -> None:
        self._client = client
        self._view: GraphView | None = None
        self._seen: tuple[Any, ...] = ()
        self._locations: Any = None
        self._busy = False
        self._full_at = float("-inf")
        self._rest_until = float("-inf")
        self._generation = 0
        self._read_in: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._begun = 0
        self._done = 0
        self._wake = asyncio.Event()

    def view(self) -> GraphView:
        """The view as it is. Raises `Unavailable` if Dagster was never seen."""
        if self._view is None:
            raise Unavailable("The asset graph is not known yet: Dagster is starting.", retry_after_seconds=1)
        return self._view

    async def refresh(self, *, graph: bool = False) -> None:
        """Reads the states, and if asked the graph, again. Returns when the view shows what was true at the call."""
        called_at = self._begun
        async with self._lock:
            # Somebody who waited before us may have begun a look after our call: that look is ours as well.
            if self._done > called_at and not graph:
                return
            self._begun += 1
            await self._read(graph=graph)
            self._done = self._begun

    async def reread(self, assets: Sequence[str]) -> None:
        """Reads the states of these assets again. Returns when the view shows what was true at the call."""
        await self._read_states([id for id in assets if id in self.view().nodes], None)

    def expect_changes(self) -> None:
        """Looks sooner: something was just launched."""
        self._busy = True
        self._wake.set()

    async def run(self) -> None:
        """Probes until cancelled."""
        while True:
            try:
                await self._probe()
            except Unavailable as error:
                self._mark_stale(error)
            except Exception:  # noqa: BLE001 - one answer we cannot read must not end all looking
                _log.exception("the asset graph could not be read; trying again")
                self._mark_stale(None)
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()

    def _pause(self) -> float:
        if self._view is None or self._view.stale_since:
            return START_SECONDS
        return BUSY_SECONDS if self._busy else PROBE_SECONDS

    async def look(self) -> None:
        """As `refresh`, and reads the graph again if a code location changed."""
        locations = _locations(await self._client.read(queries.PROBE))
        changed = locations != self._locations
        await self.refresh(graph=changed)
        self._locations = locations

    async def _probe(self) -> None:
        answer = await self._client.read(queries.PROBE)
        if answer["newest"]["__typename"] != "Runs":
            raise Unavailable(f"Dagster cannot read its runs: {answer['newest'].get('message', '')[:200]}")
        locations = _locations(answer)
        active = sorted(tuple(run.values()) for run in answer["active"].get("results", ()))
        seen = (answer["newest"]["results"], active)
        self._busy = bool(active)
        changed = locations != self._locations
        full = time.monotonic() - self._full_at > FULL_SECONDS
        stale = self._view is None or self._view.stale_since is not None
        if changed or full or stale:
            await self.refresh(graph=True)
            self._locations = locations
        elif seen != self._seen or (active and time.monotonic() > self._rest_until):
            await self.refresh()
        self._seen = seen

    async def _read(self, *, graph: bool) -> None:
        view = self._view
        if graph or view is None:
            view = await self._with_siblings(_with_graph(view, await self._client.read(queries.GRAPH)))
            self._full_at = time.monotonic()
        started = time.monotonic()
        await self._read_states(list(view.nodes), view)
        self._rest_until = time.monotonic() + REST * (time.monotonic() - started)

    async def _with_siblings(self, view: GraphView) -> GraphView:
        """The view in which each asset knows what its step cannot leave out. Few steps make several assets."""
        steps: dict[tuple[str, str | None], list[AssetNode]] = {}
        for node in view.nodes.values():
            if node.executable:
                steps.setdefault((node.location, node.op), []).append(node)
        found: dict[str, AssetNode] = {}
        for node in (node for nodes in steps.values() if len(nodes) > 1 for node in nodes):
            answer = await self._client.read(queries.TOGETHER, key={"path": ids.asset_key(node.id)})
            together = sorted(parsing.asset(key) for key in answer["assetNodeAdditionalRequiredKeys"])
            found[node.id] = dataclasses.replace(node, together=tuple(together))
        return dataclasses.replace(view, nodes={**view.nodes, **found}) if found else view

    async def _read_states(self, assets: Sequence[str], graph: GraphView | None) -> None:
        """Reads states and puts them into the view, unless a read that began later has answered earlier.

        A newly read graph is shown together with its states: an asset without one would pass for never made.
        """
        self._generation += 1
        generation = self._generation
        found: Mapping[str, AssetState] = {}
        if assets:
            keys = [{"path": ids.asset_key(id)} for id in assets]
            found = parsing.states(await self._client.read(queries.STATES, keys=keys))
        view = graph or self.view()
        known = self._view.states if self._view else {}
        states = {id: state for id, state in known.items() if id in view.nodes}
        for id, state in found.items():
            if id in view.nodes and generation > self._read_in.get(id, 0):
                states[id], self._read_in[id] = state, generation
        self._view = dataclasses.replace(view, states=states, observed_at=clock.now(), stale_since=None)

    def _mark_stale(self, error: Unavailable | None) -> None:
        self._seen = ()
        if self._view is not None and self._view.stale_since is None:
            self._view = dataclasses.replace(self._view, stale_since=clock.now())
            _log.warning("the asset graph is stale: %s", error.detail if error else "see above")


def _locations(answer: Any) -> list[Any]:
    return sorted(tuple(entry.values()) for entry in answer["locationStatusesOrError"].get("entries", ()))


def _with_graph(before: GraphView | None, answer: Any) -> GraphView:
    """The view with a newly read graph. A location that is broken or reloading keeps the assets it had."""
    nodes: dict[str, AssetNode] = {}
    schedules: dict[str, Automation] = {}
    sensors: dict[str, Automation] = {}
    found: dict[str, LocationState] = {}
    if answer["workspaceOrError"]["__typename"] != "Workspace":
        raise Unavailable("Dagster cannot read its workspace.", retry_after_seconds=2)
    for location, repositories in parsing.locations(answer):
        found[location.name] = location
        for repository in repositories:
            where = (location.name, repository["name"])
            for raw in repository["assetNodes"]:
                node = parsing.node(raw, *where)
                # A code location shows the inputs it takes from another one as stubs.
                if node.id not in nodes or (node.executable and not nodes[node.id].executable):
                    nodes[node.id] = node
            schedules |= {raw["name"]: parsing.schedule(raw, *where) for raw in repository["schedules"]}
            sensors |= {raw["name"]: parsing.sensor(raw, *where) for raw in repository["sensors"]}
    if before:
        broken = {name for name, location in found.items() if not location.loaded}
        nodes = _kept(before.nodes, broken) | nodes
        schedules = _kept(before.schedules, broken) | schedules
        sensors = _kept(before.sensors, broken) | sensors
    downstream: dict[str, list[str]] = {id: [] for id in nodes}
    for node in nodes.values():
        for above in node.upstream:
            downstream.setdefault(above, []).append(node.id)
    return GraphView(
        nodes=dict(sorted(nodes.items())),
        states=before.states if before else {},
        downstream={id: tuple(sorted(below)) for id, below in downstream.items()},
        schedules=schedules,
        sensors=sensors,
        locations=found,
        observed_at=clock.now(),
    )


def _kept(items: Mapping[str, T], locations: set[str]) -> dict[str, T]:
    return {id: item for id, item in items.items() if item.location in locations}
