"""Downloads of all rows of an asset's table at a version as one Parquet file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Annotated

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.lake.names import ColumnName
from api.kernel.lake.row_access import as_read_by
from api.kernel.lake.versions import Version
from api.kernel.models import Query
from api.kernel.platform import open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.readable_tables import require_readable


class TableExportQuery(Query):
    """Rows to download."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""

    columns: Annotated[list[ColumnName], Field(max_length=1000)] = []
    """Columns to download; repeat the parameter. By default all."""


@ASSET.binary("export", query=TableExportQuery)
async def get_asset_export(ctx: Context, asset: str, query: TableExportQuery) -> AsyncGenerator[bytes, None]:
    """Streams all rows of an asset's table at a version as one Parquet file.

    The caller needs this permission and that to read the rows. Policies that restrict the caller are applied: the file
    has no hidden row and no value of a masked column. The header `X-Data-Version` names the version.
    """
    lookup.asset(ctx.view(), asset)
    version, chunks = await ctx.compute(_parquet, ctx, asset, query)
    ctx.headers.append(("x-data-version", version))

    async def content() -> AsyncGenerator[bytes, None]:
        try:
            while chunk := await ctx.compute(next, chunks, b""):
                yield chunk
        finally:
            chunks.close()  # type: ignore[attr-defined]

    return content()


def _parquet(ctx: Context, asset: str, query: TableExportQuery) -> tuple[str, Iterator[bytes]]:
    from lakehouse.parquet import parquet

    found = versions.snapshot(ctx.platform.part(open_tables), asset, query.version)
    require_readable(ctx, asset, found.data_version, partly=True)
    snapshot = as_read_by(ctx.platform, ctx.principal.access, found)
    return found.data_version, parquet(snapshot.batches(columns=query.columns or None))
