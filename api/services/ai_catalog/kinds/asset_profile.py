"""Profile of an asset's table: statistics of each column at a version."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake import versions
from api.kernel.lake.row_access import as_read_by, restriction
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.query import in_turn, open_processes
from api.services.ai_catalog.logic.readable_tables import require_readable

if TYPE_CHECKING:
    from lakehouse.profile import ColumnProfile
    from lakehouse.restrictions import Restriction
    from lakehouse.snapshot import Snapshot

_MAX_PROFILES = 200


class ProfileQuery(Query):
    """The version to describe."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""


class ValueCount(Model):
    """A value and how often it occurs."""

    value: str
    """The value as text, at most 200 characters."""

    count: int
    """Number of rows with the value."""


class Bin(Model):
    """A bin of a histogram."""

    upper: float
    """Upper bound, inclusive. The lower one is the upper bound of the bin before, or the minimum."""

    count: int
    """Number of values."""


class ProfiledColumn(Model):
    """Statistics of a column."""

    name: str
    """Name of the column."""

    type: str
    """Arrow type of the column."""

    nulls: int
    """Number of rows without a value."""

    distinct: int | None
    """Approximate number of distinct values. Null for nested and binary columns."""

    minimum: str | None
    """Smallest value as text. For numbers, the smallest finite one."""

    maximum: str | None
    """Largest value as text. For numbers, the largest finite one."""

    mean: float | None
    """Mean of the finite numbers."""

    standard_deviation: float | None
    """Standard deviation of the finite numbers, of a sample."""

    quartiles: list[float]
    """25, 50, and 75 percent quantiles of the finite numbers. Empty for other columns."""

    not_finite: int
    """Number of NaN and infinite values."""

    histogram: list[Bin]
    """Bins of equal width over the finite numbers. Empty if all are equal."""

    top: list[ValueCount] | None
    """The most frequent values. Null if there are more than about 1,000 distinct ones, or too many columns."""


class TableProfile(Model):
    """Statistics of the columns of a table at a version."""

    asset: str
    """Id of the asset."""

    data_version: str
    """Data version that the statistics describe."""

    row_count: int
    """Number of rows."""

    columns: list[ProfiledColumn]
    """Statistics of the columns, in order. At most 200 columns are described."""

    truncated: bool
    """Whether the table has more columns."""


@ASSET.part("profile", query=ProfileQuery, result=TableProfile)
async def get_asset_profile(ctx: Context, asset: str, query: ProfileQuery) -> TableProfile:
    """Computes statistics of each column at a version: nulls, distinct values, range, quartiles, histogram, top values.

    They contain values, so the caller must be able to read the rows. They describe what policies leave to the caller.
    The table is read completely, for at most 50 seconds. A version is computed once.
    """
    lookup.asset(ctx.view(), asset)
    snapshot = await ctx.compute(versions.snapshot, ctx.platform.part(open_tables), asset, query.version)
    await ctx.compute(partial(require_readable, partly=True), ctx, asset, snapshot.data_version)
    profiles = ctx.platform.part(Profiles)
    read = await ctx.compute(as_read_by, ctx.platform, ctx.principal.access, snapshot)
    hidden = await ctx.compute(restriction, ctx.platform, ctx.principal.access, asset, snapshot.schema.names)
    key = f"{snapshot.data_version} {hidden}"
    found = profiles.get(key)
    if found is None:
        found = await in_turn(ctx, lambda cancelled: _computed(ctx.platform, snapshot, hidden, cancelled))
        profiles.put(key, found)
    return TableProfile(
        asset=asset,
        data_version=snapshot.data_version,
        row_count=await ctx.compute(lambda: read.row_count),
        columns=[_column(column) for column in found],
        truncated=len(snapshot.schema) > len(found),
    )


class Profiles:
    """The profiles that were computed last, by data version, whose content never changes, and by restriction."""

    def __init__(self, platform: Platform) -> None:
        self._found: OrderedDict[str, list[ColumnProfile]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> list[ColumnProfile] | None:
        """Returns a profile, or None if it was not computed lately."""
        return self._found.get(key)

    def put(self, key: str, profile: list[ColumnProfile]) -> None:
        """Keeps a profile."""
        with self._lock:
            self._found[key] = profile
            while len(self._found) > _MAX_PROFILES:
                self._found.popitem(last=False)


def _computed(
    platform: Platform, snapshot: Snapshot, hidden: Restriction | None, cancelled: Callable[[], bool]
) -> list[ColumnProfile]:
    import pyarrow as pa

    from lakehouse.profile import MAX_COLUMNS, distribution_statement, profiles, statistics_statement

    schema = pa.schema(list(snapshot.schema)[:MAX_COLUMNS])
    processes = platform.part(open_processes)
    exact = {snapshot.table: snapshot.version}
    restrictions = {} if hidden is None else {snapshot.table: hidden}

    def rows(statement: str) -> list[dict[str, Any]]:
        table, _ = processes.run(statement, exact, 100_000, cancelled, restrictions=restrictions)
        found: list[dict[str, Any]] = table.to_pylist()
        return found

    (row,) = rows(statistics_statement(snapshot.table, schema))
    statement = distribution_statement(snapshot.table, schema, row)
    return profiles(schema, row, rows(statement) if statement else [])


def _column(column: ColumnProfile) -> ProfiledColumn:
    return ProfiledColumn(
        name=column.name,
        type=column.type,
        nulls=column.nulls,
        distinct=column.distinct,
        minimum=column.minimum,
        maximum=column.maximum,
        mean=column.mean,
        standard_deviation=column.standard_deviation,
        quartiles=list(column.quartiles),
        not_finite=column.not_finite,
        histogram=[Bin(upper=upper, count=count) for upper, count in column.histogram],
        top=[ValueCount(value=value, count=count) for value, count in column.top] if column.top_counted else None,
    )
