"""Reproduction of runs, logged models, and versions of models, by their own ids: of the asset version behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.operations.stored_launch import StoredLaunch
from api.kernel.permissions.graph import visible_assets
from api.services.ai_catalog.kinds.asset_reproduction import ReproducePlan, launched, planned
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.model_tables import TRAINING
from api.services.ai_catalog.run_tables import RUN as RUNS
from api.services.ai_catalog.run_tables import RUN_INPUT, RUN_TAG
from core.errors import Conflict
from lakehouse.reproductions import Verdict

_COMMIT_TAG = "mlflow.source.git.commit"
_EXTERNAL = (
    "No run of the platform that you can see made it, so there is no recorded step to repeat. Run its program again "
    "with the inputs and the commit below."
)


class ModelReproducePlan(Model):
    """Whether a run of the platform can make a model again, and what is known of how it was made."""

    possible: bool
    """Whether nothing known prevents an equal result."""

    problems: list[str]
    """Reasons why it is not possible."""

    plan: ReproducePlan | None
    """The step of the asset version behind it. Null if no run of the platform made it, or the caller can't see it."""

    inputs: dict[str, str]
    """Data version of each asset that its run read, as far as it is known and the caller can see the asset."""

    git_sha: str | None
    """Commit of the code of its run, as its client reported it. Null if it is unknown."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """What is known of how a model was made."""

    asset: str | None
    version: str | None
    inputs: dict[str, str]
    git_sha: str | None


@RUN.part("reproduce-plan", query=Query, result=ModelReproducePlan)
async def get_run_reproduce_plan(ctx: Context, run: str, query: Query) -> ModelReproducePlan:
    """Returns what a reproduction of a run would do. For an external run, returns what is known of it."""
    return await _plan(ctx, RUN, run)


@RUN.action("reproduce", request=Request, long=True)
async def reproduce_run(ctx: Context, run: str, request: Request) -> StoredLaunch:
    """Makes the asset version that a run produced again, as `:reproduce` of the asset. Returns an operation.

    An external run is refused, with the inputs and the commit that are known.
    """
    return await _reproduce(ctx, RUN, run)


@LOGGED_MODEL.part("reproduce-plan", query=Query, result=ModelReproducePlan)
async def get_logged_model_reproduce_plan(ctx: Context, logged_model: str, query: Query) -> ModelReproducePlan:
    """Returns what a reproduction of a logged model would do. For an external one, returns what is known of it."""
    return await _plan(ctx, LOGGED_MODEL, logged_model)


@LOGGED_MODEL.action("reproduce", request=Request, long=True)
async def reproduce_logged_model(ctx: Context, logged_model: str, request: Request) -> StoredLaunch:
    """Makes the asset version that is a logged model again, as `:reproduce` of the asset. Returns an operation.

    A model that no run of the platform made is refused, with the inputs and the commit that are known.
    """
    return await _reproduce(ctx, LOGGED_MODEL, logged_model)


@MODEL_VERSION.part("reproduce-plan", query=Query, result=ModelReproducePlan)
async def get_model_version_reproduce_plan(ctx: Context, model_version: str, query: Query) -> ModelReproducePlan:
    """Returns what a reproduction of a version of a model would do. For an external one, returns what is known."""
    return await _plan(ctx, MODEL_VERSION, model_version)


@MODEL_VERSION.action("reproduce", request=Request, long=True)
async def reproduce_model_version(ctx: Context, model_version: str, request: Request) -> StoredLaunch:
    """Makes the asset version that is a version of a model again, as `:reproduce` of the asset. Returns an operation.

    A version that no run of the platform made is refused, with the inputs and the commit that are known.
    """
    return await _reproduce(ctx, MODEL_VERSION, model_version)


async def _plan(ctx: Context, kind: TableKind[Any], id: str) -> ModelReproducePlan:
    origin = await ctx.read(lambda unit: _origin(unit, kind, id, "reproduce_plan"))
    plan = None if origin.asset is None else await planned(ctx, origin.asset, origin.version)
    return ModelReproducePlan(
        possible=plan is not None and plan.possible,
        problems=[_EXTERNAL] if plan is None else plan.problems,
        plan=plan,
        inputs=origin.inputs,
        git_sha=origin.git_sha,
    )


async def _reproduce(ctx: Context, kind: TableKind[Any], id: str) -> StoredLaunch:
    origin = await ctx.read(lambda unit: _origin(unit, kind, id, "reproduce"))
    if origin.asset is None:
        raise Conflict(
            f"{id} is not reproducible. {_EXTERNAL}",
            metadata={"verdict": Verdict.NOT_REPRODUCIBLE, "inputs": origin.inputs, "git_sha": origin.git_sha},
        )
    return await launched(ctx, origin.asset, origin.version)


def _origin(unit: Unit, kind: TableKind[Any], id: str, verb: str) -> _Origin:
    """Returns the asset version behind an item, and what its run logged, as far as the caller can see them."""
    row = kind.row(unit, id, verb)
    run_id = row.id if kind is RUN else row.run_id
    columns = {
        RUN: TRAINING.c.run_id,
        LOGGED_MODEL: TRAINING.c.logged_model_id,
        MODEL_VERSION: TRAINING.c.model_version_id,
    }
    found = sa.or_(columns[kind] == row.id, TRAINING.c.run_id == run_id if run_id else sa.false())
    training = unit.connection.execute(sa.select(TRAINING.c.asset, TRAINING.c.data_version).where(found)).first()
    is_visible = visible_assets(unit.platform, unit.principal.access)
    made = training if training is not None and is_visible(training.asset) else None
    run = sa.select(RUNS.c.id).where(RUNS.c.id == run_id, RUN.visible(unit), RUN.present())
    inputs = sa.select(RUN_INPUT.c.asset, RUN_INPUT.c.version).where(RUN_INPUT.c.run_id.in_(run))
    commit = sa.select(RUN_TAG.c.value).where(RUN_TAG.c.run_id.in_(run), RUN_TAG.c.key == _COMMIT_TAG)
    return _Origin(
        made.asset if made else None,
        made.data_version if made else None,
        {one.asset: one.version for one in unit.connection.execute(inputs) if one.version and is_visible(one.asset)},
        unit.connection.execute(commit).scalar(),
    )
