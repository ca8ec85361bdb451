"""Pushes: rows that are written into the online store in addition to the version that is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from api.kernel.platform import Platform
from api.services.ai_catalog.logic.feature_views import BoundView, open_online_store
from core import clock
from core.errors import Conflict, InvalidPayload

if TYPE_CHECKING:
    import pyarrow as pa

    from features.online import Served


def push(platform: Platform, view: BoundView, rows: Sequence[Mapping[str, Any]], source: str) -> int:
    """Pushes rows of a view. Returns the number of rows that were stored.

    Raises:
        Conflict: the online asset of the view serves nothing yet, or another table.
        InvalidPayload: a row lacks a key or the event time, has an unknown column, or a value of another type.
        Unavailable: the online store doesn't respond.
    """
    from features.encoding import schema_of
    from features.lookup import encoded_keys
    from features.online import OnlineRow, features_of, packed

    store, asset = platform.part(open_online_store), str(view.online_asset)
    served = store.served(asset)
    if served is None:
        raise Conflict(f"{asset} has not been materialized yet. Materialize it before you push rows.")
    if served.table != view.asset or set(served.keys) != set(view.keys.values()):
        raise Conflict(f"{asset} serves {served.table} by {', '.join(served.keys)}, which isn't {view.name}.")
    schema = schema_of(served.schema)
    by_column = [_by_column(view, row, number, served, schema) for number, row in enumerate(rows)]
    keys = encoded_keys(served, by_column, {key: key for key in served.keys}, "/rows")
    if None in keys:
        number = keys.index(None)
        fault = {"pointer": f"/rows/{number}", "detail": "must not have a null key"}
        raise InvalidPayload("A pushed row needs all keys of its entity.", errors=[fault])
    events = [_event_time(row.get(served.timestamp), number) for number, row in enumerate(by_column)]
    features = features_of(schema, served)
    columns = [_column([row.get(name) for row in by_column], schema.field(name)) for name in features]
    pushed = [
        (key, OnlineRow(event_at, values, source))
        for key, event_at, values in zip(keys, events, packed(columns, len(rows)), strict=True)
        if key is not None
    ]
    return store.push(asset, pushed)


def _by_column(
    view: BoundView, row: Mapping[str, Any], number: int, served: Served, schema: pa.Schema
) -> dict[str, Any]:
    """Returns a row with the names of columns instead of those of the entity's keys."""
    named = {view.keys.get(name, name): value for name, value in row.items()}
    if unknown := [name for name in named if name not in schema.names]:
        fault = {"pointer": f"/rows/{number}/{unknown[0]}", "detail": "is no column of the view"}
        raise InvalidPayload(
            f"{unknown[0][:100]!r} is no column of {view.name}: {', '.join(schema.names[:50])}.", errors=[fault]
        )
    return named


def _event_time(value: Any, number: int) -> int:
    from features.rows import microseconds

    try:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError
        event_at = microseconds(instant)
    except (TypeError, ValueError, OverflowError):
        fault = {"pointer": f"/rows/{number}", "detail": "needs an event time such as 2026-01-31T12:00:00Z"}
        raise InvalidPayload("A pushed row needs its event time, with a time zone.", errors=[fault]) from None
    if event_at > microseconds(clock.now()):
        fault = {"pointer": f"/rows/{number}", "detail": "has an event time in the future"}
        raise InvalidPayload("A pushed row has an event time in the future.", errors=[fault])
    return event_at


def _column(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """Returns JSON values as a column of a type.

    Raises:
        InvalidPayload: a value doesn't fit the type exactly.
    """
    import pyarrow as pa

    types = pa.types
    try:
        if types.is_timestamp(field.type):
            values = [None if value is None else datetime.fromisoformat(value) for value in values]
        elif types.is_date(field.type):
            values = [None if value is None else date.fromisoformat(value) for value in values]
        elif types.is_decimal(field.type):
            values = [None if value is None else Decimal(str(value)) for value in values]
        elif not types.is_boolean(field.type) and any(isinstance(value, bool) for value in values):
            raise TypeError("true and false are no numbers")
        elif types.is_integer(field.type) and any(isinstance(value, float) for value in values):
            raise TypeError("a number with a fraction is no integer")
        return pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError, OverflowError, InvalidOperation) as error:
        detail = f"must be of type {field.type}"
        raise InvalidPayload(
            f"{field.name} {detail}: {str(error)[:200]}",
            errors=[{"pointer": f"/rows/*/{field.name}", "detail": detail}],
        ) from None
