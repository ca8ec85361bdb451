"""Explanation of a version: its provenance in a few sentences, with the facts."""

from __future__ import annotations

from collections.abc import Iterator

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake.provenance import (
    Input,
    Materialization,
    Provenance,
    ProvenanceQuery,
    explain,
    require_version,
)
from api.kernel.models import Model
from api.kernel.permissions.projects import FORMER
from api.kernel.platform import open_lineage
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.trained_models import TrainedModel, trained_models

_MAX_NAMED = 10
_MAX_MODELS = 100


class Explanation(Model):
    """How a version came about."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version."""

    text: str
    """The explanation for people, in sentences. It contains only facts that the response contains, too."""

    deleted: bool
    """Whether the version was deleted."""

    models: list[TrainedModel]
    """Versions of registered models that were trained on this version, newest first. At most 100."""

    provenance: Provenance
    """The facts. `provenance.version` is an earlier version if `version` only continues it, as after a compaction."""


@ASSET.part("explanation", query=ProvenanceQuery, result=Explanation)
async def get_asset_explanation(ctx: Context, asset: str, query: ProvenanceQuery) -> Explanation:
    """Explains in a few sentences how a version came about, and returns the facts that the sentences state."""
    lookup.asset(ctx.view(), asset)
    resolved = await ctx.compute(require_version, ctx, asset, query.version)
    models, _ = await ctx.read(lambda unit: trained_models(unit, [asset], _MAX_MODELS, resolved))
    return await ctx.compute(_explain, ctx, asset, resolved, models)


def _explain(ctx: Context, asset: str, resolved: str, models: list[TrainedModel]) -> Explanation:
    lineage = ctx.platform.part(open_lineage)
    provenance = explain(ctx, asset, lineage.recorded_version(asset, resolved))
    deleted = lineage.is_deleted(asset, resolved)
    sentences = list(_sentences(provenance, resolved, deleted=deleted))
    sentences += _trained(models)
    return Explanation(
        asset=asset,
        version=resolved,
        text=" ".join(sentences),
        deleted=deleted,
        models=models,
        provenance=provenance,
    )


def _sentences(provenance: Provenance, version: str, *, deleted: bool) -> Iterator[str]:
    asset = provenance.asset
    if version != provenance.version:
        yield (
            f"Version {version} of {asset} has no separate provenance and continues version {provenance.version}, as "
            "after maintenance."
        )
    first, *others = provenance.materializations
    subject = f"Version {provenance.version} of {asset}"
    yield f"{subject} was produced by {_run(first)}."
    yield from _facts(first, asset)
    for other in others:
        yield f"Then {_run(other)} also contributed to this version or reproduced it."
        yield from _facts(other, asset)
    if deleted:
        yield "The version was deleted since."


def _trained(models: list[TrainedModel]) -> Iterator[str]:
    if models:
        named = "; ".join(f"version {one.version} of {one.name}" for one in models[:_MAX_NAMED])
        rest = f"; and {len(models) - _MAX_NAMED} more" if len(models) > _MAX_NAMED else ""
        yield f"Models that were trained on it: {named}{rest}."


def _run(one: Materialization) -> str:
    if one.principal == FORMER:
        requested = ", requested in the organization that the project belonged to before"
    else:
        requested = f", requested by {one.principal}" if one.principal else ""
    return f"step {one.step} of run {one.run} at {one.at.isoformat(timespec='seconds')}{requested}"


def _facts(one: Materialization, asset: str) -> Iterator[str]:
    code = f"code version {one.code_version}" if one.code_version else "code without a version"
    commit = f", commit {one.git_sha}" if one.git_sha else ", outside of git"
    packages = f", and packages {one.env_digest}" if one.env_digest else ""
    yield f"It used {one.engine or 'an unknown engine'}, {code}{commit}{packages}."
    earlier = [used.version for used in one.inputs if used.asset == asset]
    read = [used for used in one.inputs if used.asset != asset]
    if earlier:
        yield f"It continued version {' and '.join(earlier)}."
    if read:
        named = "; ".join(map(_input, read[:_MAX_NAMED]))
        rest = f"; and {len(read) - _MAX_NAMED} more inputs" if len(read) > _MAX_NAMED else ""
        yield f"It read {named}{rest}."
    elif not earlier:
        yield "No input that you can see is recorded."


def _input(used: Input) -> str:
    columns = used.columns[:_MAX_NAMED]
    rest = f" and {len(used.columns) - _MAX_NAMED} more" if len(used.columns) > _MAX_NAMED else ""
    return f"{used.asset} at {used.version}" + (f" (columns {', '.join(columns)}{rest})" if columns else "")
