"""Comparison of versions of models: metrics, parameters, inputs, signatures, and stages, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.ai_catalog.kinds.artifact import open_blobs
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION, ModelVersion, files_of
from api.services.ai_catalog.kinds.run import RUN, Run, RunInput
from api.services.ai_catalog.kinds.run_search import ComparedValue, compared
from api.services.ai_catalog.logic.model_signatures import ModelSignature, SignatureField, signature_of
from api.services.ai_catalog.run_tables import RUN as RUNS

Files = Sequence[tuple[str, str]]


class CompareModelVersions(Request):
    """Versions to compare."""

    versions: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=2, max_length=20)]
    """Ids of versions, of one registered model or of several."""


class ModelVersionComparison(Model):
    """Versions of models side by side. Lists have an entry for each version, in the order of the request."""

    versions: list[ModelVersion]
    """The versions."""

    params: list[ComparedValue]
    """Parameters of their runs, by name."""

    metrics: list[ComparedValue]
    """Latest values of metrics of their runs, by name."""

    checks: list[ComparedValue]
    """Whether each blocking check passed, by name: `passed` or `failed`."""

    inputs: list[list[RunInput]]
    """Datasets that their runs read, and the caller can see."""

    signatures: list[ModelSignature]
    """Inputs and outputs that their files state."""

    fields: list[ComparedValue]
    """Types of inputs and outputs, by name, such as `input age`."""


@MODEL_VERSION.collection_action("compare", request=CompareModelVersions, result=ModelVersionComparison, reads=True)
async def compare_model_versions(ctx: Context, request: CompareModelVersions) -> ModelVersionComparison:
    """Compares metrics, parameters, checks, inputs, and signatures of versions, as far as the caller sees them."""

    def read(unit: Unit) -> tuple[list[Row], list[ModelVersion], list[Run | None], list[Files]]:
        rows = [MODEL_VERSION.row(unit, id) for id in request.versions]
        select = sa.select(RUNS).where(RUNS.c.id.in_({row.run_id for row in rows}), RUN.visible(unit), RUN.present())
        runs = {run.id: run for run in RUN.items(unit, unit.connection.execute(select).all())}
        files: list[Files] = [files_of(unit, row.parent_id, row.path) for row in rows]
        return rows, list(MODEL_VERSION.items(unit, rows)), [runs.get(row.run_id) for row in rows], files

    rows, found, runs, files = await ctx.read(read)
    signatures = await ctx.compute(_signatures, ctx, rows, files)
    return ModelVersionComparison(
        versions=found,
        params=compared([run.params if run else {} for run in runs]),
        metrics=compared([{key: one.value for key, one in run.metrics.items()} if run else {} for run in runs]),
        checks=compared([{name: "passed" if ok else "failed" for name, ok in one.checks.items()} for one in found]),
        inputs=[run.inputs if run else [] for run in runs],
        signatures=signatures,
        fields=compared([_types(one) for one in signatures]),
    )


def _signatures(ctx: Context, rows: Sequence[Row], files: Sequence[Files]) -> list[ModelSignature]:
    blobs = open_blobs(ctx.platform)
    return [signature_of(blobs, row.project_id, some, row.path) for row, some in zip(rows, files, strict=True)]


def _types(signature: ModelSignature) -> dict[str, str]:
    return {**_named("input", signature.inputs), **_named("output", signature.outputs)}


def _named(direction: str, fields: Sequence[SignatureField]) -> dict[str, str]:
    shaped = {n: "" if one.shape is None else str(one.shape) for n, one in enumerate(fields)}
    return {f"{direction} {one.name or n}": f"{one.type}{shaped[n]}" for n, one in enumerate(fields)}
