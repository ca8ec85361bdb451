"""Runs of pipelines as Dagster has them, with the scope that their pipeline has now.

A run belongs to the pipeline that its tags name. The tags come from the job of the pipeline, so every run has them,
also one that a schedule or the Dagster UI started.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.permissions.projects import FORMER, Projects
from api.kernel.platform import Platform
from api.kernel.securable import Securable
from api.kernel.tables import RESOURCE, REVISION
from api.services.ai_catalog.kinds.pipeline import PIPELINE
from core.pipelines import PARAMETERS_TAG, PIPELINE_TAG, REVISION_TAG
from core.runs import RunState

KIND = "ai_catalog.pipeline_run"
PRINCIPAL_TAG = "headwater/principal"
PARENT_TAG = "dagster/parent_run_id"
ROOT_TAG = "dagster/root_run_id"


@dataclass(frozen=True, slots=True)
class Owned:
    """A run with its pipeline and its scope."""

    run: RunState
    pipeline_id: str
    place: Securable

    @property
    def revision(self) -> int:
        """Published version of the pipeline when it started."""
        text = self.run.tags.get(REVISION_TAG, "")
        return int(text) if text.isdigit() else 0

    @property
    def parameters(self) -> dict[str, Any]:
        """Values of the parameters."""
        try:
            values = json.loads(self.run.tags.get(PARAMETERS_TAG, "{}"))
        except ValueError:  # a user of the Dagster UI can edit tags
            return {}
        return values if isinstance(values, dict) else {}

    @property
    def first_run(self) -> str:
        """Id of the run that this run retries, directly or through other retries; its own id for a first run."""
        return self.run.tags.get(ROOT_TAG) or self.run.id

    def started_by(self, platform: Platform) -> str | None:
        """Returns who started it. Names of another organization, before the project moved, are not returned."""
        projects = platform.part(Projects)
        moved_at = projects.moved_at(projects.name_of(self.place.project_id or "") or "")
        if moved_at is not None and self.run.created_at is not None and self.run.created_at < moved_at:
            return FORMER
        return self.run.tags.get(PRINCIPAL_TAG)


def owned(connection: Connection, runs: Iterable[RunState]) -> list[Owned]:
    """Returns those of these runs whose pipeline exists. A deleted pipeline still has its runs."""
    runs = list(runs)
    ids = {run.tags.get(PIPELINE_TAG, "") for run in runs}
    rows = connection.execute(
        sa.select(RESOURCE.c.id, RESOURCE.c.organization_id, RESOURCE.c.project_id).where(
            RESOURCE.c.kind == PIPELINE.full_name, RESOURCE.c.id.in_(ids)
        )
    )
    scopes = {row.id: row for row in rows}
    return [
        Owned(run, row.id, Securable(KIND, run.id, row.organization_id, row.project_id))
        for run in runs
        if (row := scopes.get(run.tags.get(PIPELINE_TAG, "")))
    ]


def assets_of(connection: Connection, run: Owned) -> list[str]:
    """Returns the assets that the pipeline had when the run started."""
    revision = sa.select(REVISION.c.content).where(
        REVISION.c.resource_id == run.pipeline_id, REVISION.c.version == run.revision
    )
    content = connection.execute(revision).scalar()
    return list(content["spec"]["assets"]) if content else []


def assets_by_step(ctx: Context, assets: Iterable[str]) -> Mapping[str, list[str]]:
    """Returns the assets that each step produces, by the name of the step."""
    nodes = ctx.orchestrator.view().nodes
    steps: dict[str, list[str]] = {}
    for asset in assets:
        node = nodes.get(asset)
        steps.setdefault((node.op if node else None) or asset.replace(".", "__"), []).append(asset)
    return steps
