"""Assets: everything the platform makes, over one Delta table each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from api.kernel import lookup
from api.kernel.filtering import filters
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.models import ListQuery, Page, Request
from api.kernel.permissions.graph import AssetLocator, asset_place
from api.kernel.securable import common
from api.kernel.storage.listing import Listing
from api.services.ai_catalog.logic import selection
from api.services.ai_catalog.logic.asset_resource import Asset, to_resource
from api.services.ai_catalog.logic.health import assess
from core.ports import AssetNode, GraphView, Launch, Staleness

_Pair = tuple[AssetNode, GraphView]


def _staleness(pair: _Pair) -> Staleness:
    state = pair[1].states.get(pair[0].id)
    return state.staleness if state else Staleness.MISSING


def _health(pair: _Pair) -> str:
    return assess(pair[0], pair[1].states.get(pair[0].id))[0].value


_LISTING = Listing[_Pair](
    id=lambda pair: pair[0].id,
    fields={
        "group": filters.Field(filters.FieldType.STRING, read=lambda pair: pair[0].group),
        "project": filters.Field(filters.FieldType.STRING, read=lambda pair: pair[0].id.partition(".")[0]),
        "kinds": filters.Field(filters.FieldType.STRINGS, read=lambda pair: pair[0].kinds),
        "owners": filters.Field(filters.FieldType.STRINGS, read=lambda pair: pair[0].owners),
        "health": filters.Field(filters.FieldType.STRING, read=_health),
        "staleness": filters.Field(filters.FieldType.STRING, read=lambda pair: _staleness(pair).value),
        "partitioned": filters.Field(filters.FieldType.BOOLEAN, read=lambda pair: pair[0].partitioned),
    },
    order=("group",),
)

ASSET = Kind(
    "asset",
    plural="assets",
    title="Asset",
    description="Something the platform makes: a dataset, features, a model, an index. Backed by one Delta table.",
    example="flights.gold.route_delays",
    locate=AssetLocator(),
    filter_by=tuple(_LISTING.fields),
    order_by=_LISTING.order,
)


class MaterializeAsset(Request):
    """How to materialize one asset."""

    upstream: bool = False
    """Also materialize everything it is made from."""

    partitions: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10_000)] = []
    """Partitions to make; several become a backfill."""

    all_partitions: bool = False
    """Make every partition."""

    config: dict[str, Any] = {}
    """Config of the asset's op."""


class MaterializeAssets(Request):
    """Which assets to materialize, and how."""

    assets: Annotated[list[Annotated[str, Field(max_length=256)]], Field(min_length=1, max_length=5_000)]
    """Ids of the assets."""

    upstream: bool = False
    """Also materialize everything they are made from."""

    partitions: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=10_000)] = []
    """Partitions to make of those that have any; several become a backfill."""

    all_partitions: bool = False
    """Make every partition."""

    config: dict[str, dict[str, Any]] = {}
    """Config by asset id."""


@ASSET.list(query=ListQuery, item=Asset)
async def list_assets(ctx: Context, query: ListQuery) -> Page[Asset]:
    """Lists assets by id, with health and staleness. Answered from memory: never waits for Dagster."""
    view = ctx.view()
    page, token = _LISTING.page([(node, view) for node in view.nodes.values()], query)
    return Page[Asset](items=[to_resource(node, view) for node, _ in page], next_page_token=token)


@ASSET.get(result=Asset)
async def get_asset(ctx: Context, asset: str) -> Asset:
    """Returns an asset with its latest version, health and staleness. Answered from memory."""
    view = ctx.view()
    return to_resource(lookup.asset(view, asset), view)


@ASSET.action("materialize", request=MaterializeAsset, long=True)
async def materialize_asset(ctx: Context, asset: str, request: MaterializeAsset) -> Launch:
    """Makes a new version of an asset, optionally with everything it is made from.

    Answers at once with an operation. One partition is a run, several are a backfill.
    """
    return await _planned(ctx, [asset], request, {asset: request.config} if request.config else {})


@ASSET.collection_action("materialize", request=MaterializeAssets, long=True)
async def materialize_assets(ctx: Context, request: MaterializeAssets) -> Launch:
    """Makes new versions of several assets in the order of their dependencies.

    Answers at once with an operation. Assets of several code locations that need one another become a backfill.
    """
    return await _planned(ctx, request.assets, request, request.config)


async def _planned(
    ctx: Context,
    assets: Sequence[str],
    request: MaterializeAsset | MaterializeAssets,
    config: Mapping[str, Mapping[str, Any]],
) -> Launch:
    launch = await selection.plan(
        ctx.orchestrator,
        ctx.view(),
        assets,
        upstream=request.upstream,
        partitions=request.partitions,
        all_partitions=request.all_partitions,
        config=config,
    )
    places = {asset_place(ctx.platform, id) for id in launch.assets}
    for place in places:
        ctx.require(ASSET.permission("materialize"), place)
    ctx.securable = common(places)
    return launch
