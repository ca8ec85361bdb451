"""`core.publisher.Publisher` over Dagster: each change of a definition row takes effect completely or not at all.

A publication validates the candidate together with all live definitions in a separate process, makes the row live, has
Dagster build the assets of the project from the rows, and verifies that the asset exists. If it does not, the row and
the last state version that loaded are restored. Publications run one after the other under a lease, because concurrent
publications would lose state. Retiring is the same without validation. Reinstating publishes what was live.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from api.gateways.publication_rows import PublicationRows
from api.gateways.published_location import AssetState, GraphQl, NotVisible, PublishedLocation
from api.gateways.subprocess_jobs import run_job
from api.gateways.verdicts import faults_of, not_checked, refusal
from core import leases, publications
from core.db import Database
from core.errors import Conflict, HeadwaterError, InvalidArgument, Unavailable
from core.ids import asset_key
from core.ports import AssetNode, Orchestrator
from core.publisher import (
    Candidate,
    DeclaredComponent,
    Publisher,
    PublishRequest,
    RetireRequest,
    ValidationReport,
)

LEASE = "publish"
_LEASE_SECONDS = 120.0
_WAIT_SECONDS = 30.0
_PAUSE_SECONDS = 0.1
_RETRY_SECONDS = 2.0
_RECONCILING = "reconcile"
_LOG = logging.getLogger("headwater.publishing")


class DefinitionPublisher(Publisher):
    """Publisher of the definitions of this platform.

    Args:
        graphql: the webserver of Dagster.
        orchestrator: the asset graph.
        database: the metadata database.
        environment: the settings of the platform as environment variables for child processes.
    """

    def __init__(
        self, graphql: GraphQl, orchestrator: Orchestrator, database: Database, environment: Mapping[str, str]
    ) -> None:
        self._orchestrator = orchestrator
        self._database = database
        self._rows = PublicationRows(database)
        self._environment = {**os.environ, **environment}
        self._location = PublishedLocation(graphql, self._environment)
        self._running: set[asyncio.Task[None]] = set()
        self._components: tuple[DeclaredComponent, ...] = ()

    async def validate(self, candidate: Candidate, *, readable: Callable[[str], bool]) -> ValidationReport:
        """See `Publisher`."""
        verdict = await self._validate(candidate)
        faults = faults_of(verdict, readable)
        known = {} if faults else {"reads": verdict["reads"], "code_versions": verdict["code_versions"]}
        return ValidationReport(faults, verdict["changes"], not_checked(verdict, readable), **known)

    async def components(self) -> Sequence[DeclaredComponent]:
        """See `Publisher`. They change only with the code, so they are read once."""
        if not self._components:
            answer = await run_job("components", {}, self._environment)
            self._components = tuple(DeclaredComponent(**one) for one in answer["components"])
        return self._components

    async def selected(self, selection: str, among: Sequence[AssetNode]) -> list[str]:
        """See `Publisher`."""
        fields = ("id", "upstream", "group", "kinds", "owners", "tags")
        assets = [{name: getattr(node, name) for name in fields} for node in among]
        answer = await run_job("asset_selection", {"selection": selection, "assets": assets}, self._environment)
        if "error" in answer:
            raise InvalidArgument(answer["error"])
        return list(answer["assets"])

    async def publish(self, request: PublishRequest) -> None:
        """See `Publisher`."""
        await self._complete(self._publish(request, reinstates=False, edited=True))

    async def retire(self, request: RetireRequest) -> None:
        """See `Publisher`."""
        await self._complete(self._retire(request))

    async def reinstate(self, request: PublishRequest, *, edited: bool) -> None:
        """See `Publisher`."""
        await self._complete(self._publish(request, reinstates=True, edited=edited))

    async def start(self) -> None:
        """Starts to reconcile in the background as soon as Dagster responds."""
        self._track(asyncio.create_task(self._reconcile_when_possible(), name=_RECONCILING))

    async def stop(self) -> None:
        """Waits for the publication in progress, and cancels a pending reconciliation."""
        for task in list(self._running):
            if task.get_name() == _RECONCILING:
                task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def reconcile(self) -> None:
        """See `Publisher`. Rows and Dagster differ after a crash between their changes."""
        if not await asyncio.to_thread(self._rows.unverified_projects):
            return
        async with self._lease("reconcile"):
            for project in await asyncio.to_thread(self._rows.unverified_projects):
                try:
                    digest = await asyncio.to_thread(self._rows.digest, project)
                    version = await self._location.renew(project)
                    await self._location.verify(project, version)
                    await asyncio.to_thread(self._rows.record_verified, project, version, digest)
                except NotVisible as error:
                    _LOG.error("The published definitions of %s do not load: %s", project, error)
                    await self._restore_last_verified(project)

    async def _reconcile_when_possible(self) -> None:
        while True:
            try:
                await self.reconcile()
            except (Unavailable, Conflict):
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _complete(self, change: Coroutine[Any, Any, None]) -> None:
        # The change continues if the client disconnects: a partial publication must not remain.
        task = asyncio.create_task(change)
        self._track(task)
        await asyncio.shield(task)

    def _track(self, task: asyncio.Task[None]) -> None:
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _publish(self, request: PublishRequest, *, reinstates: bool, edited: bool) -> None:
        async with self._lease(request.request_id):
            candidate = await asyncio.to_thread(self._rows.candidate, request, reinstates, edited)
            verdict = await self._validate(candidate)
            if faults := faults_of(verdict, request.readable):
                raise refusal(request.asset_id, faults)
            nodes = self._orchestrator.view().nodes.values()
            before = await asyncio.to_thread(self._rows.activate, candidate, verdict, request, nodes, reinstates)
            try:
                await self._show(before, AssetState.EXECUTABLE)
            except NotVisible as error:
                raise refusal(request.asset_id, [{"pointer": "/attributes", "detail": str(error)}]) from error
        await self._orchestrator.refresh()

    async def _retire(self, request: RetireRequest) -> None:
        async with self._lease(request.request_id):
            # Another process may just have published an asset that depends on it.
            await self._orchestrator.refresh()
            before = await asyncio.to_thread(self._rows.retire, request, self._orchestrator.view())
            try:
                await self._show(before, AssetState.RETIRED)
            except NotVisible as error:
                raise Unavailable(
                    f"{request.asset_id} cannot be retired now, and nothing was changed: {error}"
                ) from error
        await self._orchestrator.refresh()

    async def _show(self, before: publications.PreviousState, state: AssetState) -> None:
        """Has Dagster load a changed row, or restores the previous state."""
        project = asset_key(before.asset_id)[0]
        try:
            # The next `reconcile` finds changes after this digest.
            digest = await asyncio.to_thread(self._rows.digest, project)
            version = await self._location.renew(project)
            await self._location.verify(project, version, before.asset_id, state)
        except Exception:
            await asyncio.to_thread(self._rows.restore, before)
            await self._restore_last_verified(project)
            raise
        await asyncio.to_thread(self._rows.record_verified, project, version, digest)

    async def _validate(self, candidate: Candidate) -> dict[str, Any]:
        return await run_job(
            "validate", await asyncio.to_thread(self._rows.validation_request, candidate), self._environment
        )

    async def _restore_last_verified(self, project: str) -> None:
        verified = await asyncio.to_thread(self._rows.last_verified, project)
        try:
            await self._location.restore(project, verified.version if verified else None)
        except (HeadwaterError, NotVisible) as error:
            _LOG.error("Could not restore the last verified version of %s: %s", project, error)

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
