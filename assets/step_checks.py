"""Checks in the step of their asset, which every launch of the asset evaluates on the version that it produces.

A launch can omit a check that has a separate step: a sensor, a condition, a backfill, or a raw request can leave it
out. No launch can omit a check in the step of the asset: Dagster refuses a selection with only one of them, a failed
blocking check fails the step, and nothing downstream of a failed step starts.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from core.errors import HeadwaterError
from core.ids import asset_id
from resources.contracts import contract_check, evaluate_contract
from resources.delta import Delta
from resources.gates import DATA_VERSION

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot

Compute = Callable[..., Any]
"""Function of a step. It returns one `MaterializeResult` or yields several."""


@dataclass(frozen=True, slots=True)
class ProducedVersion:
    """The version of an asset that a step has just produced, and the resources of the step."""

    snapshot: "Snapshot"
    resources: Mapping[str, Any]
    """Resources of the step, by parameter name."""
    context: dg.AssetExecutionContext
    """Context of the step."""

    @property
    def delta(self) -> Delta:
        """The lakehouse."""
        delta = self.resources["delta"]
        assert isinstance(delta, Delta)
        return delta


@dataclass(frozen=True, slots=True)
class StepCheck:
    """A check and the function that evaluates it. Downstream assets use a version only if its blocking checks pass."""

    spec: dg.AssetCheckSpec
    evaluate: Callable[[ProducedVersion], dg.AssetCheckResult]


def checked_asset(
    *,
    specs: Sequence[dg.AssetSpec],
    checks: Sequence[StepCheck],
    name: str | None = None,
    reported: Sequence[dg.AssetCheckSpec] = (),
    pool: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = None,
) -> Callable[[Compute], dg.AssetsDefinition]:
    """Returns a decorator like `dagster.multi_asset` that evaluates checks in the step, on the versions it produces.

    Other assets that a blocking check reads become inputs of its asset, so that they are materialized first.

    Args:
        specs: the assets, all of which the step materializes.
        checks: the checks of these assets.
        name: the name of the step; by default the name of the function.
        reported: checks whose results the function reports itself.
        pool: the pool of which the step occupies a slot.
        partitions_def: the partitions of the assets. A run materializes one of them.
    """
    by_asset: dict[dg.AssetKey, list[StepCheck]] = {spec.key: [] for spec in specs}
    for check in checks:
        by_asset[check.spec.asset_key].append(check)
    ordered = [_with_inputs_of_checks(spec, by_asset[spec.key]) for spec in specs]

    def decorate(compute: Compute) -> dg.AssetsDefinition:
        @functools.wraps(compute)
        def step(context: dg.AssetExecutionContext, **resources: Any) -> Iterator[Any]:
            produced: dict[dg.AssetKey, ProducedVersion] = {}
            for result in _results(compute(context, **resources)):
                assert result.asset_key is not None, "`materialized` sets the asset key"
                snapshot = _snapshot(resources["delta"], result.asset_key, result)
                produced[result.asset_key] = ProducedVersion(snapshot, resources, context)
                reported = [_stamped(outcome, snapshot.data_version) for outcome in result.check_results]
                yield result._replace(check_results=reported)
            for key, version in produced.items():
                for check in by_asset[key]:
                    outcome = _evaluated(context, check, version)
                    yield _stamped(outcome, version.snapshot.data_version)
            failures = []
            for version in produced.values():
                outcome, failure = evaluate_contract(context, version.delta.tables(), version.snapshot)
                yield _stamped(outcome, version.snapshot.data_version)
                failures += [failure] if failure else []
            if failures:
                raise failures[0]

        declared = [*reported, *(check.spec for check in checks), *(contract_check(spec.key) for spec in specs)]
        options: dict[str, Any] = {"name": name, "pool": pool, "partitions_def": partitions_def}
        return dg.multi_asset(specs=ordered, check_specs=declared, **options)(step)

    return decorate


def _with_inputs_of_checks(spec: dg.AssetSpec, checks: Iterable[StepCheck]) -> dg.AssetSpec:
    declared = {spec.key, *(dep.asset_key for dep in spec.deps)}
    read = {dep.asset_key for check in checks if check.spec.blocking for dep in check.spec.additional_deps}
    return spec.replace_attributes(deps=[*spec.deps, *sorted(read - declared)]) if read - declared else spec


def _results(returned: Any) -> Iterator[dg.MaterializeResult[Any]]:
    if isinstance(returned, dg.MaterializeResult):
        yield returned
    else:
        yield from returned


def _snapshot(delta: Delta, asset: dg.AssetKey, result: dg.MaterializeResult[Any]) -> "Snapshot":
    version = (result.metadata or {}).get("delta/version")
    assert isinstance(version, int), "`materialized` sets the version"
    return delta.tables().snapshot(asset_id(asset.path), version=version)


def _evaluated(context: dg.AssetExecutionContext, check: StepCheck, version: ProducedVersion) -> dg.AssetCheckResult:
    """Returns the result of a check. A check that cannot be evaluated fails, because its rule may not hold."""
    try:
        return check.evaluate(version)
    except Exception as error:
        context.log.exception("Check %s of %s could not be evaluated.", check.spec.name, version.snapshot.table)
        reason = error.detail if isinstance(error, HeadwaterError) else f"{type(error).__name__}: {error}"
        return dg.AssetCheckResult(
            asset_key=check.spec.asset_key,
            check_name=check.spec.name,
            passed=False,
            description=f"The check could not be evaluated: {reason}",
        )


def _stamped(result: dg.AssetCheckResult, data_version: str) -> dg.AssetCheckResult:
    """Returns the result with the version that it evaluated. Dagster relates them only by the time of the event."""
    return result.with_metadata({**(result.metadata or {}), DATA_VERSION: data_version})
