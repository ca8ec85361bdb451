"""Definitions: assets that users declare over REST. A published definition is an asset in Dagster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field, TypeAdapter

from api.kernel.kinds.context import Context
from api.kernel.kinds.encoded import etag_of
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.permissions.graph import AssetIdLocator
from api.kernel.permissions.power import Power
from api.kernel.storage.listing import SqlListing
from api.services.ai_catalog.logic import drafts
from api.services.ai_catalog.logic.publisher_access import publisher_of
from api.services.ai_catalog.logic.traces import traces_of
from core import publications
from core.definitions import DEFINITION as TABLE
from core.definitions import DefinitionState
from core.errors import Conflict, InvalidPayload, Unavailable

_LISTING = SqlListing(
    id=TABLE.c.asset_id, fields={"project": TABLE.c.project, "component": TABLE.c.component}, order=("project",)
)

_DEFINITIONS = AssetIdLocator("ai_catalog.definition", drafts.unknown)

DEFINITION = Kind(
    "definition",
    plural="definitions",
    title="Definition",
    description="An asset declared over REST: a component and its attributes, as in a component YAML file.",
    example="flights.gold.busiest_routes",
    locate=_DEFINITIONS,
    filter_by=tuple(_LISTING.fields),
    order_by=_LISTING.order,
    powers={
        "create": Power.NOTHING,
        "update": Power.NOTHING,
        "delete": Power.NOTHING,
        "publish": Power.GRANTS,
        "retire": Power.NOTHING,
        "reinstate": Power.GRANTS,
    },
)
"""Who reads a published asset sees what its definition reads, so publishing grants the right to read its inputs.
`readable` requires that right of the publisher, and `PublisherRights` blocks the definition when they lose it."""

Component = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{0,63}$", examples=["SqlTransformComponent"])]


class Definition(Model):
    """A definition of an asset, and its state."""

    id: str
    """Id of the asset that it defines."""

    component: str
    """Public component class."""

    attributes: dict[str, Any]
    """Attributes of the component. `asset` is the id."""

    state: DefinitionState
    """DRAFT was never published. PUBLISHED runs as it is. MODIFIED runs as it was before its last changes. RETIRED no
    longer runs, and its versions stay."""

    revision: int
    """Number of the last change, from 1."""

    published_at: datetime | None
    """Time of the last publication."""

    published_by: str | None
    """Name of the principal that published it."""

    blocked: str | None
    """Why the published asset can't run. Null if it can."""

    retired_at: datetime | None
    """Time at which it was retired. Null if it is not."""

    retired_by: str | None
    """Name of the principal that retired it."""

    created_at: datetime
    """Time of creation."""

    created_by: str
    """Name of the principal that created it."""

    updated_at: datetime
    """Time of the last change."""


class NewDefinition(Request):
    """A definition to create."""

    component: Component
    """Public component class."""

    attributes: dict[str, Any]
    """Attributes of the component. `asset` is required and becomes the id."""


class DefinitionChange(Request):
    """A change of a definition. Attributes are replaced completely. Absent fields don't change."""

    component: Component | None = None
    """The new component class."""

    attributes: dict[str, Any] | None = None
    """The new attributes. `asset` can't change."""


class DefinitionQuery(ListQuery):
    """Selection of definitions."""

    show_retired: bool = False
    """Whether to include retired definitions."""


@DEFINITION.list(query=DefinitionQuery, item=Definition)
async def list_definitions(ctx: Context, query: DefinitionQuery) -> Page[Definition]:
    """Lists definitions by asset id. With `show_retired`, includes retired ones."""

    def read(unit: Unit) -> tuple[Sequence[sa.Row[Any]], str | None]:
        select = sa.select(TABLE, TABLE.c.asset_id.label("id"))
        if not query.show_retired:
            select = select.where(TABLE.c.retired_at.is_(None))
        if not unit.principal.access.everywhere("ai_catalog.definition.get"):
            ids = unit.connection.execute(sa.select(TABLE.c.asset_id)).scalars()
            get, place = "ai_catalog.definition.get", _DEFINITIONS.securable
            visible = [id for id in ids if unit.allows(get, place(unit.platform, id))]
            select = select.where(TABLE.c.asset_id.in_(visible))
        return _LISTING.rows(unit.connection, select, query)

    rows, token = await ctx.read(read)
    return Page[Definition](items=[definition_of(drafts.row_of(row)) for row in rows], next_page_token=token)


