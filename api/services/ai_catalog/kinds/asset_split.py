"""Rows of an asset in reproducible splits, such as for training and for evaluation."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.rows import Rows
from api.kernel.lake import versions
from api.kernel.lake.names import ColumnName
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.platform import open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.readable_tables import require_readable
from core.errors import InvalidPayload, PayloadTooLarge

_MAX_ROWS = 1_000_000


def _distinct(shares: list[str]) -> list[str]:
    if len({share.partition("=")[0] for share in shares}) < len(shares):
        raise ValueError("contains a name twice")
    return shares


Share = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}=(0?\.[0-9]{1,9}|[1-9][0-9]{0,8}(\.[0-9]{1,9})?)$")]
"""A name and its share, such as `train=0.8`."""


class SplitQuery(Query):
    """The split to return, and how rows are assigned to splits."""

    split: Annotated[str, Field(max_length=63)]
    """Name of the split to return: one of `shares`."""

    by: Annotated[list[ColumnName], Field(min_length=1, max_length=20)]
    """Columns that together identify a group; repeat the parameter. Rows of a group are in the same split."""

    shares: Annotated[list[Share], Field(min_length=2, max_length=10), AfterValidator(_distinct)] = [
        "train=0.8",
        "test=0.2",
    ]
    """Names of the splits with their shares of the groups; repeat the parameter. Their sum can be any number."""

    seed: Annotated[int, Field(ge=0, le=2**53)] = 0
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
    group is in two splits, and a group stays in its split when rows are added. At most 1,000,000 rows are assigned. To
    store splits as a table with their lineage, define a training set.
    """
    lookup.asset(ctx.view(), asset)
    return await ctx.compute(_split, ctx, asset, query)


def _split(ctx: Context, asset: str, query: SplitQuery) -> Rows[AssetSplit]:
    import pyarrow as pa

    from features.training import splits

    shares = {name: float(share) for name, _, share in (one.partition("=") for one in query.shares)}
    if query.split not in shares or not all(shares.values()):
        fault = {"pointer": "/split", "detail": f"must be one of {', '.join(shares)}, with a share above 0"}
        raise InvalidPayload(f"There is no split {query.split!r} with rows.", errors=[fault])
    snapshot = versions.snapshot(ctx.platform.part(open_tables), asset, query.version)
    require_readable(ctx, asset, snapshot.data_version)
    if snapshot.row_count > _MAX_ROWS:
        raise PayloadTooLarge(
            f"{asset} has {snapshot.row_count:,} rows; at most {_MAX_ROWS:,} are assigned. Define a training set."
        )
    chosen = splits(snapshot.to_arrow(columns=query.by), query.by, shares, query.seed)
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
