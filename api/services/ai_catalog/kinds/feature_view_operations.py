"""What feature views do: materialize, check, preview, and push their rows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Request, Timestamp
from api.kernel.permissions.graph import asset_securable
from api.kernel.platform import Platform
from api.services.ai_catalog.kinds.asset import ASSET, MaterializeAssets, plan_launch
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.logic import feature_answers
from api.services.ai_catalog.logic.feature_pushes import push
from api.services.ai_catalog.logic.feature_views import BoundView, readable_view, require_key_types, snapshot_of
from core.errors import Conflict, HeadwaterError, InvalidPayload
from core.runs import Launch

Entities = Annotated[list[dict[str, Any]], Field(min_length=1, max_length=feature_answers.MAX_ENTITIES)]
"""Entities, each with the values of its keys by name."""


class MaterializeView(Request):
    """How to materialize a view."""

    upstream: bool = False
    """Whether to also materialize all assets upstream of the table."""


class ViewFault(Model):
    """Something in a view that doesn't fit its table."""

    detail: str
    """The fault, and what to do about it."""


class ViewValidation(Model):
    """Result of a validation."""

    valid: bool
    """Whether the view can be read. Online rows are a separate matter: see `online`."""

    faults: list[ViewFault]
    """Faults of the view. Empty if it is valid."""

    data_version: str | None
    """Data version of the table. Null if it has not been materialized."""

    features: dict[str, str]
    """Arrow type of each feature."""

    duplicates: int | None
    """Number of rows that share their keys and event time with another row. Of these, the greatest row counts. Null if
    the view is not valid."""

    online: str | None
    """Data version that the online store serves. Null if the view isn't served online."""


class HistoricalRequest(Request):
    """Entities at times."""

    entities: Entities
    """Entities, each with the values of its keys by name. Unknown names are ignored."""

    at: Annotated[list[Timestamp], Field(min_length=1, max_length=feature_answers.MAX_ENTITIES)]
    """The time for each entity, or one time for all of them."""

    version: Version | None = None
    """Version of the table. By default the newest."""


class HistoricalColumn(Model):
    """A column of the result."""

    name: str
    """Name of the column."""

    type: str
    """Arrow type of the column."""

    values: list[Any]
    """Values in the order of the entities. NaN and infinity are null."""


class HistoricalResult(Model):
    """Entities with the features that they had at their times."""

    columns: list[HistoricalColumn]
    """Keys, `event_timestamp`, and features. For each view, `<view>__event_at` is the event time of the row, and
    `<view>__status` is `PRESENT`, `NOT_FOUND`, or `OUTSIDE_MAX_AGE`."""

    versions: dict[str, str]
    """Data version that was read of the table of each view, by the name of the view."""


class PushRows(Request):
    """Rows to push."""

    rows: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=feature_answers.MAX_ENTITIES)]
    """Rows with the keys of the entity, the event time, and features, by column name. Features that are left out are
    null."""

    source: Annotated[str, Field(min_length=1, max_length=200)]
    """Name of the source, such as a stream. Answers that contain a pushed row name it."""


class Pushed(Model):
    """What was pushed."""

    stored: int
    """Number of rows that were stored. A row is ignored if it is older than one that was pushed before."""

    superseded_by: str
    """Id of the asset whose next written version replaces the rows. Historical retrieval never returns them."""


@FEATURE_VIEW.action("materialize", request=MaterializeView, long=True)
async def materialize_feature_view(ctx: Context, view: str, request: MaterializeView) -> Launch:
    """Materializes the table of a view, and then its online rows.

    Returns an operation immediately. The caller needs the permission to materialize both assets. Use `:backfill` for a
    table with partitions.
    """
    found = await readable_view(ctx, view, "materialize")
    node = ctx.view().nodes.get(found.asset)
    if node is not None and node.partitioned:
        raise Conflict(f"{found.asset} has partitions. Use `:backfill`.")
    assets = [found.asset, *([found.online_asset] if found.online_asset else [])]
    return await plan_launch(ctx, assets, MaterializeAssets(assets=assets, upstream=request.upstream), {})


@FEATURE_VIEW.action("validate", request=Request, result=ViewValidation, reads=True)
async def validate_feature_view(ctx: Context, view: str, request: Request) -> ViewValidation:
    """Compares a view with its table and its online rows."""
    found = await readable_view(ctx, view, "validate")
    lookup.asset(ctx.view(), found.asset)
    return await ctx.compute(_validate, ctx.platform, found)


