"""Changes through the Dagster UI: the check of permissions, and an event for each change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.types import Scope

from api.gateways.dagster_paths import PATH
from api.gateways.dagster_rights import CHANGE, MUTATIONS, REPORTS
from api.kernel.http.state import state_of
from api.kernel.platform import Platform
from api.kernel.securable import ROOT
from core import events
from core.errors import PermissionDenied
from core.events import Event

_FAILURE_NAMES = ("Error", "Invalid", "NotFound", "Conflict", "Failure")


async def admit(platform: Platform, scope: Scope, mutations: Sequence[str]) -> None:
    """Checks that the principal of a request may run these mutations, and records an event.

    Raises:
        PermissionDenied: the principal lacks a permission, or a mutation is not available.
    """
    state = state_of(scope)
    assert state.principal is not None, "the kernel authenticates every request"
    unknown = [name for name in mutations if name not in MUTATIONS and name.partition("/")[0] not in REPORTS]
    rights = {MUTATIONS.get(name, CHANGE) for name in mutations}
    lacking = sorted(right for right in rights if not state.principal.access.allows(right, ROOT))
    if lacking or unknown:
        await record(platform, scope, mutations, "denied")
    if lacking:
        raise PermissionDenied(f"You can view Dagster, but {', '.join(mutations)} needs {', '.join(lacking)}.")
    if unknown:
        raise PermissionDenied(f"{', '.join(unknown)} is not available in the Dagster UI. Use the API of the platform.")
    # Recorded before the mutation is sent, so that no mutation is without an event.
    await record(platform, scope, mutations, "requested")


async def record(platform: Platform, scope: Scope, mutations: Sequence[str], outcome: str) -> None:
    """Records an event with the outcome: `requested`, `denied`, `succeeded`, `failed`, or `unknown`."""
    state = state_of(scope)
    assert state.principal is not None, "the kernel authenticates every request"
    facts = {"mutations": list(mutations), "outcome": outcome, "client": state.client}
    origin: dict[str, Any] = {"principal_id": state.principal.id, "kind": "platform.dagster"}
    origin["traceparent"] = state.trace.stored
    content = (PATH, state.principal.name, facts, state.request_id)
    requested = outcome == "requested"
    type_ = "dagster.ui.requested" if requested else "dagster.ui.mutated"
    event = Event(type_, *content, **origin)
    await platform.workers.write.run(_append, platform, event)


def _append(platform: Platform, event: Event) -> None:
    with platform.database.write() as connection:
        events.append(connection, event)


def outcome_of(status: int, body: bytes) -> str:
    """Returns the outcome of a response. A response with status 200 can have an error in `errors` or as type."""
    if status >= 400:
        return "failed"
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return "unknown"
    if not isinstance(answer, dict) or answer.get("errors"):
        return "failed"
    data = answer.get("data")
    results = data.values() if isinstance(data, dict) else ()
    types = [str(result.get("__typename", "")) for result in results if isinstance(result, dict)]
    return "failed" if any(word in name for name in types for word in _FAILURE_NAMES) else "succeeded"
