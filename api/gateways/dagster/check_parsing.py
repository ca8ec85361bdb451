"""Conversion of check evaluations in GraphQL responses to `core.ports.CheckState`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.ports import CheckState, Materialization
from core.reports import CheckStatus

_DATA_VERSION_LABEL = "headwater/data_version"
_CONTRACT_LABEL = "headwater/contract"
_CONTRACT_CHECK = "Contract"


def concerns(check: CheckState) -> bool:
    """Returns whether a check says something about its asset: not the one of a contract that the asset doesn't have."""
    return check.name != _CONTRACT_CHECK or check.status is not CheckStatus.NOT_RUN


def from_history(check: CheckState, history: Sequence[Any], materialization: Materialization | None) -> CheckState:
    """Returns the check with its newest evaluation of this version, or unchanged if there is none."""
    for execution in history:
        if execution["evaluation"] and materialization and evaluated_version(execution) == materialization.data_version:
            return _evaluated(check, execution, materialization)
    return check


def check_state(raw: Any, materialization: Materialization | None) -> CheckState:
    """Returns a check with its evaluation of the latest version of its asset."""
    check = CheckState(raw["name"], raw["description"] or "", raw["blocking"], CheckStatus.NOT_RUN)
    execution = raw["executionForLatestMaterialization"]
    return _evaluated(check, execution, materialization) if execution else check


def _evaluated(check: CheckState, execution: Any, materialization: Materialization | None) -> CheckState:
    version = evaluated_version(execution)
    if check.name == _CONTRACT_CHECK and not _text(execution, _CONTRACT_LABEL):
        return check
    # Dagster relates evaluations to versions by time, but a slow evaluation can end after a newer version.
    if version and (materialization is None or version != materialization.data_version):
        return check
    return dataclasses.replace(
        check,
        status=check_status(execution),
        at=datetime.fromtimestamp(execution["timestamp"], UTC),
        run_id=execution["runId"],
        message=(execution["evaluation"] or {}).get("description"),
        data_version=version,
    )


def evaluated_version(execution: Any) -> str | None:
    """Returns the data version that was evaluated, if the evaluation reports it."""
    return _text(execution, _DATA_VERSION_LABEL)


def _text(execution: Any, label: str) -> str | None:
    entries = (execution["evaluation"] or {}).get("metadataEntries", ())
    return next((entry.get("text") for entry in entries if entry["label"] == label), None)


def check_status(execution: Mapping[str, Any]) -> CheckStatus:
    """Returns the status of a check after an execution of it."""
    match execution["status"]:
        case "SUCCEEDED":
            return CheckStatus.PASSED
        case "FAILED":
            warns = (execution["evaluation"] or {}).get("severity") == "WARN"
            return CheckStatus.WARNED if warns else CheckStatus.FAILED
        case "EXECUTION_FAILED":
            return CheckStatus.FAILED
        case "IN_PROGRESS":
            return CheckStatus.RUNNING
        case _:
            return CheckStatus.NOT_RUN
