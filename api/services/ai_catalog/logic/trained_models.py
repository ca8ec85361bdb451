"""Versions of registered models whose runs read versions of assets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds import standard
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL, ModelStage
from api.services.ai_catalog.kinds.run import RUN, RunSource
from api.services.ai_catalog.logic.lineage_rows import chunks
from api.services.ai_catalog.model_tables import MODEL_VERSION as VERSIONS
from api.services.ai_catalog.run_tables import RUN as RUNS
from api.services.ai_catalog.run_tables import RUN_INPUT


class TrainedModel(Model):
    """A version of a registered model that was trained on a version of an asset."""

    registered_model_id: str
    """Id of the registered model."""

    name: str
    """Display name of the registered model."""

    version_id: str
    """Id of the version of the model."""

    version: int
    """Number of the version of the model."""

    stage: ModelStage
    """Stage of the version."""

    aliases: list[str]
    """Aliases that name the version."""

    run_id: str
    """Id of the run that read the asset."""

    source: RunSource
    """PLATFORM, or EXTERNAL for a program whose claims the platform can't check."""

    asset: str
    """Id of the asset that was read."""

    asset_version: str | None
    """Data version that was read. Null if the run didn't name one."""


def trained_models(
    unit: Unit, assets: Iterable[str], limit: int, version: str | None = None
) -> tuple[list[TrainedModel], bool]:
    """Returns the versions of models that were trained on assets, newest first, and whether there are more.

    Only versions, models, and runs that the caller can see count. The caller must be able to see the assets.

    Args:
        unit: the transaction.
        assets: ids of assets.
        limit: maximum number to return.
        version: the only data version to consider.
    """
    columns = (RESOURCE.c.id, RESOURCE.c.spec, RESOURCE.c.status)
    named = standard.visible(unit, REGISTERED_MODEL).with_only_columns(*columns).subquery()
    select = (
        sa.select(VERSIONS, RUNS.c.source.label("run_source"), RUN_INPUT.c.asset, RUN_INPUT.c.version.label("read"))
        .add_columns(named.c.spec, named.c.status)
        .join(RUN_INPUT, RUN_INPUT.c.run_id == VERSIONS.c.run_id)
        .join(RUNS, RUNS.c.id == VERSIONS.c.run_id)
        .join(named, named.c.id == VERSIONS.c.registered_model_id)
        .where(MODEL_VERSION.visible(unit), MODEL_VERSION.present(), RUN.visible(unit), RUN.present())
        .order_by(VERSIONS.c.id.desc(), RUN_INPUT.c.asset)
        .limit(limit + 1)
    )
    if version is not None:
        select = select.where(RUN_INPUT.c.version == version)
    rows: list[sa.Row[Any]] = []
    for some in chunks(sorted(assets)):
        rows += unit.connection.execute(select.where(RUN_INPUT.c.asset.in_(some)))
    rows.sort(key=lambda row: str(row.id), reverse=True)
    found = [
        TrainedModel(
            registered_model_id=row.registered_model_id,
            name=row.spec["title"],
            version_id=row.id,
            version=row.version,
            stage=ModelStage(row.stage),
            aliases=sorted(name for name, number in row.status["aliases"].items() if number == row.version),
            run_id=row.run_id,
            source=RunSource(row.run_source),
            asset=row.asset,
            asset_version=row.read,
        )
        for row in rows[:limit]
    ]
    return found, len(rows) > limit
