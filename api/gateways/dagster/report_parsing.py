"""Conversion of what runs and checks reported, in GraphQL responses, to `core.reports`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from api.gateways.dagster.check_parsing import check_status, evaluated_version
from core.reports import CheckEvaluation, ReportedValue, ValueForm, VersionReport

_DATA_VERSION = "dagster/data_version"
_FIELDS = {
    "IntMetadataEntry": (ValueForm.NUMBER, "intRepr"),
    "FloatMetadataEntry": (ValueForm.NUMBER, "floatRepr"),
    "BoolMetadataEntry": (ValueForm.BOOLEAN, "boolValue"),
    "TextMetadataEntry": (ValueForm.TEXT, "text"),
    "PathMetadataEntry": (ValueForm.TEXT, "path"),
    "UrlMetadataEntry": (ValueForm.URL, "url"),
    "MarkdownMetadataEntry": (ValueForm.MARKDOWN, "mdStr"),
    "JsonMetadataEntry": (ValueForm.JSON, "jsonString"),
    "TableMetadataEntry": (ValueForm.TABLE, "table"),
}


def version_report(answer: Any) -> VersionReport | None:
    """Returns the report of the latest version, with the texts that the code declares for every version."""
    node = answer["assetNodeOrError"]
    events = node.get("assetMaterializations", ())
    if not events:
        return None
    event = events[0]
    values = {value.name: value for value in _values(event["metadataEntries"])}
    for value in _values(node["metadataEntries"]):
        if value.form is ValueForm.MARKDOWN:
            values.setdefault(value.name, value)
    return VersionReport(
        data_version=next((tag["value"] for tag in event["tags"] if tag["key"] == _DATA_VERSION), None),
        at=datetime.fromtimestamp(int(event["timestamp"]) / 1000, UTC),
        run_id=event["runId"],
        values=tuple(values.values()),
    )


def evaluation(raw: Any) -> CheckEvaluation:
    """Returns an evaluation of a check."""
    found = raw["evaluation"] or {}
    return CheckEvaluation(
        status=check_status(raw),
        at=datetime.fromtimestamp(raw["timestamp"], UTC),
        run_id=raw["runId"],
        data_version=evaluated_version(raw),
        message=found.get("description"),
        values=tuple(_values(found.get("metadataEntries", ()))),
    )


def _values(entries: Sequence[Mapping[str, Any]]) -> Iterator[ReportedValue]:
    for entry in entries:
        form, field = _FIELDS.get(entry["__typename"], (None, ""))
        if form is None or entry[field] is None:
            continue
        try:
            yield _value(entry["label"], form, entry[field])
        except ValueError:  # not a number or not JSON: other code wrote the event
            continue


def _value(name: str, form: ValueForm, raw: Any) -> ReportedValue:
    match form:
        case ValueForm.NUMBER:
            number = float(raw)
            if not math.isfinite(number):
                return ReportedValue(name, ValueForm.TEXT, str(raw))
            return ReportedValue(name, form, int(number) if number.is_integer() and "." not in str(raw) else number)
        case ValueForm.TABLE:
            return ReportedValue(name, form, [_parsed(record) for record in raw["records"]])
        case ValueForm.JSON:
            value = _parsed(raw)
            if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
                return ReportedValue(name, ValueForm.TABLE, value)
            return ReportedValue(name, form, value)
        case _:
            return ReportedValue(name, form, raw)


def _parsed(text: str) -> Any:
    # NaN and infinity are no JSON, and answers contain them as text.
    return json.loads(text, parse_constant=str)
