"""Published pipelines: named selections of assets with parameters and a schedule. Each is a job in Dagster.

The API writes the rows; `jobs.pipelines` builds jobs and schedules from them. A run of a pipeline has these tags,
however it was started.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.db import METADATA, UtcDateTime

PIPELINE_TAG = "headwater/pipeline"
"""Run tag: the id of the pipeline."""

KIND_TAG = "headwater/run_of"
"""Run tag: `pipeline`, for all runs of pipelines."""

REVISION_TAG = "headwater/pipeline_revision"
"""Run tag: the published version of the pipeline."""

PARAMETERS_TAG = "headwater/pipeline_parameters"
"""Run tag: the values of the parameters, as a JSON object."""

QUEUE_TAG = "headwater/pipeline_queue"
"""Run tag: runs with the same value run one after the other."""

RETRY_DAYS = 30
"""Days for which the versions that a run reads are kept for a retry."""


class Overlap(StrEnum):
    """What happens to a run that is due while another run of the pipeline is active."""

    PARALLEL = "PARALLEL"
    QUEUE = "QUEUE"
    SKIP = "SKIP"


class CatchUp(StrEnum):
    """What happens to times of a schedule that passed while the platform was down.

    `LATEST`: one run for the latest of them. `SKIP`: no run.
    """

    LATEST = "LATEST"
    SKIP = "SKIP"


PUBLISHED_PIPELINE = sa.Table(
    "published_pipeline",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("project", sa.String(64), nullable=False, index=True),
    sa.Column("job", sa.String(128), nullable=False, unique=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    # The config of the assets with the default values of the parameters, by asset id.
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("published_at", UtcDateTime, nullable=False),
    sa.Column("published_by", sa.String(128), nullable=False),
    sa.Column("published_by_id", sa.String(64), nullable=False),
    sa.Column("blocked", sa.String(500)),
)


@dataclass(frozen=True, slots=True)
class PublishedPipeline:
    """The input for building a Dagster job. `Row(**json)` of the state restores it."""

    id: str
    job: str
    revision: int
    title: str
    description: str
    assets: tuple[str, ...]
    config: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Any]
    """The default values."""
    overlap: str
    retries: int
    retry_delay_seconds: int
    published_by: str
    cron: str = ""
    """Times of the schedule; empty if there is none."""
    timezone: str = "UTC"
    catch_up: str = CatchUp.LATEST
    error: str = ""
    """Reason why it must not run; empty if it may."""

    @property
    def tags(self) -> dict[str, str]:
        """Tags of its runs with the default values of the parameters."""
        return tags_of(self.id, self.revision, self.overlap, self.parameters)

    @property
    def schedule(self) -> str:
        """Name of its schedule in Dagster."""
        return f"{self.job}_schedule"


def tags_of(id: str, revision: int, overlap: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Returns the tags of a run of a pipeline."""
    tags = {KIND_TAG: "pipeline", PIPELINE_TAG: id, REVISION_TAG: str(revision)}
    tags[PARAMETERS_TAG] = json.dumps(parameters, sort_keys=True)
    return {**tags, QUEUE_TAG: id} if overlap == Overlap.QUEUE else tags


def published_pipelines(connection: Connection, project: str) -> list[PublishedPipeline]:
    """Returns the published pipelines of a project, ordered by id."""
    rows = connection.execute(
        sa.select(PUBLISHED_PIPELINE).where(PUBLISHED_PIPELINE.c.project == project).order_by(PUBLISHED_PIPELINE.c.id)
    )
    return [_pipeline(row) for row in rows]


def find(connection: Connection, id: str) -> sa.Row[*tuple[Any, ...]] | None:
    """Returns the row of a published pipeline; `None` if it isn't published."""
    return connection.execute(sa.select(PUBLISHED_PIPELINE).where(PUBLISHED_PIPELINE.c.id == id)).first()


def projects(connection: Connection) -> set[str]:
    """Returns the names of the projects that have a published pipeline."""
    return set(connection.execute(sa.select(PUBLISHED_PIPELINE.c.project).distinct()).scalars())


def containing(connection: Connection, assets: set[str]) -> list[str]:
    """Returns the ids of the published pipelines that contain one of these assets."""
    names = {asset.partition(".")[0] for asset in assets}
    rows = connection.execute(sa.select(PUBLISHED_PIPELINE).where(PUBLISHED_PIPELINE.c.project.in_(names)))
    return sorted(row.id for row in rows if not assets.isdisjoint(row.spec["assets"]))


def defaults(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the parameters of a stored spec that have a default."""
    return {name: item["default"] for name, item in spec["parameters"].items() if item["default"] is not None}


def _pipeline(row: sa.Row[*tuple[Any, ...]]) -> PublishedPipeline:
    spec = row.spec
    schedule = spec["schedule"] or {}
    return PublishedPipeline(
        id=row.id,
        job=row.job,
        revision=row.revision,
        title=spec["title"],
        description=spec["description"],
        assets=tuple(spec["assets"]),
        config=row.config,
        parameters=defaults(spec),
        overlap=spec["overlap"],
        retries=spec["retries"],
        retry_delay_seconds=spec["retry_delay_seconds"],
        published_by=row.published_by,
        cron=schedule.get("cron", ""),
        timezone=schedule.get("timezone", "UTC"),
        catch_up=schedule.get("catch_up", CatchUp.LATEST.value),
        error=row.blocked or "",
    )
