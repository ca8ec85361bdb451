"""How a launch becomes GraphQL parameters: runs in stages, or a backfill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import ids
from core.errors import InvalidPayload
from core.ports import AssetNode, Launch

ASSET_JOB = "__ASSET_JOB"
_PARTITION_TAG = "dagster/partition"


def is_backfill(launch: Launch) -> bool:
    """Whether Dagster's backfill daemon has to sequence it."""
    return launch.all_partitions or len(launch.partitions) > 1


def stages(nodes: Sequence[AssetNode]) -> list[list[AssetNode]]:
    """The assets in the order in which they can be launched.

    A run never reaches beyond its code location. So what another location needs comes one stage earlier.
    """
    chosen = {node.id: node for node in nodes}
    numbers: dict[str, int] = {}
    waiting = list(chosen)
    while waiting:
        node = chosen[waiting[-1]]
        above = [chosen[id] for id in node.upstream if id in chosen]
        if missing := [other.id for other in above if other.id not in numbers]:
            waiting.extend(missing)
            continue
        waiting.pop()
        numbers[node.id] = max((numbers[up.id] + (up.location != node.location) for up in above), default=0)
    found: list[list[AssetNode]] = [[] for _ in range(max(numbers.values(), default=0) + 1)]
    for node in nodes:
        found[numbers[node.id]].append(node)
    return found


def backfill_params(launch: Launch, nodes: Sequence[AssetNode]) -> dict[str, Any]:
    """`LaunchBackfillParams`."""
    params: dict[str, Any] = {"assetSelection": _keys(nodes), "tags": _tags(launch)}
    if launch.partitions:
        params["partitionNames"] = list(launch.partitions)
    else:
        params["allPartitions"] = True
    if launch.config:
        params["runConfigData"] = _config(launch, nodes)
    return params


def run_params(launch: Launch, nodes: Sequence[AssetNode]) -> list[dict[str, Any]]:
    """`ExecutionParams` of one run per code location."""
    groups: dict[tuple[str, str], list[AssetNode]] = {}
    for node in nodes:
        groups.setdefault((node.location, node.repository), []).append(node)
    tags = _tags(launch)
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


def _job(nodes: Sequence[AssetNode]) -> str:
    """The implicit job that holds all these assets."""
    common = set.intersection(*(set(node.jobs) for node in nodes))
    jobs = sorted(job for job in common if job.startswith(ASSET_JOB))
    if not jobs:
        raise InvalidPayload(f"No single run can make {', '.join(node.id for node in nodes)} together.")
    return jobs[0]


def _config(launch: Launch, nodes: Sequence[AssetNode]) -> dict[str, Any]:
    given = {node.op: dict(launch.config[node.id]) for node in nodes if node.op and node.id in launch.config}
    return {"ops": {op: {"config": config} for op, config in given.items()}} if given else {}


def _keys(nodes: Sequence[AssetNode]) -> list[dict[str, list[str]]]:
    return [{"path": ids.asset_key(node.id)} for node in nodes]


def _tags(launch: Launch) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in launch.tags.items()]
