"""What a pipeline needs to run: assets that its starter may materialize, and values that they accept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from api.kernel.kinds.context import Context
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.permissions.projects import Projects
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.pipeline import Pipeline, PipelineSpec
from api.services.ai_catalog.logic.publisher_access import publisher_of
from core.errors import InvalidArgument, InvalidPayload
from core.ports import AssetNode, GraphView

LOCATION = "published"
"""Code location of published definitions, in which pipelines are jobs."""

MAX_ASSETS = 500

Fault = dict[str, str]


def job_name(pipeline: Pipeline) -> str:
    """Returns the name of the job of a pipeline. It contains the id, so that no other pipeline ever has it."""
    return f"{re.sub('-+', '_', pipeline.name)}__{pipeline.id}"


async def resolved(ctx: Context, pipeline: Pipeline) -> tuple[PipelineSpec, list[Fault]]:
    """Returns the spec with the assets that its selection selects now, and why it selects none, if so."""
    spec = pipeline.spec
    if not spec.selection:
        return spec, []
    project = ctx.platform.part(Projects).name_of(pipeline.project_id or "")
    nodes = ctx.view().nodes.values()
    among = [
        one for one in nodes if one.id.startswith(f"{project}.") and one.location == LOCATION and not unusable(one)
    ]
    try:
        assets = await publisher_of(ctx).selected(spec.selection, among)
    except InvalidArgument as error:
        return spec, [{"pointer": "/spec/selection", "detail": error.detail}]
    if not 0 < len(assets) <= MAX_ASSETS:
        return spec, [{"pointer": "/spec/selection", "detail": f"selects {len(assets)} assets: 1 to {MAX_ASSETS}"}]
    return spec.model_copy(update={"assets": assets}), []


async def faults_of(ctx: Context, pipeline: Pipeline) -> tuple[PipelineSpec, list[Fault]]:
    """Returns the resolved spec, and why the caller can't publish it, each with a JSON pointer; none if they can.

    Assets that the caller can't see are refused as if they did not exist.
    """
    spec, faults = await resolved(ctx, pipeline)
    return spec, faults or await _faults_of_spec(ctx, pipeline, spec)


async def _faults_of_spec(ctx: Context, pipeline: Pipeline, spec: PipelineSpec) -> list[Fault]:
    view = ctx.view()
    project = ctx.platform.part(Projects).name_of(pipeline.project_id or "")
    faults = []
    for number, asset in enumerate(spec.assets):
        if detail := _fault_of_asset(ctx, view, spec, project, asset):
            pointer = "/spec/selection" if spec.selection else f"/spec/assets/{number}"
            faults.append({"pointer": pointer, "detail": f"{asset} {detail}" if spec.selection else detail})
    if len({view.nodes[asset].partitioned for asset in spec.assets if asset in view.nodes}) > 1:
        faults.append({"pointer": "/spec/assets", "detail": "has assets with partitions and assets without"})
    if spec.schedule and any(view.nodes[id].partitioned for id in spec.assets if id in view.nodes):
        faults.append(
            {"pointer": "/spec/schedule", "detail": "isn't possible for assets with partitions: backfill them"}
        )
    # Not of assets that the caller can't see.
    targets = {target.asset for item in spec.parameters.values() for target in item.targets}
    known = sorted(targets & set(spec.assets) & view.nodes.keys())
    fields = await ctx.orchestrator.config_fields(known) if known else {}
    return [*faults, *_faults_of_parameters(fields, spec)]


def missing_assets(view: GraphView, assets: list[str]) -> list[str]:
    """Returns the assets that nothing produces any more."""
    return [asset for asset in assets if (node := view.nodes.get(asset)) is None or unusable(node)]


def unusable(node: AssetNode) -> str:
    """Returns why no run can materialize an asset; an empty text if one can."""
    if node.retired:
        return "is retired: reinstate its definition, or leave it out"
    if node.broken:
        return "has a definition that is blocked or broken"
    return "" if node.executable else "is only observed"


def values_of(spec: PipelineSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of all parameters of a run.

    Raises:
        InvalidPayload: a value is missing, unknown, or not accepted.
    """
    faults = [
        {"pointer": f"/parameters/{name}", "detail": "is no parameter"} for name in given.keys() - spec.parameters
    ]
    values = {}
    for name, parameter in spec.parameters.items():
        value = given.get(name, parameter.default)
        if value is None:
            faults.append({"pointer": f"/parameters/{name}", "detail": "has no default, so a value is needed"})
        elif fault := parameter.fault_of(value):
            faults.append({"pointer": f"/parameters/{name}", "detail": fault})
        else:
            values[name] = value
    if faults:
        raise InvalidPayload("The parameters don't fit the pipeline.", errors=sorted(faults, key=str))
    return values


def config_of(spec: PipelineSpec, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the config of the assets with these values, by asset id."""
    config: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        for target in spec.parameters[name].targets:
            config.setdefault(target.asset, {})[target.field] = value
    return config


def defaults_of(spec: PipelineSpec) -> dict[str, Any]:
    """Returns the values of the parameters that have a default."""
    return {name: item.default for name, item in spec.parameters.items() if item.default is not None}


def hidden_among(ctx: Context, assets: Iterable[str]) -> set[str]:
    """Returns those of these assets that the caller can't see."""
    access = ctx.principal.access
    return {asset for asset in assets if not access.allows(READ_ASSET, asset_securable(ctx.platform, asset))}


def _fault_of_asset(ctx: Context, view: GraphView, spec: PipelineSpec, project: str | None, asset: str) -> str:
    node = view.nodes.get(asset)
    if asset.partition(".")[0] != project:
        return f"is no asset of the project {project}"
    if node is None:
        return f"There is no asset {asset!r}."
    if fault := unusable(node):
        return fault
    if node.location != LOCATION:
        return "is defined in the code of the repository: define its job and schedule there, too"
    if not ctx.principal.access.allows(ASSET.permission("materialize"), asset_securable(ctx.platform, asset)):
        return "may not be materialized by you"
    if absent := sorted(set(node.together) - set(spec.assets)):
        return f"is always made together with {', '.join(absent)}: add that, too"
    return ""


def _faults_of_parameters(fields: Mapping[str, Sequence[str]], spec: PipelineSpec) -> Iterator[Fault]:
    taken: dict[tuple[str, str], str] = {}
    for name, parameter in spec.parameters.items():
        for number, target in enumerate(parameter.targets):
            pointer = f"/spec/parameters/{name}/targets/{number}"
            accepted = fields.get(target.asset)
            if accepted is None:
                yield {"pointer": f"{pointer}/asset", "detail": "is not among the assets of the pipeline"}
            elif target.field not in accepted:
                known = f"it takes {', '.join(accepted)}" if accepted else "it takes no parameter"
                yield {"pointer": f"{pointer}/field", "detail": f"is no field of the config of {target.asset}: {known}"}
            elif (other := taken.setdefault((target.asset, target.field), name)) != name:
                yield {"pointer": pointer, "detail": f"gets the value of {other} already"}
