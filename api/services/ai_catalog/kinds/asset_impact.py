"""Impact of an asset: what breaks downstream if the asset or one of its columns goes."""

from __future__ import annotations

import json
import re
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import ColumnName
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import asset_securable
from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.definition import DEFINITION
from api.services.ai_catalog.logic.impact import Certainty, ImpactWalk, Reach, launched
from api.services.ai_catalog.logic.trained_models import TrainedModel, trained_models
from core.definitions import DEFINITION as DEFINITIONS
from core.errors import HeadwaterError, UnknownColumn
from core.ports import GraphView

_MAX_DEFINITIONS = 1000


class ImpactQuery(Query):
    """The change to assess, and how far."""

    column: ColumnName = ""
    """Column that would go. By default the whole asset."""

    depth: Annotated[int, Field(ge=1, le=50)] = 10
    """Maximum distance from the asset."""

    max_nodes: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Maximum number of assets to return."""


class AffectedAsset(Model):
    """An asset that reads the asset, directly or through others."""

    asset: str
    """Id of the asset."""

    distance: int
    """Number of reads from the start."""

    path: list[str]
    """Ids of the assets from the start to this one."""

    certainty: Certainty
    """EXACT if the reads are known: of the asset, or of the column. ASSUMED if it isn't recorded which columns are
    read."""

    recorded: bool
    """Whether a run recorded the read. Otherwise only the code declares it."""

    lost_columns: list[str] | None
    """Columns that are computed from the column. Null if they are unknown, or if the whole asset goes."""


class AffectedDefinition(Model):
    """A definition that reads or produces something that is affected."""

    definition: str
    """Id of the definition, which is the id of its asset."""

    certainty: Certainty
    """EXACT for the definition of an asset that is affected for certain. ASSUMED for a draft that names the asset."""

    published: bool
    """Whether the definition is published."""


class AffectedCheck(Model):
    """A check that reads the asset, or evaluates an affected asset."""

    asset: str
    """Id of the asset that the check evaluates."""

    check: str
    """Name of the check."""

    blocking: bool
    """Whether it blocks downstream assets."""

    certainty: Certainty
    """EXACT if it certainly cannot evaluate its asset any more."""


class AffectedAutomation(Model):
    """A schedule or sensor that launches affected assets."""

    id: str
    """Id of the schedule or sensor."""

    assets: list[str]
    """Affected assets that it launches."""


class Impact(Model):
    """What breaks downstream if an asset or a column goes."""

    asset: str
    """Id of the asset."""

    column: str | None
    """Column that would go. Null for the whole asset."""

    assets: list[AffectedAsset]
    """Affected assets, nearest first."""

    definitions: list[AffectedDefinition]
    """Affected definitions that the caller can see."""

    checks: list[AffectedCheck]
    """Affected checks."""

    schedules: list[AffectedAutomation]
    """Schedules that launch the asset or affected assets."""

    sensors: list[AffectedAutomation]
    """Sensors that launch the asset or affected assets."""

    models: list[TrainedModel]
    """Versions of registered models that were trained on the asset or on affected assets, newest first. It isn't
    recorded which columns a run outside the platform read, so they count for every column."""

    truncated: bool
    """Whether `depth`, `max_nodes`, or the limit of 1,000 definitions cut something off."""


@ASSET.part("impact", query=ImpactQuery, result=Impact)
async def get_asset_impact(ctx: Context, asset: str, query: ImpactQuery) -> Impact:
    """Returns what breaks downstream if the asset, or a column, goes: assets, models, definitions, checks, schedules.

    An asset counts if its code declares the read, or if its newest version recorded it. Retired assets don't count.
    """
    view = ctx.view()
    lookup.asset(view, asset)
    walk = ImpactWalk(ctx, view, depth=query.depth, max_nodes=query.max_nodes)
    reached = await ctx.compute(_reached, ctx, walk, asset, query.column)
    definitions, cut = await ctx.read(lambda unit: _definitions(unit, asset, query.column, reached))
    assets = [asset, *(reach.asset for reach in reached)]
    models, models_cut = await ctx.read(lambda unit: trained_models(unit, assets, query.max_nodes))
    schedules, sensors = launched(view, assets)
    return Impact(
        asset=asset,
        column=query.column or None,
        assets=[
            AffectedAsset(
                asset=reach.asset,
                distance=len(reach.path) - 1,
                path=list(reach.path),
                certainty=reach.certainty,
                recorded=reach.recorded,
                lost_columns=None if reach.columns is None else sorted(reach.columns),
            )
            for reach in reached
        ],
        definitions=definitions,
        checks=_checks(view, asset, query.column, reached),
        schedules=[AffectedAutomation(id=id, assets=ids) for id, ids in sorted(schedules.items())],
        sensors=[AffectedAutomation(id=id, assets=ids) for id, ids in sorted(sensors.items())],
        models=models,
        truncated=walk.truncated or cut or models_cut,
    )


def _reached(ctx: Context, walk: ImpactWalk, asset: str, column: str) -> list[Reach]:
    if column:
        _require_column(ctx, asset, column)
    return walk.reached(asset, column)


def _require_column(ctx: Context, asset: str, column: str) -> None:
    """Raises `UnknownColumn` unless the asset has the column. A column of the record counts if there is no table."""
    try:
        names = list(ctx.platform.part(open_tables).snapshot(asset).schema.names)
    except HeadwaterError:
        lineage = ctx.platform.part(open_lineage)
        latest = lineage.latest(asset) or ""
        names = sorted({name for record in lineage.column_sources(asset, latest) for name in record.sources})
        if not names:
            return
    if column not in names:
        raise UnknownColumn(f"{asset} has no column {column!r}. It has {', '.join(names)}.")


def _definitions(unit: Unit, asset: str, column: str, reached: list[Reach]) -> tuple[list[AffectedDefinition], bool]:
    """Returns the definitions of affected assets, and the drafts that name the asset."""
    certainties = {reach.asset: reach.certainty for reach in reached}
    table = DEFINITIONS.c
    columns = (table.asset_id, table.attributes, table.published_attributes, table.published_at)
    names_it = sa.cast(table.attributes, sa.Text).contains(asset, autoescape=True)
    found = (
        sa.select(*columns)
        .where(names_it, table.retired_at.is_(None), table.asset_id != asset)
        .order_by(table.asset_id)
        .limit(_MAX_DEFINITIONS + 1)
    )
    rows = unit.connection.execute(found).all()
    # A list in a query has a maximum length, so the definitions of affected assets are read in parts.
    affected = sorted(certainties)
    produced = sa.select(*columns).where(table.retired_at.is_(None))
    for start in range(0, len(affected), 500):
        rows = [*rows, *unit.connection.execute(produced.where(table.asset_id.in_(affected[start : start + 500])))]
    mention = re.compile(rf"(?<![\w.]){re.escape(asset)}(?![\w])")
    definitions: dict[str, AffectedDefinition] = {}
    for row in rows:
        known = certainties.get(row.asset_id)
        if known is None and column and row.attributes == row.published_attributes:
            continue  # Its runs are recorded, and don't read the column.
        if known is None and not mention.search(json.dumps(row.attributes)):
            continue
        if not unit.allows(
            DEFINITION.permission("get"), asset_securable(unit.platform, row.asset_id, DEFINITION.full_name)
        ):
            continue
        definitions[row.asset_id] = AffectedDefinition(
            definition=row.asset_id, certainty=known or Certainty.ASSUMED, published=row.published_at is not None
        )
    ordered = [definitions[id] for id in sorted(definitions)]
    return ordered[:_MAX_DEFINITIONS], len(ordered) > _MAX_DEFINITIONS


def _checks(view: GraphView, asset: str, column: str, reached: list[Reach]) -> list[AffectedCheck]:
    """Returns the checks of the asset, of those that compare with it, and of affected assets."""
    own = Certainty.ASSUMED if column else Certainty.EXACT
    certainties = {asset: own}
    certainties |= {node.id: own for node in view.nodes.values() if asset in node.compared_with}
    certainties |= {reach.asset: reach.certainty for reach in reached}
    return [
        AffectedCheck(asset=id, check=check.name, blocking=check.blocking, certainty=certainty)
        for id, certainty in sorted(certainties.items())
        if (state := view.states.get(id)) is not None
        for check in state.checks
    ]
