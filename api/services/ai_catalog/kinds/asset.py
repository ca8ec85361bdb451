"""Assets: everything that the platform produces, each over one Delta table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from api.kernel import lookup
from api.kernel.filtering import filters
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.lake.asset_lists import AssetListQuery
from api.kernel.lake.names import AssetId, PartitionKey
from api.kernel.models import Page, Request
from api.kernel.permissions.graph import AssetLocator, asset_securable
from api.kernel.securable import common_ancestor
from api.kernel.storage.listing import Listing
from api.services.ai_catalog.logic import selection
from api.services.ai_catalog.logic.asset_resource import Asset, may_contain_values, to_resource
from api.services.ai_catalog.logic.health import assess
from api.services.ai_catalog.logic.readable_tables import readable_names, reads_everything
from core.ports import AssetNode, GraphView, Staleness
from core.runs import Launch

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
        "retired": filters.Field(filters.FieldType.BOOLEAN, read=lambda pair: pair[0].retired),
    },
    order=("group",),
)

ASSET = Kind(
    "asset",
    plural="assets",
    title="Asset",
    description="A dataset, feature view, model, or index that the platform produces, over one Delta table.",
    example="flights.gold.route_delays",
    locate=AssetLocator(),
    filter_by=tuple(_LISTING.fields),
    order_by=_LISTING.order,
)


class MaterializeAsset(Request):
    """How to materialize an asset."""

    upstream: bool = False
    """Whether to also materialize all upstream assets."""

    partitions: Annotated[list[PartitionKey], Field(max_length=10_000)] = []
    """Partitions to materialize. Several partitions become a backfill."""

    all_partitions: bool = False
    """Whether to materialize all partitions."""

    config: dict[str, Any] = {}
    """Config of the asset's op."""

    accept_unchecked: bool = False
    """Whether runs read inputs that did not pass their blocking checks. The runs and their outputs record it."""


class MaterializeAssets(Request):
    """Assets to materialize, and how."""

    assets: Annotated[list[AssetId], Field(min_length=1, max_length=5_000)]
    """Ids of the assets."""

    upstream: bool = False
    """Whether to also materialize all upstream assets."""

    partitions: Annotated[list[PartitionKey], Field(max_length=10_000)] = []
    """Partitions to materialize of the partitioned assets. Several partitions become a backfill."""

    all_partitions: bool = False
    """Whether to materialize all partitions."""

    config: dict[str, dict[str, Any]] = {}
    """Config of the assets' ops, by asset id."""

    accept_unchecked: bool = False
    """Whether runs read inputs that did not pass their blocking checks. The runs and their outputs record it."""


@ASSET.list(query=AssetListQuery, item=Asset)
async def list_assets(ctx: Context, query: AssetListQuery) -> Page[Asset]:
    """Lists assets by id, with health and staleness. The response comes from memory and never waits for Dagster."""
    view = ctx.view()
    page, token = _LISTING.page([(node, view) for node in query.included(view.nodes.values())], query)
    return Page[Asset](items=await _described(ctx, [node for node, _ in page], view), next_page_token=token)


@ASSET.get(result=Asset)
async def get_asset(ctx: Context, asset: str) -> Asset:
    """Returns an asset with its latest version, health, and staleness. The response comes from memory."""
    view = ctx.view()
    (described,) = await _described(ctx, [lookup.asset(view, asset)], view)
    return described


@ASSET.action("materialize", request=MaterializeAsset, long=True)
async def materialize_asset(ctx: Context, asset: str, request: MaterializeAsset) -> Launch:
    """Materializes an asset, optionally with all upstream assets.

    Returns an operation immediately. One partition becomes a run, several become a backfill.
    """
    return await plan_launch(ctx, [asset], request, {asset: request.config} if request.config else {})


@ASSET.collection_action("materialize", request=MaterializeAssets, long=True)
async def materialize_assets(ctx: Context, request: MaterializeAssets) -> Launch:
    """Materializes several assets in the order of their dependencies.

    Returns an operation immediately. Assets of several code locations that depend on each other become a backfill.
    """
    return await plan_launch(ctx, request.assets, request, request.config)


async def _described(ctx: Context, nodes: Sequence[AssetNode], view: GraphView) -> list[Asset]:
    """Returns assets in their response form, with values of rows only where the caller can read all rows."""
    access = ctx.principal.access
    reported = {
        node.id: {node.id, *node.compared_with} for node in nodes if may_contain_values(view.states.get(node.id))
    }
    if not reported or reads_everything(access):
        return [to_resource(node, view, values=True) for node in nodes]
    readable = await ctx.compute(readable_names, ctx.platform, access, set().union(*reported.values()))
    return [to_resource(node, view, values=reported.get(node.id, set()) <= readable) for node in nodes]


async def plan_launch(
    ctx: Context,
    assets: Sequence[str],
    request: MaterializeAsset | MaterializeAssets,
    config: Mapping[str, Mapping[str, Any]],
) -> Launch:
    """Returns the launch of assets that the caller can materialize.

    Raises:
        UnknownAsset: there is no such asset that the caller can see.
        PermissionDenied: the caller can see an asset, but not materialize it.
    """
    launch = await selection.plan(
        ctx.orchestrator,
        ctx.view(),
        assets,
        upstream=request.upstream,
        partitions=request.partitions,
        all_partitions=request.all_partitions,
        config=config,
        accept_unchecked=request.accept_unchecked,
    )
    places = {asset_securable(ctx.platform, id) for id in launch.assets}
    for place in places:
        ctx.require(ASSET.permission("materialize"), place)
    ctx.securable = common_ancestor(places)
    return launch
