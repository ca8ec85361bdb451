"""What is in an asset's table: its schema and a look at its rows, at any version."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.rows import Rows
from api.kernel.lake import versions
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic import paging


class SchemaQuery(Query):
    """Which version's schema."""

    version: Version | None = None
    """A table version or a data version; by default the newest."""


class Column(Model):
    """A column of a table."""

    name: str
    """Its name."""

    type: str
    """Its Arrow type."""

    nullable: bool
    """Whether it may be null."""


class TableSchema(Model):
    """The schema of a table at a version, with what else is known of it."""

    asset: str
    """Id of the asset."""

    data_version: str
    """Exact version."""

    table_version: int
    """Delta version."""

    columns: list[Column]
    """Columns in order."""

    partition_columns: list[str]
    """Columns the files are split by."""

    constraints: dict[str, str]
    """Check constraints: name to SQL condition."""

    row_count: int
    """Rows."""

    size_bytes: int
    """Size of the data files."""

    file_count: int
    """Number of data files."""


class PreviewQuery(Query):
    """Which rows to look at."""

    version: Version | None = None
    """A table version or a data version; by default the newest."""

    page_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Most rows to return."""

    page_token: Annotated[str, Field(max_length=100)] = ""
    """Where to go on: `next_page_token` of the page before. All pages are of the version of the first."""

    offset: Annotated[int, Field(ge=0, le=2**53)] = 0
    """Rows to skip, for those who jump instead of paging."""

    columns: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=1000)] = []
    """Columns to return, repeated; all by default."""


class PreviewColumn(Model):
    """A column of the preview."""

    name: str
    """Its name."""

    type: str
    """Its Arrow type."""


class Preview(Model):
    """Rows of a table at a version, in the order of its files."""

    asset: str
    """Id of the asset."""

    data_version: str
    """Exact version the rows are of."""

    table_version: int
    """Delta version."""

    row_count: int
    """Rows in the whole table."""

    offset: int
    """Rows before this page."""

    columns: list[PreviewColumn]
    """Columns in order."""

    rows: list[dict[str, Any]]
    """Rows by column name. Bytes are base64; NaN and infinity are null."""

    next_page_token: str | None
    """Token of the next page; null on the last one. As header `X-Next-Page-Token` with Arrow."""


@ASSET.part("schema", query=SchemaQuery, result=TableSchema)
async def get_asset_schema(ctx: Context, asset: str, query: SchemaQuery) -> TableSchema:
    """Returns the schema of an asset's table at a version."""
    lookup.asset(ctx.view(), asset)
    return await ctx.work(_schema, ctx.platform, asset, query.version)


@ASSET.rows("preview", query=PreviewQuery, result=Preview)
async def get_asset_preview(ctx: Context, asset: str, query: PreviewQuery) -> Rows[Preview]:
    """Returns rows of an asset's table at a version, as JSON or as an Arrow IPC stream."""
    lookup.asset(ctx.view(), asset)
    return await ctx.work(_preview, ctx.platform, asset, query)


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


def _preview(platform: Platform, asset: str, query: PreviewQuery) -> Rows[Preview]:
    version, offset = paging.start(query.page_token, query.version, query.offset)
    snapshot = versions.snapshot(platform.part(open_tables), asset, version)
    table = snapshot.to_arrow(columns=query.columns or None, limit=query.page_size, offset=offset)
    token = paging.following(snapshot.data_version, offset + table.num_rows, snapshot.row_count)

    def model(rows: list[dict[str, Any]]) -> Preview:
        return Preview(
            asset=asset,
            data_version=snapshot.data_version,
            table_version=snapshot.version,
            row_count=snapshot.row_count,
            offset=offset,
            columns=[PreviewColumn(name=field.name, type=str(field.type)) for field in table.schema],
            rows=rows,
            next_page_token=token,
        )

    headers = {"x-data-version": snapshot.data_version} | ({"x-next-page-token": token} if token else {})
    return Rows(table, model, headers)
