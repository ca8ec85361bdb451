"""Conversion of GraphQL responses to the data classes of `core.ports` and `core.runs`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from api.gateways.dagster.check_parsing import check_state, concerns
from core import ids
from core.pipelines import PIPELINE_TAG
from core.ports import AssetNode, AssetState, Automation, LocationState, Materialization, StaleCause, Staleness
from core.runs import (
    BackfillState,
    LogLine,
    ProducedVersion,
    RunState,
    RunStatus,
    RunSummary,
)

_RUN_STATUS = {
    "QUEUED": RunStatus.QUEUED,
    "NOT_STARTED": RunStatus.QUEUED,
    "MANAGED": RunStatus.RUNNING,
    "STARTING": RunStatus.STARTING,
    "STARTED": RunStatus.RUNNING,
    "SUSPENDED": RunStatus.RUNNING,
    "CANCELING": RunStatus.CANCELING,
    "SUCCESS": RunStatus.SUCCEEDED,
    "FAILURE": RunStatus.FAILED,
    "CANCELED": RunStatus.CANCELED,
}
_BACKFILL_STATUS = {
    "REQUESTED": RunStatus.RUNNING,
    "FAILING": RunStatus.RUNNING,
    "CANCELING": RunStatus.CANCELING,
    "CANCELED": RunStatus.CANCELED,
    "COMPLETED": RunStatus.SUCCEEDED,
    "COMPLETED_SUCCESS": RunStatus.SUCCEEDED,
    "COMPLETED_FAILED": RunStatus.FAILED,
    "FAILED": RunStatus.FAILED,
}
_DATA_VERSION = "dagster/data_version"


def run_status(status: str) -> RunStatus:
    """Returns the status of a run for a status of Dagster."""
    return _RUN_STATUS[status]


def locations(answer: Any) -> Iterator[tuple[LocationState, list[Any]]]:
    """Yields each code location with its repositories, which are empty while it is broken or loading."""
    for entry in answer["workspaceOrError"]["locationEntries"]:
        loaded = entry["locationOrLoadError"]
        if loaded and loaded["__typename"] == "RepositoryLocation":
            yield LocationState(entry["name"], True, None), loaded["repositories"]
        else:
            error = str(loaded["message"]).strip().split("\n")[0] if loaded else None
            yield LocationState(entry["name"], False, error), []


def node(raw: Any, location: str, repository: str) -> AssetNode:
    """Returns an asset as declared."""
    condition = raw["automationCondition"]
    return AssetNode(
        id=asset(raw["assetKey"]),
        description=raw["description"] or "",
        group=raw["groupName"],
        kinds=tuple(sorted(raw["kinds"])),
        owners=tuple(owner.get("email") or f"team:{owner['team']}" for owner in raw["owners"]),
        code_version=raw["opVersion"],
        upstream=tuple(sorted(asset(key) for key in raw["dependencyKeys"])),
        jobs=tuple(raw["jobNames"]),
        partitioned=raw["isPartitioned"],
        executable=raw["isExecutable"],
        automation=(condition["label"] or " ".join(condition["expandedLabel"])) if condition else None,
        location=location,
        repository=repository,
        op=raw["opNames"][0] if raw["opNames"] else None,
        tags={tag["key"]: tag["value"] for tag in raw["tags"]},
        compared_with=_compared_with(raw),
    )


def _compared_with(raw: Any) -> tuple[str, ...]:
    checks = raw["assetChecksOrError"].get("checks", ())
    return tuple(sorted({asset(key) for check in checks for key in check["additionalAssetKeys"]}))


def schedule(raw: Any, location: str, repository: str) -> Automation:
    """Returns a schedule with its state."""
    state = raw["scheduleState"]
    ticks = raw["futureTicks"]["results"] if state["status"] == "RUNNING" else ()
    upcoming = tuple(datetime.fromtimestamp(tick["timestamp"], UTC) for tick in ticks)
    return Automation(
        id=raw["name"],
        description=raw["description"] or "",
        running=state["status"] == "RUNNING",
        job=raw["pipelineName"],
        assets=_selected(raw),
        location=location,
        repository=repository,
        cron=raw["cronSchedule"],
        timezone=raw["executionTimezone"] or "UTC",
        kind="SCHEDULE",
        next_tick_at=upcoming[0] if upcoming else None,
        upcoming=upcoming,
        state_id=state["id"],
        pipeline=_tag(raw["tags"], PIPELINE_TAG) or "",
        **_tick(state),
    )


def sensor(raw: Any, location: str, repository: str) -> Automation:
    """Returns a sensor with its state."""
    state = raw["sensorState"]
    targets = [target["pipelineName"] for target in raw["targets"] or ()]
    return Automation(
        id=raw["name"],
        description=raw["description"] or "",
        running=state["status"] == "RUNNING",
        job=targets[0] if len(targets) == 1 else None,
        assets=_selected(raw),
        location=location,
        repository=repository,
        kind=raw["sensorType"],
        min_interval_seconds=raw["minIntervalSeconds"],
        state_id=state["id"],
        **_tick(state),
    )


def states(answer: Any) -> dict[str, AssetState]:
    """Returns the state of each asset, by asset id."""
    latest = {asset(info["assetKey"]): info for info in answer["assetsLatestInfo"]}
    result: dict[str, AssetState] = {}
    for raw in answer["assetNodes"]:
        id = asset(raw["assetKey"])
        if raw["isAutoCreatedStub"] and id in result:
            continue
        info = latest.get(id, {})
        events = raw["assetMaterializations"]
        materialization = _materialization(events[0]) if events else None
        result[id] = AssetState(
            staleness=Staleness(raw["staleStatus"] or "MISSING"),
            causes=tuple(_cause(cause) for cause in raw["staleCauses"]),
            materialization=materialization,
            checks=tuple(
                state
                for check in raw["assetChecksOrError"].get("checks", ())
                if concerns(state := check_state(check, materialization))
            ),
            last_run=_summary(info["latestRun"]) if info.get("latestRun") else None,
            runs_in_progress=(*info.get("unstartedRunIds", ()), *info.get("inProgressRunIds", ())),
        )
    return result


def run(raw: Any) -> RunState:
    """Returns a run without its produced versions."""
    stats = raw["stats"]
    done = stats.get("stepsSucceeded", 0) + stats.get("stepsFailed", 0)
    return RunState(
        id=raw["runId"],
        status=_RUN_STATUS[raw["status"]],
        steps_done=done,
        steps_total=max(done, len(raw["stepKeysToExecute"] or ())),
        created_at=instant(raw["creationTime"]),
        started_at=instant(raw["startTime"]),
        ended_at=instant(raw["endTime"]),
        tags={tag["key"]: tag["value"] for tag in raw["tags"]},
        job=raw["jobName"],
        location=(raw["repositoryOrigin"] or {}).get("repositoryLocationName", ""),
        assets=tuple(sorted(asset(key) for key in raw["assetSelection"] or ())),
    )


def statuses(wanted: Sequence[RunStatus]) -> list[str]:
    """Returns the statuses of Dagster that these statuses stand for."""
    return [name for name, status in _RUN_STATUS.items() if status in wanted]


def produced(answer: Any) -> tuple[ProducedVersion, ...]:
    """Returns the versions that a run produced."""
    events = answer["runOrError"].get("assetMaterializations", ())
    return tuple(
        ProducedVersion(asset(event["assetKey"]), _tag(event["tags"], _DATA_VERSION), event["partition"])
        for event in events
        if event["assetKey"]
    )


def backfill(raw: Any) -> BackfillState:
    """Returns a backfill with its progress in partitions. An asset without partitions counts as one."""
    done = total = 0
    for status in (raw["assetBackfillData"] or {}).get("assetBackfillStatuses", ()):
        if status["__typename"] == "UnpartitionedAssetStatus":
            total += 1
            done += int(status["materialized"] or status["failed"])
        else:
            total += status["numPartitionsTargeted"]
            done += status["numPartitionsMaterialized"] + status["numPartitionsFailed"]
    error = str(raw["error"]["message"]).strip().split("\n")[0] if raw["error"] else None
    runs = tuple(sorted(item["runId"] for item in raw["runs"]))
    return BackfillState(raw["id"], _BACKFILL_STATUS[raw["status"]], done, total, runs, error)


def log_line(raw: Any, cursor: str) -> LogLine:
    """Returns an event of a run. The message of a failure includes its cause."""
    message = raw["message"]
    if raw.get("error"):
        message = f"{message} {failure(raw['error'])}".strip()
    return LogLine(
        cursor=cursor,
        at=datetime.fromtimestamp(int(raw["timestamp"]) / 1000, UTC),
        level=raw["level"],
        type=raw["eventType"] or raw["__typename"],
        step=raw["stepKey"],
        message=message,
    )


def failure(error: Any) -> str:
    """Returns the first line of the error that the platform or the user's code raised.

    Dagster wraps this error. The causes of the error are errors of libraries.
    """
    chain = [error, *(error.get("causes") or ())]
    raised = next((item for item in chain if not str(item.get("className")).startswith("Dagster")), chain[-1])
    line = str(raised["message"]).strip().split("\n")[0]
    return line.removeprefix(f"core.errors.{raised.get('className')}: ")


def config_fields(answer: Any) -> dict[str, tuple[str, ...]]:
    """Returns the names of the fields of the config of each asset, by asset id."""
    found = {}
    for raw in answer["assetNodes"]:
        fields = raw["configField"]["configType"].get("fields", ()) if raw["configField"] else ()
        found[asset(raw["assetKey"])] = tuple(sorted(field["name"] for field in fields))
    return found


def asset(key: Any) -> str:
    """Returns the asset id of a key."""
    return ids.asset_id(key["path"])


def instant(seconds: float | None) -> datetime | None:
    """Returns the instant of a Unix time in seconds."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _tick(state: Any) -> dict[str, Any]:
    if not state["ticks"]:
        return {}
    tick = state["ticks"][0]
    message = tick["skipReason"] or (failure(tick["error"]) if tick["error"] else None)
    return {
        "last_tick_at": instant(tick["timestamp"]),
        "last_tick_status": tick["status"],
        "last_tick_message": message,
    }


