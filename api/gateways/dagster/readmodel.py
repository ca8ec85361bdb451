"""The asset graph in memory, so that reads never wait for Dagster.

A cheap probe reads the active runs and the loaded code. The states of the assets are read again only if the result of
the probe changes or runs are active, and the graph only if a code location changes. Changes that the probe does not
detect, such as reported events or a schedule that is started in Dagster's UI, are found by a periodic full refresh.
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
from api.gateways.dagster.check_parsing import from_history
from api.gateways.dagster.client import DagsterClient
from core import clock, ids
from core.errors import Unavailable
from core.ports import AssetNode, AssetState, Automation, GraphView, LocationState
from core.reports import CheckStatus

PROBE_SECONDS = 1.0
BUSY_SECONDS = 0.5
IDLE_FACTOR = 3
"""After reading states, the probe waits for this multiple of the time it took, so that Dagster can serve runs."""

START_SECONDS = 0.3
_HISTORY_BATCH_SIZE = 50
"""Number of checks whose history one request reads."""

FULL_SECONDS = 15.0
T = TypeVar("T", AssetNode, Automation)
_log = logging.getLogger("headwater.orchestrator")


class ReadModel:
    """A `GraphView` that is kept up to date. There is one per process."""

    def __init__(self, client: DagsterClient) -> None:
        self._client = client
        self._view: GraphView | None = None
        self._probed: tuple[Any, ...] = ()
        self._locations: Any = None
        self._busy = False
        self._full_at = float("-inf")
        self._idle_until = float("-inf")
        self._generation = 0
        self._read_in: dict[str, int] = {}
        self._lock = asyncio.Lock()
        self._started = 0
        self._completed = 0
        self._wake = asyncio.Event()

    def view(self) -> GraphView:
        """Returns the current view.

        Raises:
            Unavailable: Dagster has not responded yet.
        """
        if self._view is None:
            raise Unavailable("The asset graph is not known yet: Dagster is starting.", retry_after_seconds=1)
        return self._view

    async def refresh(self, *, graph: bool = False) -> None:
        """Reads the states, and optionally the graph, again. The view then includes all changes before the call."""
        called_at = self._started
        async with self._lock:
            # Another caller may have started a refresh after this call, which includes the same changes.
            if self._completed > called_at and not graph:
                return
            self._started += 1
            await self._read(graph=graph)
            self._completed = self._started

    async def refresh_states(self, assets: Sequence[str]) -> None:
        """Reads the states of these assets again. The view then includes all their changes before the call."""
        await self._read_states([id for id in assets if id in self.view().nodes], None)

    def expect_changes(self) -> None:
        """Makes the next probe earlier, after a launch."""
        self._busy = True
        self._wake.set()

    async def run(self) -> None:
        """Probes until cancelled."""
        while True:
            try:
                await self._probe()
            except Unavailable as error:
                self._mark_stale(error)
            except Exception:  # noqa: BLE001 - a response that cannot be parsed must not end the probes
                _log.exception("the asset graph could not be read; retrying")
                self._mark_stale(None)
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()

    def _pause(self) -> float:
        if self._view is None or self._view.stale_since:
            return START_SECONDS
        return BUSY_SECONDS if self._busy else PROBE_SECONDS

    async def refresh_changed(self) -> None:
        """Reads the states again, and the graph if a code location changed."""
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
        probed = (answer["newest"]["results"], active)
        self._busy = bool(active)
        changed = locations != self._locations
        full = time.monotonic() - self._full_at > FULL_SECONDS
        stale = self._view is None or self._view.stale_since is not None
        if changed or full or stale:
            await self.refresh(graph=True)
            self._locations = locations
        elif probed != self._probed or (active and time.monotonic() > self._idle_until):
            await self.refresh()
        self._probed = probed

    async def _read(self, *, graph: bool) -> None:
        view = self._view
        if graph or view is None:
            view = await self._with_siblings(_with_graph(view, await self._client.read(queries.GRAPH)))
            self._full_at = time.monotonic()
        started = time.monotonic()
        await self._read_states(list(view.nodes), view)
        self._idle_until = time.monotonic() + IDLE_FACTOR * (time.monotonic() - started)

    async def _with_siblings(self, view: GraphView) -> GraphView:
        """Returns the view with the other assets of the step of each asset. Few steps have several assets."""
        steps: dict[tuple[str, str | None], list[AssetNode]] = {}
        for node in view.nodes.values():
            if node.executable:
                steps.setdefault((node.location, node.op), []).append(node)
        siblings: dict[str, AssetNode] = {}
        for node in (node for nodes in steps.values() if len(nodes) > 1 for node in nodes):
            answer = await self._client.read(queries.TOGETHER, key={"path": ids.asset_key(node.id)})
            together = sorted(parsing.asset(key) for key in answer["assetNodeAdditionalRequiredKeys"])
            siblings[node.id] = dataclasses.replace(node, together=tuple(together))
        return dataclasses.replace(view, nodes={**view.nodes, **siblings}) if siblings else view

    async def _read_states(self, assets: Sequence[str], graph: GraphView | None) -> None:
        """Reads states and adds them to the view, unless a read that started later was faster.

        A new graph becomes visible together with its states, because an asset without a state looks never materialized.
        """
        self._generation += 1
        generation = self._generation
        read: Mapping[str, AssetState] = {}
        if assets:
            keys = [{"path": ids.asset_key(id)} for id in assets]
            read = await self._with_histories(parsing.states(await self._client.read(queries.STATES, keys=keys)))
        view = graph or self.view()
        current = self._view.states if self._view else {}
        states = {id: state for id, state in current.items() if id in view.nodes}
        for id, state in read.items():
            if id in view.nodes and generation > self._read_in.get(id, 0):
                states[id], self._read_in[id] = state, generation
        self._view = dataclasses.replace(view, states=states, observed_at=clock.now(), stale_since=None)

    async def _with_histories(self, states: Mapping[str, AssetState]) -> Mapping[str, AssetState]:
        """Returns the states with the last evaluation of each check on the latest version.

        Dagster returns the last run that planned to evaluate a check. If that run did not evaluate it, or evaluated
        another version, an earlier run may have evaluated the latest version. Only then the history is read.
        """
        open_checks = [
            (id, check.name)
            for id, state in states.items()
            if state.materialization is not None
            for check in state.checks
            if check.status is CheckStatus.NOT_RUN or (check.status is CheckStatus.FAILED and not check.data_version)
        ]
        if not open_checks:
            return states
        histories: dict[tuple[str, str], Sequence[Any]] = {}
        for start in range(0, len(open_checks), _HISTORY_BATCH_SIZE):
            part = open_checks[start : start + _HISTORY_BATCH_SIZE]
            variables: dict[str, Any] = {}
            for n, (id, name) in enumerate(part):
                variables |= {f"asset{n}": {"path": ids.asset_key(id)}, f"check{n}": name}
            answer = await self._client.read(queries.check_histories(len(part)), **variables)
            histories |= {check: answer[f"history{n}"] for n, check in enumerate(part)}
        return {
            id: dataclasses.replace(
                state,
                checks=tuple(
                    from_history(check, histories.get((id, check.name), ()), state.materialization)
                    for check in state.checks
                ),
            )
            for id, state in states.items()
        }

    def _mark_stale(self, error: Unavailable | None) -> None:
        self._probed = ()
        if self._view is not None and self._view.stale_since is None:
            self._view = dataclasses.replace(self._view, stale_since=clock.now())
            _log.warning("the asset graph is stale: %s", error.detail if error else "see above")


def _locations(answer: Any) -> list[Any]:
    return sorted(tuple(entry.values()) for entry in answer["locationStatusesOrError"].get("entries", ()))


def _with_graph(before: GraphView | None, answer: Any) -> GraphView:
    """Returns the view with a new graph. A location that is broken or reloading keeps its former assets."""
    nodes: dict[str, AssetNode] = {}
    schedules: dict[str, Automation] = {}
    sensors: dict[str, Automation] = {}
    states: dict[str, LocationState] = {}
    if answer["workspaceOrError"]["__typename"] != "Workspace":
        raise Unavailable("Dagster cannot read its workspace.", retry_after_seconds=2)
    for location, repositories in parsing.locations(answer):
        states[location.name] = location
        for repository in repositories:
            owner = (location.name, repository["name"])
            for raw in repository["assetNodes"]:
                node = parsing.node(raw, *owner)
                # A code location has stubs for its inputs from other locations.
                if node.id not in nodes or (node.executable and not nodes[node.id].executable):
                    nodes[node.id] = node
            found = (parsing.schedule(raw, *owner) for raw in repository["schedules"])
            schedules |= {schedule.id: _with_assets(schedule, nodes) for schedule in found}
            sensors |= {raw["name"]: parsing.sensor(raw, *owner) for raw in repository["sensors"]}
    if before:
        broken = {name for name, location in states.items() if not location.loaded}
        nodes = _of_locations(before.nodes, broken) | nodes
        schedules = _of_locations(before.schedules, broken) | schedules
        sensors = _of_locations(before.sensors, broken) | sensors
    downstream: dict[str, list[str]] = {id: [] for id in nodes}
    for node in nodes.values():
        for upstream in node.upstream:
            downstream.setdefault(upstream, []).append(node.id)
    return GraphView(
        nodes=dict(sorted(nodes.items())),
        states=before.states if before else {},
        downstream={id: tuple(sorted(consumers)) for id, consumers in downstream.items()},
        schedules=schedules,
        sensors=sensors,
        locations=states,
        observed_at=clock.now(),
    )


def _with_assets(schedule: Automation, nodes: Mapping[str, AssetNode]) -> Automation:
    """Returns the schedule of a pipeline with the assets of the pipeline. Dagster only names its job."""
    if not schedule.pipeline:
        return schedule
    return dataclasses.replace(
        schedule, assets=tuple(sorted(id for id, node in nodes.items() if schedule.job in node.jobs))
    )


def _of_locations(items: Mapping[str, T], locations: set[str]) -> dict[str, T]:
    return {id: item for id, item in items.items() if item.location in locations}
