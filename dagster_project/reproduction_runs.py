"""The job that makes a version again in a branch, compares both, and stores the verdict."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from core import definition_revisions
from core.ids import asset_id, asset_key
from core.runs import REPRODUCE_JOB, REPRODUCE_OP
from dagster_project.branch_execution import MESSAGE_LIMIT, comparison_of, run_in_branch
from dagster_project.recorded_definitions import with_recorded
from resources.delta import Delta

if TYPE_CHECKING:
    from lakehouse.branches import BranchTables
    from lakehouse.comparison import Comparison, Difference
    from lakehouse.reproductions import Outcome, RecordedStep

PARTITION_TAG = "dagster/partition"
"""Run tag with the key of the partition."""


class ReproductionConfig(dg.Config):
    """Configuration of a run that makes a version again."""

    reproduction: str
    """Id of the reproduction."""


@dg.op(name=REPRODUCE_OP, description="Makes a version again from its recorded inputs, and compares both.")
def reproduce_version(context: dg.OpExecutionContext, config: ReproductionConfig, delta: Delta) -> None:
    """Makes the version of a reproduction again in a branch, and stores the verdict.

    Raises:
        dg.Failure: the reproduction was deleted, or the step failed before it wrote the version.
    """
    from lakehouse import reproductions

    database, tables = delta.database(), delta.tables()
    row = reproductions.find(database, config.reproduction)
    if row is None:
        raise dg.Failure(f"The reproduction {config.reproduction} was deleted.")
    step = reproductions.RecordedStep(**row.recorded)
    reproductions.clear(tables, row.id)  # what an earlier attempt left
    try:
        reproductions.hold(tables, row.id, step)
        outcome = _reproduced(context, delta, row.id, step)
    finally:
        reproductions.clear(tables, row.id)
    reproductions.finish(database, row.id, outcome)
    context.log.info("%s at %s: %s. %s", step.asset, step.version, outcome.verdict.value, outcome.reason)
    context.add_output_metadata({"verdict": outcome.verdict.value, "reason": outcome.reason})


@dg.job(
    name=REPRODUCE_JOB,
    description="Makes a version of an asset again from its recorded inputs, and compares both. Changes no asset.",
)
def reproduce() -> None:
    """Makes a version again."""
    reproduce_version()


def _reproduced(context: dg.OpExecutionContext, delta: Delta, id: str, step: "RecordedStep") -> "Outcome":
    from lakehouse.branches import BranchPlan, BranchTables
    from lakehouse.reproductions import unreadable

    key = dg.AssetKey(asset_key(step.asset))
    repository = context.repository_def
    if not _runs(repository.assets_defs_by_key.get(key), key, step):
        with delta.database().read() as connection:
            recorded = definition_revisions.of_code(connection, step.asset, step.code_version)
        repository = with_recorded(repository, [recorded] if recorded else [])
    definition = repository.assets_defs_by_key.get(key)
    if definition is None or not definition.is_executable:
        return _impossible(f"Nothing produces {step.asset} any more.")
    if (today := definition.code_versions_by_key.get(key) or "") != step.code_version:
        return _impossible(
            f"The code of {step.asset} has changed: its version was {step.code_version or 'not recorded'}, and is "
            f"{today or 'not declared'} now. Check out the commit {step.git_sha or 'of that time'} to make it again."
        )
    comparison = comparison_of(definition, key)
    if comparison.refusal:
        return _impossible(comparison.refusal)
    if problems := unreadable(delta.tables(), step):
        return _impossible(" ".join(problems))
    bases = {} if comparison.appends or step.base is None else {step.asset: step.base}
    produced = tuple(asset_id(other.path) for other in definition.keys)
    plan = BranchPlan(id, produced, step.pins, bases, step.sources)
    branch = BranchTables(delta.tables(), plan)
    branch.start()
    config, tags = _settings(context, definition, step)
    run = run_in_branch(context, branch, sorted(definition.keys), repository=repository, config=config, tags=tags)
    return _compared(delta, branch, step, comparison, run.failure)


def _runs(definition: dg.AssetsDefinition | None, key: dg.AssetKey, step: "RecordedStep") -> bool:
    """Returns whether a definition repeats a step."""
    if definition is None or not definition.is_executable:
        return False
    return (definition.code_versions_by_key.get(key) or "") == step.code_version


def _settings(
    context: dg.OpExecutionContext, definition: dg.AssetsDefinition, step: "RecordedStep"
) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the config and the partition with which the recorded run produced the version."""
    run = context.instance.get_run_by_id(step.run)
    tags = {PARTITION_TAG: step.partition} if step.partition else {}
    if run is None:
        return {}, tags
    name = definition.node_def.name
    ops = run.run_config.get("ops")
    configured = ops.get(name) if isinstance(ops, dict) else None
    # Lineage of earlier versions of the platform doesn't name the partition.
    if partition := run.tags.get(PARTITION_TAG):
        tags = {PARTITION_TAG: partition}
    return ({"ops": {name: configured}} if configured else {}), tags


