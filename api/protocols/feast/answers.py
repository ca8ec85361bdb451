"""Online features in the form of Feast's feature server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from api.services.ai_catalog.logic.feature_answers import AnsweredView, column_names
from core.errors import InvalidPayload

_EPOCH = "1970-01-01T00:00:00Z"
"""Event time of features that an entity doesn't have, as Feast's server answers."""


def entity_rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Returns columns as rows.

    Raises:
        InvalidPayload: the columns have different lengths, or there are no rows.
    """
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or lengths == {0}:
        fault = {"pointer": "/entities", "detail": "must have columns of the same length, of at least one value"}
        raise InvalidPayload("The columns must have the same length, and at least one value.", errors=[fault])
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def rendered(
    answers: Sequence[tuple[str, AnsweredView]], entities: Mapping[str, Sequence[Any]], *, full: bool, metadata: bool
) -> dict[str, Any]:
    """Returns the response of `/get-online-features`: the keys, and then the features of each view.

    Null and NaN have the status `NULL_VALUE`, because JSON has no NaN.
    """
    names = column_names([(name, tuple(one.found.values)) for name, one in answers], full=full)
    keys = dict.fromkeys(key for _, one in answers for key in one.view.keys)
    count = len(next(iter(entities.values())))
    results = [
        {"values": list(entities[key]), "statuses": ["PRESENT"] * count, "event_timestamps": [_EPOCH] * count}
        for key in keys
    ]
    labels = list(keys)
    for name, one in answers:
        times = [_time(at) for at in one.found.event_at]
        for feature, column in one.found.values.items():
            values = [_plain(value) for value in column.to_pylist()]
            statuses = [
                "NULL_VALUE" if status.value == "PRESENT" and value is None else status.value
                for status, value in zip(one.found.statuses, values, strict=True)
            ]
            results.append({"values": values, "statuses": statuses, "event_timestamps": times})
            labels.append(names[name, feature])
    views = [{"name": name, "version": 0} for name, _ in answers] if metadata else []
    return {"metadata": {"feature_names": labels, "feature_view_metadata": views}, "results": results, "status": True}


def _time(event_at: int | None) -> str:
    from features.online import instant

    at = None if event_at is None else instant(event_at)
    return _EPOCH if at is None else at.isoformat().replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value
