"""The operation as callers see it."""

from __future__ import annotations

from datetime import datetime

from api.kernel.models import Model
from api.kernel.operations.store import OperationRow, OperationState


class Progress(Model):
    """How far it is. A backfill counts partitions, a run its steps."""

    done: int
    """Finished steps or partitions."""

    total: int
    """All of them; 0 while unknown."""


class ProducedVersion(Model):
    """A version the operation made."""

    asset: str
    """Id of the asset."""

    data_version: str | None
    """The version, `<table id>@<table version>`; null if the asset reports none."""

    partition: str | None
    """Key of the partition, if the asset has partitions."""


class Operation(Model):
    """Long work: where it stands, what it started and what came of it."""

    id: str
    """Id of the operation."""

    action: str
    """The permission it was started with, such as `ai_catalog.asset.materialize`."""

    subject: str
    """What it was asked of: the id in the path, or the collection."""

    state: OperationState
    """SUCCEEDED, FAILED and CANCELED are final."""

    progress: Progress
    """How far it is."""

    assets: list[str]
    """Assets it materializes."""

    partitions: list[str]
    """Partitions it was asked for; empty means all, or that there are none."""

    runs: list[str]
    """Dagster runs it started."""

    backfill: str | None
    """Dagster backfill it started, if it is one."""

    produced: list[ProducedVersion]
    """Versions it made; filled when it is final."""

    error: str | None
    """Why it failed; null otherwise."""

    created_by: str
    """Name of the principal that started it."""

    request_id: str
    """The request that started it."""

    created_at: datetime
    """When it was accepted."""

    updated_at: datetime
    """When it was last seen to change."""

    finished_at: datetime | None
    """When it became final."""


def to_resource(row: OperationRow) -> Operation:
    """The stored operation as its resource."""
    return Operation(
        id=row.id,
        action=row.action,
        subject=row.subject,
        state=row.state,
        progress=Progress(done=row.done, total=row.total),
        assets=list(row.assets),
        partitions=list(row.partitions),
        runs=list(row.runs),
        backfill=row.backfill,
        produced=[
            ProducedVersion(asset=made.asset, data_version=made.data_version, partition=made.partition)
            for made in row.produced
        ],
        error=row.error,
        created_by=row.principal,
        request_id=row.request_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )
