"""GraphQL parameters of a launch: runs in stages, or a backfill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import ids
from core.errors import InvalidPayload
from core.pipelines import PIPELINE_TAG
from core.ports import AssetNode
from core.runs import Launch

ASSET_JOB = "__ASSET_JOB"
_PARTITION_TAG = "dagster/partition"


def is_backfill(launch: Launch) -> bool:
    """Returns whether a launch needs a backfill, which Dagster's daemon splits into runs."""
    return launch.all_partitions or len(launch.partitions) > 1


def stages(nodes: Sequence[AssetNode]) -> list[list[AssetNode]]:
    """Returns the assets in the stages in which they can be launched.

    A run is limited to one code location. An input from another location is therefore in an earlier stage.
    """
    selected = {node.id: node for node in nodes}
    numbers: dict[str, int] = {}
    pending = list(selected)
    while pending:
        node = selected[pending[-1]]
        inputs = [selected[id] for id in node.upstream if id in selected]
        if missing := [other.id for other in inputs if other.id not in numbers]:
            pending.extend(missing)
            continue
        pending.pop()
        numbers[node.id] = max((numbers[other.id] + (other.location != node.location) for other in inputs), default=0)
    result: list[list[AssetNode]] = [[] for _ in range(max(numbers.values(), default=0) + 1)]
    for node in nodes:
        result[numbers[node.id]].append(node)
    return result


def backfill_params(launch: Launch, nodes: Sequence[AssetNode]) -> dict[str, Any]:
    """Returns the `LaunchBackfillParams` of a launch."""
    params: dict[str, Any] = {"assetSelection": _keys(nodes), "tags": _tags(launch)}
    if launch.partitions:
        params["partitionNames"] = list(launch.partitions)
    else:
        params["allPartitions"] = True
    if launch.config:
        params["runConfigData"] = _config(launch, nodes)
    return params


def run_params(launch: Launch, nodes: Sequence[AssetNode]) -> list[dict[str, Any]]:
    """Returns the `ExecutionParams` of one run per code location."""
    groups: dict[tuple[str, str], list[AssetNode]] = {}
    for node in nodes:
        groups.setdefault((node.location, node.repository), []).append(node)
    tags = _tags(launch)
    if launch.job:
        (location, repository), group = next(iter(groups.items()))
        return [_job_params(launch, location, repository, group, tags)]
    if launch.partitions:
        tags.append({"key": _PARTITION_TAG, "value": launch.partitions[0]})
    return [
        {
            "selector": {
                "jobName": _job(group),
                "repositoryName": repository,
                "repositoryLocationName": location,
                "assetSelection": _keys(group),
            },
            "runConfigData": _config(launch, group),
            "executionMetadata": {"tags": tags},
            "mode": "default",
        }
        for (location, repository), group in groups.items()
    ]


def retry_params(launch: Launch) -> dict[str, Any]:
    """Returns the `ReexecutionParams` of a launch that repeats steps of a run."""
    strategy = "ALL_STEPS" if launch.repeats_all else "FROM_FAILURE"
    return {"parentRunId": launch.retries, "strategy": strategy, "extraTags": _tags(launch)}


def _job_params(
    launch: Launch, location: str, repository: str, nodes: Sequence[AssetNode], tags: list[dict[str, str]]
) -> dict[str, Any]:
    """Returns the `ExecutionParams` of a run of a job that isn't the implicit job of its assets."""
    # Exactly the assets that the caller may materialize, also if Dagster has not loaded the current job yet.
    selection = {"assetSelection": _keys(nodes)} if PIPELINE_TAG in launch.tags else {}
    ops = {op: {"config": dict(config)} for op, config in launch.config.items()}
    return {
        "selector": {
            "jobName": launch.job,
            "repositoryName": repository,
            "repositoryLocationName": location,
            **selection,
        },
        "runConfigData": {"ops": ops} if ops else {},
        "executionMetadata": {"tags": tags},
        "mode": "default",
    }


def _job(nodes: Sequence[AssetNode]) -> str:
    """Returns the implicit job that contains all these assets."""
    common = set.intersection(*(set(node.jobs) for node in nodes))
    jobs = sorted(job for job in common if job.startswith(ASSET_JOB))
    if not jobs:
        raise InvalidPayload(f"No single run can materialize {', '.join(node.id for node in nodes)} together.")
    return jobs[0]


def _config(launch: Launch, nodes: Sequence[AssetNode]) -> dict[str, Any]:
    given = {node.op: dict(launch.config[node.id]) for node in nodes if node.op and node.id in launch.config}
    return {"ops": {op: {"config": config} for op, config in given.items()}} if given else {}


def _keys(nodes: Sequence[AssetNode]) -> list[dict[str, list[str]]]:
    return [{"path": ids.asset_key(node.id)} for node in nodes]


def _tags(launch: Launch) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in launch.tags.items()]
