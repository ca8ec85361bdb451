"""The types of all events."""

from __future__ import annotations

from api.kernel import lookup
from api.kernel.kinds.endpoint import Endpoints
from api.kernel.platform import Platform
from core.errors import InvalidPayload

ADDITIONAL = (
    *("admin.grant.given", "admin.grant.revoked", "admin.group.members_added", "admin.group.members_removed"),
    *("admin.project.moved", "admin.project.left"),
    *("admin.session.login_denied", "admin.session.refresh_reused"),
    *("admin.signing_key.made", "admin.signing_key.activated"),
    *("admin.signing_key.revoked", "admin.webhook_endpoint.disabled", "admin.webhook_endpoint.test"),
    *("ai_catalog.definition.blocked", "ai_catalog.definition.unblocked", "ai_catalog.share.queried"),
    *("ai_catalog.subscription.notified", "connections.health_monitor.changed"),
    *("dagster.ui.mutated", "dagster.ui.requested"),
    *("operations.operation.succeeded", "operations.operation.failed", "operations.operation.canceled"),
)
"""Types of events that do not record a request."""


def of(platform: Platform) -> frozenset[str]:
    """Returns the types of all events: each change has one for success, denial, and failure."""
    types = set(ADDITIONAL)
    for endpoint in platform.part(Endpoints):
        if endpoint.changes:
            attempt = f"{endpoint.kind.full_name}.{endpoint.verb}"
            types |= {endpoint.event, f"{attempt}_denied", f"{attempt}_failed"}
    return frozenset(types)


def require_known(platform: Platform, pattern: str, pointer: str) -> None:
    """Checks that a pattern such as `admin.user.created`, `admin.*`, or `*` matches a type of event.

    Raises:
        InvalidPayload: the pattern matches no type. The error names similar types.
    """
    types = platform.part(of)
    head = pattern.removesuffix("*")
    if pattern in types or (head != pattern and any(type.startswith(head) for type in types)):
        return
    similar = lookup.similar_names(pattern, types)
    fault = {"pointer": pointer, "detail": "matches no type of event"}
    detail = f"{pattern!r} matches no type of event. {lookup.suggestion(similar)}"
    raise InvalidPayload(detail, errors=[fault], metadata={"similar": similar})
