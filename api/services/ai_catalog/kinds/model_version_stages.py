"""Stages of versions of models: requests, approvals by other principals, and the gates that a version must pass."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.roles import Role
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL, ModelStage, RegisteredModel
from api.services.ai_catalog.kinds.stage_request import (
    STAGE_REQUEST,
    StageDecision,
    StageRequest,
    StageRequestState,
)
from api.services.ai_catalog.logic.model_gates import require_gates
from api.services.ai_catalog.model_tables import MODEL_VERSION as VERSIONS
from api.services.ai_catalog.stage_tables import STAGE_DECISION
from api.services.ai_catalog.stage_tables import STAGE_REQUEST as REQUESTS
from core.errors import Conflict, PermissionDenied
from core.ids import new_id

Comment = Annotated[str, Field(max_length=5000)]
"""Reason, as text."""

PROMOTIONS = (ModelStage.STAGING, ModelStage.PRODUCTION)
"""Stages that a version reaches only if it passes its gates."""


class RequestStage(Request):
    """A stage to ask for."""

    stage: ModelStage
    """Stage."""

    comment: Comment = ""
    """Reason."""

    archive_existing: bool = False
    """Whether the versions that are at the stage move to ARCHIVED."""


class Decide(Request):
    """A decision on the open request of a version."""

    comment: Comment = ""
    """Reason."""


@MODEL_VERSION.command("request-stage", request=RequestStage, result=StageRequest, past="stage_requested")
def request_model_version_stage(unit: Unit, version: Row, request: RequestStage) -> StageRequest:
    """Asks for a stage. The version moves at once if the policy of its model requires no approval of the stage.

    A version that fails a gate can't ask for STAGING or PRODUCTION.
    """
    model = unit.get(REGISTERED_MODEL, version.registered_model_id)
    if request.stage.value == version.stage:
        raise Conflict(f"Version {version.version} of {model.spec.title} is at {version.stage} already.")
    if waiting := _open(unit, version):
        raise Conflict(
            f"The request {waiting.id} for {waiting.stage} is open. Approve, reject, or cancel it first.",
            metadata={"request": waiting.id},
        )
    policy = model.spec.policy
    approvals = policy.approvals if request.stage in policy.stages else 0
    if request.stage in PROMOTIONS:
        require_gates(unit, model.spec.title, version, _evaluations(model, request.stage))
    id = new_id(STAGE_REQUEST.prefix)
    values = {
        "id": id,
        "organization_id": version.organization_id,
        "project_id": version.project_id,
        "registered_model_id": version.registered_model_id,
        "model_version_id": version.id,
        "version": version.version,
        "from_stage": version.stage,
        "stage": request.stage.value,
        "archive_existing": request.archive_existing,
        "state": StageRequestState.OPEN.value if approvals else StageRequestState.APPROVED.value,
        "approvals": approvals,
        "comment": request.comment,
        "requested_by": unit.principal.name,
        "requested_by_id": unit.principal.id,
        "requested_at": unit.now,
        "ended_at": None if approvals else unit.now,
    }
    unit.connection.execute(REQUESTS.insert().values(values))
    unit.call.note(request=id, before=version.stage, after=request.stage.value, approvals=approvals)
    if not approvals:
        _move(unit, version, request.stage, archive_existing=request.archive_existing)
    return _request(unit, id)


@MODEL_VERSION.command("approve", request=Decide, result=StageRequest, past="approved", role=Role.ADMIN)
def approve_model_version(unit: Unit, version: Row, request: Decide) -> StageRequest:
    """Approves the open request of a version. With the last approval that the policy requires, the version moves.

    The principal that made the request, and service accounts, can't approve, unless the policy allows self-approval.
    A version that fails a gate can't be approved.
    """
    model, waiting = unit.get(REGISTERED_MODEL, version.registered_model_id), _require_open(unit, version)
    if not model.spec.policy.self_approval:
        _require_other(unit, waiting)
    stage = ModelStage(waiting.stage)
    if stage in PROMOTIONS:
        require_gates(unit, model.spec.title, version, _evaluations(model, stage))
    _decide(unit, waiting, StageDecision.APPROVED, request.comment)
    approved = sa.select(sa.func.count()).where(
        STAGE_DECISION.c.request_id == waiting.id, STAGE_DECISION.c.decision == StageDecision.APPROVED.value
    )
    count = unit.connection.execute(approved).scalar() or 0
    # A policy that became stricter counts, too.
    needed = max(waiting.approvals, model.spec.policy.approvals if stage in model.spec.policy.stages else 0)
    unit.call.note(request=waiting.id, stage=stage.value, approvals=count, needed=needed)
    if count < needed:
        return STAGE_REQUEST.item(unit, waiting)
    _move(unit, version, stage, archive_existing=waiting.archive_existing)
    return _ended(unit, waiting, StageRequestState.APPROVED)


@MODEL_VERSION.command("reject", request=Decide, result=StageRequest, past="rejected", role=Role.ADMIN)
def reject_model_version(unit: Unit, version: Row, request: Decide) -> StageRequest:
    """Rejects the open request of a version. The version stays at its stage."""
    waiting = _require_open(unit, version)
    _decide(unit, waiting, StageDecision.REJECTED, request.comment)
    unit.call.note(request=waiting.id, stage=waiting.stage)
    return _ended(unit, waiting, StageRequestState.REJECTED)


@MODEL_VERSION.command("cancel-request", request=Request, result=StageRequest, past="request_canceled")
def cancel_model_version_request(unit: Unit, version: Row, request: Request) -> StageRequest:
    """Cancels the open request of a version. Only the principal that made it can do that. Others reject it."""
    waiting = _require_open(unit, version)
    if waiting.requested_by_id != unit.principal.id:
        raise PermissionDenied("Only the principal that made a request can cancel it. Reject it instead.")
    unit.call.note(request=waiting.id, stage=waiting.stage)
    return _ended(unit, waiting, StageRequestState.CANCELED)


def _evaluations(model: RegisteredModel, stage: ModelStage) -> list[str]:
    """Returns the evaluations that gate a stage: all that the model requires, if the stage needs an approval."""
    return model.spec.required_evaluations if stage in model.spec.policy.stages else []


def _open(unit: Unit, version: Row) -> Row | None:
    state = REQUESTS.c.state == StageRequestState.OPEN.value
    select = sa.select(REQUESTS).where(REQUESTS.c.model_version_id == version.id, state)
    return unit.connection.execute(select.with_for_update()).first()


def _require_open(unit: Unit, version: Row) -> Row:
    waiting = _open(unit, version)
    if waiting is None:
        raise Conflict(f"Version {version.version} has no open request. Make one with :request-stage.")
    return waiting


def _require_other(unit: Unit, waiting: Row) -> None:
    if waiting.requested_by_id == unit.principal.id:
        raise PermissionDenied("You made this request. Ask another user to approve it.")
    if unit.principal.kind is not PrincipalKind.USER:
        raise PermissionDenied("A service account can't approve, because the user who controls it may have asked.")


def _decide(unit: Unit, waiting: Row, decision: StageDecision, comment: str) -> None:
    values = {
        "id": new_id("std"),
        "organization_id": waiting.organization_id,
        "project_id": waiting.project_id,
        "request_id": waiting.id,
        "decision": decision.value,
        "comment": comment,
        "decided_by": unit.principal.name,
        "decided_by_id": unit.principal.id,
        "decided_at": unit.now,
    }
    same = sa.and_(*(STAGE_DECISION.c[name] == values[name] for name in ("request_id", "decided_by_id", "decision")))
    if unit.connection.execute(sa.select(STAGE_DECISION.c.id).where(same)).first():
        raise Conflict("You approved this request already. It needs the approval of another user.")
    unit.connection.execute(STAGE_DECISION.insert().values(values))


def _ended(unit: Unit, waiting: Row, state: StageRequestState) -> StageRequest:
    ended = REQUESTS.update().where(REQUESTS.c.id == waiting.id)
    unit.connection.execute(ended.values(state=state.value, ended_at=unit.now))
    return _request(unit, waiting.id)


def _request(unit: Unit, id: str) -> StageRequest:
    return STAGE_REQUEST.item(unit, unit.connection.execute(sa.select(REQUESTS).where(REQUESTS.c.id == id)).one())


def _move(unit: Unit, version: Row, stage: ModelStage, *, archive_existing: bool) -> None:
    if archive_existing and stage in PROMOTIONS:
        others = sa.and_(
            VERSIONS.c.registered_model_id == version.registered_model_id,
            VERSIONS.c.stage == stage.value,
            VERSIONS.c.id != version.id,
        )
        archived = {"stage": ModelStage.ARCHIVED.value, "updated_at": unit.now}
        unit.connection.execute(VERSIONS.update().where(others).values(archived))
    moved = VERSIONS.update().where(VERSIONS.c.id == version.id)
    unit.connection.execute(moved.values(stage=stage.value, updated_at=unit.now))
