"""Differences between the provenances of two versions of an asset."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.lake.provenance import explain, require_version
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.platform import open_lineage
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.provenance_diff import ProvenanceComparison
from core.errors import InvalidArgument


class ProvenanceDiffQuery(Query):
    """Versions to compare, and how far."""

    from_: Annotated[str | None, Field(alias="from", max_length=128)] = None
    """The earlier version. By default the recorded version before `to`."""

    to: Version | None = None
    """The later version. By default the newest recorded one."""

    depth: Annotated[int, Field(ge=0, le=20)] = 5
    """How far to follow inputs whose version changed. 0 compares only the versions themselves."""

    max_nodes: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of assets to compare."""


class FactChange(Model):
    """A fact that differs."""

    fact: str
    """`code_version`, `git_sha`, `engine`, `env_digest`, `params_digest`, or `principal`."""

    before: list[str]
    """Values in the steps that produced the earlier version."""

    after: list[str]
    """Values in the steps that produced the later version."""


class InputChange(Model):
    """An input that differs."""

    asset: str
    """Id of the input."""

    before: list[str]
    """Data versions that the earlier version was produced from. Empty if the input was added."""

    after: list[str]
    """Data versions that the later version was produced from. Empty if the input was removed."""


class AssetComparison(Model):
    """Differences between two versions of one asset."""

    asset: str
    """Id of the asset."""

    from_version: str
    """The earlier data version."""

    to_version: str
    """The later data version."""

    distance: int
    """Number of reads between the start and this asset."""

    recorded: bool
    """Whether both provenances are recorded. If not, the rest is empty."""

    facts: list[FactChange]
    """Facts that differ."""

    inputs_added: list[InputChange]
    """Inputs of the later version only."""

    inputs_removed: list[InputChange]
    """Inputs of the earlier version only."""

    inputs_changed: list[InputChange]
    """Inputs that were read at other versions."""


class ProvenanceDiff(Model):
    """Differences between the provenances of two versions, including inputs whose version changed."""

    asset: str
    """Id of the asset."""

    from_version: str
    """The earlier data version."""

    to_version: str
    """The later data version."""

    comparisons: list[AssetComparison]
    """The asset, and then each input whose version changed, nearest first."""

    truncated: bool
    """Whether `depth` or `max_nodes` cut the comparison off."""


@ASSET.part("provenance-diff", query=ProvenanceDiffQuery, result=ProvenanceDiff)
async def get_asset_provenance_diff(ctx: Context, asset: str, query: ProvenanceDiffQuery) -> ProvenanceDiff:
    """Compares the provenances of two versions: code, engine, environment, parameters, principal, and inputs.

    An input whose version changed is compared in the same way, so that the response shows where a difference began.
    """
    lookup.asset(ctx.view(), asset)
    return await ctx.compute(_diff, ctx, asset, query)


def _diff(ctx: Context, asset: str, query: ProvenanceDiffQuery) -> ProvenanceDiff:
    lineage = ctx.platform.part(open_lineage)
    later = lineage.recorded_version(asset, require_version(ctx, asset, query.to))
    if query.from_ is None:
        before = lineage.previous(asset, later)
        if before is None:
            explain(ctx, asset, later)  # raises for a version that never was
            raise InvalidArgument(f"No version of {asset} before {later} is recorded. Name the version in `from`.")
        earlier = before
    else:
        earlier = lineage.recorded_version(asset, require_version(ctx, asset, query.from_))
    for version in (earlier, later):
        explain(ctx, asset, version)
    comparison = ProvenanceComparison(ctx, depth=query.depth, max_nodes=query.max_nodes)
    found = comparison.of(asset, earlier, later)
    return ProvenanceDiff(
        asset=asset,
        from_version=earlier,
        to_version=later,
        comparisons=[
            AssetComparison(
                asset=one.asset,
                from_version=one.before,
                to_version=one.after,
                distance=one.distance,
                recorded=one.recorded,
                facts=[FactChange(fact=name, before=old, after=new) for name, old, new in one.facts],
                inputs_added=[_change(change) for change in one.inputs if not change[1]],
                inputs_removed=[_change(change) for change in one.inputs if not change[2]],
                inputs_changed=[_change(change) for change in one.inputs if change[1] and change[2]],
            )
            for one in found
        ],
        truncated=comparison.truncated,
    )


def _change(change: tuple[str, list[str], list[str]]) -> InputChange:
    return InputChange(asset=change[0], before=change[1], after=change[2])