def _selected(raw: Any) -> tuple[str, ...]:
    selection = raw["assetSelection"]
    return tuple(sorted(asset(key) for key in selection["assetKeys"])) if selection else ()


def _cause(raw: Any) -> StaleCause:
    dependency = asset(raw["dependency"]) if raw["dependency"] else None
    return StaleCause(asset(raw["key"]), raw["category"], raw["reason"], dependency)


def _materialization(raw: Any) -> Materialization:
    return Materialization(
        data_version=_tag(raw["tags"], _DATA_VERSION),
        at=datetime.fromtimestamp(int(raw["timestamp"]) / 1000, UTC),
        run_id=raw["runId"],
        partition=raw["partition"],
        metadata=dict(_metadata(raw["metadataEntries"])),
    )


def _metadata(entries: Sequence[Any]) -> Iterator[tuple[str, str | int | float | bool | None]]:
    for entry in entries:
        match entry["__typename"]:
            case "IntMetadataEntry":
                with contextlib.suppress(ValueError):
                    yield entry["label"], int(entry["intRepr"])
            case "FloatMetadataEntry":
                with contextlib.suppress(ValueError):
                    yield entry["label"], float(entry["floatRepr"])
            case "BoolMetadataEntry":
                yield entry["label"], entry["boolValue"]
            case "TextMetadataEntry":
                yield entry["label"], entry["text"]
            case "PathMetadataEntry":
                yield entry["label"], entry["path"]
            case "UrlMetadataEntry":
                yield entry["label"], entry["url"]


def _summary(raw: Any) -> RunSummary:
    return RunSummary(raw["runId"], _RUN_STATUS[raw["status"]], instant(raw["startTime"]), instant(raw["endTime"]))


def _tag(tags: Sequence[Any], key: str) -> str | None:
    return next((tag["value"] for tag in tags if tag["key"] == key), None)
