"""What runs and checks report about an asset beside its rows: texts, numbers, plots, and tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class CheckStatus(StrEnum):
    """Result of an asset check for the latest version. `NOT_RUN`: the check didn't evaluate this version."""

    PASSED = "PASSED"
    WARNED = "WARNED"
    FAILED = "FAILED"
    RUNNING = "RUNNING"
    NOT_RUN = "NOT_RUN"


class ValueForm(StrEnum):
    """Form of a reported value. MARKDOWN can contain images as data URLs. A TABLE is a list of objects."""

    TEXT = "TEXT"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    URL = "URL"
    MARKDOWN = "MARKDOWN"
    TABLE = "TABLE"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class ReportedValue:
    """A value with the name under which it was reported."""

    name: str
    form: ValueForm
    value: Any


@dataclass(frozen=True, slots=True)
class VersionReport:
    """What the run of the latest version of an asset reported."""

    data_version: str | None
    at: datetime
    run_id: str
    values: tuple[ReportedValue, ...]


@dataclass(frozen=True, slots=True)
class CheckEvaluation:
    """One evaluation of a check. `message` and `values` can contain values of rows."""

    status: CheckStatus
    at: datetime
    run_id: str
    data_version: str | None
    message: str | None
    values: tuple[ReportedValue, ...]