@FEATURE_VIEW.action("preview", request=HistoricalRequest, result=HistoricalResult, reads=True)
async def preview_feature_view(ctx: Context, view: str, request: HistoricalRequest) -> HistoricalResult:
    """Returns the features that entities had at given times, from one version of the table.

    A row counts from its event time on, until it is older than the limit of the view. A later row is never used.
    """
    found = await readable_view(ctx, view, "preview", request.version, partly=True)
    return await retrieved(ctx, [found], request.entities, request.at, full=False)


@FEATURE_VIEW.action("push", request=PushRows, result=Pushed, past="pushed", outside=True)
async def push_feature_view(ctx: Context, view: str, request: PushRows) -> Pushed:
    """Pushes rows into the online store, in addition to the version that is served.

    Of each entity, the newest row counts. The next version that is written replaces the pushed rows. The caller needs
    the permission to materialize the online asset.
    """
    found = await pushable_view(ctx, view)
    stored = await ctx.compute(push, ctx.platform, found, request.rows, request.source)
    return Pushed(stored=stored, superseded_by=str(found.online_asset))


async def pushable_view(ctx: Context, view: str) -> BoundView:
    """Returns a view whose online rows the caller can write.

    Raises:
        Conflict: it isn't served online.
        PermissionDenied: the caller can't materialize the online asset.
    """
    found = await readable_view(ctx, view, "push")
    if found.online_asset is None:
        raise Conflict(f"{found.name} isn't served online. Set the online asset of the view.")
    ctx.require(ASSET.permission("materialize"), asset_securable(ctx.platform, found.online_asset))
    return found


def times_of(entities: list[dict[str, Any]], at: list[Any], pointer: str) -> list[Any]:
    """Returns the time of each entity.

    Raises:
        InvalidPayload: there are neither one time nor as many as entities.
    """
    times = at * len(entities) if len(at) == 1 else at
    if len(times) != len(entities):
        fault = {"pointer": pointer, "detail": f"must have one time, or {len(entities)}"}
        raise InvalidPayload("There must be one time for all entities, or one for each.", errors=[fault])
    return times


async def retrieved(
    ctx: Context, views: list[BoundView], entities: list[dict[str, Any]], at: list[Any], *, full: bool
) -> HistoricalResult:
    """Returns the features of entities at times, as the operations answer them.

    Raises:
        InvalidPayload: there are neither one time nor as many as entities.
    """
    times = times_of(entities, at, "/at")
    return await ctx.compute(_retrieved, ctx.platform, views, entities, times, full)


def _retrieved(
    platform: Platform, views: list[BoundView], entities: list[dict[str, Any]], times: list[Any], full: bool
) -> HistoricalResult:
    from lakehouse.python_rows import python_values

    found = feature_answers.historical(platform, views, entities, times, full=full)
    columns = [
        HistoricalColumn(name=field.name, type=str(field.type), values=python_values(found.table[field.name]))
        for field in found.table.schema
    ]
    return HistoricalResult(columns=columns, versions=dict(found.versions))


def _validate(platform: Platform, view: BoundView) -> ViewValidation:
    from api.services.ai_catalog.logic.feature_views import open_online_store
    from features.rows import duplicates, read_rows

    faults: list[ViewFault] = []
    version, features, count = None, {}, None
    try:
        snapshot = snapshot_of(platform, view)
        version = snapshot.data_version
        columns = view.columns(snapshot.schema.names)
        rows = read_rows(snapshot, columns)
        require_key_types(view, snapshot.schema)
        features = {name: str(snapshot.schema.field(name).type) for name in columns.features}
        count = duplicates(snapshot, columns)
        del rows
    except HeadwaterError as error:
        faults.append(ViewFault(detail=error.detail))
    served = platform.part(open_online_store).served(view.online_asset) if view.online_asset else None
    if served is not None and (served.table != view.asset or set(served.keys) != set(view.keys.values())):
        detail = f"{view.online_asset} serves {served.table} by {', '.join(served.keys)}, which isn't this view."
        faults.append(ViewFault(detail=detail))
        served = None
    return ViewValidation(
        valid=not faults,
        faults=faults,
        data_version=version,
        features=features,
        duplicates=count,
        online=served.data_version if served else None,
    )
