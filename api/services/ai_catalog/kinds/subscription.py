"""Subscriptions: what a user wants to be told about an asset, a registered model, or a pipeline."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

import sqlalchemy as sa
from pydantic import Field, model_validator

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId
from api.kernel.models import Model, Request
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.references import RefersTo
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.services.ai_catalog.kinds.pipeline import PIPELINE, PipelineReference
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL
from api.services.ai_catalog.logic.notices import NOTICES_OF, NoticeType, state_of
from api.services.ai_catalog.subscription_tables import SUBSCRIPTION as TABLE
from core.errors import Conflict, InvalidPayload, UnknownAsset
from core.ids import new_id

_MAX_PER_PRINCIPAL = 200

ModelReference = Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.registered_model",))]
"""A registered model."""


class Subscription(Model):
    """A request of a user to be told about changes of an asset, a registered model, or a pipeline."""

    id: str
    """Id of the subscription."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    principal_id: str
    """Id of the subscriber."""

    asset: str | None
    """Id of the asset. Null if it is for something else."""

    registered_model_id: str | None
    """Id of the registered model. Null if it is for something else."""

    pipeline_id: str | None
    """Id of the pipeline. Null if it is for something else."""

    notices: list[NoticeType]
    """What the subscriber is told."""

    created_at: datetime
    """Time of the subscription."""

    created_by: str
    """Name of the subscriber."""

    mailed_at: datetime | None
    """Time of the last mail. Null before the first one."""

    mail_problem: str | None
    """Why the last notice was not mailed. Null if it was, and before the first one."""


class NewSubscription(Request):
    """What to subscribe to: exactly one of `asset`, `registered_model_id`, and `pipeline_id`."""

    asset: AssetId | None = None
    """Id of an asset."""

    registered_model_id: ModelReference | None = None
    """Id or name of a registered model."""

    pipeline_id: PipelineReference | None = None
    """Id or name of a pipeline."""

    notices: Annotated[list[Annotated[NoticeType, Field(strict=False)]], Field(max_length=10)] = []
    """What to be told. By default everything that there is to tell of the target."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(target is not None for target in (self.asset, self.registered_model_id, self.pipeline_id)) != 1:
            raise ValueError("needs exactly one of asset, registered_model_id, and pipeline_id")
        return self


SUBSCRIPTION = TableKind(
    Subscription,
    TABLE,
    plural="subscriptions",
    prefix="sub",
    filter_by=("asset", "registered_model_id", "pipeline_id", "principal_id", "created_at"),
    owner="principal_id",
    readers=Role.ADMIN,
    writers=Role.ADMIN,
)


@SUBSCRIPTION.creation(request=NewSubscription, result=Subscription, past="created")
def create_subscription(unit: Unit, request: NewSubscription) -> Subscription:
    """Subscribes the caller to an asset, a registered model, or a pipeline. It needs no permission but to see it.

    Each notice is mailed to the caller, if the platform has a mail server, as long as they can see the target. It is
    also an event `ai_catalog.subscription.notified`, which webhook endpoints receive. The notice about an asset covers
    its contract. Notices name versions and runs and contain no values of rows.
    """
    target, place = _target(unit, request)
    possible = NOTICES_OF[next(name for name in target if target[name] is not None)]
    if wrong := sorted(set(request.notices) - possible):
        fault = {"pointer": "/notices", "detail": f"{wrong[0]} isn't possible: {', '.join(sorted(possible))}"}
        raise InvalidPayload(f"There is no notice {wrong[0]} of such a target.", errors=[fault])
    own = sa.select(sa.func.count()).select_from(TABLE).where(TABLE.c.principal_id == unit.principal.id)
    if (unit.connection.execute(own).scalar() or 0) >= _MAX_PER_PRINCIPAL:
        raise Conflict(f"You have {_MAX_PER_PRINCIPAL} subscriptions. Delete one first.")
    unit.call.note(**{name: value for name, value in target.items() if value is not None})
    unit.creates(new_id(SUBSCRIPTION.prefix), place)
    values = {
        "id": unit.call.subject,
        "organization_id": place.organization_id,
        "project_id": place.project_id,
        "principal_id": unit.principal.id,
        **target,
        "notices": sorted(set(request.notices) or possible),
        "seen": state_of(unit.connection, unit.platform.orchestrator.view(), unit.now, **target),
        "created_at": unit.now,
        "created_by": unit.principal.name,
    }
    unit.connection.execute(TABLE.insert().values(values))
    return SUBSCRIPTION.item(unit, unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == values["id"])).one())


@SUBSCRIPTION.deletion()
def delete_subscription(unit: Unit, subscription: Row) -> None:
    """Ends a subscription."""
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == subscription.id))


def _target(unit: Unit, request: NewSubscription) -> tuple[dict[str, Any], Securable]:
    """Returns the columns of the target, and its place. The caller can see it."""
    columns = dict.fromkeys(("asset", "registered_model_id", "pipeline_id"))
    if request.asset is not None:
        place = asset_securable(unit.platform, request.asset)
        if request.asset not in unit.platform.orchestrator.view().nodes or not unit.allows(READ_ASSET, place):
            raise UnknownAsset(f"There is no asset {request.asset!r}.")
        if place.project_id is None:
            raise Conflict(f"{request.asset} belongs to no registered project.")
        return {**columns, "asset": request.asset}, place
    if request.registered_model_id is not None:
        row = unit.row(REGISTERED_MODEL, request.registered_model_id, permission=REGISTERED_MODEL.permission("get"))
        return {**columns, "registered_model_id": row.id}, row.securable
    row = unit.row(PIPELINE, request.pipeline_id or "", permission=PIPELINE.permission("get"))
    return {**columns, "pipeline_id": row.id}, row.securable
