"""Move of a project with everything in it to another organization.

Nothing can be created and nothing can run in the project while it moves. Then all rows change their organization in
one transaction. Cross-tenant access ends, and the preview lists it beforehand. The history from before the move stays
with the former organization.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import epochs
from api.kernel.credentials.lockout import refuse_lockout
from api.kernel.models import Request
from api.kernel.operations.store import FINAL
from api.kernel.permissions import grants
from api.kernel.permissions.power import lifted
from api.kernel.permissions.projects import FORMER
from api.kernel.permissions.rule import Rule
from api.kernel.sagas.saga import ActivityStep, Output, Saga, StepContext, TransactionStep
from api.kernel.securable import Securable
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import GRANT, OPERATION, PRINCIPAL, RESOURCE, REVISION, tables_of_projects
from api.services.admin.logic import cross_tenant_access
from core import clock, events
from core.errors import Conflict, NotFound

MOVING = "MOVING"
ACTION = "admin.project.move"
_DRAIN_SECONDS = 30.0


class ProjectMove(Request):
    """Input of the saga."""

    project_id: str
    """Id of the project."""

    organization_id: str
    """Id of the organization to move to."""

    state: str
    """State of the project before the move, which it gets again."""


def inside(connection: Connection, project_id: str) -> list[Stored]:
    """Returns the project and everything in it, including deleted resources."""
    rows = connection.execute(sa.select(*store.COLUMNS).where(RESOURCE.c.project_id == project_id))
    return [store.stored(row) for row in rows]


def gained(connection: Connection, project: Securable, organization_id: str) -> list[Rule]:
    """Returns the rights on the project that principals gain by a move.

    Grants on the new organization apply to the project, and denies on the former one do not. Denies through groups
    that the project's service accounts leave end, too.
    """
    granted = [rule for rule in grants.rules(connection, GRANT.c.securable_id == organization_id) if not rule.denies]
    undenied = lifted(grants.rules(connection, GRANT.c.securable_id == project.organization_id))
    memberships = cross_tenant_access.find(connection, str(project.project_id), "", organization_id).memberships
    groups = GRANT.c.principal_id.in_({row.group_id for row in memberships})
    undenied_by_groups = lifted(grants.rules(connection, groups)) if memberships else []
    return [*(rule.on(project) for rule in (*granted, *undenied)), *undenied_by_groups]


def _freeze(connection: Connection, step: StepContext[ProjectMove]) -> Output:
    project = _project(connection, step)
    if project.state != step.input.state:
        raise Conflict(f"{project.name} is {project.state} now. It was {step.input.state} when the move started.")
    _write(connection, step, project, state=MOVING)
    return {"organization_id": project.organization_id}


def _thaw(connection: Connection, step: StepContext[ProjectMove]) -> None:
    _write(connection, step, _project(connection, step), state=step.input.state)


def _thaw_moved_project(connection: Connection, step: StepContext[ProjectMove]) -> None:
    project = _project(connection, step)
    _write(connection, step, project, state=step.input.state, by=FORMER, moved_at=clock.now())


async def _drain(step: StepContext[ProjectMove]) -> Output:
    """Waits until nothing runs in the project."""
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    while running := await step.platform.workers.read.run(_running, step):
        if asyncio.get_running_loop().time() > deadline:
            raise Conflict(
                f"{len(running)} operations are still running in the project: {', '.join(running[:5])}. Cancel them."
            )
        await asyncio.sleep(0.2)
    return None


def _running(step: StepContext[ProjectMove]) -> Sequence[str]:
    live = sa.select(OPERATION.c.id).where(
        OPERATION.c.project_id == step.input.project_id,
        OPERATION.c.id != step.operation,
        OPERATION.c.state.not_in([state.value for state in FINAL]),
    )
    with step.platform.database.read() as connection:
        return list(connection.execute(live).scalars())


def _hand_over(connection: Connection, step: StepContext[ProjectMove]) -> Output:
    """Moves every row of the project to the other organization, and ends cross-tenant access."""
    target = _organization(connection, step.input.organization_id)
    project_id = step.input.project_id
    project = _project(connection, step)
    if references := cross_tenant_access.references(connection, project_id, target.id):
        first = references[0]
        raise Conflict(f"{first.source} uses {first.target}, which doesn't move. Change that first.")
    ended = cross_tenant_access.find(connection, project_id, project.name, target.id)
    cross_tenant_access.end(connection, ended, project.name, action=ACTION, request_id=step.request_id)
    cross_tenant_access.leave_behind(connection, project_id)
    moved = inside(connection, project_id)
    for row in moved:
        _rename(connection, step, row, target.id)
    ids = [row.id for row in moved]
    connection.execute(PRINCIPAL.update().where(PRINCIPAL.c.id.in_(ids)).values(organization_id=target.id))
    connection.execute(GRANT.update().where(GRANT.c.project_id == project_id).values(organization_id=target.id))
    for table, names in tables_of_projects():
        values = dict.fromkeys(names, FORMER) | {"organization_id": target.id}
        connection.execute(table.update().where(table.c.project_id == project_id).values(values))
    epochs.bump(connection)
    refuse_lockout(connection, step.platform.database, step.platform.permissions)
    before = step.outputs["freeze"]["organization_id"]
    revoked = [row.id for row in ended.grants]
    outcome = {"action": ACTION, "outcome": "succeeded"}
    # Each organization gets the events of its part. The project's history starts again in the new one.
    moved_events = [
        _event(step, "admin.project.left", before, **outcome, **{"from": before, "to": target.id, "revoked": revoked}),
        _event(step, "admin.project.moved", target.id, **outcome, to=target.id),
        *(_revocation(step, grant) for grant in ended.grants),
        *(_leaving(step, row) for row in ended.memberships),
        *(_key_revoked(step, row, before) for row in ended.keys),
    ]
    events.append_all(connection, moved_events)
    ended_access = {
        "ended_memberships": [[row.group_id, row.member_id] for row in ended.memberships],
        "disabled_webhooks": [row.id for row in ended.webhooks],
        "blocked_definitions": ended.blocked_definitions,
        "revoked_keys": [row.id for row in ended.keys],
    }
    return {"resources": len(moved), "revoked_grants": revoked} | {
        name: ids for name, ids in ended_access.items() if ids
    }


def _rename(connection: Connection, step: StepContext[ProjectMove], row: Stored, organization_id: str) -> None:
    """Moves a resource to the other organization, which becomes its owner.

    The revision lists no changes, because the earlier state belongs to the former organization.
    """
    after = replace(
        row,
        organization_id=organization_id,
        owner=organization_id,
        created_by=FORMER,
        updated_by=FORMER,
        updated_at=clock.now(),
    )
    after = store.replace_row(connection, row, after, action=ACTION, request_id=step.request_id)
    revision = REVISION.c.resource_id == row.id, REVISION.c.version == after.version
    connection.execute(REVISION.update().where(*revision).values(changes=[]))


def _thaw_moved(connection: Connection, step: StepContext[ProjectMove]) -> Output:
    _thaw_moved_project(connection, step)
    return dict(step.outputs["hand_over"])


SAGA = Saga(
    ACTION,
    input=ProjectMove,
    steps=[
        TransactionStep("freeze", _freeze, undo=_thaw),
        ActivityStep("drain", _drain, timeout_seconds=_DRAIN_SECONDS + 10),
        TransactionStep("hand_over", _hand_over),
        TransactionStep("thaw", _thaw_moved),
    ],
)


def _project(connection: Connection, step: StepContext[ProjectMove]) -> Stored:
    row = store.find(connection, "admin.project", step.input.project_id, within=None, lock=True)
    if row is None or row.deleted_at:
        raise NotFound("The project was deleted in the meantime.")
    return row


def _organization(connection: Connection, id: str) -> Stored:
    row = store.find(connection, "admin.organization", id, within=None, lock=True)
    if row is None or row.deleted_at or row.state != "ACTIVE":
        raise Conflict("The organization to move to was suspended or deleted in the meantime.")
    return row


def _write(
    connection: Connection,
    step: StepContext[ProjectMove],
    project: Stored,
    *,
    state: str,
    by: str = "",
    moved_at: datetime | None = None,
) -> None:
    status = json.loads(project.status) | {"state": state}
    if moved_at is not None:
        status["moved_at"] = moved_at.isoformat()
    values = {"status": json.dumps(status), "updated_at": clock.now(), "updated_by": by or step.principal}
    after = replace(project, state=state, **values)  # type: ignore[arg-type]
    store.replace_row(connection, project, after, action=ACTION, request_id=step.request_id)
    epochs.bump(connection)


def _revocation(step: StepContext[ProjectMove], grant: Any) -> events.Event:
    """Returns the same event as a revocation of the grant."""
    return events.Event(
        "admin.grant.revoked",
        grant.id,
        step.principal,
        grants.facts(grant),
        step.request_id,
        principal_id=step.principal_id,
        traceparent=step.traceparent,
        kind="admin.grant",
        organization_id=grant.organization_id,
        project_id=grant.project_id,
    )


def _leaving(step: StepContext[ProjectMove], row: Any) -> events.Event:
    """Returns the same event as a removal of the member."""
    return events.Event(
        "admin.group.members_removed",
        row.group_id,
        step.principal,
        {"removed": [row.member_id], "action": ACTION, "outcome": "succeeded"},
        step.request_id,
        principal_id=step.principal_id,
        traceparent=step.traceparent,
        kind="admin.group",
        organization_id=row.organization_id,
    )


def _key_revoked(step: StepContext[ProjectMove], row: Any, organization: str | None) -> events.Event:
    """Returns the same event as a revocation of the key."""
    return events.Event(
        "admin.api_key.revoked",
        row.id,
        step.principal,
        {"action": ACTION, "outcome": "succeeded", "label": row.label, "principal_id": row.principal_id},
        step.request_id,
        principal_id=step.principal_id,
        traceparent=step.traceparent,
        kind="admin.api_key",
        organization_id=organization,
    )


def _event(step: StepContext[ProjectMove], type: str, organization: str | None, **facts: Any) -> events.Event:
    moved = type == "admin.project.moved"
    return events.Event(
        type,
        step.input.project_id,
        FORMER if moved else step.principal,
        facts,
        step.request_id,
        principal_id="" if moved else step.principal_id,
        traceparent=step.traceparent,
        kind="admin.project",
        organization_id=organization,
        project_id=step.input.project_id if moved else None,
    )
