"""What a service function receives besides its input: the caller, and the ways to read, change, and compute."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from api.kernel.kinds.call import Call
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.graph import visible_graph
from api.kernel.securable import ROOT, Securable
from api.kernel.storage import idempotency
from core import events
from core.errors import HeadwaterError, PermissionDenied
from core.ports import GraphView, Orchestrator

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger("headwater.api")
_INPUT_FAULTS = (400, 404, 415, 422)


async def _never() -> bool:
    return False


async def _unchanged() -> None:
    return None


class _DryRun(Exception):
    def __init__(self, result: Any) -> None:
        self.result = result


@dataclass(eq=False)
class Context(Call):
    """One request as a service function sees it."""

    last_event_id: str = ""
    validate_only: bool = False
    """Whether to try the change and undo it."""
    claim: idempotency.Claim | None = None
    operation_id: str | None = None
    disconnected: Callable[[], Awaitable[bool]] = _never
    """Returns whether the caller has disconnected, for work that is then not worth finishing."""
    renew: Callable[[], Awaitable[None]] = _unchanged
    """Makes `principal` the caller with its present rights, for streams. Raises if the caller may no longer read."""
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Headers to add to the response."""
    recorded: bool = False
    """Whether the audit record is written."""
    answered: bool = False
    """Whether the response was stored for a replay in the transaction of the change."""

    @property
    def orchestrator(self) -> Orchestrator:
        """The engine that runs assets."""
        return self.platform.orchestrator

    def view(self) -> GraphView:
        """Returns the part of the asset graph that the caller can see."""
        return visible_graph(self.platform, self.principal.access, self.platform.orchestrator.view())

    def require(self, permission: str, securable: Securable) -> None:
        """Raises `PermissionDenied` unless the caller holds the permission on this."""
        if not self.principal.access.allows(permission, securable):
            raise denied(permission)

    async def read(self, function: Callable[[Unit], T]) -> T:
        """Runs a function on a consistent snapshot of the metadata database, in a worker thread."""
        return await self.platform.reads.run(lambda connection: function(Unit(self, connection, writes=False)))

    async def write(self, function: Callable[[Unit], T]) -> T:
        """Runs a function in the one write transaction of this request, with its audit record and events.

        All are committed or none. A request that only changes something outside the metadata database does not call
        this; the kernel then writes the audit record when the service function has returned.

        Raises:
            RuntimeError: the request already had its transaction.
        """
        if self.recorded:
            raise RuntimeError(f"{self.endpoint} began a second transaction; one request is one transaction")

        def transaction() -> tuple[T, Unit]:
            with self.platform.database.write() as connection:
                if self.claim:
                    idempotency.take(connection, self.claim, self.operation_id)
                unit = Unit(self, connection, writes=True)
                result = function(unit)
                unit.settle()
                if self.validate_only:
                    raise _DryRun(result)
                if self.claim:
                    self._keep(connection, self.claim, result)
                self.record(connection, "succeeded", unit.events)
                return result, unit

        try:
            result, unit = await self.platform.workers.write.run(transaction)
        except _DryRun as tried:
            self.recorded = True
            self.claim = None
            return tried.result  # type: ignore[no-any-return]
        self.recorded = True
        for callback in unit.committed:
            callback()
        for removal in unit.deferred:
            try:
                await self.platform.workers.compute.run(removal)
            except Exception:  # noqa: BLE001 - the change is committed; maintenance removes what is left
                _log.exception("%s left files that nothing names", self.endpoint)
        return result

    def _keep(self, connection: Connection, claim: idempotency.Claim, result: Any) -> None:
        """Stores the scope of the change for a replay and, where possible, its response."""
        values: dict[str, Any] = {} if self.securable is ROOT else {"securable_id": self.securable.id}
        if self.endpoint.keeps_answer:
            values |= {"status": self.endpoint.status, "body": self.endpoint.encode(result)}
            self.answered = True
        if values:
            idempotency.update(connection, claim, **values)

    async def query(self, read: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `read(connection, ...)` as `read`."""
        return await self.read(lambda unit: read(unit.connection, *args, **kwargs))

    async def transact(
        self, change: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Runs `change(connection, ...)` as `write`."""
        return await self.write(lambda unit: change(unit.connection, *args, **kwargs))

    async def compute(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a function of an engine in the bounded thread pool: table reads, searches, predictions."""
        return await self.platform.workers.compute.run(function, *args, **kwargs)

    async def record_failure(self, error: Exception) -> None:
        """Writes the audit record of a change that was denied or failed. Invalid input leaves no record."""
        bad_input = isinstance(error, HeadwaterError) and error.status in _INPUT_FAULTS
        if not self.endpoint.changes or self.recorded or bad_input or not self.principal.id:
            return
        self.note(reason=error.reason if isinstance(error, HeadwaterError) else type(error).__name__)
        outcome = "denied" if isinstance(error, PermissionDenied) else "failed"

        def transaction() -> None:
            with self.platform.database.write() as connection:
                self.record(connection, outcome)

        await self.platform.workers.write.run(transaction)

    def record(self, connection: Connection, outcome: str, further: list[events.Event] | None = None) -> None:
        """Appends the audit record and further events. `outcome` is `succeeded`, `denied`, or `failed`."""
        kind = self.endpoint.kind.full_name
        name = self.endpoint.event if outcome == "succeeded" else f"{kind}.{self.endpoint.verb}_{outcome}"
        facts = {"action": self.endpoint.permission, "outcome": outcome, "client": self.client, **self.facts}
        events.append_all(connection, [self.event(name, self.subject, self.securable, **facts), *(further or ())])
