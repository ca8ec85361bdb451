"""Registered models: names under which versions of a model are published, with aliases such as `champion`."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import AfterValidator, Field

from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request, Timestamp
from api.kernel.references import RefersTo
from api.kernel.securable import Securable
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.kinds.experiment import Tags
from api.services.ai_catalog.logic.alias_moves import alias_moves
from api.services.ai_catalog.logic.model_gates import require_gates
from api.services.ai_catalog.logic.model_lineage import ModelNodes, Recorder
from api.services.ai_catalog.model_tables import MODEL_VERSION
from core.errors import Conflict, InvalidArgument, InvalidPayload, NotFound

APPROVE = "ai_catalog.model_version.approve"
"""Permission to approve the promotion of a version."""

MAX_VERSION = 2**31 - 1
"""The highest number of a version."""


def _not_reserved(alias: str) -> str:
    if alias == "latest" or re.fullmatch(r"v\d+", alias):
        raise ValueError("must not be `latest` or look like the number of a version")
    return alias


Alias = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$"), AfterValidator(_not_reserved)]
"""Name of an alias: not `latest`, and not `v` with a number."""


class ModelStage(StrEnum):
    """Stage of a version. A rejected training stays at NONE."""

    NONE = "NONE"
    STAGING = "STAGING"
    PRODUCTION = "PRODUCTION"
    ARCHIVED = "ARCHIVED"


EvaluationReference = Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.evaluation",))]
"""An evaluation."""


class ApprovalPolicy(Request):
    """What a version of a model needs before it is promoted."""

    stages: Annotated[list[ModelStage], Field(max_length=4)] = [ModelStage.PRODUCTION]
    """Stages that need an approval."""

    approvals: Annotated[int, Field(ge=1, le=10)] = 1
    """Number of principals that must approve. They need the permission `ai_catalog.model_version.approve`."""

    self_approval: bool = False
    """Whether the principal that made a request, and service accounts, can approve it."""

    protected_aliases: Annotated[list[Alias], Field(max_length=20)] = []
    """Aliases that can name only versions at PRODUCTION."""


class RegisteredModelSpec(Spec):
    """A registered model."""

    title: Annotated[Text, Field(min_length=1, max_length=256)]
    """Display name."""

    description: Annotated[str, Field(max_length=50_000)] = ""
    """Purpose and limits of the model, in Markdown."""

    tags: Tags = {}
    """Free key-value pairs."""

    policy: ApprovalPolicy = ApprovalPolicy()
    """What a version needs before it is promoted. Only principals that can approve can change it."""

    required_evaluations: Annotated[list[EvaluationReference], Field(max_length=20)] = []
    """Ids of evaluations of the project that a version must pass before it reaches a stage that needs an approval. Only
    principals that can approve can change them."""


class RegisteredModelStatus(Status):
    """The aliases of a registered model."""

    aliases: dict[str, int] = {}
    """Number of the version of each alias."""


class RegisteredModel(Resource[RegisteredModelSpec, RegisteredModelStatus]):
    """A name under which versions of a model are published, with aliases such as `champion`."""


class SetAlias(Request):
    """An alias to set."""

    alias: Alias
    """Name of the alias."""

    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    """Number of the version."""


class RemoveAlias(Request):
    """An alias to remove."""

    alias: Annotated[str, Field(max_length=64)]
    """Name of the alias."""


class AliasQuery(Query):
    """An alias at a time."""

    alias: Annotated[str, Field(max_length=64)] = "champion"
    """Name of the alias."""

    at: Timestamp | None = None
    """Time. Defaults to now."""


class AliasAt(Model):
    """The version that an alias named at a time."""

    alias: str
    """Name of the alias."""

    at: datetime
    """Time."""

    version: int
    """Number of the version."""

    since: datetime
    """Time at which the alias was moved to the version."""

    moved_by: str
    """Name of the principal that moved it."""


REGISTERED_MODEL = ResourceKind(
    RegisteredModel,
    plural="registered-models",
    prefix="rmd",
    level=Level.PROJECT,
    filter_by=("spec.title",),
    references=(Reference("required_evaluations", "ai_catalog.evaluation"),),
)


@REGISTERED_MODEL.command("set-alias", request=SetAlias, result=RegisteredModel, past="alias_set")
def set_registered_model_alias(unit: Unit, model: RegisteredModel, request: SetAlias) -> RegisteredModel:
    """Makes an alias name a version. The moves of an alias stay on record.

    A version that failed a blocking check of its training can't have an alias.
    """
    version = require_version(unit, model, request.version)
    require_gates(unit, model.spec.title, version)
    if request.alias in model.spec.policy.protected_aliases and version.stage != ModelStage.PRODUCTION.value:
        raise Conflict(
            f"The alias {request.alias!r} can name only versions at PRODUCTION. Version {request.version} is at "
            f"{version.stage}. Ask for the stage with :request-stage."
        )
    move_alias(unit, model, request.alias, request.version)
    return model


@REGISTERED_MODEL.command("remove-alias", request=RemoveAlias, result=RegisteredModel, past="alias_removed")
def remove_registered_model_alias(unit: Unit, model: RegisteredModel, request: RemoveAlias) -> RegisteredModel:
    """Removes an alias. The versions stay."""
    if request.alias not in model.status.aliases:
        raise NotFound(f"{model.name} has no alias {request.alias!r}.")
    unit.call.note(alias=request.alias, before=model.status.aliases[request.alias])
    model.status.aliases = {name: number for name, number in model.status.aliases.items() if name != request.alias}
    return model


@REGISTERED_MODEL.view("alias-as-of", query=AliasQuery, result=AliasAt)
def get_registered_model_alias_as_of(unit: Unit, model: RegisteredModel, query: AliasQuery) -> AliasAt:
    """Returns the version that an alias named at a time, and who moved it there."""
    at = query.at or unit.now
    if at > unit.now:
        raise InvalidArgument("`at` is in the future.")
    moves = alias_moves(unit.connection, model.id, query.alias, at)
    if not moves or moves[-1].version is None:
        raise NotFound(f"{model.name} had no alias {query.alias!r} at {at:%Y-%m-%d %H:%M:%S} UTC.")
    found = moves[-1]
    return AliasAt(alias=query.alias, at=at, version=moves[-1].version, since=found.at, moved_by=found.by)


@REGISTERED_MODEL.validate
def require_approver(unit: Unit, model: RegisteredModel, before: RegisteredModel | None) -> None:
    """Refuses a change of the policy to principals that can't approve, so that they can't go around it."""
    was = before.spec if before else RegisteredModelSpec(title=model.spec.title)
    if (model.spec.policy, model.spec.required_evaluations) != (was.policy, was.required_evaluations):
        unit.require(APPROVE, Securable(REGISTERED_MODEL.full_name, model.id, model.organization_id, model.project_id))
    inside = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.id.in_(model.spec.required_evaluations), RESOURCE.c.project_id == model.project_id
    )
    known = set(unit.connection.execute(inside).scalars())
    for n, id in enumerate(model.spec.required_evaluations):
        if id not in known:
            fault = {"pointer": f"/spec/required_evaluations/{n}", "detail": "is no evaluation of the project"}
            raise InvalidPayload(f"There is no evaluation {id!r} in the project of the model.", errors=[fault])


@REGISTERED_MODEL.after("delete")
def delete_versions(unit: Unit, model: RegisteredModel) -> None:
    """Deletes the versions with their model, at the same time, so that they can be restored together."""
    versions = sa.and_(MODEL_VERSION.c.registered_model_id == model.id, MODEL_VERSION.c.deleted_at.is_(None))
    unit.connection.execute(MODEL_VERSION.update().where(versions).values(deleted_at=model.deleted_at))


@REGISTERED_MODEL.before("restore")
def restore_versions(unit: Unit, model: RegisteredModel) -> None:
    """Restores the versions that were deleted with their model."""
    deleted_at = sa.select(RESOURCE.c.deleted_at).where(RESOURCE.c.id == model.id).scalar_subquery()
    versions = sa.and_(MODEL_VERSION.c.registered_model_id == model.id, MODEL_VERSION.c.deleted_at == deleted_at)
    unit.connection.execute(MODEL_VERSION.update().where(versions).values(deleted_at=None))


def move_alias(unit: Unit, model: RegisteredModel, alias: str, number: int) -> None:
    """Makes an alias name a version, and records the move as an edge of the lineage graph."""
    before = model.status.aliases.get(alias)
    unit.call.note(alias=alias, before=before, after=number)
    if before == number:
        return
    model.status.aliases = {**model.status.aliases, alias: number}
    nodes = ModelNodes(unit.connection, model.project_id)
    recorder = Recorder(unit.connection, unit.principal.name, engine="headwater", at=unit.now)
    # The move is a change of the model, so it makes the next version of the resource.
    node = nodes.alias(model.id, alias, model.version + 1)
    recorder.record(unit.call.request_id or model.id, "set-alias", node, [nodes.version(model.id, number)])


def require_version(unit: Unit, model: RegisteredModel, number: int) -> sa.Row[Any]:
    """Returns the version of a model with this number. Raises `NotFound` if there is none, or it is deleted."""
    select = sa.select(MODEL_VERSION).where(
        MODEL_VERSION.c.registered_model_id == model.id,
        MODEL_VERSION.c.version == number,
        MODEL_VERSION.c.deleted_at.is_(None),
    )
    row = unit.connection.execute(select).first()
    if row is None:
        raise NotFound(f"{model.name} has no version {number}.")
    return row
