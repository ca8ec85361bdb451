"""Tags of an asset and its columns: stated, inherited along the recorded lineage, or overruled."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import asset_securable, visible_assets
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.column_tags import EVERY_COLUMN, Origin, effective_tags
from api.services.ai_catalog.tag_tables import TAG_ASSIGNMENT as TABLE
from core.errors import HeadwaterError


class AssetTag(Model):
    """A tag of an asset or of a column."""

    tag_id: str
    """Id of the tag."""

    tag: str
    """Key of the tag."""

    value: str | None
    """Value of the tag. Null if it has none, and for OVERRULED."""

    column: str | None
    """Name of the column. Null for the whole asset."""

    origin: Origin
    """STATED here, PROPAGATED from a source of the column, or OVERRULED: not inherited, as a principal stated."""

    source_asset: str | None
    """Id of the asset at which a PROPAGATED tag is stated. Null for others, and if the caller can't see the asset."""

    source_column: str | None
    """Name of the column at which a PROPAGATED tag is stated. Null if it is stated for the whole asset."""

    reason: str | None
    """Why it is overruled. Null for others."""

    assigned_at: datetime | None
    """Time of the statement. Null for PROPAGATED."""

    assigned_by: str | None
    """Name of the principal that made the statement. Null for PROPAGATED."""

    missing: bool
    """Whether the newest version of the asset has no such column, so that the statement has no effect now."""


class AssetTags(Model):
    """Tags of an asset and its columns."""

    asset: str
    """Id of the asset."""

    items: list[AssetTag]
    """Tags, by column. Tags of the whole asset come first. They hold for each column."""


class TagHistoryQuery(Query):
    """The statements to return."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of statements."""


class TagStatement(Model):
    """A statement about a tag of an asset or a column, also one that ended."""

    tag_id: str
    """Id of the tag."""

    tag: str
    """Key of the tag."""

    value: str | None
    """Value of the tag. Null if it has none, and for OVERRULED."""

    column: str | None
    """Name of the column. Null for the whole asset."""

    origin: Origin
    """STATED or OVERRULED."""

    reason: str
    """Why it is overruled. Empty for STATED."""

    assigned_at: datetime
    """Time of the statement."""

    assigned_by: str
    """Name of the principal that made it."""

    ended_at: datetime | None
    """Time of its end. Null if it holds."""

    ended_by: str | None
    """Name of the principal that ended it. Null if it holds."""


class TagHistory(Model):
    """Statements about tags of an asset, newest first."""

    items: list[TagStatement]
    """The statements."""


@ASSET.part("tags", query=Query, result=AssetTags)
async def get_asset_tags(ctx: Context, asset: str, query: Query) -> AssetTags:
    """Returns the tags of an asset and its columns, and where they come from.

    A tag is inherited as soon as the run that computed the column is recorded. Columns whose sources are unknown
    inherit all tags of all inputs.
    """
    lookup.asset(ctx.view(), asset)
    columns = await ctx.compute(_columns, ctx.platform, asset)
    return await ctx.read(lambda unit: _tags(unit, asset, columns))


@ASSET.part("tag-history", query=TagHistoryQuery, result=TagHistory)
async def get_asset_tag_history(ctx: Context, asset: str, query: TagHistoryQuery) -> TagHistory:
    """Returns who stated and ended which tags of an asset, newest first."""
    lookup.asset(ctx.view(), asset)

    def read(unit: Unit) -> TagHistory:
        rows = sa.select(TABLE).where(*_of(unit, asset)).order_by(TABLE.c.assigned_at.desc(), TABLE.c.id.desc())
        return TagHistory(
            items=[
                TagStatement(**_statement(row), reason=row.reason, ended_at=row.ended_at, ended_by=row.ended_by)
                for row in unit.connection.execute(rows.limit(query.limit))
            ]
        )

    return await ctx.read(read)


def _columns(platform: Platform, asset: str) -> list[str] | None:
    try:
        return list(platform.part(open_tables).snapshot(asset).schema.names)
    except HeadwaterError:  # not materialized yet, or damaged
        return None


def _tags(unit: Unit, asset: str, columns: list[str] | None) -> AssetTags:
    stated = sa.select(TABLE).where(*_of(unit, asset), TABLE.c.ended_at.is_(None))

    def is_missing(column: str) -> bool:
        return bool(column) and columns is not None and column not in columns

    items = [
        AssetTag(
            **_statement(row),
            source_asset=None,
            source_column=None,
            reason=row.reason or None,
            missing=is_missing(row.column_name),
        )
        for row in unit.connection.execute(stated)
    ]
    organization = str(asset_securable(unit.platform, asset).organization_id)
    is_visible = visible_assets(unit.platform, unit.principal.access)
    effective = effective_tags(unit.connection, organization, asset, columns or ())[asset]
    for column, tags in effective.items():
        if column == EVERY_COLUMN or is_missing(column):
            continue
        for tag in tags:
            if (tag.asset, tag.column) not in ((asset, column), (asset, EVERY_COLUMN)):
                visible = is_visible(tag.asset)
                items.append(
                    AssetTag(
                        tag_id=tag.tag_id,
                        tag=tag.tag,
                        value=tag.value or None,
                        column=column,
                        origin=Origin.PROPAGATED,
                        source_asset=tag.asset if visible else None,
                        source_column=tag.column or None if visible else None,
                        reason=None,
                        assigned_at=None,
                        assigned_by=None,
                        missing=False,
                    )
                )
    items.sort(key=lambda one: (one.column or "", one.tag, one.value or "", one.origin, one.source_asset or ""))
    return AssetTags(asset=asset, items=items)


def _of(unit: Unit, asset: str) -> tuple[sa.ColumnElement[bool], ...]:
    organization = asset_securable(unit.platform, asset).organization_id
    return TABLE.c.target == asset, TABLE.c.organization_id == organization


def _statement(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "tag_id": row.tag_id,
        "tag": row.tag,
        "value": row.value or None,
        "column": row.column_name or None,
        "origin": Origin(row.origin),
        "assigned_at": row.assigned_at,
        "assigned_by": row.assigned_by,
    }
