"""How a launch becomes GraphQL parameters: one run, several runs, or a backfill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core import ids
from core.errors import InvalidPayload
from core.ports import AssetNode, Launch

ASSET_JOB = "__ASSET_JOB"
_PARTITION_TAG = "dagster/partition"


def needs_backfill(launch: Launch, nodes: Sequence[AssetNode]) -> bool:
    """Whether Dagster's backfill daemon has to sequence it.

    Several partitions do; so do several code locations of which one needs what another makes, since a run never
    reaches beyond its location.
    """
    if launch.all_partitions or len(launch.partitions) > 1:
        return True
    homes = {node.id: node.location for node in nodes}
    return any(above in homes and homes[above] != node.location for node in nodes for above in node.upstream)


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
