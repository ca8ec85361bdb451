"""What feature services do: return features for now and for the past, and compare the two."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.models import Model, Query, Request, Timestamp
from api.kernel.platform import Platform
from api.services.ai_catalog.kinds.feature_service import FEATURE_SERVICE
from api.services.ai_catalog.kinds.feature_view_operations import Entities, HistoricalResult, retrieved
from api.services.ai_catalog.logic import feature_answers
from api.services.ai_catalog.logic.feature_views import (
    BoundView,
    open_online_store,
    readable_service,
    require_key_types,
    snapshot_of,
)
from api.services.ai_catalog.logic.online_reads import OnlineReads
from api.services.ai_catalog.logic.served_values import ServedValues
from core import clock

if TYPE_CHECKING:
    from features.online import OnlineStore

_MODEL_KIND = "onnx"
"""Kind of the assets that are models."""


class OnlineRequest(Request):
    """Entities whose features to return."""

    entities: Entities
    """Entities, each with the values of its keys by name. Unknown names are ignored."""

    full_feature_names: bool = False
    """Whether the names of the columns are `<view>__<feature>`, so that views can have features of the same name."""


class OnlineView(Model):
    """Where the features of a view come from."""

    view: str
    """Name of the view."""

    asset: str
    """Id of the table."""

    data_version: str
    """Data version of the table whose rows were returned."""

    statuses: list[str]
    """Status of each entity: `PRESENT`, `NOT_FOUND`, or `OUTSIDE_MAX_AGE`."""

    event_at: list[datetime | None]
    """Event time of the row of each entity. Null if there is none."""

    pushed_by: list[str | None]
    """Name of the source of a pushed row. Null for rows of the table."""


class OnlineColumn(Model):
    """The values of a feature."""

    name: str
    """Name of the column."""

    view: str
    """Name of the view."""

    type: str
    """Arrow type of the values."""

    values: list[Any]
    """Values in the order of the entities. NaN and infinity are null."""


class OnlineResult(Model):
    """The features of entities at this moment."""

    at: datetime
    """The moment. Historical retrieval at this moment, from the same versions, returns the same values, except for
    pushed rows."""

    views: list[OnlineView]
    """The views, each with the one version that its features come from."""

    columns: list[OnlineColumn]
    """The features."""


class ServiceHistoricalRequest(Request):
    """Entities at times."""

    entities: Entities
    """Entities, each with the values of its keys by name. Unknown names are ignored."""

    at: Annotated[list[Timestamp], Field(min_length=1, max_length=feature_answers.MAX_ENTITIES)]
    """The time for each entity, or one time for all of them."""

    full_feature_names: bool = False
    """Whether the names of the columns are `<view>__<feature>`, so that views can have features of the same name."""


class SkewQuery(Query):
    """Size of the sample."""

    sample: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Maximum number of entities of each view to compare. The sample is the same for the same version."""


class FeatureSkew(Model):
    """The difference of a feature."""

    feature: str
    """Name of the feature."""

    different: int
    """Number of entities whose online value differs from that of the table."""


class ViewSkew(Model):
    """The difference between the online rows of a view and its table."""

    view: str
    """Name of the view."""

    table_version: str
    """Data version of the table that was compared."""

    online_version: str | None
    """Data version that the online store serves. Null if it serves nothing."""

    compared: int
    """Number of entities that were compared."""

    features: list[FeatureSkew]
    """Difference of each feature, the greatest first."""


class Skew(Model):
    """The difference between online features and the tables."""

    views: list[ViewSkew]
    """Difference of each view."""


class Consumer(Model):
    """A model that depends on tables of a service."""

    asset: str
    """Id of the model's asset."""

    views: list[str]
    """Names of the views whose tables it depends on, directly or through other assets."""


class Consumers(Model):
    """The models that depend on tables of a service."""

    items: list[Consumer]
    """The models that the caller can see, by id."""


