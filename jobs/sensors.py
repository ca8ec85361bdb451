"""Sensors on landing folders: a CSV file that is complete starts a run that ingests it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.datasets.ingestion import LANDING_METADATA
from core.ids import asset_id, asset_key
from resources.delta import Delta

if TYPE_CHECKING:
    from lakehouse.landing import Candidate

LANDING_INTERVAL_SECONDS = 5
LANDING_TAG = "headwater/landing"
"""Run tag: the table whose folder is being ingested."""

MAX_ATTEMPTS = 3
_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def landing_sensors(specs: Iterable[dg.AssetSpec]) -> list[dg.SensorDefinition]:
    """One sensor per table that is fed by a landing folder.

    Args:
        specs: assets to look through; those with the metadata `headwater/landing_pattern` are fed so.
    """
    return [
        landing_sensor(asset_id(spec.key.path), str(spec.metadata[LANDING_METADATA]))
        for spec in specs
        if LANDING_METADATA in spec.metadata
    ]


def landing_sensor(table: str, pattern: str) -> dg.SensorDefinition:
    """Watches the landing folder of a table.

    A file counts as complete when it looked the same at two ticks in a row. Its digest is remembered with its size and
    time, so that an unchanged file is read once, and a content that is ingested is never asked for again. A run that
    fails is repeated; a batch of files whose runs failed three times waits for somebody to look.
    """
    assets = [dg.AssetKey(asset_key(name)) for name in (table, f"{table}_quarantine")]

    @dg.sensor(
        name=f"landing__{table.replace('.', '__')}",
        asset_selection=assets,
        minimum_interval_seconds=LANDING_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Ingests files matching {pattern} from the landing folder of {table}.",
    )
    def landing(context: dg.SensorEvaluationContext, delta: Delta) -> dg.SensorResult | dg.SkipReason:
        from lakehouse.landing import LandingRecord, candidates, folder_of

        folder = folder_of(delta.settings().effective_landing_url, table)
        folder.mkdir(parents=True, exist_ok=True)
        found = candidates(folder, pattern)
        before = json.loads(context.cursor or "{}")
        complete, cursor = look(found, before)
        context.update_cursor(json.dumps(cursor))
        known = LandingRecord(delta.database()).known(table, complete.values()) if complete else set()
        waiting = sorted(value for value in set(complete.values()) if value not in known)
        if not waiting:
            return dg.SkipReason(_nothing(found, complete, str(folder)))
        batch = hashlib.sha256("".join(waiting).encode()).hexdigest()[:16]
        attempts = _attempts(context.instance, table)
        if any(status in _ACTIVE for status, _ in attempts):
            return dg.SkipReason(f"{len(waiting)} files wait for the run that is active.")
        tried = sum(batch == other for _, other in attempts)
        if tried >= MAX_ATTEMPTS:
            return dg.SkipReason(
                f"{tried} runs failed on the same files; see their logs, then launch {table} yourself."
            )
        request = dg.RunRequest(
            # Asked for twice, after a crash between the launch and the tick's end, it is launched once.
            run_key=f"{table}:{batch}:{tried}",
            asset_selection=assets,
            tags={
                LANDING_TAG: table,
                f"{LANDING_TAG}_batch": batch,
                "headwater/principal": f"sensor:{context.sensor_name}",
            },
        )
        return dg.SensorResult(run_requests=[request])

    return landing


def look(found: Sequence["Candidate"], before: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Compares a folder with how it looked at the last tick.

    Args:
        found: files as they are now.
        before: file name to size, modification time and digest at the last tick; the digest is empty for a file that
            was seen for the first time.

    Returns:
        Digests of the complete files by name, and what to remember for the next tick.
    """
    from lakehouse.landing import digest

    complete, after = {}, {}
    for file in found:
        name, seen = file.path.name, [file.size, file.modified_ns]
        known = before.get(name) or [None, None, ""]
        if known[:2] != seen:
            after[name] = [*seen, ""]
            continue
        try:
            complete[name] = known[2] or digest(file.path)
        except FileNotFoundError:
            continue
        after[name] = [*seen, complete[name]]
    return complete, after


def _nothing(found: Sequence["Candidate"], complete: Mapping[str, str], folder: str) -> str:
    if growing := len(found) - len(complete):
        return f"{growing} new or growing files in {folder}; looked at again at the next tick."
    return f"No new file in {folder}."


def _attempts(instance: dg.DagsterInstance, table: str) -> list[tuple[dg.DagsterRunStatus, str]]:
    """State and batch of the latest runs for a table."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={LANDING_TAG: table}), limit=20)
    return [(run.status, run.tags.get(f"{LANDING_TAG}_batch", "")) for run in runs]
