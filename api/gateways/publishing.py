"""`core.ports.Publisher`: turns a definition row into a live asset, or leaves everything as it was.

A publication examines the candidate together with everything live in a process of its own, makes the row live,
has Dagster build the project's assets of the rows, and looks whether the asset is there. If it is not, the row and the
state version that was last seen to load come back. One lease makes publications wait for each other: two at once would
lose state.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import sqlalchemy as sa

from api.gateways.dagster import queries
from api.gateways.errands import errand
from core import leases, publications
from core.db import Database
from core.definitions import DEFINITION, PublishedDefinition, published, state_key
from core.errors import Conflict, HeadwaterError, InvalidPayload, NotFound, Unavailable
from core.ids import asset_key
from core.ports import Candidate, Orchestrator

LOCATION = "published"
LEASE = "publish"
_LEASE_SECONDS = 120.0
_WAIT_SECONDS = 30.0
_VISIBLE_SECONDS = 45.0
_PAUSE_SECONDS = 0.1
_RETRY_SECONDS = 2.0
_RECONCILING = "reconcile"
_ERROR_TAG = "headwater/error"
_LOG = logging.getLogger("headwater.publishing")


class GraphQl(Protocol):
    """What the publisher needs of Dagster's webserver; `api.gateways.dagster.DagsterClient` has it."""

    async def read(self, document: str, **variables: Any) -> Any:
        """Answers a query."""

    async def change(self, document: str, **variables: Any) -> Any:
        """Carries out a mutation."""


class NotVisible(Exception):
    """The asset did not appear; says why."""


