"""The jobs of stored branches: one makes assets in a branch, the other merges a branch."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dagster as dg

from core.ids import asset_id, asset_key, is_asset_id
from core.runs import BRANCH_MERGE_JOB, BRANCH_MERGE_OP, BRANCH_RUN_JOB, BRANCH_RUN_OP
from dagster_project.branch_execution import comparison_of, run_in_branch
from dagster_project.recorded_definitions import with_recorded
from resources.contracts import contract_faults
from resources.delta import Delta, table_schema
from resources.gates import DATA_VERSION, GATES
from resources.vectors import Vectors

if TYPE_CHECKING:
    from lakehouse.branches import BranchTables
    from lakehouse.snapshot import Snapshot


class BranchRunConfig(dg.Config):
    """Configuration of a run in a branch."""

    branch: str
    """Id of the branch."""

    assets: list[str]
    """Ids of the assets to make, in one code location."""


class BranchMergeConfig(dg.Config):
    """Configuration of a merge."""

    branch: str
    """Id of the branch."""


@dg.op(name=BRANCH_RUN_OP, description="Makes assets from the versions of a branch, in tables of the branch.")
def run_branch_assets(context: dg.OpExecutionContext, config: BranchRunConfig, delta: Delta) -> None:
    """Makes assets in a branch, and stores which tables it has produced and the results of their checks.

    Raises:
        dg.Failure: the branch was discarded, nothing produces an asset, or a step or a blocking check failed.
    """
    from lakehouse import branch_definitions, branch_records
    from lakehouse.branches import BranchTables

    row = branch_records.find(delta.database(), config.branch)
    if row is None:
        raise dg.Failure(f"The branch {config.branch} was discarded.")
    with delta.database().read() as connection:
        recorded = branch_definitions.producing(branch_definitions.definitions_of(connection, row.id), config.assets)
    repository = with_recorded(context.repository_def, recorded)
    definitions = repository.assets_defs_by_key
    keys: set[dg.AssetKey] = set()
    for asset in config.assets:
        key = dg.AssetKey(asset_key(asset))
        definition = definitions.get(key)
        if definition is None or not definition.is_executable:
            raise dg.Failure(f"Nothing in this code location produces {asset}.")
        if refusal := comparison_of(definition, key).refusal:
            raise dg.Failure(f"{asset} can't be made in a branch. {refusal}")
        keys |= set(definition.keys)
    names = [asset_id(key.path) for key in sorted(keys)]
    code_versions = {asset_id(key.path): definitions[key].code_versions_by_key.get(key) or "" for key in keys}
    tables = BranchTables(delta.tables(), branch_records.plan_of(row, *names))
    tables.start()
    run = run_in_branch(context, tables, sorted(keys), repository=repository)
    checks: dict[str, dict[str, Any]] = {name: {} for name in names}
    for check in run.checks:
        spec = repository.asset_graph.get_check_spec(check.asset_check_key)
        checks[asset_id(check.asset_key.path)][check.check_name] = {
            "passed": check.passed,
            "severity": check.severity.value,
            "blocking": spec.blocking,
        }
    produced = {
        name: {
            "run": context.run_id,
            "version": tables.snapshot(name).data_version,
            "checks": checks[name],
            "code_version": code_versions[name],
            "contract": list(contract_faults(tables, tables.snapshot(name))[1]),
        }
        for name in names
        if tables.exists(name)
    }
    branch_records.record(delta.database(), row.id, produced)
    if run.failure:
        raise dg.Failure(run.failure)


@dg.op(name=BRANCH_MERGE_OP, description="Makes the changed tables of a branch the newest versions of the lakehouse.")
def merge_branch_tables(
    context: dg.OpExecutionContext, config: BranchMergeConfig, delta: Delta, vectors: Vectors
) -> None:
    """Merges a branch: each changed table becomes one version, and one materialization of its asset.

    A merge that was killed continues with the tables that aren't merged yet.

    Raises:
        dg.Failure: the branch was discarded, or a table has a conflict. Then nothing is merged.
    """
    from lakehouse import branch_records
    from lakehouse.branch_merge import MergeState, merge_steps, merge_table
    from lakehouse.branches import BranchTables

    row = branch_records.find(delta.database(), config.branch)
    if row is None:
        raise dg.Failure(f"The branch {config.branch} was discarded.")
    tables = BranchTables(delta.tables(), branch_records.plan_of(row))
    outdated = branch_records.outdated(row, _code_versions(context.repository_def, row.produced))
    steps = merge_steps(tables, branch_records.failed_checks(row), outdated)
    if conflicts := [step for step in steps if step.state is MergeState.CONFLICT]:
        reasons = " ".join(f"{step.table}: {step.reason}" for step in conflicts)
        raise dg.Failure(f"Nothing was merged, because {len(conflicts)} tables have conflicts. {reasons}")
    for step in steps:
        if step.state is MergeState.UNCHANGED:
            continue
        merged = merge_table(tables, delta.lineage(), step.table)
        _sync_index(vectors, merged)
        _report(context, delta, tables, merged, row.produced[step.table])
        context.log.info("%s is merged into %s", step.table, merged.data_version)
    branch_records.merged(delta.database(), delta.tables(), row.id)


@dg.job(name=BRANCH_RUN_JOB, description="Makes assets in a stored branch. Changes no asset of the project.")
def run_branch() -> None:
    """Makes assets in a branch."""
    run_branch_assets()


@dg.job(name=BRANCH_MERGE_JOB, description="Merges a stored branch: its changed tables become versions of the assets.")
def merge_branch() -> None:
    """Merges a branch."""
    merge_branch_tables()


def _code_versions(repository: dg.RepositoryDefinition, assets: Iterable[str]) -> dict[str, str | None]:
    """Returns the code version by asset that this code location can make, of the given ones."""
    keys = {name: dg.AssetKey(asset_key(name)) for name in assets}
    found = {name: (key, repository.assets_defs_by_key.get(key)) for name, key in keys.items()}
    return {
        name: definition.code_versions_by_key.get(key)
        for name, (key, definition) in found.items()
        if definition is not None and definition.is_executable
    }


def _sync_index(vectors: Vectors, merged: "Snapshot") -> None:
    """Makes the mirror of a search index equal to the merged version. Other tables have no mirror."""
    index = vectors.index(merged.table)
    if index.versions():
        with index.write_lock():
            index.sync(merged)


def _input_tags(context: dg.OpExecutionContext, inputs: dict[str, str]) -> dict[str, str]:
    """Returns the tags by which Dagster compares the inputs of a version with their newest versions."""
    tags = {}
    for name, version in inputs.items():
        if not is_asset_id(name):
            continue
        key = dg.AssetKey(asset_key(name))
        records = context.instance.fetch_materializations(key, limit=1).records
        tags[f"dagster/input_data_version/{key.to_user_string()}"] = version
        tags[f"dagster/input_event_pointer/{key.to_user_string()}"] = str(records[0].storage_id) if records else "NULL"
    return tags


def _report(
    context: dg.OpExecutionContext, delta: Delta, tables: "BranchTables", merged: "Snapshot", produced: dict[str, Any]
) -> None:
    """Reports a merged version and the results of its checks to Dagster, unless the asset shows it already."""
    key = dg.AssetKey(asset_key(merged.table))
    event = context.instance.get_latest_materialization_event(key)
    latest = event.asset_materialization if event else None
    if latest is not None and (latest.tags or {}).get("dagster/data_version") == merged.data_version:
        return
    gates = sorted(name for name, check in produced["checks"].items() if check["blocking"])
    edges = tables.edges(merged.table, produced["version"]) or []
    inputs = {edge.in_asset: edge.in_version for edge in delta.lineage().provenance(merged.table, merged.data_version)}
    uri = tables.main.uri(merged.table)
    context.log_event(
        dg.AssetMaterialization(
            asset_key=key,
            metadata={
                "delta/table_id": merged.table_id,
                "delta/version": merged.version,
                "delta/uri": uri,
                "dagster/uri": uri,
                "dagster/row_count": merged.row_count,
                "dagster/column_schema": table_schema(merged.schema),
                "branch": tables.plan.id,
                **({GATES: ",".join(gates)} if gates else {}),
            },
            tags={
                "dagster/data_version": merged.data_version,
                **_input_tags(context, inputs),
                **({"dagster/code_version": edges[0].code_version} if edges and edges[0].code_version else {}),
            },
        )
    )
    for name, check in produced["checks"].items():
        context.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=name,
                passed=check["passed"],
                severity=dg.AssetCheckSeverity(check["severity"]),
                blocking=check["blocking"],
                metadata={DATA_VERSION: dg.TextMetadataValue(merged.data_version)},
                description="Evaluated in the branch, on the same rows.",
            )
        )
