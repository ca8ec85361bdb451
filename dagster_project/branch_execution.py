"""Execution of assets in a branch, in an instance of Dagster that ends with the run.

The steps read and write the tables of the branch. Materializations and check results of the instance that the run
belongs to don't change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_project.internals import execute_assets
from resources.delta import OPERATION_TAG, PRINCIPAL_TAG, Delta
from resources.vectors import Vectors

if TYPE_CHECKING:
    from lakehouse.branches import BranchTables
    from lakehouse.comparison import Comparison

MESSAGE_LIMIT = 2_000
"""Number of characters of a reason."""


@dataclass(frozen=True, slots=True)
class BranchRun:
    """The end of an execution in a branch."""

    failure: str
    """The first failure; empty if there is none."""
    checks: Sequence[dg.AssetCheckEvaluation]


def run_in_branch(
    context: dg.OpExecutionContext,
    tables: BranchTables,
    assets: Sequence[dg.AssetKey],
    *,
    repository: dg.RepositoryDefinition,
    config: Mapping[str, Any] = {},
    tags: Mapping[str, str] = {},
) -> BranchRun:
    """Materializes assets of a repository in a branch. Messages of the steps are copied to the log of this run."""
    from lakehouse.branches import area_of

    plan = tables.plan
    resources = {
        "delta": Delta(branch=plan.to_json()),
        "vectors": Vectors(root=f"{area_of(tables.main.storage.root, plan.id)}/_vectors"),
    }
    own = {name: value for name in (PRINCIPAL_TAG, OPERATION_TAG) if (value := context.run.tags.get(name))}
    failures: list[str] = []
    with dg.DagsterInstance.ephemeral() as instance:
        result = execute_assets(
            repository,
            assets,
            resources=resources,
            instance=instance,
            run_config=config,
            # Lineage names the run that the logs belong to.
            run_id=context.run_id,
            tags={**own, **tags},
        )
        for entry in instance.all_logs(result.run_id):
            context.log.log(entry.level, entry.message or entry.user_message)
            if (event := entry.dagster_event) and (event.is_step_failure or event.is_failure):
                failures.append(_reason(event))
        return BranchRun(failures[0] if failures else "", result.get_asset_check_evaluations())


def comparison_of(definition: dg.AssetsDefinition, key: dg.AssetKey) -> Comparison:
    """Returns the rules by which two results of an asset are equal, as its component declares them."""
    from lakehouse.comparison import COMPARISON_KEY, Comparison

    declared = definition.metadata_by_key[key].get(COMPARISON_KEY)
    return Comparison.from_json(declared) if isinstance(declared, str) else Comparison()


def _reason(event: Any) -> str:
    error = getattr(event.event_specific_data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message if error is not None else event.message).strip()[:MESSAGE_LIMIT]