@FEATURE_SERVICE.action("online-get", request=OnlineRequest, result=OnlineResult, reads=True)
async def online_get_feature_service(ctx: Context, service: str, request: OnlineRequest) -> OnlineResult:
    """Returns the features of entities at this moment, from the online store.

    The features of a view come from one version of its table, which the response names.
    """
    views = await readable_service(ctx, service, "online-get", partly=True)
    reads = ctx.platform.part(OnlineReads)
    sample = ctx.platform.part(ServedValues)
    return await reads.run(views, len(request.entities), lambda store: _online(store, sample, views, request))


@FEATURE_SERVICE.action("historical", request=ServiceHistoricalRequest, result=HistoricalResult, reads=True)
async def historical_feature_service(ctx: Context, service: str, request: ServiceHistoricalRequest) -> HistoricalResult:
    """Returns the features that entities had at given times, from the versions that the service is pinned to.

    For more rows than a request can have, declare a training set.
    """
    views = await readable_service(ctx, service, "historical", partly=True)
    return await retrieved(ctx, views, request.entities, request.at, full=request.full_feature_names)


@FEATURE_SERVICE.part("skew", query=SkewQuery, result=Skew)
async def get_feature_service_skew(ctx: Context, service: str, query: SkewQuery) -> Skew:
    """Compares the online features of a sample of entities with what the newest tables have for the same moment."""
    views = await readable_service(ctx, service, "skew")
    return await ctx.compute(_skew, ctx.platform, views, query.sample)


@FEATURE_SERVICE.part("consumers", query=Query, result=Consumers)
async def get_feature_service_consumers(ctx: Context, service: str, query: Query) -> Consumers:
    """Returns the models that depend on tables of the service, by the asset graph."""
    views = await readable_service(ctx, service, "consumers")
    graph = ctx.view()
    found: dict[str, list[str]] = {}
    for view in views:
        reached, ahead = {view.asset}, [view.asset]
        while ahead:
            ahead = [one for asset in ahead for one in graph.downstream.get(asset, ()) if one not in reached]
            reached.update(ahead)
        for asset in reached:
            if asset in graph.nodes and _MODEL_KIND in graph.nodes[asset].kinds:
                found.setdefault(asset, []).append(view.name)
    return Consumers(items=[Consumer(asset=asset, views=sorted(set(found[asset]))) for asset in sorted(found)])


def _online(store: OnlineStore, sample: ServedValues, views: list[BoundView], request: OnlineRequest) -> OnlineResult:
    import pyarrow as pa

    from features.online import instant
    from lakehouse.python_rows import python_values

    answers = feature_answers.online(store, views, request.entities)
    sample.note(answers)
    names = feature_answers.column_names(
        [(one.view.name, tuple(one.found.values)) for one in answers], full=request.full_feature_names
    )
    return OnlineResult(
        at=instant(max(one.found.moment for one in answers)) or clock.now(),
        views=[
            OnlineView(
                view=one.view.name,
                asset=one.view.asset,
                data_version=one.found.served.data_version,
                statuses=[status.value for status in one.found.statuses],
                event_at=[None if at is None else instant(at) for at in one.found.event_at],
                pushed_by=[source or None for source in one.found.sources],
            )
            for one in answers
        ],
        columns=[
            OnlineColumn(
                name=names[one.view.name, feature],
                view=one.view.name,
                type=str(values.type),
                values=python_values(pa.chunked_array([values])),
            )
            for one in answers
            for feature, values in one.found.values.items()
        ],
    )


def _skew(platform: Platform, views: list[BoundView], sample: int) -> Skew:
    from features.rows import microseconds, read_rows
    from features.skew import differences

    store, compared = platform.part(open_online_store), []
    for view in views:
        snapshot = snapshot_of(platform, view)
        rows = read_rows(snapshot, view.columns(snapshot.schema.names))
        require_key_types(view, snapshot.schema)
        served = store.served(view.online_asset) if view.online_asset else None
        counts = None
        if served is not None and served.table == view.asset:
            counts = differences(store, str(view.online_asset), rows, sample, microseconds(clock.now()))
        counts = dict(counts or {"": 0})
        compared.append(
            ViewSkew(
                view=view.name,
                table_version=snapshot.data_version,
                online_version=served.data_version if served and served.table == view.asset else None,
                compared=counts.pop(""),
                features=[
                    FeatureSkew(feature=name, different=count)
                    for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
                ],
            )
        )
    return Skew(views=compared)
