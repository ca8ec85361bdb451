"""Tables of lineage that other systems report: their events, and the runs, jobs, and datasets that these describe."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime


def _owned(name: str, *columns: sa.Column[Any] | sa.Constraint | sa.Index, names: tuple[str, ...] = ()) -> sa.Table:
    return sa.Table(
        name,
        METADATA,
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        *columns,
        info=project_rows(*names),
    )


LINEAGE_EVENT = _owned(
    "lineage_event",
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("event_time", UtcDateTime, nullable=False),
    sa.Column("producer", sa.Text, nullable=False),
    sa.Column("run_id", sa.String(64)),
    sa.Column("job_namespace", sa.Text),
    sa.Column("job_name", sa.Text),
    sa.Column("digest", sa.String(64), nullable=False),
    # JSON as text, because PostgreSQL would refuse some numbers and characters that JSON allows.
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("findings", sa.JSON, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.UniqueConstraint("project_id", "digest"),
    sa.Index("ix_lineage_event_time", "project_id", "event_time"),
    names=("created_by",),
)
"""Events as they came in. The digest of its content makes an event unique in a project."""

EXTERNAL_JOB = _owned(
    "external_job",
    # Digest of namespace and name, which are longer than PostgreSQL can index.
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("facets", sa.JSON, nullable=False),
    sa.Column("facet_times", sa.JSON, nullable=False),
    sa.Column("latest_run", sa.String(64)),
    sa.Column("latest_run_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("project_id", "key"),
)
"""Jobs of other systems, and the run of each that began last."""

EXTERNAL_RUN = _owned(
    "external_run",
    sa.Column("job_id", sa.String(64), nullable=False, index=True),
    sa.Column("job_namespace", sa.Text, nullable=False),
    sa.Column("job_name", sa.Text, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("state_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("facets", sa.JSON, nullable=False),
    sa.Column("facet_times", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.UniqueConstraint("project_id", "run_id"),
    sa.Index("ix_external_run_run_id", "run_id"),
    names=("created_by",),
)
"""Runs of other systems. The UUID of a run is unique in a project, because any caller can choose it."""

EXTERNAL_DATASET = _owned(
    "external_dataset",
    # Digest of namespace, name, and asset.
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("namespace", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("asset", sa.String(200), nullable=False, index=True),
    sa.Column("facets", sa.JSON, nullable=False),
    sa.Column("facet_times", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("project_id", "key"),
)
"""Datasets that events name. `asset` is the asset of the platform that it is, or empty."""

EXTERNAL_DATASET_USE = _owned(
    "external_dataset_use",
    # A run, or a job whose inputs and outputs were declared without a run.
    sa.Column("owner_id", sa.String(64), nullable=False),
    sa.Column("dataset_id", sa.String(64), nullable=False, index=True),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("version", sa.Text),
    sa.Column("previous", sa.String(128)),
    sa.Column("facets", sa.JSON, nullable=False),
    sa.Column("facet_times", sa.JSON, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("owner_id", "dataset_id", "direction"),
)
"""Inputs and outputs of runs and jobs. The version of an asset is one that its table has, or null.

`previous` is the version of the asset on which an output is based, if no step of the platform recorded that.
"""