@DEFINITION.get(result=Definition)
async def get_definition(ctx: Context, definition: str) -> Definition:
    """Returns a definition as it was last edited, with its state."""
    return definition_of(await ctx.query(drafts.get, definition))


@DEFINITION.create(request=NewDefinition, result=Definition)
async def create_definition(ctx: Context, request: NewDefinition) -> Definition:
    """Creates a draft of a definition. It runs after it is published."""
    ctx.subject = drafts.asset_of(request.attributes)
    ctx.require("ai_catalog.definition.create", _DEFINITIONS.securable(ctx.platform, ctx.subject))
    if ctx.subject in ctx.orchestrator.view().nodes:
        raise drafts.taken(ctx.subject)
    draft = await ctx.transact(drafts.create, request.component, request.attributes, principal=ctx.principal.name)
    return definition_of(draft)


@DEFINITION.update(request=DefinitionChange, result=Definition, versioned=True)
async def update_definition(ctx: Context, definition: str, request: DefinitionChange) -> Definition:
    """Changes a definition. The change takes effect when it is published again."""
    if request.component is None and request.attributes is None:
        raise InvalidPayload("Nothing to change: send component or attributes.")

    def change(unit: Unit) -> drafts.Draft:
        ctx.require_match(_etag(drafts.get(unit.connection, definition, lock=True)))
        return drafts.change(unit.connection, definition, request.component, request.attributes)

    return definition_of(await ctx.write(change))


@DEFINITION.delete(versioned=True)
async def delete_definition(ctx: Context, definition: str) -> None:
    """Deletes a draft, or a retired definition that never produced anything, permanently. Its id is free again.

    A published definition must be retired first. A definition that produced versions stays, because their lineage
    refers to it.
    """
    draft = await matching(ctx, definition)
    if draft.state is DefinitionState.RETIRED:
        # After the last run that was planned before it was retired, no new version can appear.
        await ctx.orchestrator.refresh()
        traces = await ctx.compute(traces_of, ctx.platform, await ctx.query(publications.assets_of, definition))
        if traces:
            raise Conflict(
                f"{definition} can't be deleted because {traces[0]}. It stays retired, and its id stays reserved."
            )

    def delete(unit: Unit) -> None:
        ctx.require_match(_etag(drafts.get(unit.connection, definition, lock=True)))
        publications.remove(unit.connection, definition)

    await ctx.write(delete)
    if draft.state is DefinitionState.RETIRED:
        # If Dagster does not respond, it follows within a minute of its return. The asset can't run until then.
        with suppress(Unavailable, Conflict):
            await publisher_of(ctx).reconcile()


_ADAPTER = TypeAdapter(Definition)


async def matching(ctx: Context, definition: str) -> drafts.Draft:
    """Returns the draft. Raises `PreconditionFailed` if `If-Match` has another version."""
    draft = await ctx.query(drafts.get, definition)
    ctx.require_match(_etag(draft))
    return draft


def _etag(draft: drafts.Draft) -> str:
    """Returns the ETag of `get_definition`."""
    return etag_of(_ADAPTER.dump_json(definition_of(draft), by_alias=True))


def definition_of(draft: drafts.Draft) -> Definition:
    """Returns the definition as callers see it."""
    return Definition(
        id=draft.asset_id,
        component=draft.component,
        attributes=dict(draft.attributes),
        state=draft.state,
        revision=draft.revision,
        published_at=draft.published_at,
        published_by=draft.published_by,
        blocked=draft.blocked,
        retired_at=draft.retired_at,
        retired_by=draft.retired_by,
        created_at=draft.created_at,
        created_by=draft.created_by,
        updated_at=draft.updated_at,
    )
