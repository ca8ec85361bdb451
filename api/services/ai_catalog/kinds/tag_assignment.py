"""Assignments of tags to assets, columns, models, and feature views, and statements that a tag is not inherited."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Text
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId, ColumnName
from api.kernel.models import Model, Query, Request
from api.kernel.roles import Role
from api.services.ai_catalog.kinds.tag import TAG, Tag, TagValue
from api.services.ai_catalog.logic import tagging
from api.services.ai_catalog.logic.column_tags import Origin
from api.services.ai_catalog.logic.tagging import Place, Target
from api.services.ai_catalog.logic.visible_names import one_of
from api.services.ai_catalog.tag_tables import TAG_ASSIGNMENT as TABLE
from core.errors import InvalidPayload

Reason = Annotated[Text, Field(min_length=1)]


class TagTarget(Request):
    """What a tag is assigned to."""

    id: Annotated[AssetId, Field(min_length=1)]
    """Id of an asset, a registered model, or a feature view."""

    columns: Annotated[list[ColumnName], Field(max_length=1000)] = []
    """Columns of the asset. Empty for the whole item. A tag of a whole asset holds for each of its columns."""


Targets = Annotated[list[TagTarget], Field(min_length=1, max_length=10_000)]


class AssignTag(Request):
    """Assignments to make."""

    targets: Targets
    """What the tag is assigned to: at most 10,000 items and columns."""

    value: TagValue | None = None
    """Value of the tag. Null if the tag has no values."""


class UnassignTag(Request):
    """Assignments to end."""

    targets: Targets
    """What the tag is assigned to: at most 10,000 items and columns."""

    value: TagValue | None = None
    """Value of the assignments that end. Null if the tag has no values."""

    reason: Reason
    """Why the tag doesn't apply, for the audit log."""


class OverruleTag(Request):
    """Columns that don't inherit a tag."""

    targets: Targets
    """Assets and columns that don't inherit the tag from now on: at most 10,000."""

    reason: Reason
    """Why they don't inherit the tag, such as the method by which the values were made anonymous."""


class ReinstateTag(Request):
    """Columns that inherit a tag again."""

    targets: Targets
    """Assets and columns that inherit the tag again: at most 10,000."""


class TaggedPlace(Model):
    """An item, or a column of it."""

    id: str
    """Id of the asset, the registered model, or the feature view."""

    column: str | None
    """Name of the column. Null for the whole item."""


class TaggingReport(Model):
    """What a request changed."""

    tag_id: str
    """Id of the tag."""

    tag: str
    """Key of the tag."""

    value: str | None
    """Value of the tag. Null if it has none, or if the request applies to all values."""

    changed: list[TaggedPlace]
    """What the request changed."""

    unchanged: int
    """Number of items and columns for which the same held before."""


class AssignmentsQuery(Query):
    """Which assignments to return."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of assignments."""

    page_token: Annotated[str, Field(max_length=64)] = ""
    """`next_page_token` of the previous page. Leave it out for the first page."""


class TagAssignment(Model):
    """A statement about a tag and an item or a column."""

    id: str
    """Id of the asset, the registered model, or the feature view."""

    column: str | None
    """Name of the column. Null for the whole item."""

    value: str | None
    """Value of the tag. Null if it has none, and for OVERRULED."""

    origin: Origin
    """STATED, or OVERRULED if it isn't inherited."""

    reason: str
    """Why it is overruled. Empty for STATED."""

    assigned_at: datetime
    """Time of the statement."""

    assigned_by: str
    """Name of the principal that made it."""


class TagAssignments(Model):
    """One page of statements about a tag, oldest first."""

    items: list[TagAssignment]
    """Statements about items that the caller can see."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


@TAG.action("assign", request=AssignTag, result=TaggingReport)
async def assign_tag(ctx: Context, tag: str, request: AssignTag) -> TaggingReport:
    """Assigns a tag to items or columns: to all of them, or to none if one is refused.

    The caller needs the permission on the tag and on each item.
    """
    return await _change(ctx, tag, request, "assign", tagging.begin, Origin.STATED, value=request.value)


@TAG.action("unassign", request=UnassignTag, result=TaggingReport, role=Role.ADMIN)
async def unassign_tag(ctx: Context, tag: str, request: UnassignTag) -> TaggingReport:
    """Ends assignments of a tag: all of them, or none if one is refused. What is inherited stays.

    The caller needs the permission on the tag and on each item, and must be able to read the rows of the assets,
    because policies may withhold less from readers afterwards.
    """
    return await _change(
        ctx, tag, request, "unassign", tagging.end, Origin.STATED, value=request.value, reason=request.reason
    )


@TAG.action("overrule", request=OverruleTag, result=TaggingReport, role=Role.ADMIN)
async def overrule_tag(ctx: Context, tag: str, request: OverruleTag) -> TaggingReport:
    """States that columns don't inherit a tag, whatever they are computed from in later versions.

    What is computed from them doesn't inherit it from them either. A tag that is assigned to them stays. The caller
    needs the permission on the tag and on each asset, and must be able to read the rows of the assets, because policies
    may withhold less from readers afterwards.
    """
    return await _change(ctx, tag, request, "overrule", tagging.begin, Origin.OVERRULED, reason=request.reason)


@TAG.action("reinstate", request=ReinstateTag, result=TaggingReport)
async def reinstate_tag(ctx: Context, tag: str, request: ReinstateTag) -> TaggingReport:
    """Ends statements that columns don't inherit a tag."""
    return await _change(ctx, tag, request, "reinstate", tagging.end, Origin.OVERRULED)


