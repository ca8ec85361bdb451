"""Hourly maintenance of every table: merges small files, deletes unneeded files, completes the lineage record."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from core import clock
from core.definitions import retired_assets
from core.errors import HeadwaterError
from core.pipelines import RETRY_DAYS
from resources.delta import OPERATION_TAG, PRINCIPAL_TAG, UNATTENDED, Delta

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot

SMALL_FILES = 16
"""Number of files from which a table with small files (on average) is compacted."""

_SMALL_BYTES = 8_000_000

_LAUNCH_TIME = timedelta(minutes=10)
"""Time within which the run of a reproduction is launched."""


class Maintenance(dg.Config):
    """Configuration of a maintenance run."""

    retention_hours: float = 168.0
    """Files that only versions older than this need are deleted, unless a pin protects such a version."""
    prefix: str = ""
    """Only maintains tables whose name begins with this text."""


@dg.op
def maintain(context: dg.OpExecutionContext, config: Maintenance, delta: Delta) -> None:
    """Optimizes and vacuums each table, then repairs lineage. A failing table doesn't stop the others.

    It also discards expired branches, deletes what killed reproductions left, removes the online rows of former tables
    and retired assets, and releases the versions that old runs of pipelines read.

    Raises:
        dg.Failure: some tables could not be maintained. The message lists them.
    """
    from lakehouse import pipeline_inputs
    from lakehouse.branch_records import discard_expired
    from lakehouse.repair import repair_lineage
    from lakehouse.reproductions import abandoned, clear

    tables, lineage = delta.tables(), delta.lineage()
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for table in tables.list(config.prefix):
        try:
            done[table] = {
                "optimized": optimize(context, delta, table),
                "deleted_files": len(tables.vacuum(table, retention_hours=config.retention_hours)),
                "repaired_commits": repair_lineage(tables, lineage, [table]),
            }
        except HeadwaterError as error:
            context.log.exception("maintenance of %s failed", table)
            failed[table] = error.detail
    for branch in discard_expired(delta.database(), tables):
        context.log.info("Discarded the expired branch %s.", branch)
    pipeline_inputs.release(delta.database(), clock.now() - timedelta(days=RETRY_DAYS))
    since = clock.now() - _LAUNCH_TIME
    for area in abandoned(
        delta.database(), tables, since=since, is_running=lambda operation: _is_running(context, operation)
    ):
        clear(tables, area)
        context.log.info("Deleted what the killed reproduction %s left.", area)
    _sweep_online_rows(context, delta)
    context.add_output_metadata({"tables": len(done), "result": done})
    if failed:
        raise dg.Failure(
            f"{len(failed)} of {len(done) + len(failed)} tables failed in maintenance: {', '.join(failed)}.",
            metadata={"failed": failed, "result": done},
        )


def _sweep_online_rows(context: dg.OpExecutionContext, delta: Delta) -> None:
    from features.online import open_store
    from features.rows import microseconds
    from features.sweep import sweep

    store = open_store(delta.settings())
    try:
        with delta.database().read() as connection:
            retired = retired_assets(connection)
        for asset, outcome in sweep(store, delta.tables(), microseconds(clock.now()), retired=retired).items():
            context.log.info("Online rows of %s: %s.", asset, outcome)
    except HeadwaterError as error:
        context.log.warning("The online rows could not be swept: %s", error.detail)
    finally:
        store.close()


def _is_running(context: dg.OpExecutionContext, operation: str) -> bool:
    runs = context.instance.get_runs(dg.RunsFilter(tags={OPERATION_TAG: operation}))
    return any(not run.is_finished for run in runs)


def optimize(context: dg.OpExecutionContext, delta: Delta, table: str) -> bool:
    """Compacts the files of a table if it has many small ones. Returns whether that created a new version.

    The new version has the same content, so its lineage continues the lineage of the version before.
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
    step.record_commit(commit, continues=True)
    return True


def _is_scattered(snapshot: "Snapshot") -> bool:
    return snapshot.file_count >= SMALL_FILES and snapshot.size_bytes / snapshot.file_count < _SMALL_BYTES


@dg.job(description="Merges small files, deletes unneeded files, and completes lineage, for all tables. Respects pins.")
def maintain_tables() -> None:
    """Maintains all tables of the lakehouse."""
    maintain()


hourly_maintenance = dg.ScheduleDefinition(
    name="hourly_maintenance",
    job=maintain_tables,
    cron_schedule="17 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="At 17 minutes past every hour, when no other schedule starts.",
)
