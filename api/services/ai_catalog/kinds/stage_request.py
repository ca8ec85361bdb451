"""Stage requests: the moves of versions of models to stages that were asked for, with every decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model
from api.services.ai_catalog.kinds.registered_model import ModelStage
from api.services.ai_catalog.stage_tables import STAGE_DECISION
from api.services.ai_catalog.stage_tables import STAGE_REQUEST as TABLE


class StageRequestState(StrEnum):
    """State of a request. An APPROVED one has moved its version."""

    OPEN = "OPEN"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    CANCELED = "CANCELED"


class StageDecision(StrEnum):
    """What a principal decided."""

    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class RecordedDecision(Model):
    """A decision on a request."""

    decision: StageDecision
    """What was decided."""

    comment: str
    """Reason."""

    decided_by: str
    """Name of the principal that decided."""

    decided_at: datetime
    """Time of the decision."""


class StageRequest(Model):
    """A request to move a version of a registered model to a stage, with every decision on it."""

    id: str
    """Id of the request."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    registered_model_id: str
    """Id of the registered model."""

    model_version_id: str
    """Id of the version."""

    version: int
    """Number of the version."""

    from_stage: ModelStage
    """Stage at the time of the request."""

    stage: ModelStage
    """Stage that was asked for."""

    archive_existing: bool
    """Whether the versions that are at the stage move to ARCHIVED."""

    state: StageRequestState
    """State of the request."""

    approvals: int
    """Number of approvals that it needs. 0 if the policy needed none."""

    comment: str
    """Reason of the request."""

    requested_by: str
    """Name of the principal that made the request."""

    requested_at: datetime
    """Time of the request."""

    ended_at: datetime | None
    """Time at which it was approved, rejected, or canceled. Null until then."""

    decisions: list[RecordedDecision]
    """Decisions, first to last."""


def _requests(unit: Unit, rows: Sequence[Row]) -> list[StageRequest]:
    decisions: dict[str, list[RecordedDecision]] = {row.id: [] for row in rows}
    select = sa.select(STAGE_DECISION).where(STAGE_DECISION.c.request_id.in_(decisions))
    for row in unit.connection.execute(select.order_by(STAGE_DECISION.c.decided_at, STAGE_DECISION.c.id)):
        values = {name: row._mapping[name] for name in RecordedDecision.model_fields}
        decisions[row.request_id].append(RecordedDecision(**values))
    names = [name for name in StageRequest.model_fields if name != "decisions"]
    return [StageRequest(**{name: row._mapping[name] for name in names}, decisions=decisions[row.id]) for row in rows]


STAGE_REQUEST = TableKind(
    StageRequest,
    TABLE,
    plural="stage-requests",
    prefix="stq",
    filter_by=("registered_model_id", "model_version_id", "stage", "state", "requested_by", "requested_at"),
    items=_requests,
)
