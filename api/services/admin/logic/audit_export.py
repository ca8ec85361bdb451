"""Formats of exported audit events: NDJSON, CSV, and the Open Cybersecurity Schema Framework (OCSF)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

COLUMNS = (
    *("sequence", "id", "at", "type", "kind", "subject", "organization_id", "project_id", "principal"),
    *("principal_id", "on_behalf_of", "outcome", "request_id", "data", "previous_hash", "hash"),
)
OCSF_VERSION = "1.3.0"
_API_ACTIVITY, _APPLICATION_ACTIVITY, _INFORMATIONAL = 6003, 6, 1
_ACTIVITIES = {"create": 1, "get": 2, "list": 2, "update": 3, "delete": 4}
_OTHER = 99
_STATUS = {"succeeded": (1, "Success"), "denied": (2, "Failure"), "failed": (2, "Failure")}


def head(format: str) -> bytes:
    """Returns the first bytes of a file."""
    return _row(COLUMNS) if format == "csv" else b""


def line(event: Mapping[str, Any], format: str) -> bytes:
    """Returns one event, given in its response form, as bytes."""
    if format == "csv":
        return _row(event[name] for name in COLUMNS)
    return json.dumps(ocsf(event) if format == "ocsf" else event, ensure_ascii=False).encode() + b"\n"


def ocsf(event: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an event as OCSF API Activity (class 6003). `unmapped` contains the fields that OCSF does not have."""
    data = event["data"]
    action = str(data.get("action") or event["type"])
    activity = _ACTIVITIES.get(action.rpartition(".")[2], _OTHER)
    status_id, status = _STATUS.get(event["outcome"] or "", (0, "Unknown"))
    return {
        "class_uid": _API_ACTIVITY,
        "category_uid": _APPLICATION_ACTIVITY,
        "activity_id": activity,
        "type_uid": _API_ACTIVITY * 100 + activity,
        "severity_id": _INFORMATIONAL,
        "time": int(datetime.fromisoformat(event["at"]).timestamp() * 1000),
        "status_id": status_id,
        "status": status,
        "message": event["type"],
        "actor": {"user": {"name": event["principal"], "uid": event["principal_id"]}},
        "api": {
            "operation": action,
            "service": {"name": action.partition(".")[0]},
            "request": {"uid": event["request_id"]},
        },
        "src_endpoint": {"ip": data["client"]} if data.get("client") else {"name": "platform"},
        "resources": [{"uid": event["subject"], "type": event["kind"]}],
        "metadata": {
            "version": OCSF_VERSION,
            "uid": event["id"],
            "sequence": event["sequence"],
            "tenant_uid": event["organization_id"],
            "product": {"name": "Headwater", "vendor_name": "Headwater"},
        },
        "unmapped": {
            "data": data,
            "project_id": event["project_id"],
            "hash": event["hash"],
            "previous_hash": event["previous_hash"],
        },
    }


def _row(values: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow([_cell(value) for value in values])
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    text = "" if value is None else json.dumps(value) if isinstance(value, dict) else str(value)
    # A spreadsheet would execute cells that start with these characters.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
