"""Sensors for landing folders: each complete CSV file starts a run that ingests it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.datasets.ingestion import LANDING_METADATA
from core.errors import HeadwaterError, NotFound
from core.ids import asset_id, asset_key
from resources.delta import Delta

if TYPE_CHECKING:
    from lakehouse.landing_files import LandingFile

LANDING_INTERVAL_SECONDS = 5
LANDING_TAG = "headwater/landing"
"""Run tag: the table whose landing folder the run ingests."""

MAX_ATTEMPTS = 3
_MAX_REPORTED_REASONS = 5
_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def landing_sensors(specs: Iterable[dg.AssetSpec]) -> list[dg.SensorDefinition]:
    """Creates one sensor for each table that has a landing folder.

    Args:
        specs: assets to search. Those with the metadata `headwater/landing_pattern` have a landing folder.
    """
    return [
        landing_sensor(asset_id(spec.key.path), str(spec.metadata[LANDING_METADATA]))
        for spec in specs
        if LANDING_METADATA in spec.metadata
    ]


def landing_sensor(table: str, pattern: str) -> dg.SensorDefinition:
    """Creates the sensor that watches the landing folder of a table.

    A file is complete if its size and modification time are unchanged between two ticks. The cursor stores its digest
    with both values, so that an unchanged file is read only once and ingested content isn't ingested again. A failed
    run is repeated. After three failed runs for the same batch of files, the sensor waits until the files change.
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
        from lakehouse.landing_files import landing_files, landing_folder
        from lakehouse.landing_record import LandingRecord

        landing_url = delta.settings().effective_landing_url
        files = landing_files(landing_url, table, pattern)
        before = json.loads(context.cursor or "{}")
        complete, cursor = compare_files(files, before)
        context.update_cursor(json.dumps(cursor))
        known = LandingRecord(delta.database()).ingested(table, complete.values()) if complete else set()
        waiting = sorted(value for value in set(complete.values()) if value not in known)
        if not waiting:
            return dg.SkipReason(_skip_reason(files, cursor, str(landing_folder(landing_url, table))))
        batch = hashlib.sha256("".join(waiting).encode()).hexdigest()[:16]
        attempts = _attempts(context.instance, table)
        if any(status in _ACTIVE for status, _ in attempts):
            return dg.SkipReason(f"{len(waiting)} files wait until the active run ends.")
        failures = sum(batch == other for _, other in attempts)
        if failures >= MAX_ATTEMPTS:
            return dg.SkipReason(
                f"{failures} runs failed on the same files. Check their logs, correct the files, then launch {table}."
            )
        request = dg.RunRequest(
            # After a crash between the launch and the end of the tick, the same key prevents a second run.
            run_key=f"{table}:{batch}:{failures}",
            asset_selection=assets,
            tags={
                LANDING_TAG: table,
                f"{LANDING_TAG}_batch": batch,
                "headwater/principal": f"sensor:{context.sensor_name}",
            },
        )
        return dg.SensorResult(run_requests=[request])

    return landing


def compare_files(files: Sequence["LandingFile"], before: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Compares the files of a folder with the state at the last tick.

    Args:
        files: the current files.
        before: file key to size, modification time and digest at the last tick. The digest is empty for a file that
            was new at that tick. For a file that can't be read, the reason follows.

    Returns:
        Digests of the complete files by key, and the state to store for the next tick.
    """
    complete: dict[str, str] = {}
    after: dict[str, Any] = {}
    for file in files:
        seen = [file.size, file.modified_ns]
        known = before.get(file.key) or [None, None, ""]
        if known[:2] != seen:
            after[file.key] = [*seen, ""]
            continue
        try:
            complete[file.key] = known[2] or file.digest()
        except NotFound:
            continue
        except HeadwaterError as error:
            # Only this file waits until it's corrected; later files are processed.
            after[file.key] = [*seen, "", error.detail]
            continue
        after[file.key] = [*seen, complete[file.key]]
    return complete, after


def _skip_reason(files: Sequence["LandingFile"], cursor: Mapping[str, Any], folder: str) -> str:
    states = [cursor[file.key] for file in files if file.key in cursor]
    refused = [state[3] for state in states if len(state) > 3]
    growing = sum(not state[2] for state in states) - len(refused)
    reasons = [f"{growing} new or growing files in {folder}; the next tick checks them again."] if growing else []
    reasons += [f"{len(refused)} files are skipped: {' '.join(refused[:_MAX_REPORTED_REASONS])}"] if refused else []
    return " ".join(reasons) or f"No new file in {folder}."


def _attempts(instance: dg.DagsterInstance, table: str) -> list[tuple[dg.DagsterRunStatus, str]]:
    """Returns status and batch of the latest runs for a table."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={LANDING_TAG: table}), limit=20)
    return [(run.status, run.tags.get(f"{LANDING_TAG}_batch", "")) for run in runs]
