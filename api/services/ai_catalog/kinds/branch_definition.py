"""Definitions of a branch: the published revisions that it runs, and changes that only the branch has."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.graph import asset_securable
from api.services.ai_catalog.kinds.branch import BRANCH, refuse_busy, require_open
from api.services.ai_catalog.kinds.definition import DEFINITION, Component
from api.services.ai_catalog.logic import drafts
from api.services.ai_catalog.logic.publisher_access import publisher_of, readable_to_caller
from core import definition_revisions
from core.definition_revisions import RecordedDefinition
from core.errors import InvalidPayload
from core.publisher import Candidate
from lakehouse import branch_definitions


class BranchDefinition(Model):
    """A definition as a branch runs it."""

    asset: str
    """Id of the definition, which is that of its asset."""

    revision: int | None
    """The published revision. Null for a definition that only the branch has."""

    published_revision: int | None
    """The revision that the project runs now. Null if the definition is retired."""

    component: str
    """Public component class."""

    attributes: dict[str, Any] | None
    """Attributes of the component, if the request names the definition. Null otherwise."""


class BranchDefinitions(Model):
    """The definitions of a branch that the caller can see. Assets without one run the code of the repository."""

    definitions: list[BranchDefinition]
    """The definitions, by asset id."""


class BranchDefinitionsQuery(Query):
    """Selection of definitions."""

    asset: AssetId | None = None
    """Id of a definition whose attributes to return. By default all definitions, without their attributes."""


class DefineBranch(Request):
    """The definition of an asset that a branch runs: a published revision, or attributes that only the branch has."""

    asset: AssetId
    """Id of the definition."""

    revision: Annotated[int, Field(ge=1)] | None = None
    """A published revision."""

    component: Component | None = None
    """Component class, with `attributes`. By default that of the definition."""

    attributes: dict[str, Any] | None = None
    """Attributes of the component, as in a definition."""


@BRANCH.part("definitions", query=BranchDefinitionsQuery, result=BranchDefinitions)
async def get_branch_definitions(ctx: Context, branch: str, query: BranchDefinitionsQuery) -> BranchDefinitions:
    """Returns the definitions that the runs of a branch use, of those that the caller can see."""

    def read(unit: Unit) -> tuple[Row, list[RecordedDefinition], dict[str, int]]:
        row = BRANCH.row(unit, branch, "definitions")
        recorded = branch_definitions.definitions_of(unit.connection, row.id)
        assets = [name for one in recorded for name in one.code_versions]
        return row, recorded, definition_revisions.producers(unit.connection, assets)

    _, recorded, published = await ctx.read(read)
    return BranchDefinitions(
        definitions=[
            BranchDefinition(
                asset=one.asset_id,
                revision=one.revision,
                published_revision=published.get(one.asset_id),
                component=one.component,
                attributes=dict(one.attributes) if query.asset else None,
            )
            for one in recorded
            if query.asset in (None, one.asset_id) and _may(ctx, "get", one.asset_id)
        ]
    )


@BRANCH.action("define", request=DefineBranch, result=BranchDefinition, past="defined", timeout_seconds=180)
async def define_branch(ctx: Context, branch: str, request: DefineBranch) -> BranchDefinition:
    """Makes the runs of a branch use another definition of an asset: an earlier revision, or changed attributes.

    The project doesn't change. The caller must be able to publish the definition, and to read the rows of its inputs. A
    merge doesn't publish it: a table can be merged as soon as the project runs the definition that made it.
    """
    if (request.revision is None) == (request.attributes is None) or (request.revision and request.component):
        raise InvalidPayload("Send either revision, or attributes and perhaps component.")
    await ctx.read(lambda unit: _changeable(unit, branch))
    if not _may(ctx, "get", request.asset):
        raise drafts.unknown(request.asset)
    ctx.require(DEFINITION.permission("publish"), asset_securable(ctx.platform, request.asset, DEFINITION.full_name))
    if request.revision is not None:
        definition = await ctx.query(_published, request.asset, request.revision)
    else:
        definition = await _examined(ctx, request)
    readable = readable_to_caller(ctx)
    if definition.reads is None or not all(readable(name) for name in definition.reads):
        raise InvalidPayload(
            f"{request.asset} reads assets whose rows you may not read, or whose names weren't recorded."
        )

    def store(unit: Unit) -> int | None:
        row = _changeable(unit, branch)
        branch_definitions.put(unit.connection, row.id, definition)
        unit.call.note(asset=definition.asset_id, revision=definition.revision)
        return definition_revisions.producers(unit.connection, [definition.asset_id]).get(definition.asset_id)

    return BranchDefinition(
        asset=definition.asset_id,
        revision=definition.revision,
        published_revision=await ctx.write(store),
        component=definition.component,
        attributes=dict(definition.attributes),
    )


def _may(ctx: Context, verb: str, asset: str) -> bool:
    place = asset_securable(ctx.platform, asset, DEFINITION.full_name)
    return ctx.principal.access.allows(DEFINITION.permission(verb), place)


def _changeable(unit: Unit, branch: str) -> Row:
    row = BRANCH.row(unit, branch, "define")
    require_open(row, unit.now)
    refuse_busy(unit, row)
    return row


def _published(connection: Connection, asset: str, revision: int) -> RecordedDefinition:
    """Returns a published revision.

    Raises:
        InvalidPayload: the revision was never published.
    """
    found = definition_revisions.find(connection, drafts.get(connection, asset).asset_id, revision)
    if found is None:
        fault = {"pointer": "/revision", "detail": "was never published"}
        raise InvalidPayload(f"Revision {revision} of {asset} was never published. See its revisions.", errors=[fault])
    return found


async def _examined(ctx: Context, request: DefineBranch) -> RecordedDefinition:
    """Returns a changed definition, examined together with all published ones.

    Raises:
        InvalidPayload: it can't be an asset, or produces assets that don't exist.
    """
    attributes, draft = request.attributes or {}, await ctx.query(drafts.get, request.asset)
    if drafts.asset_of(attributes) != request.asset:
        fault = {"pointer": "/attributes/asset", "detail": f"must be {request.asset}"}
        raise InvalidPayload("The attributes define another asset.", errors=[fault])
    component = request.component or draft.component
    candidate = Candidate(request.asset, component, attributes)
    report = await publisher_of(ctx).validate(candidate, readable=readable_to_caller(ctx))
    if report.errors:
        details = "; ".join(str(fault["detail"]) for fault in report.errors)
        raise InvalidPayload(f"{request.asset} can't be an asset: {details}", errors=list(report.errors))
    if unknown := sorted(set(report.code_versions) - set(ctx.view().nodes)):
        raise InvalidPayload(f"It would produce {unknown[0]}, which is no asset of the project. Publish it first.")
    return RecordedDefinition(request.asset, None, component, attributes, tuple(report.reads), report.code_versions)
