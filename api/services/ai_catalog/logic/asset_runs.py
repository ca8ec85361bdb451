"""Runs of Dagster with the assets that they target. Who can see all of these assets can see the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from api.kernel.operations.launches import OPERATION_TAG, PRINCIPAL_TAG
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.permissions.projects import FORMER, Projects
from api.kernel.platform import Platform
from api.kernel.securable import ROOT, Securable, common_ancestor
from core.ports import GraphView
from core.runs import RunState

SCHEDULE_TAG = "dagster/schedule_name"
SENSOR_TAG = "dagster/sensor_name"
CONDITION_TAG = "dagster/from_automation_condition"


class RunOrigin(StrEnum):
    """What started a run. API: a request to the platform, also from the console. DAGSTER: the Dagster UI or its CLI."""

    SCHEDULE = "SCHEDULE"
    SENSOR = "SENSOR"
    CONDITION = "CONDITION"
    API = "API"
    DAGSTER = "DAGSTER"


@dataclass(frozen=True, slots=True)
class TargetedRun:
    """A run with the assets that it materializes or checks. There are none for a run of another job."""

    run: RunState
    assets: tuple[str, ...]

    @property
    def origin(self) -> RunOrigin:
        """What started the run. A retry has the tags of the first run, and those of the request."""
        tags = self.run.tags
        if OPERATION_TAG in tags:
            return RunOrigin.API
        if SCHEDULE_TAG in tags:
            return RunOrigin.SCHEDULE
        if CONDITION_TAG in tags:
            return RunOrigin.CONDITION
        return RunOrigin.SENSOR if SENSOR_TAG in tags else RunOrigin.DAGSTER

    @property
    def projects(self) -> set[str]:
        """Names of the projects of its assets."""
        return {asset.partition(".")[0] for asset in self.assets}

    def started_by(self, platform: Platform) -> str | None:
        """Returns who started it. Names of another organization, before a project moved, are not returned."""
        tags, created_at = self.run.tags, self.run.created_at
        projects = platform.part(Projects)
        moves = [moved for name in self.projects if (moved := projects.moved_at(name))]
        if created_at is not None and any(created_at < moved for moved in moves):
            return FORMER
        if self.origin is RunOrigin.API:
            return tags.get(PRINCIPAL_TAG)
        return tags.get(SCHEDULE_TAG) or tags.get(SENSOR_TAG) or tags.get(PRINCIPAL_TAG)

    def place(self, platform: Platform) -> Securable:
        """Returns what its assets have in common: an asset, a project, an organization, or the platform."""
        if not self.assets:
            return ROOT
        return common_ancestor([asset_securable(platform, asset) for asset in self.assets])


def targeted(view: GraphView, runs: Iterable[RunState]) -> list[TargetedRun]:
    """Returns runs with their assets: those that were selected, or all of their job."""
    of_jobs: dict[tuple[str, str], list[str]] = {}
    for id, node in view.nodes.items():
        for job in node.jobs:
            of_jobs.setdefault((node.location, job), []).append(id)
    return [TargetedRun(run, run.assets or tuple(sorted(of_jobs.get((run.location, run.job), ())))) for run in runs]


def sees(platform: Platform, access: Access, one: TargetedRun) -> bool:
    """Returns whether an access allows to see a run: all its assets, or everything if it has none."""
    if not one.assets:
        return access.unrestricted(READ_ASSET)
    return all(access.allows(READ_ASSET, asset_securable(platform, asset)) for asset in one.assets)
