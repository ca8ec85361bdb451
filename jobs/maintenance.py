"""Hourly upkeep of every table: merge small files, delete files nobody needs, complete the lineage record."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from core.errors import HeadwaterError
from resources.delta import PRINCIPAL_TAG, UNATTENDED, Delta

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot

SMALL_FILES = 16
"""Files a table may have that are small on average before they are merged."""

_SMALL_BYTES = 8_000_000


class Maintenance(dg.Config):
    """What one maintenance run does."""

    retention_hours: float = 168.0
    """Files that only versions older than this need are deleted, unless a pin holds one of these versions."""
    prefix: str = ""
    """Only tables whose name starts so."""


@dg.op
def maintain(context: dg.OpExecutionContext, config: Maintenance, delta: Delta) -> None:
    """Optimizes and vacuums each table, then mends lineage. One broken table does not keep the others waiting.

    Raises:
        dg.Failure: names the tables that could not be maintained.
    """
    tables, lineage = delta.tables(), delta.lineage()
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for table in tables.list(config.prefix):
        try:
            done[table] = {
                "optimized": optimize(context, delta, table),
                "deleted_files": len(tables.vacuum(table, retention_hours=config.retention_hours)),
                "mended_commits": lineage.repair(tables, [table]),
            }
        except HeadwaterError as error:
            context.log.exception("maintenance of %s failed", table)
            failed[table] = error.detail
    context.add_output_metadata({"tables": len(done), "result": done})
    if failed:
        raise dg.Failure(
            f"{len(failed)} of {len(done) + len(failed)} tables could not be maintained: {', '.join(failed)}.",
            metadata={"failed": failed, "result": done},
        )


def optimize(context: dg.OpExecutionContext, delta: Delta, table: str) -> bool:
    """Merges a table's files if there are many small ones; returns whether that made a new version.

    The new version has the same content, so lineage leads through it to the one before.
    """
    from lakehouse.step import Step

    tables = delta.tables()
    before = tables.snapshot(table)
    if not _is_scattered(before):
        return False
    commit = tables.optimize(table)
    if not commit.changed:
        return False
    step = Step(
        tables,
        delta.lineage(),
        asset=table,
        run=context.run_id,
        step="optimize",
        code_version="",
        engine="delta-rs",
        principal=context.run.tags.get(PRINCIPAL_TAG, UNATTENDED),
    )
    step.wrote(commit, continues=True)
    return True


def _is_scattered(snapshot: "Snapshot") -> bool:
    return snapshot.file_count >= SMALL_FILES and snapshot.size_bytes / snapshot.file_count < _SMALL_BYTES


@dg.job(description="Merges small files, deletes unneeded ones respecting pins, and completes lineage, for all tables.")
def maintain_tables() -> None:
    """Upkeep of the lakehouse."""
    maintain()


hourly_maintenance = dg.ScheduleDefinition(
    name="hourly_maintenance",
    job=maintain_tables,
    cron_schedule="17 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="At 17 minutes past every hour, away from the schedules that start on the hour.",
)
