"""Content of an asset's table: its schema and its rows, at any version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.rows import Rows
from api.kernel.lake import versions
from api.kernel.lake.names import ColumnName
from api.kernel.lake.row_access import as_read_by
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic import branch_reads, paging
from api.services.ai_catalog.logic.readable_tables import require_readable

if TYPE_CHECKING:
    from lakehouse.branches import BranchPlan


class SchemaQuery(Query):
    """Version whose schema to return."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""


class Column(Model):
    """A column of a table."""

    name: str
    """Name of the column."""

    type: str
    """Arrow type of the column."""

    nullable: bool
    """Whether values can be null."""


class TableSchema(Model):
    """The schema of a table at a version, with its size."""

    asset: str
    """Id of the asset."""

    data_version: str
    """Data version."""

    table_version: int
    """Version of the Delta table."""

    columns: list[Column]
    """Columns in order."""

    partition_columns: list[str]
    """Columns by which the files are partitioned."""

    constraints: dict[str, str]
    """Check constraints: SQL conditions by name."""

    row_count: int
    """Number of rows."""

    size_bytes: int
    """Size of the data files in bytes."""

    file_count: int
    """Number of data files."""


class PreviewQuery(Query):
    """Rows to return."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""

    page_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Maximum number of rows to return."""

    page_token: Annotated[str, Field(max_length=100)] = ""
    """`next_page_token` of the previous page. All pages show the version of the first page."""

    offset: Annotated[int, Field(ge=0, le=2**53)] = 0
    """Number of rows to skip, as an alternative to `page_token`."""

    columns: Annotated[list[ColumnName], Field(max_length=1000)] = []
    """Columns to return; repeat the parameter. By default all."""

    branch: Annotated[str, Field(max_length=64)] | None = None
    """Id of a branch whose version of the table to return. By default the table of the project."""


class PreviewColumn(Model):
    """A column of the preview."""

    name: str
    """Name of the column."""

    type: str
    """Arrow type of the column."""


class Preview(Model):
    """Rows of a table at a version, in the order of its files."""

    asset: str
    """Id of the asset."""

    data_version: str
    """Data version of the rows."""

    table_version: int
    """Version of the Delta table."""

    row_count: int
    """Number of rows in the table, without those that policies hide from the caller."""

    offset: int
    """Number of rows before this page."""

    columns: list[PreviewColumn]
    """Columns in order."""

    rows: list[dict[str, Any]]
    """Rows by column name. NaN and infinity are null. Bytes are text; a further column `<name>_encoding` contains
    `utf-8`, or `base64url` where they are not UTF-8 and therefore URL-safe base64."""

    next_page_token: str | None
    """Token of the next page. Null on the last page. In Arrow responses, the header `X-Next-Page-Token`."""


@ASSET.part("schema", query=SchemaQuery, result=TableSchema)
async def get_asset_schema(ctx: Context, asset: str, query: SchemaQuery) -> TableSchema:
    """Returns the schema of an asset's table at a version."""
    lookup.asset(ctx.view(), asset)
    return await ctx.compute(_schema, ctx.platform, asset, query.version)


@ASSET.rows("preview", query=PreviewQuery, result=Preview)
async def get_asset_preview(ctx: Context, asset: str, query: PreviewQuery) -> Rows[Preview]:
    """Returns rows of an asset's table at a version, as JSON or as an Arrow IPC stream.

    Policies that restrict the caller are applied: the response has no hidden row and no value of a masked column.
    """
    lookup.asset(ctx.view(), asset)
    plan = await branch_reads.plan_of(ctx, query.branch)
    return await ctx.compute(_preview, ctx, asset, query, plan)


def _schema(platform: Platform, asset: str, version: str | None) -> TableSchema:
    snapshot = versions.snapshot(platform.part(open_tables), asset, version)
    return TableSchema(
        asset=asset,
        data_version=snapshot.data_version,
        table_version=snapshot.version,
        columns=[Column(name=field.name, type=str(field.type), nullable=field.nullable) for field in snapshot.schema],
        partition_columns=list(snapshot.partition_columns),
        constraints=snapshot.constraints,
        row_count=snapshot.row_count,
        size_bytes=snapshot.size_bytes,
        file_count=snapshot.file_count,
    )


def _preview(ctx: Context, asset: str, query: PreviewQuery, plan: BranchPlan | None) -> Rows[Preview]:
    version, offset = paging.start(query.page_token, query.version, query.offset)
    tables = branch_reads.open_planned(ctx.platform, plan)
    found = versions.snapshot(tables, asset, version)
    require_readable(ctx, asset, found.data_version, branch_reads.sources(tables, asset), partly=True)
    snapshot = as_read_by(ctx.platform, ctx.principal.access, found)
    table = snapshot.to_arrow(columns=query.columns or None, limit=query.page_size, offset=offset)
    token = paging.following(snapshot.data_version, offset + table.num_rows, snapshot.row_count)

    def model() -> Preview:
        from lakehouse.bytes_as_text import bytes_as_text
        from lakehouse.python_rows import python_rows

        return Preview(
            asset=asset,
            data_version=snapshot.data_version,
            table_version=snapshot.version,
            row_count=snapshot.row_count,
            offset=offset,
            columns=[PreviewColumn(name=field.name, type=str(field.type)) for field in table.schema],
            rows=python_rows(bytes_as_text(table)),
            next_page_token=token,
        )

    headers = {"x-data-version": snapshot.data_version} | ({"x-next-page-token": token} if token else {})
    return Rows(table, model, headers)