@TAG.view("assignments", query=AssignmentsQuery, result=TagAssignments)
def get_tag_assignments(unit: Unit, tag: Tag, query: AssignmentsQuery) -> TagAssignments:
    """Lists what a tag is assigned to, and what doesn't inherit it. What inherits it is in `tags` of each asset."""
    live = (TABLE.c.tag_id == tag.id, TABLE.c.organization_id == tag.organization_id, TABLE.c.ended_at.is_(None))
    select = sa.select(TABLE).where(*live, _visible(unit, live), TABLE.c.id > query.page_token)
    rows = unit.connection.execute(select.order_by(TABLE.c.id).limit(query.page_size + 1)).all()
    page = rows[: query.page_size]
    return TagAssignments(
        items=[_assignment(row) for row in page], next_page_token=page[-1].id if len(rows) > len(page) else None
    )


def _visible(unit: Unit, live: Sequence[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    """Returns the condition for statements about items that the caller can see."""
    targets = unit.connection.execute(sa.select(TABLE.c.target).where(*live).distinct()).scalars().all()
    return one_of(TABLE.c.target, tagging.visible_items(unit, targets), unit.connection.dialect.name)


def _assignment(row: sa.Row[Any]) -> TagAssignment:
    return TagAssignment(
        id=row.target,
        column=row.column_name or None,
        value=row.value or None,
        origin=Origin(row.origin),
        reason=row.reason,
        assigned_at=row.assigned_at,
        assigned_by=row.assigned_by,
    )


async def _change(
    ctx: Context,
    id: str,
    request: AssignTag | UnassignTag | OverruleTag | ReinstateTag,
    verb: str,
    store: tagging.Statement,
    origin: Origin,
    *,
    value: str | None = None,
    reason: str = "",
) -> TaggingReport:
    targets = [Target(one.id, one.columns) for one in request.targets]
    named = tagging.places(targets)
    permission = TAG.permission(verb)

    def authorized(unit: Unit) -> tuple[Tag, dict[str, Any]]:
        row = unit.row(TAG, id, permission=permission)
        unit.subject(row)
        tag = TAG.resource(row)
        scopes = tagging.require_targets(unit, tag, targets, permission)
        if verb in ("unassign", "overrule"):
            tagging.require_readable(unit, tag, targets)
        if origin is Origin.STATED:
            _require_value(tag, value, ending=verb == "unassign")
        else:
            tagging.require_assets(targets)
        return tag, scopes

    await ctx.read(authorized)
    if store is tagging.begin:
        await ctx.compute(tagging.require_columns, ctx.platform, named)

    def change(unit: Unit) -> TaggingReport:
        tag, scopes = authorized(unit)
        changed = store(unit, tag, named, scopes, {"origin": origin.value, "value": value or "", "reason": reason})
        unit.call.note(tag=tag.name, value=value, reason=reason, changed=[list(one) for one in changed])
        return TaggingReport(
            tag_id=tag.id,
            tag=tag.name,
            value=value,
            changed=[_tagged(one) for one in changed],
            unchanged=len(named) - len(changed),
        )

    return await ctx.write(change)


def _require_value(tag: Tag, value: str | None, *, ending: bool) -> None:
    spec = tag.spec
    if ending or (value is not None if spec.free_values else (value in spec.values if spec.values else value is None)):
        return
    allowed = "any value" if spec.free_values else ", ".join(spec.values) or "no value"
    fault = {"pointer": "/value", "detail": f"must be {allowed}"}
    raise InvalidPayload(f"{tag.name} can have {allowed}.", errors=[fault], metadata={"values": spec.values})


def _tagged(place: Place) -> TaggedPlace:
    id, column = place
    return TaggedPlace(id=id, column=column or None)
