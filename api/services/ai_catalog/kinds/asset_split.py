"""Rows of an asset in reproducible splits, such as for training and for evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.rows import Rows
from api.kernel.lake import versions
from api.kernel.lake.names import ColumnName
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query, Request
from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.readable_tables import require_readable
from core.errors import Conflict, InvalidPayload, PayloadTooLarge

if TYPE_CHECKING:
    from lakehouse.snapshot import Snapshot

_MAX_ROWS = 1_000_000


def _distinct(shares: list[str]) -> list[str]:
    if len({share.partition("=")[0] for share in shares}) < len(shares):
        raise ValueError("contains a name twice")
    return shares


Share = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}=(0?\.[0-9]{1,9}|[1-9][0-9]{0,8}(\.[0-9]{1,9})?)$")]
"""A name and its share, such as `train=0.8`."""


SplitBy = Annotated[list[ColumnName], Field(min_length=1, max_length=20)]
"""Columns that together identify a group."""

Shares = Annotated[list[Share], Field(min_length=2, max_length=10), AfterValidator(_distinct)]
"""Names of splits with their shares."""

Seed = Annotated[int, Field(ge=0, le=2**53)]
"""Seed of an assignment."""

_SHARES = ["train=0.8", "test=0.2"]


class SplitQuery(Query):
    """The split to return, and how rows are assigned to splits."""

    split: Annotated[str, Field(max_length=63)]
    """Name of the split to return: one of `shares`."""

    by: SplitBy
    """Columns that together identify a group; repeat the parameter. Rows of a group are in the same split."""

    shares: Shares = _SHARES
    """Names of the splits with their shares of the groups; repeat the parameter. Their sum can be any number."""

    seed: Seed = 0
    """Seed. Another seed assigns the groups differently."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""


class AssetSplit(Model):
    """The rows of a split."""

    asset: str
    """Id of the asset."""

    data_version: str
    """Data version of the rows."""

    counts: dict[str, int]
    """Number of rows of each split."""

    rows: list[dict[str, Any]]
    """Rows by column name. NaN and infinity are null, bytes are text."""


@ASSET.rows("split", query=SplitQuery, result=AssetSplit)
async def get_asset_split(ctx: Context, asset: str, query: SplitQuery) -> Rows[AssetSplit]:
    """Returns the rows of one split of an asset at a version, as JSON or as an Arrow IPC stream.

    A group is assigned by its values, the shares, and the seed alone. So the split is the same whenever it is read, no
    group is in two splits, and a group stays in its split when rows are added. At most 1,000,000 rows are assigned.
    `:store-split` stores the splits as a version of a table.
    """
    lookup.asset(ctx.view(), asset)
    return await ctx.compute(_split, ctx, asset, query)


def _split(ctx: Context, asset: str, query: SplitQuery) -> Rows[AssetSplit]:
    import pyarrow as pa

    shares = _by_name(query.shares)
    if query.split not in shares:
        fault = {"pointer": "/split", "detail": f"must be one of {', '.join(shares)}"}
        raise InvalidPayload(f"There is no split {query.split!r} with rows.", errors=[fault])
    snapshot, chosen = _assigned(ctx, asset, query)
    table = snapshot.to_arrow().filter(pa.array([name == query.split for name in chosen], pa.bool_()))

    def model() -> AssetSplit:
        from lakehouse.bytes_as_text import bytes_as_text
        from lakehouse.python_rows import python_rows

        return AssetSplit(
            asset=asset,
            data_version=snapshot.data_version,
            counts={name: chosen.count(name) for name in shares},
            rows=python_rows(bytes_as_text(table)),
        )

    return Rows(table, model, {"x-data-version": snapshot.data_version})


class StoreSplit(Request):
    """How rows are assigned to splits, and the table for them."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    """Name of the table in the schema `splits` of the project. The same name again makes another version of it."""

    by: SplitBy
    """Columns that together identify a group. Rows of a group are in the same split."""

    shares: Shares = _SHARES
    """Names of the splits with their shares of the groups. Their sum can be any number."""

    seed: Seed = 0
    """Seed. Another seed assigns the groups differently."""

    version: Version | None = None
    """A table version or a data version of the asset. By default the newest."""


class StoredSplit(Model):
    """A table with the rows of all splits."""

    table: str
    """Id of the table: the columns of the asset, and `split`. Query it with SQL."""

    data_version: str
    """Data version of the table. The same rows and splits again are the same version."""

    source_version: str
    """Data version of the asset."""

    counts: dict[str, int]
    """Number of rows of each split."""


@ASSET.action("store-split", request=StoreSplit, result=StoredSplit, past="split_stored", outside=True)
async def store_asset_split(ctx: Context, asset: str, request: StoreSplit) -> StoredSplit:
    """Stores the rows of an asset with their splits as a version of a table, with its lineage.

    So a training can name exactly the rows that it read. The table is a copy: only those who can read the asset
    can read it. At most 1,000,000 rows.
    """
    lookup.asset(ctx.view(), asset)
    table = f"{asset.partition('.')[0]}.splits.{request.name}"
    if table in ctx.orchestrator.view().nodes:
        raise Conflict(f"{table} is made by a definition. Choose another name.")
    return await ctx.compute(_store, ctx, asset, table, request)


def _store(ctx: Context, asset: str, table: str, request: StoreSplit) -> StoredSplit:
    import pyarrow as pa

    from lakehouse.step import Step

    snapshot, chosen = _assigned(ctx, asset, request)
    if "split" in snapshot.schema.names:
        raise Conflict(f"{asset} has a column split already.")
    step = Step(
        *(ctx.platform.part(open_tables), ctx.platform.part(open_lineage)),
        asset=table,
        run=ctx.request_id,
        step="split",
        code_version="",
        engine="headwater",
        principal=ctx.principal.name,
        params={"by": request.by, "shares": request.shares, "seed": request.seed},
    )
    step.read(asset, version=snapshot.version)
    rows = snapshot.to_arrow().append_column("split", pa.array(chosen, pa.string()))
    commit = step.overwrite(rows, evolve_schema=True)
    return StoredSplit(
        table=table,
        data_version=commit.data_version,
        source_version=snapshot.data_version,
        counts={name: chosen.count(name) for name in _by_name(request.shares)},
    )


def _by_name(shares: list[str]) -> dict[str, float]:
    """Returns the share of each split.

    Raises:
        InvalidPayload: one is 0.
    """
    found = {name: float(share) for name, _, share in (one.partition("=") for one in shares)}
    if not all(found.values()):
        fault = {"pointer": "/shares", "detail": "must be above 0"}
        raise InvalidPayload("A split needs a share above 0.", errors=[fault])
    return found


def _assigned(ctx: Context, asset: str, request: SplitQuery | StoreSplit) -> tuple[Snapshot, list[str]]:
    """Returns a version that the caller can read, and the split of each of its rows."""
    from features.training import splits

    shares = _by_name(request.shares)
    snapshot = versions.snapshot(ctx.platform.part(open_tables), asset, request.version)
    require_readable(ctx, asset, snapshot.data_version)
    if snapshot.row_count > _MAX_ROWS:
        raise PayloadTooLarge(
            f"{asset} has {snapshot.row_count:,} rows; at most {_MAX_ROWS:,} are assigned. Define a training set."
        )
    return snapshot, splits(snapshot.to_arrow(columns=request.by), request.by, shares, request.seed)
