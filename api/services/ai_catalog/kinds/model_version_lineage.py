"""What stands behind a version of a model: tables at their versions, code, and the run."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.lake.provenance import Materialization, recorded
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import visible_assets
from api.services.ai_catalog.kinds.asset_lineage import LineageGraph, LineageQuery, walked
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION, ModelVersion
from api.services.ai_catalog.kinds.run import RUN, Run
from api.services.ai_catalog.logic.model_lineage import ModelNodes
from api.services.ai_catalog.model_tables import TRAINING
from api.services.ai_catalog.run_tables import RUN as RUNS
from core.errors import InvalidArgument

_UNLIMITED = 100


class AssetVersion(Model):
    """A version of an asset behind a model."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version."""

    distance: int
    """Number of edges from the version of the model."""


class TrainedAsset(Model):
    """The version of a model asset that is the version of the model."""

    asset: str
    """Id of the model asset."""

    version: str
    """Data version."""

    orchestrator_run: str
    """Id of the run of the orchestrator that trained it."""

    recorded_at: datetime
    """Time at which the catalog recorded the training."""

    materializations: list[Materialization]
    """Steps that produced the version, with code, commit, packages, engine, principal, and inputs."""


class ModelProvenance(Model):
    """The data, code, and run behind a version of a model. Only what the caller can see is in it."""

    version: ModelVersion
    """The version of the model."""

    run: Run | None
    """The run that produced it. Null if it is unknown, deleted, or hidden from the caller."""

    training: TrainedAsset | None
    """The model asset, if the platform trained it. Null for other models, and if the caller can't see the asset."""

    data: list[AssetVersion]
    """All versions of assets that it was produced from, directly and indirectly, nearest first."""

    truncated: bool
    """Whether there are more than 1,000 of them."""


@MODEL_VERSION.part("lineage", query=LineageQuery, result=LineageGraph)
async def get_model_version_lineage(ctx: Context, model_version: str, query: LineageQuery) -> LineageGraph:
    """Returns the lineage of a version of a model: its logged model, its run, and tables; or the aliases it had."""
    if query.version is not None:
        raise InvalidArgument("Leave version out. The version of the model is in the path.")
    row, node, number = await ctx.read(lambda unit: _node(unit, model_version, "lineage"))
    graph = await ctx.compute(walked, ctx, node, number, query)
    return graph or LineageGraph(
        asset=node,
        version=str(row.version),
        direction=query.direction,
        recorded=False,
        nodes=[],
        edges=[],
        truncated=False,
    )


@MODEL_VERSION.part("provenance", query=Query, result=ModelProvenance)
async def get_model_version_provenance(ctx: Context, model_version: str, query: Query) -> ModelProvenance:
    """Returns the tables at their versions, the code, and the run behind a version of a model."""
    return await provenance_of(ctx, model_version, "provenance")


async def provenance_of(ctx: Context, model_version: str, verb: str) -> ModelProvenance:
    """Returns the provenance of a version that the caller may do `verb` with."""
    row, node, number = await ctx.read(lambda unit: _node(unit, model_version, verb))
    version, run, training = await ctx.read(lambda unit: _facts(unit, row))
    limits = LineageQuery(depth=_UNLIMITED)
    graph = await ctx.compute(walked, ctx, node, number, limits)
    steps = await ctx.compute(recorded, ctx, training.asset, training.data_version) if training else None
    return ModelProvenance(
        version=version,
        run=run,
        training=TrainedAsset(
            asset=training.asset,
            version=training.data_version,
            orchestrator_run=training.orchestrator_run,
            recorded_at=training.recorded_at,
            materializations=steps.materializations if steps else [],
        )
        if training
        else None,
        data=[
            AssetVersion(asset=one.asset, version=one.version, distance=one.distance)
            for one in (graph.nodes if graph else [])
            if one.item is None and one.external is None and one.version
        ],
        truncated=graph.truncated if graph else False,
    )


def _node(unit: Unit, id: str, verb: str) -> tuple[Row, str, str]:
    row = MODEL_VERSION.row(unit, id, verb)
    node, number = ModelNodes(unit.connection, row.project_id).version(row.registered_model_id, row.version)
    return row, node, number


def _facts(unit: Unit, version: Row) -> tuple[ModelVersion, Run | None, Row | None]:
    select = sa.select(RUNS).where(RUNS.c.id == version.run_id, RUN.visible(unit), RUN.present())
    run = unit.connection.execute(select).first()
    found = unit.connection.execute(sa.select(TRAINING).where(TRAINING.c.model_version_id == version.id)).first()
    is_visible = visible_assets(unit.platform, unit.principal.access)
    training = found if found is not None and is_visible(found.asset) else None
    return MODEL_VERSION.item(unit, version), RUN.item(unit, run) if run else None, training
