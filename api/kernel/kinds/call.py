"""One request as the kernel sees it: who sent it, which operation it calls, and what its audit record says."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from api.kernel.kinds.endpoint import Endpoint
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.securable import ROOT, Securable
from core.errors import PreconditionFailed
from core.events import Event


@dataclass(eq=False)
class Call:
    """The part of a request that its transaction needs. `Context` adds the ways to read, change, and compute."""

    platform: Platform
    endpoint: Endpoint
    principal: Principal
    _: KW_ONLY
    request_id: str
    client: str = ""
    """Address of the caller."""
    traceparent: str | None = None
    """Position of the request in its trace. Its events carry it."""
    subject: str = ""
    """Id of what the request changes, for the audit record. A create sets it to the new id."""
    securable: Securable = ROOT
    """Scope of the subject. Callers that can read there can read the audit record."""
    if_match: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    """Further facts of the audit record."""

    def __post_init__(self) -> None:
        self.subject = self.subject or self.endpoint.kind.plural

    def note(self, **facts: Any) -> None:
        """Adds facts to the audit record. Never pass a secret."""
        self.facts |= facts

    def require_match(self, etag: str) -> None:
        """Checks `If-Match` against the ETag of the subject as it is now.

        Raises:
            PreconditionFailed: the caller saw another version.
        """
        if self.if_match and self.if_match != "*" and etag not in (tag.strip() for tag in self.if_match.split(",")):
            raise PreconditionFailed(
                f"It was changed since you read it: its ETag is now {etag}. Read it again and repeat the change.",
                metadata={"etag": etag},
            )

    def event(self, type: str, subject: str, securable: Securable, **data: Any) -> Event:
        """Returns an event of this request."""
        return Event(
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
