"""What a service function is given besides its input: who asks, and the ways to read, change and compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from api.kernel.kinds.unit import Unit, denied
from api.kernel.permissions.graph import visible
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.securable import ROOT, Securable
from api.kernel.storage import idempotency
from core import events
from core.errors import HeadwaterError, PermissionDenied
from core.ports import GraphView, Orchestrator

if TYPE_CHECKING:
    from api.kernel.kinds.endpoint import Endpoint

P = ParamSpec("P")
T = TypeVar("T")
_INPUT_FAULTS = (400, 404, 415, 422)


class _DryRun(Exception):
    def __init__(self, result: Any) -> None:
        self.result = result


class Context:
    """One request as a service sees it."""

    def __init__(
        self,
        platform: Platform,
        endpoint: Endpoint,
        principal: Principal,
        *,
        request_id: str,
        client: str = "",
        traceparent: str | None = None,
        subject: str = "",
    ) -> None:
        self.platform = platform
        self.endpoint = endpoint
        self.principal = principal
        self.request_id = request_id
        self.client = client
        """Address of the caller."""
        self.traceparent = traceparent
        """Where the request stands in its trace, for its events."""
        self.subject = subject or endpoint.kind.plural
        """What the audit row says this happened to: an id. A create sets it to the new one."""
        self.securable: Securable = ROOT
        """Where that stands in the tree of scopes: who may read there may read the audit row."""
        self.last_event_id = ""
        self.if_match = ""
        self.validate_only = False
        """Whether to try the change and undo it."""
        self.claim: idempotency.Claim | None = None
        self.operation_id: str | None = None
        self.headers: list[tuple[str, str]] = []
        """Headers to add to the answer."""
        self.recorded = False
        self.answered = False
        """Whether the answer was kept for a replay in the transaction of the change."""
        self.facts: dict[str, Any] = {}

    @property
    def orchestrator(self) -> Orchestrator:
        """The engine that runs assets."""
        return self.platform.orchestrator

    def view(self) -> GraphView:
        """The asset graph, with what the caller may see of it."""
        return visible(self.platform, self.principal.access, self.platform.orchestrator.view())

    def note(self, **facts: Any) -> None:
        """Adds facts to the audit row. Never a secret."""
        self.facts |= facts

    def require(self, permission: str, securable: Securable) -> None:
        """Raises `PermissionDenied` unless the caller holds the permission on this."""
        if not self.principal.access.allows(permission, securable):
            raise denied(permission)

    async def read(self, function: Callable[[Unit], T]) -> T:
        """Runs a function over a consistent snapshot of the metadata database, in a worker thread."""
        return await self.platform.reads.run(lambda connection: function(Unit(self, connection, writes=False)))

    async def write(self, function: Callable[[Unit], T]) -> T:
        """Runs a function in the one write transaction of this request, together with its audit row and events.

        All are committed or none. A request that changes something elsewhere calls it never; its audit row is then
        written when the service function has returned.
        """
        if self.recorded:
            raise RuntimeError(f"{self.endpoint} began a second transaction; one request is one transaction")

        def work() -> tuple[T, Unit]:
            with self.platform.database.write() as connection:
                if self.claim:
                    idempotency.take(connection, self.claim, self.operation_id)
                unit = Unit(self, connection, writes=True)
                result = function(unit)
                if self.validate_only:
                    raise _DryRun(result)
                if self.claim and self.endpoint.keeps_answer:
                    idempotency.keep(connection, self.claim, self.endpoint.status, self.endpoint.encode(result))
                    self.answered = True
                self.record(connection, "succeeded", unit.events)
                return result, unit

        try:
            result, unit = await self.platform.workers.write.run(work)
        except _DryRun as tried:
            self.recorded = True
            self.claim = None
            return tried.result  # type: ignore[no-any-return]
        self.recorded = True
        for then in unit.committed:
            then()
        return result

    async def query(self, read: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `read(connection, ...)` as `read`."""
        return await self.read(lambda unit: read(unit.connection, *args, **kwargs))

    async def transact(
        self, change: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Runs `change(connection, ...)` as `write`."""
        return await self.write(lambda unit: change(unit.connection, *args, **kwargs))

    async def work(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs engine work in the bounded pool: table reads, searches, predictions."""
        return await self.platform.workers.work.run(function, *args, **kwargs)

    def event(self, type: str, subject: str, securable: Securable, **data: Any) -> events.Event:
        """An event of this request."""
        return events.Event(
            type,
            subject,
            self.principal.name,
            data,
            self.request_id,
            principal_id=self.principal.id,
            kind=self.endpoint.kind.full_name,
            organization_id=securable.organization_id,
            project_id=securable.project_id,
            traceparent=self.traceparent,
        )

    async def record_failure(self, error: Exception) -> None:
        """Leaves an audit row of a change that was refused or failed. Bad input of a request leaves none."""
        bad_input = isinstance(error, HeadwaterError) and error.status in _INPUT_FAULTS
        if not self.endpoint.changes or self.recorded or bad_input or not self.principal.id:
            return
        self.note(reason=error.reason if isinstance(error, HeadwaterError) else type(error).__name__)
        outcome = "denied" if isinstance(error, PermissionDenied) else "failed"

        def work() -> None:
            with self.platform.database.write() as connection:
                self.record(connection, outcome)

        await self.platform.workers.write.run(work)

    def record(self, connection: Connection, outcome: str, more: list[events.Event] | None = None) -> None:
        """Appends the audit row, and further events. `outcome` is succeeded, denied or failed."""
        kind = self.endpoint.kind.full_name
        name = self.endpoint.event if outcome == "succeeded" else f"{kind}.{self.endpoint.verb}_{outcome}"
        facts = {"action": self.endpoint.permission, "outcome": outcome, "client": self.client, **self.facts}
        events.append_all(connection, [self.event(name, self.subject, self.securable, **facts), *(more or ())])
