"""History of the schema of an asset's table."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Annotated

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.models import Model, Query
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.asset_history import TypeChange


class SchemaHistoryQuery(Query):
    """A page of the history."""

    page_size: Annotated[int, Field(ge=1, le=100)] = 20
    """Maximum number of changes on a page."""

    page_token: Annotated[str, Field(max_length=20)] = ""
    """`next_page_token` of the previous page. Empty for the first page."""


class SchemaVersion(Model):
    """A version at which the columns of a table changed."""

    data_version: str
    """Data version: `<table id>@<table version>`."""

    table_version: int
    """Version of the Delta table."""

    operation: str
    """Delta operation that changed the columns."""

    committed_at: datetime
    """Time of the commit."""

    columns_added: dict[str, str]
    """New columns with their types."""

    columns_removed: dict[str, str]
    """Removed columns with their types."""

    columns_changed: dict[str, TypeChange]
    """Columns whose type changed."""


class SchemaHistory(Model):
    """Changes of the columns of a table, newest first. The last one is that of the first version in the log."""

    items: list[SchemaVersion]
    """The changes."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


@ASSET.part("schema-history", query=SchemaHistoryQuery, result=SchemaHistory)
async def get_asset_schema_history(ctx: Context, asset: str, query: SchemaHistoryQuery) -> SchemaHistory:
    """Lists the versions at which columns were added, removed, or got another type, newest first."""
    lookup.asset(ctx.view(), asset)
    return await ctx.compute(_history, ctx.platform, asset, query)


def _history(platform: Platform, asset: str, query: SchemaHistoryQuery) -> SchemaHistory:
    from lakehouse.schema_history import schema_changes

    tables = platform.part(open_tables)
    newest = tables.snapshot(asset)
    start = min(newest.version, versions.number(query.page_token) - 1) if query.page_token else newest.version
    if start < 0:
        return SchemaHistory(items=[], next_page_token=None)
    changes = list(islice(schema_changes(tables, asset, start), query.page_size + 1))
    page = changes[: query.page_size]
    return SchemaHistory(
        items=[
            SchemaVersion(
                data_version=f"{newest.table_id}@{change.version}",
                table_version=change.version,
                operation=change.operation,
                committed_at=change.committed_at,
                columns_added=dict(change.added),
                columns_removed=dict(change.removed),
                columns_changed={
                    name: TypeChange(before=before, after=after) for name, (before, after) in change.changed.items()
                },
            )
            for change in page
        ],
        next_page_token=str(page[-1].version) if len(changes) > len(page) else None,
    )
