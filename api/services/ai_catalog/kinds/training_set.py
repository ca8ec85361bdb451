"""Training sets: assets with examples, their features, and their splits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.kernel.filtering import filters
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.rows import Rows
from api.kernel.kinds.unit import Unit
from api.kernel.lake import versions
from api.kernel.lake.asset_lists import AssetListQuery
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Page, Query, Request
from api.kernel.permissions.graph import AssetIdLocator, AssetLocator, asset_securable, visible_assets
from api.kernel.platform import Platform, open_lineage, open_tables
from api.kernel.storage.listing import Listing
from api.services.ai_catalog.logic.readable_tables import require_readable
from core.errors import Conflict, NotFound, PayloadTooLarge
from core.ids import is_asset_id
from core.ports import AssetNode

_KIND = "training-set"
"""Kind of the assets that are training sets."""

SPLIT = "split"
"""Column with the name of the split."""

MAX_ROWS = 1_000_000
"""Number of examples that a request can return."""

_LISTING = Listing[AssetNode](
    id=lambda node: node.id,
    fields={"project": filters.Field(filters.FieldType.STRING, read=lambda node: node.id.partition(".")[0])},
)
_SETS = AssetLocator("ai_catalog.training_set", "training set", lambda node: _KIND in node.kinds)

TRAINING_SET = Kind(
    "training_set",
    plural="training-sets",
    title="Training set",
    description="Examples with the features that were known at their times, from exact versions, in reproducible "
    "splits. Its id is that of its asset, which a `TrainingSetComponent` declares. Materializing the asset builds it.",
    example="flights.training.delays",
    locate=AssetIdLocator("ai_catalog.training_set", lambda id: NotFound(f"There is no training set {id!r}.")),
    filter_by=tuple(_LISTING.fields),
)


class TrainingSetInput(Model):
    """A version that the examples come from."""

    asset: str
    """Id of the table."""

    version: str
    """Data version that was read."""


class TrainingSet(Model):
    """A training set. Its id is that of its asset."""

    id: str
    """Id of the training set, which is that of its asset."""

    description: str
    """Description."""

    owners: list[str]
    """Owners: addresses, or names with `team:`."""


class TrainingSetVersion(TrainingSet):
    """A training set at a version."""

    data_version: str
    """Data version."""

    row_count: int
    """Number of examples."""

    splits: dict[str, int]
    """Number of examples of each split."""

    inputs: list[TrainingSetInput]
    """The spine and the views at the versions that were read. Tables that you can't see are left out."""

    pinned: bool
    """Whether the version and its inputs are protected from removal by maintenance."""


class TrainingSetQuery(Query):
    """The version to return."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""


class ExamplesQuery(Query):
    """Examples to return."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""

    split: Annotated[str, Field(max_length=200)] = ""
    """Name of a split. By default all."""


class Examples(Model):
    """Examples of a training set at a version."""

    data_version: str
    """Data version of the examples."""

    rows: list[dict[str, Any]]
    """Examples by column name. NaN and infinity are null."""


