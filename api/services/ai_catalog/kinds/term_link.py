"""Links of terms to the assets, columns, models, and feature views that they describe."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.graph import asset_securable
from api.services.ai_catalog.glossary_tables import TERM_LINK as TABLE
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.glossary_term import GLOSSARY_TERM, GlossaryTerm, TermState
from api.services.ai_catalog.kinds.tag_assignment import TaggedPlace, Targets
from api.services.ai_catalog.logic import tagging
from api.services.ai_catalog.logic.lineage_rows import chunks
from api.services.ai_catalog.logic.tagging import Place, Target
from api.services.ai_catalog.logic.visible_names import one_of
from core.ids import new_id


class LinkTerm(Request):
    """What a term describes."""

    targets: Targets
    """Items and columns that the term describes: at most 10,000."""


class UnlinkTerm(Request):
    """What a term doesn't describe."""

    targets: Targets
    """Items and columns that the term doesn't describe: at most 10,000."""


class LinkReport(Model):
    """What a request changed."""

    term_id: str
    """Id of the term."""

    changed: list[TaggedPlace]
    """What the request linked or unlinked."""

    unchanged: int
    """Number of items and columns for which the same held before."""


class LinksQuery(Query):
    """Which links to return."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of links."""

    page_token: Annotated[str, Field(max_length=64)] = ""
    """`next_page_token` of the previous page. Leave it out for the first page."""


class TermLink(Model):
    """An item or a column that a term describes."""

    id: str
    """Id of the asset, the registered model, or the feature view."""

    column: str | None
    """Name of the column. Null for the whole item."""

    linked_at: datetime
    """Time of the link."""

    linked_by: str
    """Name of the principal that made it."""


class TermLinks(Model):
    """One page of links of a term, oldest first."""

    items: list[TermLink]
    """Links to items that the caller can see."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


class AssetTerm(Model):
    """A term that describes an asset or a column of it."""

    term_id: str
    """Id of the term."""

    title: str
    """The term, as people write it."""

    state: TermState
    """State of the term."""

    column: str | None
    """Name of the column. Null for the whole asset."""


class AssetTerms(Model):
    """Terms that describe an asset and its columns."""

    items: list[AssetTerm]
    """Terms that the caller can see, by column and title."""


@GLOSSARY_TERM.action("link", request=LinkTerm, result=LinkReport)
async def link_glossary_term(ctx: Context, term: str, request: LinkTerm) -> LinkReport:
    """Links a term to items or columns that it describes: to all of them, or to none if one is refused.

    The caller needs the permission on the term and on each item.
    """
    return await _change(ctx, term, request, "link")


@GLOSSARY_TERM.action("unlink", request=UnlinkTerm, result=LinkReport, past="unlinked")
async def unlink_glossary_term(ctx: Context, term: str, request: UnlinkTerm) -> LinkReport:
    """Ends links of a term: all of them, or none if one is refused."""
    return await _change(ctx, term, request, "unlink")


@GLOSSARY_TERM.view("links", query=LinksQuery, result=TermLinks)
def get_glossary_term_links(unit: Unit, term: GlossaryTerm, query: LinksQuery) -> TermLinks:
    """Lists what a term describes, as far as the caller can see it."""
    linked = TABLE.c.term_id == term.id, TABLE.c.organization_id == term.organization_id
    targets = unit.connection.execute(sa.select(TABLE.c.target).where(*linked).distinct()).scalars().all()
    visible = one_of(TABLE.c.target, tagging.visible_items(unit, targets), unit.connection.dialect.name)
    select = sa.select(TABLE).where(*linked, visible, TABLE.c.id > query.page_token).order_by(TABLE.c.id)
    rows = unit.connection.execute(select.limit(query.page_size + 1)).all()
    page = rows[: query.page_size]
    items = [
        TermLink(id=row.target, column=row.column_name or None, linked_at=row.linked_at, linked_by=row.linked_by)
        for row in page
    ]
    return TermLinks(items=items, next_page_token=page[-1].id if len(rows) > len(page) else None)


@ASSET.part("terms", query=Query, result=AssetTerms)
async def get_asset_terms(ctx: Context, asset: str, query: Query) -> AssetTerms:
    """Returns the terms that describe an asset and its columns."""
    lookup.asset(ctx.view(), asset)

    def read(unit: Unit) -> AssetTerms:
        organization = asset_securable(unit.platform, asset).organization_id
        links = sa.select(TABLE).where(TABLE.c.target == asset, TABLE.c.organization_id == organization)
        found = []
        for link in unit.connection.execute(links.order_by(TABLE.c.column_name, TABLE.c.id)):
            row = unit.find(GLOSSARY_TERM, link.term_id)
            if row is None or row.deleted_at or row.organization_id != organization:
                continue
            if unit.allows(GLOSSARY_TERM.permission("get"), row.securable, row):
                term = GLOSSARY_TERM.resource(row)
                column = link.column_name or None
                found.append(AssetTerm(term_id=term.id, title=term.spec.title, state=term.status.state, column=column))
        return AssetTerms(items=found)

    return await ctx.read(read)


async def _change(ctx: Context, id: str, request: LinkTerm | UnlinkTerm, verb: str) -> LinkReport:
    targets = [Target(one.id, one.columns) for one in request.targets]
    named = tagging.places(targets)
    permission = GLOSSARY_TERM.permission(verb)

    def authorized(unit: Unit) -> GlossaryTerm:
        row = unit.row(GLOSSARY_TERM, id, permission=permission)
        unit.subject(row)
        return GLOSSARY_TERM.resource(row)

    def check(unit: Unit) -> None:
        tagging.require_targets(unit, authorized(unit), targets, permission)

    await ctx.read(check)
    if verb == "link":
        await ctx.compute(tagging.require_columns, ctx.platform, named)

    def change(unit: Unit) -> LinkReport:
        term = authorized(unit)
        scopes = tagging.require_targets(unit, term, targets, permission)
        existing = _existing(unit, term, named)
        if verb == "link":
            changed = [one for one in named if one not in existing]
            rows = [
                {
                    "id": new_id("tlk"),
                    "organization_id": scopes[target].organization_id,
                    "project_id": scopes[target].project_id,
                    "term_id": term.id,
                    "target": target,
                    "column_name": column,
                    "linked_at": unit.now,
                    "linked_by": unit.principal.name,
                }
                for target, column in changed
            ]
            if rows:
                unit.connection.execute(TABLE.insert(), rows)
        else:
            changed = [one for one in named if one in existing]
            for some in chunks(sorted(existing.values())):
                unit.connection.execute(TABLE.delete().where(TABLE.c.id.in_(some)))
        unit.call.note(term=term.name, changed=[list(one) for one in changed])
        return LinkReport(
            term_id=term.id,
            changed=[TaggedPlace(id=target, column=column or None) for target, column in changed],
            unchanged=len(named) - len(changed),
        )

    return await ctx.write(change)


def _existing(unit: Unit, term: GlossaryTerm, named: list[Place]) -> dict[Place, str]:
    """Returns the ids of the links that there are of these."""
    wanted = set(named)
    found = {}
    links = sa.select(TABLE.c.id, TABLE.c.target, TABLE.c.column_name).where(TABLE.c.term_id == term.id)
    for some in chunks(sorted({id for id, _ in wanted})):
        for id, target, column in unit.connection.execute(links.where(TABLE.c.target.in_(some))):
            if (target, column) in wanted:
                found[target, column] = id
    return found
