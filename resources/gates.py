"""Blocking checks as gates: finds the checks that a version hasn't passed, and refuses to read such a version.

Within a run, Dagster itself stops assets downstream of a failed check. This module stops later runs, however they were
launched: the step that opens the version is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from core.errors import UncheckedInput
from core.ids import asset_key
from resources.contracts import CONTRACT_CHECK, input_faults

if TYPE_CHECKING:
    from lakehouse.snapshot import Snapshot
    from lakehouse.tables import Tables

DATA_VERSION = "headwater/data_version"
"""Metadata of a check result: the data version that the check evaluated."""

GATES = "headwater/gates"
"""Metadata of a materialization: names of the blocking checks that its version must pass, joined by commas."""

ACCEPT_TAG = "headwater/accept_unchecked"
"""Run tag: `true`, or asset ids joined by commas. The run may read versions of these assets that didn't pass."""

ACCEPTED = "headwater/unchecked_inputs"
"""Metadata prefix of materializations in such a run: the inputs that didn't pass, with their checks."""

_EVALUATION_LIMIT = 25
"""Number of latest evaluations of a check that are searched for a version."""


def gate_names(context: dg.AssetExecutionContext, asset: dg.AssetKey) -> list[str]:
    """Returns the names of the blocking checks of an asset that the running step produces."""
    specs = context.assets_def.check_specs
    return sorted(
        spec.name for spec in specs if spec.blocking and spec.asset_key == asset and spec.name != CONTRACT_CHECK
    )


def check_input(context: dg.AssetExecutionContext, produced: dg.AssetKey, tables: Tables, snapshot: Snapshot) -> None:
    """Allows or refuses that the step that produces `produced` reads a version.

    Raises:
        UncheckedInput: a blocking check of the version failed or wasn't evaluated, and the run doesn't accept that.
    """
    unpassed = dict(_unpassed_checks(context, tables, snapshot))
    contract, faults = input_faults(tables, snapshot)
    if contract is not None and faults:
        unpassed["contract"] = f"version {contract.version} is broken: {' '.join(faults)}"
    if not unpassed:
        return
    reasons = ", ".join(f"{name} {state}" for name, state in sorted(unpassed.items()))
    accepted = context.run.tags.get(ACCEPT_TAG, "")
    if accepted == "true" or snapshot.table in accepted.split(","):
        context.log.warning("Reading %s, which did not pass its blocking checks: %s.", snapshot.data_version, reasons)
        context.add_asset_metadata({f"{ACCEPTED}/{snapshot.table}": f"{snapshot.data_version}: {reasons}"}, produced)
        return
    raise UncheckedInput(
        f"{snapshot.table} version {snapshot.version} did not pass its blocking checks ({reasons}), so no asset is "
        f"produced from it. Correct the data and materialize {snapshot.table} again. To accept the version for one "
        f"run, set accept_unchecked in the request, or the run tag {ACCEPT_TAG}={snapshot.table}.",
        metadata={"asset": snapshot.table, "data_version": snapshot.data_version, "checks": unpassed},
    )


def _unpassed_checks(
    context: dg.AssetExecutionContext, tables: Tables, snapshot: Snapshot
) -> Iterator[tuple[str, str]]:
    key = dg.AssetKey(asset_key(snapshot.table))
    event = context.instance.get_latest_materialization_event(key)
    latest = event.asset_materialization if event else None
    names = _declared_checks(context, key)
    if names is None:
        names = _reported_checks(latest)
    if not names:
        return
    # Maintenance such as compaction creates versions with the same rows. The checks apply to the version with new rows.
    version = f"{snapshot.table_id}@{tables.content_version(snapshot.table, snapshot.version)}"
    for name in names:
        if name == CONTRACT_CHECK:  # the contract that is active now decides, see `input_faults`
            continue
        if state := _state(context.instance, dg.AssetCheckKey(key, name), version, latest):
            yield name, state


def _declared_checks(context: dg.AssetExecutionContext, key: dg.AssetKey) -> list[str] | None:
    """Returns the blocking checks that this code location declares; `None` for an asset of another location."""
    graph = context.job_def.asset_layer.asset_graph.source_asset_graph
    if not graph.has(key) or not graph.get(key).is_materializable:
        return None
    specs = (graph.get_check_spec(check) for check in graph.get(key).check_keys)
    return sorted(spec.name for spec in specs if spec.blocking)


def _reported_checks(materialization: dg.AssetMaterialization | None) -> list[str]:
    """Returns the blocking checks that the step that produced the version reported."""
    value = _text(materialization.metadata if materialization else {}, GATES)
    return value.split(",") if value else []


def _state(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, version: str, latest: dg.AssetMaterialization | None
) -> str:
    """Returns why the version didn't pass: `failed` or `was not evaluated`; empty if it passed the check."""
    for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=_EVALUATION_LIMIT):
        if record.status.value not in ("SUCCEEDED", "FAILED") or (evaluation := record.evaluation) is None:
            continue
        evaluated = _text(evaluation.metadata, DATA_VERSION)
        if evaluated == version or (
            not evaluated and _was_latest(instance, check.asset_key, evaluation, version, latest)
        ):
            passed = evaluation.passed or evaluation.severity is not dg.AssetCheckSeverity.ERROR
            return "" if passed else "failed"
    return "was not evaluated"


def _was_latest(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    evaluation: Any,
    version: str,
    latest: dg.AssetMaterialization | None,
) -> bool:
    """Returns whether an evaluation without a data version targeted the latest materialization, of this version."""
    target = evaluation.target_materialization_data
    if target is None or latest is None or (latest.tags or {}).get("dagster/data_version") != version:
        return False
    records = instance.fetch_materializations(asset, limit=1).records
    return bool(records) and records[0].storage_id == target.storage_id


def _text(metadata: Mapping[str, Any], name: str) -> str:
    value = getattr(metadata.get(name), "value", None)
    return value if isinstance(value, str) else ""
