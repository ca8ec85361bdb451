"""Online features in the form of Feast's feature server."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from api.services.ai_catalog.logic.feature_answers import AnsweredView, column_names
from core.errors import InvalidPayload
from features.encoding import StoredForm
from features.history import FeatureStatus
from features.online import instant

if TYPE_CHECKING:
    from features.lookup import OnlineFeatures

_ENCODER = msgspec.json.Encoder()
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
) -> bytes:
    """Returns the response of `/get-online-features` as JSON: the keys, and then the features of each view.

    Null and NaN have the status `NULL_VALUE`, because JSON has no NaN.
    """
    names = column_names([(name, tuple(one.found.features)) for name, one in answers], full=full)
    keys = dict.fromkeys(key for _, one in answers for key in one.view.keys)
    count = len(next(iter(entities.values())))
    always = {"statuses": [FeatureStatus.PRESENT] * count, "event_timestamps": [_EPOCH] * count}
    results: list[Any] = [{"values": entities[key], **always} for key in keys]
    labels = list(keys)
    for name, one in answers:
        results += _results(one.found)
        labels += [names[name, feature] for feature in one.found.features]
    views = [{"name": name, "version": 0} for name, _ in answers] if metadata else []
    metadata_ = {"feature_names": labels, "feature_view_metadata": views}
    return _ENCODER.encode({"metadata": metadata_, "results": results, "status": True})


def _results(found: OnlineFeatures) -> Iterator[dict[str, Any]]:
    """Yields the result of each feature. All have the same times, and the same statuses unless a value is null."""
    times = msgspec.Raw(_ENCODER.encode([_time(at) for at in found.event_at]))
    statuses = msgspec.Raw(_ENCODER.encode(found.statuses))
    for feature in found.features:
        values = _plain_values(found, feature)
        known = _with_nulls(found.statuses, values) if None in values else statuses
        yield {"values": values, "statuses": known, "event_timestamps": times}


def _with_nulls(statuses: Sequence[FeatureStatus], values: Sequence[Any]) -> list[FeatureStatus]:
    return [
        FeatureStatus.NULL_VALUE if status is FeatureStatus.PRESENT and value is None else status
        for status, value in zip(statuses, values, strict=True)
    ]


def _time(event_at: int | None) -> datetime | str:
    at = None if event_at is None else instant(event_at)
    return _EPOCH if at is None else at


def _plain_values(found: OnlineFeatures, feature: str) -> list[Any]:
    """Returns the values of a feature as JSON has them. Most types are stored like that."""
    form = found.form_of(feature)
    if form is StoredForm.SAME:
        return found.stored(feature)
    if form is StoredForm.FLOAT:
        values = found.stored(feature)
        finite = math.isfinite(sum(filter(None, values)))  # or too large for the sum, which is rare
        return values if finite else [_plain(value) for value in values]
    return [_plain(value) for value in found.values[feature].to_pylist()]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value
