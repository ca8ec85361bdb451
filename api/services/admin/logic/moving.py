"""Moving a project with everything in it to another organization.

Nothing may be created in it and nothing may run in it while it moves; then all rows change hands in one transaction.
A right that would reach across organizations afterwards ends: the move tells beforehand which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import epochs
from api.kernel.models import Request
from api.kernel.operations.store import FINAL
from api.kernel.permissions import grants
from api.kernel.sagas.saga import ActivityStep, Output, Saga, StepContext, TransactionStep
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import GRANT, OPERATION, PRINCIPAL, REFERENCE, RESOURCE
from core import clock, events
from core.errors import Conflict, NotFound

MOVING = "MOVING"
ACTION = "admin.project.move"
_DRAIN_SECONDS = 30.0
_FROM = RESOURCE.alias("source")
_TO = RESOURCE.alias("target")


class ProjectMove(Request):
    """What the saga is asked for."""

    project_id: str
    """The project."""

    organization_id: str
    """Where it shall go."""

    state: str
    """State it had before, and shall have again."""


def inside(connection: Connection, project_id: str) -> list[Stored]:
    """The project and everything in it, deleted things too."""
    rows = connection.execute(sa.select(*store.COLUMNS).where(RESOURCE.c.project_id == project_id))
    return [store.stored(row) for row in rows]


def stranded_grants(connection: Connection, project_id: str, organization_id: str) -> list[Any]:
    """Grants in the project that would reach across organizations after a move there.

    These are roles of another organization, and people and groups of another one, but for those of the platform's own
    grants, which hold on the platform and not on the project.
    """
    role, holder = RESOURCE.alias("role"), RESOURCE.alias("holder")
    foreign_role = sa.and_(role.c.organization_id.is_not(None), role.c.organization_id != organization_id)
    foreign_holder = sa.and_(
        holder.c.organization_id != organization_id, holder.c.project_id.is_distinct_from(project_id)
    )
    select = (
        sa.select(GRANT, holder.c.name.label("holder"))
        .outerjoin(role, role.c.id == GRANT.c.role_id)
        .outerjoin(holder, holder.c.id == GRANT.c.principal_id)
        .where(GRANT.c.project_id == project_id, sa.or_(foreign_role, foreign_holder))
        .order_by(GRANT.c.id)
    )
    return list(connection.execute(select))


def crossing_references(connection: Connection, project_id: str, organization_id: str) -> list[Any]:
    """Edges between the project and things outside of it that the other organization does not have.

    They keep it from moving: who follows one would reach into another tenant.
    """
    inward = _FROM.c.project_id == project_id
    outward = _TO.c.project_id == project_id
    select = (
        sa.select(REFERENCE.c.field, _FROM.c.name.label("source"), _TO.c.name.label("target"))
        .join(_FROM, _FROM.c.id == REFERENCE.c.from_id)
        .join(_TO, _TO.c.id == REFERENCE.c.to_id)
        .where(
            _FROM.c.deleted_at.is_(None),
            sa.or_(
                sa.and_(
                    inward, _TO.c.project_id.is_distinct_from(project_id), _TO.c.organization_id != organization_id
                ),
                sa.and_(
                    outward, _FROM.c.project_id.is_distinct_from(project_id), _FROM.c.organization_id != organization_id
                ),
            ),
        )
        .order_by(_FROM.c.name)
    )
    return list(connection.execute(select))


def _freeze(connection: Connection, step: StepContext[ProjectMove]) -> Output:
    project = _project(connection, step)
    if project.state != step.input.state:
        raise Conflict(f"{project.name} is {project.state} by now; it was {step.input.state} when the move began.")
    _write(connection, step, project, state=MOVING)
    return {"organization_id": project.organization_id}


def _thaw(connection: Connection, step: StepContext[ProjectMove]) -> None:
    _write(connection, step, _project(connection, step), state=step.input.state)


async def _drain(step: StepContext[ProjectMove]) -> Output:
    """Waits until nothing runs in the project."""
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    while running := await step.platform.workers.read.run(_running, step):
        if asyncio.get_running_loop().time() > deadline:
            raise Conflict(
                f"{len(running)} operations still run in the project: {', '.join(running[:5])}. Cancel them."
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
    """Gives every row of the project to the other organization, and ends the rights that would cross over."""
    target = _organization(connection, step.input.organization_id)
    if crossing := crossing_references(connection, step.input.project_id, target.id):
        first = crossing[0]
        raise Conflict(f"{first.source} uses {first.target}, which does not move along. Change that first.")
    lost = stranded_grants(connection, step.input.project_id, target.id)
    stranded = [row.id for row in lost]
    connection.execute(GRANT.delete().where(GRANT.c.id.in_(stranded)))
    moved = inside(connection, step.input.project_id)
    for row in moved:
        after = replace(row, organization_id=target.id, updated_at=clock.now(), updated_by=step.principal)
        store.replace_row(connection, row, after, action=ACTION, request_id=step.request_id)
    ids = [row.id for row in moved]
    connection.execute(PRINCIPAL.update().where(PRINCIPAL.c.id.in_(ids)).values(organization_id=target.id))
    for table in (GRANT, OPERATION):
        ours = table.update().where(table.c.project_id == step.input.project_id)
        connection.execute(ours.values(organization_id=target.id))
    epochs.bump(connection)
    before = step.outputs["freeze"]["organization_id"]
    facts = {"action": ACTION, "outcome": "succeeded", "from": before, "to": target.id, "revoked": stranded}
    # Both organizations have a right to know; the project's own history begins anew in the other one.
    told = [
        _event(step, "admin.project.left", before, **facts),
        _event(step, "admin.project.moved", target.id, **facts),
    ]
    events.append_all(connection, [*told, *(_revocation(step, grant) for grant in lost)])
    return {"resources": len(moved), "revoked_grants": stranded}


def _thaw_moved(connection: Connection, step: StepContext[ProjectMove]) -> Output:
    _thaw(connection, step)
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
    row = store.find(connection, "admin.project", step.input.project_id, named=False, lock=True)
    if row is None or row.deleted_at:
        raise NotFound("The project was deleted meanwhile.")
    return row


def _organization(connection: Connection, id: str) -> Stored:
    row = store.find(connection, "admin.organization", id, named=False, lock=True)
    if row is None or row.deleted_at or row.state != "ACTIVE":
        raise Conflict("The organization it shall go to was suspended or deleted meanwhile.")
    return row


def _write(connection: Connection, step: StepContext[ProjectMove], project: Stored, *, state: str) -> None:
    status = f'{{"state":"{state}"}}'
    after = replace(project, state=state, status=status, updated_at=clock.now(), updated_by=step.principal)
    store.replace_row(connection, project, after, action=ACTION, request_id=step.request_id)
    epochs.bump(connection)


def _revocation(step: StepContext[ProjectMove], grant: Any) -> events.Event:
    """As when somebody revokes it."""
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


def _event(step: StepContext[ProjectMove], type: str, organization: str | None, **facts: Any) -> events.Event:
    return events.Event(
        type,
        step.input.project_id,
        step.principal,
        facts,
        step.request_id,
        principal_id=step.principal_id,
        traceparent=step.traceparent,
        kind="admin.project",
        organization_id=organization,
        project_id=step.input.project_id if type == "admin.project.moved" else None,
    )
