"""Retrieval of the features of many rows as a long operation, whose result is a version of a table."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.lake import versions
from api.kernel.lake.names import AssetId, ColumnName
from api.kernel.lake.versions import Version
from api.kernel.models import Request, Timestamp
from api.kernel.permissions.projects import Projects
from api.kernel.platform import open_tables
from api.kernel.sagas.saga import SagaCall
from api.services.ai_catalog.kinds.entity import KeyName
from api.services.ai_catalog.kinds.feature_service import FEATURE_SERVICE
from api.services.ai_catalog.kinds.feature_view_operations import Entities, times_of
from api.services.ai_catalog.logic import feature_answers, feature_retrievals
from api.services.ai_catalog.logic.feature_retrievals import (
    Retrieval,
    RetrievedRows,
    RetrievedTable,
    retrieved_view,
)
from api.services.ai_catalog.logic.feature_views import BoundView, snapshot_of, views_of
from api.services.ai_catalog.logic.readable_tables import require_readable
from core.errors import Conflict, PayloadTooLarge

MAX_ROWS = 1_000_000
"""Number of rows of a spine."""


class SpineTable(Request):
    """Rows of a table."""

    asset: AssetId
    """Id of the asset. All its columns are in the result."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""

    timestamp: ColumnName
    """Column with the time. Only features up to it are used."""

    keys: dict[KeyName, ColumnName] = {}
    """The column for each key of the entities. A key that is left out has a column of its name."""


class SpineRows(Request):
    """Rows in the request."""

    entities: Entities
    """Entities, each with the values of its keys by name. Unknown names are ignored."""

    at: Annotated[list[Timestamp], Field(min_length=1, max_length=feature_answers.MAX_ENTITIES)]
    """The time for each entity, or one time for all of them."""


class RetrieveFeatures(Request):
    """Rows to add features to, and the table for the result."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    """Name of the table in the schema `retrievals` of the project. The same name again makes another version of it."""

    table: SpineTable | None = None
    """A table with the rows. A query becomes one as a `SqlTransformComponent`. Send this or `rows`."""

    rows: SpineRows | None = None
    """The rows. Send this or `table`."""

    full_feature_names: bool = False
    """Whether the names of the columns are `<view>__<feature>`, so that views can have features of the same name."""

    @model_validator(mode="after")
    def _one_spine(self) -> RetrieveFeatures:
        if (self.table is None) is (self.rows is None):
            raise ValueError("needs either table or rows")
        return self


@FEATURE_SERVICE.action("retrieve", request=RetrieveFeatures, long=True)
async def retrieve_feature_service(ctx: Context, service: str, request: RetrieveFeatures) -> SagaCall[Any]:
    """Stores the features that many rows had at their times as a version of a table, with its lineage.

    Returns an operation immediately. It reads the versions that were the newest at the request, or that the service is
    pinned to, counts the parts of the rows that are done, and can be canceled. Its result names the table and the
    version. Send an `Idempotency-Key`, so that a repeated request starts no second retrieval. The table is a copy: only
    those who can read all tables that it comes from can read it. At most 1,000,000 rows. For more, define a training
    set.
    """

    def read(unit: Unit) -> tuple[str, list[BoundView]]:
        found = unit.get(FEATURE_SERVICE, service, permission=FEATURE_SERVICE.permission("retrieve"))
        return str(found.project_id), views_of(unit, found)

    project, views = await ctx.read(read)
    table = f"{ctx.platform.part(Projects).name_of(project)}.retrievals.{request.name}"
    if table in ctx.orchestrator.view().nodes:
        raise Conflict(f"{table} is made by a definition. Choose another name.")
    return feature_retrievals.SAGA.of(await ctx.compute(_planned, ctx, table, views, request))


def _planned(ctx: Context, table: str, views: list[BoundView], request: RetrieveFeatures) -> Retrieval:
    """Returns the retrieval with the version of each table, all of which the caller can read.

    Raises:
        UnknownAsset: the caller can't see a table.
        PermissionDenied: the caller can't read a table, or a policy restricts them.
        PayloadTooLarge: the spine has too many rows.
    """
    pinned = []
    for view in views:
        require_readable(ctx, view.asset)
        snapshot = snapshot_of(ctx.platform, view)
        require_readable(ctx, view.asset, snapshot.data_version)
        pinned.append(retrieved_view(view, snapshot.data_version))
    feature_answers.column_names([(view.name, view.features) for view in pinned], full=request.full_feature_names)
    rows = None
    if (sent := request.rows) is not None:
        rows = RetrievedRows(entities=sent.entities, at=times_of(sent.entities, sent.at, "/rows/at"))
        feature_answers.spine(views, rows.entities, rows.at)  # refuses keys that don't fit
    return Retrieval(
        table=table,
        views=pinned,
        source=None if request.table is None else _source(ctx, request.table, views),
        rows=rows,
        full_feature_names=request.full_feature_names,
    )


def _source(ctx: Context, spine: SpineTable, views: list[BoundView]) -> RetrievedTable:
    from features.rows import require_instant
    from lakehouse.schemas import require_columns

    require_readable(ctx, spine.asset)
    snapshot = versions.snapshot(ctx.platform.part(open_tables), spine.asset, spine.version)
    require_readable(ctx, spine.asset, snapshot.data_version)
    keys = {key: spine.keys.get(key, key) for view in views for key in view.keys}
    require_columns(spine.asset, snapshot.schema.names, [spine.timestamp, *keys.values()])
    require_instant(snapshot.schema, spine.timestamp, spine.asset)
    if snapshot.row_count > MAX_ROWS:
        raise PayloadTooLarge(
            f"{spine.asset} has {snapshot.row_count:,} rows; at most {MAX_ROWS:,} are retrieved. Define a training set."
        )
    return RetrievedTable(asset=spine.asset, version=snapshot.data_version, timestamp=spine.timestamp, keys=keys)