class DefinitionPublisher:
    """Publishes definitions of this platform. `environment` gives child processes the platform's settings."""

    def __init__(
        self, graphql: GraphQl, orchestrator: Orchestrator, database: Database, environment: Mapping[str, str]
    ) -> None:
        self._graphql = graphql
        self._orchestrator = orchestrator
        self._database = database
        self._environment = {**os.environ, **environment}
        self._running: set[asyncio.Task[None]] = set()

    async def validate(self, candidate: Candidate, *, readable: Callable[[str], bool]) -> Sequence[Mapping[str, Any]]:
        """Builds the candidate together with everything published, in a process of its own.

        Returns faults as `{"pointer": "/attributes/sql", "detail": "..."}`; empty means publishable.

        Raises:
            Unavailable: the examining process failed.
        """
        return _faults(await self._examine(candidate), readable)

    async def publish(
        self,
        asset_id: str,
        *,
        principal: str,
        principal_id: str,
        request_id: str,
        readable: Callable[[str], bool],
    ) -> None:
        """Publishes the definition row and returns once Dagster shows the asset.

        Raises:
            NotFound: there is no such definition.
            InvalidPayload: it cannot be an asset; everything is as it was.
            Conflict: something else makes its asset, or another publication takes too long.
            Unavailable: Dagster does not answer; everything is as it was.
        """
        work = asyncio.create_task(self._publish(asset_id, principal, principal_id, request_id, readable))
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        # A client that hangs up must not leave half a publication.
        await asyncio.shield(work)

    async def start(self) -> None:
        """Begins to reconcile in the background, as soon as Dagster answers."""
        work = asyncio.create_task(self._reconcile_when_possible(), name=_RECONCILING)
        self._running.add(work)
        work.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Lets a publication in progress go on to its end, and gives up what merely waits."""
        for work in list(self._running):
            if work.get_name() == _RECONCILING:
                work.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def reconcile(self) -> None:
        """Brings Dagster in line with the rows, which a crash between the two leaves apart.

        Raises:
            Unavailable: Dagster does not answer.
        """
        async with self._lease("reconcile"):
            for project in await asyncio.to_thread(self._projects_behind):
                try:
                    version = await self._refresh(project)
                    await self._verify(project, version, None)
                    await asyncio.to_thread(self._remember, project, version)
                except NotVisible as error:
                    _LOG.error("The published definitions of %s do not load: %s", project, error)
                    await self._return_to_last_good(project)

    async def _reconcile_when_possible(self) -> None:
        while True:
            try:
                await self.reconcile()
            except (Unavailable, Conflict):
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _publish(
        self, asset_id: str, principal: str, principal_id: str, request_id: str, readable: Callable[[str], bool]
    ) -> None:
        project = asset_key(asset_id)[0]
        async with self._lease(request_id):
            verdict = await self._examine(await asyncio.to_thread(self._candidate, asset_id))
            if faults := _faults(verdict, readable):
                raise _refused(asset_id, faults)
            before = await asyncio.to_thread(self._go_live, asset_id, verdict, principal, principal_id)
            try:
                version = await self._refresh(project)
                await self._verify(project, version, asset_id)
            except NotVisible as error:
                await self._take_back(project, before)
                raise _refused(asset_id, [{"pointer": "/attributes", "detail": str(error)}]) from error
            except Exception:
                await self._take_back(project, before)
                raise
            await asyncio.to_thread(self._remember, project, version)
        await self._orchestrator.refresh()

    async def _examine(self, candidate: Candidate) -> dict[str, Any]:
        return await self._errand("validate", await asyncio.to_thread(self._question, candidate))

    async def _refresh(self, project: str) -> str:
        """Makes a state version of the project's rows and has Dagster build its assets of it; returns the version."""
        version: str = (await self._errand("state", {"do": "write", "project": project}))["version"]
        await self._load()
        return version

    async def _load(self) -> None:
        """Has Dagster build the assets of the latest versions.

        Within the running code server this takes a moment, and it keeps what it has if it fails. A location that is
        broken already needs a new server process.
        """
        if await self._is_loaded():
            answer = await self._errand("state", {"do": "load"})
            if error := answer.get("error"):
                raise NotVisible(error)
            return
        found = (await self._graphql.change(queries.RELOAD_LOCATION, name=LOCATION))["reloadRepositoryLocation"]
        if found["__typename"] != "WorkspaceLocationEntry":
            raise NotVisible(found.get("message", found["__typename"]))

    async def _is_loaded(self) -> bool:
        answer = await self._graphql.read(queries.PUBLISHED_LOCATION, name=LOCATION, keys=[])
        location = answer["workspaceLocationEntryOrError"].get("locationOrLoadError")
        return bool(location and location["__typename"] == "RepositoryLocation")

    async def _verify(self, project: str, version: str, asset_id: str | None) -> None:
        """Returns when the loaded location is made of this version and shows the asset in good order."""
        keys = [{"path": asset_key(asset_id)}] if asset_id else []
        async with _patience(f"{asset_id or project} did not appear in time") as again:
            async for _ in again:
                answer = await self._graphql.read(queries.PUBLISHED_LOCATION, name=LOCATION, keys=keys)
                if _loaded_version(answer["workspaceLocationEntryOrError"], state_key(project)) != version:
                    continue
                if asset_id is None:
                    return
                for node in answer["assetNodes"]:
                    if node["repository"]["location"]["name"] == LOCATION:
                        _require_sound(node)
                        return

    async def _take_back(self, project: str, before: publications.Before) -> None:
        await asyncio.to_thread(self._restore, before)
        await self._return_to_last_good(project)

    async def _return_to_last_good(self, project: str) -> None:
        good = await asyncio.to_thread(self._last_good, project)
        try:
            version = good.version if good else None
            await self._errand("state", {"do": "set", "key": state_key(project), "version": version})
            await self._load()
        except (HeadwaterError, NotVisible) as error:
            _LOG.error("Could not return %s to its last good version: %s", project, error)

    async def _errand(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return await errand(name, request, self._environment)

    @asynccontextmanager
    async def _lease(self, request_id: str) -> AsyncIterator[None]:
        holder = f"{socket.gethostname()}:{os.getpid()}:{request_id}:{id(asyncio.current_task())}"
        deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
        while not await asyncio.to_thread(leases.acquire, self._database, LEASE, holder, _LEASE_SECONDS):
            if asyncio.get_running_loop().time() > deadline:
                raise Conflict("Another publication is in progress. Try again in a moment.", retry_after_seconds=5)
            await asyncio.sleep(_PAUSE_SECONDS)
        try:
            yield
        finally:
            await asyncio.to_thread(leases.release, self._database, LEASE, holder)

    # What follows runs in worker threads.

    def _candidate(self, asset_id: str) -> Candidate:
        with self._database.read() as connection:
            row = connection.execute(sa.select(DEFINITION).where(DEFINITION.c.asset_id == asset_id)).first()
        if row is None:
            raise NotFound(f"There is no definition {asset_id!r}. See the list of definitions.")
        return Candidate(asset_id, row.component, row.attributes)

    def _question(self, candidate: Candidate) -> dict[str, Any]:
        with self._database.read() as connection:
            live = [item for item in published(connection) if item.asset_id != candidate.asset_id]
        everything: list[PublishedDefinition | Candidate] = [*live, candidate]
        rows = [
            {"asset_id": item.asset_id, "component": item.component, "attributes": dict(item.attributes)}
            for item in everything
        ]
        return {"candidate": candidate.asset_id, "rows": rows}

    def _go_live(
        self, asset_id: str, verdict: Mapping[str, Any], principal: str, principal_id: str
    ) -> publications.Before:
        nodes = self._orchestrator.view().nodes.values()
        code_assets = {node.id: node.location for node in nodes if node.location != LOCATION}
        with self._database.write() as connection:
            return publications.go_live(
                connection,
                asset_id,
                assets=verdict["assets"],
                reads=verdict["reads"],
                code_assets=code_assets,
                principal=principal,
                principal_id=principal_id,
            )

    def _restore(self, before: publications.Before) -> None:
        with self._database.write() as connection:
            publications.take_back(connection, before)

    def _last_good(self, project: str) -> publications.Publication | None:
        with self._database.read() as connection:
            return publications.last_good(connection, project)

    def _remember(self, project: str, version: str) -> None:
        with self._database.write() as connection:
            publications.remember(connection, project, version)

    def _projects_behind(self) -> list[str]:
        with self._database.read() as connection:
            return [
                project
                for project in publications.live_projects(connection)
                if (good := publications.last_good(connection, project)) is None
                or good.digest != publications.digest(connection, project)
            ]


@asynccontextmanager
async def _patience(what: str) -> AsyncIterator[AsyncIterator[None]]:
    """Yields attempts until the time is over.

    Raises:
        NotVisible: it is.
    """

    async def attempts() -> AsyncIterator[None]:
        while True:
            yield
            await asyncio.sleep(_PAUSE_SECONDS)

    try:
        async with asyncio.timeout(_VISIBLE_SECONDS):
            yield attempts()
    except TimeoutError as error:
        raise NotVisible(what) from error


def _loaded_version(entry: Mapping[str, Any], key: str) -> str | None:
    if entry["__typename"] != "WorkspaceLocationEntry":
        raise NotVisible(entry.get("message", entry["__typename"]))
    location = entry["locationOrLoadError"]
    if location and location["__typename"] == "PythonError":
        raise NotVisible(location["message"])
    info = entry["defsStateInfo"] or {"keyStateInfo": ()}
    return next(
        (item["info"]["version"] for item in info["keyStateInfo"] if item["name"] == key and item["info"]), None
    )


def _require_sound(node: Mapping[str, Any]) -> None:
    if any(tag["key"] == _ERROR_TAG for tag in node["tags"]):
        raise NotVisible(node["description"])


def _faults(verdict: Mapping[str, Any], readable: Callable[[str], bool]) -> Sequence[Mapping[str, Any]]:
    """What is wrong with a candidate. What its publisher may not read is told as what does not exist."""
    faults: Sequence[Mapping[str, Any]] = verdict["errors"]
    return faults or [
        {"pointer": "/attributes", "detail": f"reads {name}, which is no asset whose rows you may read"}
        for name in verdict["reads"]
        if not readable(name)
    ]


def _refused(asset_id: str, faults: Sequence[Mapping[str, Any]]) -> InvalidPayload:
    reasons = "; ".join(str(fault["detail"]) for fault in faults)
    return InvalidPayload(f"{asset_id} cannot be published, and nothing was changed: {reasons}", errors=faults)