class PinTrainingSet(Request):
    """A version to protect."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""


@TRAINING_SET.list(query=AssetListQuery, item=TrainingSet)
async def list_training_sets(ctx: Context, query: AssetListQuery) -> Page[TrainingSet]:
    """Lists training sets by id."""
    nodes, token = _LISTING.page(query.included(_SETS.nodes(ctx.view()).values()), query)
    return Page[TrainingSet](items=[TrainingSet(**_described(node)) for node in nodes], next_page_token=token)


@TRAINING_SET.get(result=TrainingSet)
async def get_training_set(ctx: Context, training_set: str) -> TrainingSet:
    """Returns a training set."""
    return TrainingSet(**_described(_SETS.find(ctx.view(), training_set)))


@TRAINING_SET.part("version", query=TrainingSetQuery, result=TrainingSetVersion)
async def get_training_set_version(ctx: Context, training_set: str, query: TrainingSetQuery) -> TrainingSetVersion:
    """Returns a version of a training set: its splits, and the versions that its examples come from."""
    return await ctx.compute(_version, ctx, _SETS.find(ctx.view(), training_set), query.version)


@TRAINING_SET.rows("examples", query=ExamplesQuery, result=Examples)
async def get_training_set_examples(ctx: Context, training_set: str, query: ExamplesQuery) -> Rows[Examples]:
    """Returns the examples of a split, as JSON or as an Arrow IPC stream.

    The caller needs the right to read the training set and every table that its version was copied from.
    """
    _SETS.find(ctx.view(), training_set)
    number, data_version, _ = await ctx.compute(_readable, ctx, training_set, query.version)
    return await ctx.compute(_examples, ctx.platform, training_set, number, data_version, query.split)


@TRAINING_SET.action("pin", request=PinTrainingSet, result=TrainingSetVersion, past="pinned")
async def pin_training_set(ctx: Context, training_set: str, request: PinTrainingSet) -> TrainingSetVersion:
    """Protects a version of a training set, and the versions that it was made from, from removal by maintenance."""
    node = _SETS.find(ctx.view(), training_set)
    number, data_version, inputs = await ctx.compute(_readable, ctx, training_set, request.version)

    def write(unit: Unit) -> None:
        from lakehouse.pins import add_pin

        unit.creates(training_set, asset_securable(ctx.platform, training_set, TRAINING_SET.full_name))
        unit.call.note(version=data_version)
        holder = _holder(training_set, number)
        add_pin(unit.connection, holder, training_set, number)
        for one in inputs:
            add_pin(unit.connection, holder, one.asset, versions.number(one.version))

    await ctx.write(write)
    return await ctx.compute(_version, ctx, node, data_version)


@TRAINING_SET.action("unpin", request=PinTrainingSet, result=TrainingSetVersion, past="unpinned")
async def unpin_training_set(ctx: Context, training_set: str, request: PinTrainingSet) -> TrainingSetVersion:
    """Ends the protection of a version of a training set and of its inputs. Other pins of them stay."""
    node = _SETS.find(ctx.view(), training_set)
    number, data_version, _ = await ctx.compute(_readable, ctx, training_set, request.version)

    def write(unit: Unit) -> None:
        from lakehouse.pins import PIN

        unit.creates(training_set, asset_securable(ctx.platform, training_set, TRAINING_SET.full_name))
        unit.call.note(version=data_version)
        removed = unit.connection.execute(PIN.delete().where(PIN.c.holder == _holder(training_set, number)))
        if not removed.rowcount:
            raise Conflict(f"{training_set} is not pinned at {data_version}.")

    await ctx.write(write)
    return await ctx.compute(_version, ctx, node, data_version)


def _described(node: AssetNode) -> dict[str, Any]:
    return {"id": node.id, "description": node.description, "owners": list(node.owners)}


def _holder(training_set: str, number: int) -> str:
    return f"training-set:{training_set}@{number}"


def _readable(ctx: Context, training_set: str, version: str | None) -> tuple[int, str, list[TrainingSetInput]]:
    """Returns a version of a training set that the caller can read: its number, its data version, and its inputs."""
    platform = ctx.platform
    tables = platform.part(open_tables)
    snapshot = versions.snapshot(tables, training_set, version)
    number = tables.content_version(training_set, snapshot.version)
    data_version = f"{snapshot.table_id}@{number}"
    require_readable(ctx, training_set, data_version)
    edges = platform.part(open_lineage).provenance(training_set, data_version)
    pins = dict.fromkeys((edge.in_asset, edge.in_version) for edge in edges if is_asset_id(edge.in_asset))
    return number, data_version, [TrainingSetInput(asset=asset, version=pin) for asset, pin in sorted(pins)]


def _version(ctx: Context, node: AssetNode, version: str | None) -> TrainingSetVersion:
    from lakehouse.pins import Pins

    number, data_version, inputs = _readable(ctx, node.id, version)
    column = ctx.platform.part(open_tables).snapshot(node.id, version=number).to_arrow(columns=[SPLIT])[SPLIT]
    counts = {str(one["values"]): int(one["counts"]) for one in column.value_counts().to_pylist()}
    is_visible = visible_assets(ctx.platform, ctx.principal.access)
    return TrainingSetVersion(
        **_described(node),
        data_version=data_version,
        row_count=len(column),
        splits=dict(sorted(counts.items())),
        inputs=[one for one in inputs if is_visible(one.asset)],
        pinned=bool(Pins(ctx.platform.database).pins(holder=_holder(node.id, number))),
    )


def _examples(platform: Platform, training_set: str, number: int, data_version: str, split: str) -> Rows[Examples]:
    import pyarrow.compute as pc

    table = platform.part(open_tables).snapshot(training_set, version=number).to_arrow()
    if split:
        table = table.filter(pc.equal(table[SPLIT], split))
    if table.num_rows > MAX_ROWS:
        raise PayloadTooLarge(
            f"{training_set} has {table.num_rows:,} examples; a request returns at most {MAX_ROWS:,}. Read one split, "
            "or read the table with an engine."
        )

    def model() -> Examples:
        from lakehouse.bytes_as_text import bytes_as_text
        from lakehouse.python_rows import python_rows

        return Examples(data_version=data_version, rows=python_rows(bytes_as_text(table)))

    return Rows(table, model, {"x-data-version": data_version})