def _compared(
    delta: Delta, branch: "BranchTables", step: "RecordedStep", comparison: "Comparison", failure: str
) -> "Outcome":
    from lakehouse.branches import pinned
    from lakehouse.comparison import compare
    from lakehouse.reproductions import Outcome, Verdict, recorded_step

    produced = branch.snapshot(step.asset) if branch.exists(step.asset) else None
    edges = [] if produced is None else branch.produced_edges(step.asset)
    made = recorded_step(edges) if edges else None
    if failure and step.sources and (made is None or made.inputs != step.inputs):
        # A file was removed, or can't be read any more.
        return _impossible(f"The step can't be repeated: {failure}")
    if made is None or produced is None:
        raise dg.Failure(failure or f"The step of {step.asset} wrote nothing.")
    conditions = _conditions(step, made)
    if different := _other_inputs(step, made):
        return Outcome(Verdict.NOT_REPRODUCIBLE, different, {"conditions": conditions})
    recorded = pinned(delta.tables(), step.asset, step.version)
    before = delta.tables().snapshot(step.asset, version=recorded.version - 1) if recorded.version else None
    difference = compare(recorded, before, produced, comparison)
    result = {"comparison": _figures(difference), "conditions": conditions, "failure": failure or None}
    if difference.recorded_digest is None or difference.reproduced_digest is None:
        return Outcome(Verdict.NOT_REPRODUCIBLE, "The rows are too large, or have no order, to compare them.", result)
    if difference.equal:
        return Outcome(
            Verdict.EQUAL, f"All rows are equal: {difference.recorded_rows} of {difference.recorded_rows}.", result
        )
    return Outcome(Verdict.DIFFERENT, _difference(difference), result)


def _impossible(reason: str) -> "Outcome":
    from lakehouse.reproductions import Outcome, Verdict

    return Outcome(Verdict.NOT_REPRODUCIBLE, reason[:MESSAGE_LIMIT])


def _conditions(recorded: "RecordedStep", made: "RecordedStep") -> dict[str, Any]:
    """Returns the conditions that were recorded and those of this run, so that a reader can explain a difference."""
    names = ("code_version", "git_sha", "env_digest", "engine", "params_digest")
    return {name: {"recorded": getattr(recorded, name), "reproduced": getattr(made, name)} for name in names}


def _other_inputs(recorded: "RecordedStep", made: "RecordedStep") -> str:
    """Returns the inputs in which the steps differ; empty if they read the same."""
    changed = [name for name, version in recorded.inputs.items() if made.inputs.get(name) != version]
    added = [name for name in made.inputs if name not in recorded.inputs]
    reasons = [
        f"{name} was {recorded.inputs[name]}, and is {made.inputs.get(name, 'not read any more')} now."
        for name in changed
    ] + [f"{name} was not read, and is now." for name in added]
    return ("The step read other inputs: " + " ".join(reasons))[:MESSAGE_LIMIT] if reasons else ""


def _figures(difference: "Difference") -> dict[str, Any]:
    return {
        "recorded_digest": difference.recorded_digest,
        "reproduced_digest": difference.reproduced_digest,
        "recorded_rows": difference.recorded_rows,
        "reproduced_rows": difference.reproduced_rows,
        "columns": list(difference.columns),
        "only_recorded": difference.only_recorded,
        "only_reproduced": difference.only_reproduced,
        "files": [
            {"column": name, "recorded": recorded, "reproduced": reproduced}
            for name, (recorded, reproduced) in (difference.files or {}).items()
        ],
    }


def _difference(difference: "Difference") -> str:
    rows = f"{difference.recorded_rows} rows were recorded and {difference.reproduced_rows} reproduced."
    columns = f" They differ in {', '.join(difference.columns)}." if difference.columns else ""
    return (rows + columns)[:MESSAGE_LIMIT]
