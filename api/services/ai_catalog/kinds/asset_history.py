"""History of an asset's table: its versions, and the differences between two of them."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.lake.names import ColumnName
from api.kernel.lake.row_access import as_read_by
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.permissions.access import Access
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.readable_tables import require_readable
from core.errors import InvalidArgument
from lakehouse.bytes_as_text import bytes_as_text

if TYPE_CHECKING:
    from lakehouse.diff import TableDiff

_MAX_RESTRICTED_BYTES = 200_000_000
"""Size of the files of a version up to which it is compared as a restricted reader gets it: it is read as a whole."""


class HistoryQuery(Query):
    """A page of the history."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Maximum number of versions on a page."""

    page_token: Annotated[str, Field(max_length=20)] = ""
    """`next_page_token` of the previous page. Empty for the first page."""


class TableVersion(Model):
    """A version of a table."""

    data_version: str
    """Data version: `<table id>@<table version>`."""

    table_version: int
    """Version of the Delta table."""

    operation: str
    """Delta operation that wrote it, such as WRITE or MERGE."""

    committed_at: datetime
    """Time of the commit."""

    row_count: int | None
    """Number of rows at this version. Null if the log does not contain it."""

    metrics: dict[str, Any]
    """Metrics that the writer reported."""


class History(Model):
    """Versions of a table, newest first."""

    items: list[TableVersion]
    """The versions."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


class DiffQuery(Query):
    """Versions to compare."""

    from_: Annotated[str | None, Field(alias="from", max_length=128)] = None
    """The earlier version. By default the one before `to`."""

    to: Version | None = None
    """The later version. By default the newest."""

    key: Annotated[list[ColumnName], Field(max_length=50)] = []
    """Columns that identify a row; repeat the parameter. With a key, changed rows are distinguished from new ones."""

    limit: Annotated[int, Field(ge=0, le=1000)] = 100
    """Maximum number of rows of each category to return. Counts are always exact."""


class TypeChange(Model):
    """A column whose type changed."""

    before: str
    """Arrow type in the earlier version."""

    after: str
    """Arrow type in the later version."""


class RowChange(Model):
    """A row that changed."""

    before: dict[str, Any]
    """The row in the earlier version."""

    after: dict[str, Any]
    """The row in the later version."""


class Diff(Model):
    """Differences between two versions."""

    asset: str
    """Id of the asset."""

    from_version: int
    """The earlier table version."""

    to_version: int
    """The later table version."""

    columns_added: dict[str, str]
    """Added columns with their types."""

    columns_removed: dict[str, str]
    """Removed columns with their types."""

    columns_changed: dict[str, TypeChange]
    """Columns whose type changed."""

    from_row_count: int
    """Number of rows in the earlier version."""

    to_row_count: int
    """Number of rows in the later version."""

    added_count: int
    """Number of added rows."""

    removed_count: int
    """Number of removed rows."""

    changed_count: int | None
    """Number of changed rows. Null without a key: then a changed row counts as removed and added."""

    added: list[dict[str, Any]]
    """Added rows, at most `limit`."""

    removed: list[dict[str, Any]]
    """Removed rows, at most `limit`."""

    changed: list[RowChange]
    """Changed rows, at most `limit`."""


@ASSET.part("history", query=HistoryQuery, result=History)
async def get_asset_history(ctx: Context, asset: str, query: HistoryQuery) -> History:
    """Lists the versions of an asset's table, newest first, with the operation that wrote each."""
    lookup.asset(ctx.view(), asset)
    return await ctx.compute(_history, ctx.platform, asset, query)


@ASSET.part("diff", query=DiffQuery, result=Diff)
async def get_asset_diff(ctx: Context, asset: str, query: DiffQuery) -> Diff:
    """Compares two versions of an asset's table: schema, row counts, and rows.

    The caller must be able to read the rows. It compares what policies leave to them.
    """
    lookup.asset(ctx.view(), asset)
    await ctx.compute(partial(require_readable, partly=True), ctx, asset)
    return await ctx.compute(_diff, ctx.platform, ctx.principal.access, asset, query)


def _history(platform: Platform, asset: str, query: HistoryQuery) -> History:
    tables = platform.part(open_tables)
    skipped = 0
    if query.page_token:
        skipped = max(0, tables.snapshot(asset).version - versions.number(query.page_token) + 1)
    commits = tables.history(asset, limit=skipped + query.page_size)[skipped:]
    items = [
        TableVersion(
            data_version=commit.data_version,
            table_version=commit.version,
            operation=commit.operation,
            committed_at=commit.committed_at,
            row_count=commit.row_count,
            metrics=dict(commit.metrics),
        )
        for commit in commits
    ]
    has_next = len(commits) == query.page_size and commits[-1].version > 0
    return History(items=items, next_page_token=str(commits[-1].version) if has_next else None)


def _diff(platform: Platform, access: Access, asset: str, query: DiffQuery) -> Diff:
    from lakehouse.diff import compare

    tables = platform.part(open_tables)
    later = versions.snapshot(tables, asset, query.to)
    if query.from_ is None and later.version == 0:
        raise InvalidArgument(f"Version 0 of {asset} is its first version. There is no earlier one to compare with.")
    earlier = versions.snapshot(tables, asset, str(later.version - 1) if query.from_ is None else query.from_)
    before, after = (as_read_by(platform, access, snapshot) for snapshot in (earlier, later))
    if (before, after) != (earlier, later) and max(earlier.size_bytes, later.size_bytes) > _MAX_RESTRICTED_BYTES:
        limit = _MAX_RESTRICTED_BYTES // 1_000_000
        raise InvalidArgument(
            f"A policy restricts what you read of {asset}. Versions up to {limit} MB can be compared."
        )
    return diff_of(asset, compare(before, after, key=query.key, limit=query.limit))


def diff_of(asset: str, diff: TableDiff) -> Diff:
    """Returns the differences between two versions in their response form. Call it in a worker thread."""
    from lakehouse.python_rows import python_rows

    pairs = zip(
        python_rows(bytes_as_text(diff.changed_before)), python_rows(bytes_as_text(diff.changed_after)), strict=True
    )
    return Diff(
        asset=asset,
        from_version=diff.from_version,
        to_version=diff.to_version,
        columns_added=dict(diff.columns_added),
        columns_removed=dict(diff.columns_removed),
        columns_changed={
            name: TypeChange(before=before, after=after) for name, (before, after) in diff.columns_changed.items()
        },
        from_row_count=diff.from_row_count,
        to_row_count=diff.to_row_count,
        added_count=diff.added_count,
        removed_count=diff.removed_count,
        changed_count=diff.changed_count,
        added=python_rows(bytes_as_text(diff.added)),
        removed=python_rows(bytes_as_text(diff.removed)),
        changed=[RowChange(before=before, after=after) for before, after in pairs],
    )
