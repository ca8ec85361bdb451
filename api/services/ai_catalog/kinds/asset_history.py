"""How an asset's table came to be as it is: its versions, and what differs between two of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from core.errors import InvalidArgument


class HistoryQuery(Query):
    """How much of the history."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Most versions on one page."""

    page_token: Annotated[str, Field(max_length=20)] = ""
    """Where to go on: `next_page_token` of the page before."""


class TableVersion(Model):
    """One version of a table."""

    data_version: str
    """`<table id>@<table version>`."""

    table_version: int
    """Delta version."""

    operation: str
    """Delta operation that made it, such as WRITE or MERGE."""

    committed_at: datetime
    """When it was committed."""

    row_count: int | None
    """Rows at this version; null where the log does not tell."""

    metrics: dict[str, Any]
    """What the writer counted."""


class History(Model):
    """Versions of a table, newest first."""

    items: list[TableVersion]
    """The versions."""

    next_page_token: str | None
    """Token of the next page; null on the last one."""


class DiffQuery(Query):
    """Which versions to compare."""

    from_: Annotated[str | None, Field(alias="from", max_length=128)] = None
    """The earlier version; by default the one before `to`."""

    to: Version | None = None
    """The later version; by default the newest."""

    key: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=50)] = []
    """Columns that tell rows apart, repeated: then changed rows are told from removed and added ones."""

    limit: Annotated[int, Field(ge=0, le=1000)] = 100
    """Most rows to show of each kind; counts are exact all the same."""


class TypeChange(Model):
    """A column whose type changed."""

    before: str
    """Arrow type before."""

    after: str
    """Arrow type after."""


class RowChange(Model):
    """A row that changed."""

    before: dict[str, Any]
    """The row before."""

    after: dict[str, Any]
    """The row after."""


class Diff(Model):
    """What differs between two versions."""

    asset: str
    """Id of the asset."""

    from_version: int
    """The earlier table version."""

    to_version: int
    """The later table version."""

    columns_added: dict[str, str]
    """New columns with their types."""

    columns_removed: dict[str, str]
    """Columns that are gone, with their types."""

    columns_changed: dict[str, TypeChange]
    """Columns whose type changed."""

    from_row_count: int
    """Rows before."""

    to_row_count: int
    """Rows after."""

    added_count: int
    """Rows added."""

    removed_count: int
    """Rows removed."""

    changed_count: int | None
    """Rows changed; null without a key, when a changed row counts as removed and added."""

    added: list[dict[str, Any]]
    """Some of the added rows."""

    removed: list[dict[str, Any]]
    """Some of the removed rows."""

    changed: list[RowChange]
    """Some of the changed rows."""


@ASSET.part("history", query=HistoryQuery, result=History)
async def get_asset_history(ctx: Context, asset: str, query: HistoryQuery) -> History:
    """Lists the versions of an asset's table, newest first, with what made each."""
    lookup.asset(ctx.view(), asset)
    return await ctx.work(_history, ctx.platform, asset, query)


@ASSET.part("diff", query=DiffQuery, result=Diff)
async def get_asset_diff(ctx: Context, asset: str, query: DiffQuery) -> Diff:
    """Compares two versions of an asset's table: schema, row counts and rows."""
    lookup.asset(ctx.view(), asset)
    return await ctx.work(_diff, ctx.platform, asset, query)


def _history(platform: Platform, asset: str, query: HistoryQuery) -> History:
    tables = platform.part(open_tables)
    skipped = 0
    if query.page_token:
        skipped = max(0, tables.snapshot(asset).version - versions.number(query.page_token) + 1)
    found = tables.history(asset, limit=skipped + query.page_size)[skipped:]
    items = [
        TableVersion(
            data_version=commit.data_version,
            table_version=commit.version,
            operation=commit.operation,
            committed_at=commit.committed_at,
            row_count=commit.row_count,
            metrics=dict(commit.metrics),
        )
        for commit in found
    ]
    more = len(found) == query.page_size and found[-1].version > 0
    return History(items=items, next_page_token=str(found[-1].version) if more else None)


def _diff(platform: Platform, asset: str, query: DiffQuery) -> Diff:
    tables = platform.part(open_tables)
    later = versions.snapshot(tables, asset, query.to).version
    if query.from_ is None and later == 0:
        raise InvalidArgument(f"Version 0 of {asset} is its first: there is nothing before it to compare with.")
    earlier = later - 1 if query.from_ is None else versions.snapshot(tables, asset, query.from_).version
    found = tables.diff(asset, earlier, later, key=query.key, limit=query.limit)
    pairs = zip(found.changed_before.to_pylist(), found.changed_after.to_pylist(), strict=True)
    return Diff(
        asset=asset,
        from_version=found.from_version,
        to_version=found.to_version,
        columns_added=dict(found.columns_added),
        columns_removed=dict(found.columns_removed),
        columns_changed={
            name: TypeChange(before=before, after=after) for name, (before, after) in found.columns_changed.items()
        },
        from_row_count=found.from_row_count,
        to_row_count=found.to_row_count,
        added_count=found.added_count,
        removed_count=found.removed_count,
        changed_count=found.changed_count,
        added=found.added.to_pylist(),
        removed=found.removed.to_pylist(),
        changed=[RowChange(before=before, after=after) for before, after in pairs],
    )
