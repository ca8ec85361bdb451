"""What a service function is given besides its input: who asks, and the ways to read, change and compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from api.kernel import idempotency
from api.kernel.platform import Platform
from api.kernel.roles import Principal
from core import events
from core.ports import Orchestrator

if TYPE_CHECKING:
    from api.kernel.endpoint import Endpoint

P = ParamSpec("P")
T = TypeVar("T")


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
        subject: str = "",
        last_event_id: str = "",
        claim: idempotency.Claim | None = None,
    ) -> None:
        self.platform = platform
        self.endpoint = endpoint
        self.principal = principal
        self.request_id = request_id
        self.client = client
        """Address of the caller."""
        self.subject = subject or endpoint.kind.plural
        """What the audit row says this happened to: an id. A create sets it to the new one."""
        self.last_event_id = last_event_id
        self.claim = claim
        self.operation_id: str | None = None
        self.headers: list[tuple[str, str]] = []
        """Headers to add to the answer."""
        self.recorded = False
        self._facts: dict[str, Any] = {}

    @property
    def orchestrator(self) -> Orchestrator:
        """The engine that runs assets."""
        return self.platform.orchestrator

    def note(self, **facts: Any) -> None:
        """Adds facts to the audit row. Never a secret."""
        self._facts |= facts

    async def query(self, read: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `read(connection, ...)` on a consistent snapshot of the metadata database, in a worker thread."""

        def unit() -> T:
            with self.platform.database.read() as connection:
                return read(connection, *args, **kwargs)

        return await self.platform.workers.read.run(unit)

    async def transact(
        self, change: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Runs `change(connection, ...)` in the one write transaction of this request, together with its audit row.

        Both are committed or neither. A request that changes something else calls it never; its audit row is then
        written when the function has returned.
        """
        if self.recorded:
            raise RuntimeError(f"{self.endpoint} began a second transaction; one request is one transaction")

        def unit() -> T:
            with self.platform.database.write() as connection:
                if self.claim:
                    idempotency.take(connection, self.claim, self.operation_id)
                result = change(connection, *args, **kwargs)
                self.record(connection, "succeeded")
                return result

        result = await self.platform.workers.write.run(unit)
        self.recorded = True
        return result

    async def work(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs engine work in the bounded pool: table reads, searches, predictions."""
        return await self.platform.workers.work.run(function, *args, **kwargs)

    def record(self, connection: Connection, outcome: str) -> None:
        """Appends the audit row. `outcome` is succeeded, denied or failed."""
        kind = f"{self.endpoint.service}.{self.endpoint.kind.name}"
        name = self.endpoint.event if outcome == "succeeded" else f"{kind}.{self.endpoint.verb}_{outcome}"
        facts = {"action": self.endpoint.permission, "outcome": outcome, "client": self.client, **self._facts}
        events.append(connection, events.Event(name, self.subject, self.principal.name, facts, self.request_id))
