"""Definitions: assets that somebody writes over REST. A row here, an asset in Dagster once it is published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.permissions.graph import NamedByAsset
from api.kernel.storage.listing import SqlListing
from api.services.ai_catalog.logic import drafts
from api.services.ai_catalog.logic.publisher_rights import may_read
from core.definitions import DEFINITION as TABLE
from core.definitions import DefinitionState
from core.errors import InvalidPayload, Unavailable
from core.ports import Candidate, Publisher

_LISTING = SqlListing(
    id=TABLE.c.asset_id, fields={"project": TABLE.c.project, "component": TABLE.c.component}, order=("project",)
)

_DEFINITIONS = NamedByAsset("ai_catalog.definition", drafts.unknown)

DEFINITION = Kind(
    "definition",
    plural="definitions",
    title="Definition",
    description="An asset written over REST: a component and its attributes, as in a component YAML file.",
    example="flights.gold.busiest_routes",
    locate=_DEFINITIONS,
    filter_by=tuple(_LISTING.fields),
    order_by=_LISTING.order,
)

Component = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{0,63}$", examples=["SqlTransformComponent"])]


class Definition(Model):
    """An asset definition and whether it is live."""

    id: str
    """Id of the asset it defines."""

    component: str
    """Public component class."""

    attributes: dict[str, Any]
    """Attributes of the component; `asset` is the id."""

    state: DefinitionState
    """DRAFT was never published; PUBLISHED is live as it stands; MODIFIED is live as it stood before."""

    revision: int
    """Counts changes, from 1."""

    published_at: datetime | None
    """When it last went live."""

    published_by: str | None
    """Who published it."""

    blocked: str | None
    """Why its asset cannot run although it is published; null if it can."""

    created_at: datetime
    """When it was created."""

    created_by: str
    """Who created it."""

    updated_at: datetime
    """When it was last changed."""


class NewDefinition(Request):
    """A definition to create."""

    component: Component
    """Public component class."""

    attributes: dict[str, Any]
    """Attributes of the component; `asset` is required and becomes the id."""


class DefinitionChange(Request):
    """What to change; attributes are replaced as a whole, absent fields stay."""

    component: Component | None = None
    """The new component class."""

    attributes: dict[str, Any] | None = None
    """The new attributes; `asset` must stay the same."""


class Validation(Model):
    """Whether a definition could be published."""

    publishable: bool
    """Whether it could."""

    errors: list[dict[str, Any]]
    """What is wrong with it: JSON pointers and explanations."""


@DEFINITION.list(query=ListQuery, item=Definition)
async def list_definitions(ctx: Context, query: ListQuery) -> Page[Definition]:
    """Lists definitions by asset id."""

    def work(unit: Unit) -> tuple[Sequence[sa.Row[Any]], str | None]:
        select = sa.select(TABLE, TABLE.c.asset_id.label("id"))
        if not unit.principal.access.everywhere("ai_catalog.definition.get"):
            ids = unit.connection.execute(sa.select(TABLE.c.asset_id)).scalars()
            seen = [id for id in ids if unit.allows("ai_catalog.definition.get", _DEFINITIONS.place(unit.platform, id))]
            select = select.where(TABLE.c.asset_id.in_(seen))
        return _LISTING.rows(unit.connection, select, query)

    rows, token = await ctx.read(work)
    return Page[Definition](items=[_definition(drafts.row_of(row)) for row in rows], next_page_token=token)


@DEFINITION.get(result=Definition)
async def get_definition(ctx: Context, definition: str) -> Definition:
    """Returns a definition as last edited, with whether it is live."""
    return _definition(await ctx.query(drafts.get, definition))


@DEFINITION.create(request=NewDefinition, result=Definition)
async def create_definition(ctx: Context, request: NewDefinition) -> Definition:
    """Stores a definition as a draft. Nothing is live before it is published."""
    ctx.subject = drafts.asset_of(request.attributes)
    ctx.require("ai_catalog.definition.create", _DEFINITIONS.place(ctx.platform, ctx.subject))
    if ctx.subject in ctx.orchestrator.view().nodes:
        raise drafts.taken(ctx.subject)
    made = await ctx.transact(drafts.create, request.component, request.attributes, principal=ctx.principal.name)
    return _definition(made)


@DEFINITION.update(request=DefinitionChange, result=Definition)
async def update_definition(ctx: Context, definition: str, request: DefinitionChange) -> Definition:
    """Edits a definition. What is live stays as it is until it is published again."""
    if request.component is None and request.attributes is None:
        raise InvalidPayload("Nothing to change: send component or attributes.")
    return _definition(await ctx.transact(drafts.change, definition, request.component, request.attributes))


@DEFINITION.delete()
async def delete_definition(ctx: Context, definition: str) -> None:
    """Deletes a draft. A definition that is live is not deleted: its asset has versions and lineage."""
    await ctx.transact(drafts.delete, definition)


@DEFINITION.action("validate", request=Request, result=Validation, reads=True)
async def validate_definition(ctx: Context, definition: str, request: Request) -> Validation:
    """Builds the definition together with everything that is live, apart from the running platform."""
    draft = await ctx.query(drafts.get, definition)
    candidate = Candidate(draft.asset_id, draft.component, draft.attributes)
    faults = await _publisher(ctx).validate(candidate, readable=_readable(ctx))
    return Validation(publishable=not faults, errors=[dict(fault) for fault in faults])


@DEFINITION.action("publish", request=Request, result=Definition, past="published", timeout_seconds=180)
async def publish_definition(ctx: Context, definition: str, request: Request) -> Definition:
    """Makes the definition a live asset and answers when it can be seen, or says why not and changes nothing."""
    await ctx.query(drafts.get, definition)
    how = {"principal": ctx.principal.name, "principal_id": ctx.principal.id, "request_id": ctx.request_id}
    await _publisher(ctx).publish(definition, **how, readable=_readable(ctx))
    return _definition(await ctx.query(drafts.get, definition))


def _readable(ctx: Context) -> Callable[[str], bool]:
    """Which assets the caller sees and may read the rows of: a definition shows them to whoever reads its own."""
    seen = ctx.view().nodes

    def readable(asset: str) -> bool:
        return asset in seen and may_read(ctx.platform, ctx.principal.access, asset)

    return readable


def _publisher(ctx: Context) -> Publisher:
    if ctx.platform.publisher is None:
        raise Unavailable("This process cannot publish definitions.")
    return ctx.platform.publisher


def _definition(draft: drafts.Draft) -> Definition:
    return Definition(
        id=draft.asset_id,
        component=draft.component,
        attributes=dict(draft.attributes),
        state=draft.state,
        revision=draft.revision,
        published_at=draft.published_at,
        published_by=draft.published_by,
        blocked=draft.blocked,
        created_at=draft.created_at,
        created_by=draft.created_by,
        updated_at=draft.updated_at,
    )
