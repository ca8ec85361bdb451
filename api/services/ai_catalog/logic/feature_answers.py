"""Features of entities: from the online store for now, and from the tables for the past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from api.kernel.platform import Platform
from api.services.ai_catalog.kinds.entity import KeyType
from api.services.ai_catalog.logic.feature_views import BoundView, require_key_types, snapshot_of
from core import clock
from core.errors import Conflict, HeadwaterError, InvalidPayload, PermissionDenied
from core.numbers import is_storable

if TYPE_CHECKING:
    import pyarrow as pa

    from features.lookup import OnlineFeatures
    from features.online import OnlineStore, Served
    from features.rows import ViewColumns
    from lakehouse.restrictions import Restriction

MAX_ENTITIES = 10_000
"""Number of entities in one request."""

_ATTEMPTS = 4

_LAST_SERVED: dict[str, Served] = {}
"""What the online store served at the last answer, by online asset."""

_MAX_SERVED = 10_000


@dataclass(frozen=True, slots=True)
class AnsweredView:
    """The online features of one view."""

    view: BoundView
    found: OnlineFeatures


@dataclass(frozen=True, slots=True)
class HistoricalFeatures:
    """The features of a spine."""

    table: pa.Table
    """The spine with the features, statuses, and event times."""

    versions: Mapping[str, str]
    """Data version of the table of each view, by the name of the view."""


def online(store: OnlineStore, views: Sequence[BoundView], entities: Sequence[Mapping[str, Any]]) -> list[AnsweredView]:
    """Returns the features of entities at this moment, for each view from one version.

    Raises:
        Conflict: a view isn't served, or its online rows are not those of the view.
        InvalidPayload: an entity lacks a key, or a key has another type.
        Unavailable: the online store doesn't respond.
    """
    from features.rows import microseconds

    moment = microseconds(clock.now())
    return [AnsweredView(view, _current(store, view, entities, moment)) for view in views]


def _current(store: OnlineStore, view: BoundView, entities: Sequence[Mapping[str, Any]], moment: int) -> OnlineFeatures:
    from features.lookup import encoded_keys, look_up

    if view.online_asset is None:
        raise Conflict(f"{view.name} isn't served online. Set the online asset of the view.")
    asset = view.online_asset
    for attempt in range(_ATTEMPTS):
        # What was served at the last answer saves a read. Whether it still is, shows when the rows are read.
        known = _LAST_SERVED.get(asset) if attempt == 0 else None
        served = known or store.served(asset)
        if served is None:
            raise Conflict(f"{asset} has not been materialized yet, so {view.name} has no online rows.")
        try:
            columns, names = _fitting(view, served)
            keys = encoded_keys(served, entities, names, "/entities")
        except HeadwaterError:
            if known is None:
                raise
            continue
        found = store.read(asset, [key for key in keys if key is not None])
        # The keys of a version that replaced the other meanwhile may have other types, or another order.
        if found is not None and _form(found.served) == _form(served):
            _require_pinned(view, found.served)
            if len(_LAST_SERVED) >= _MAX_SERVED:
                _LAST_SERVED.clear()
            _LAST_SERVED[asset] = found.served
            return look_up(found, columns, keys, columns.features, moment, _restriction(view, served))
    raise Conflict(f"The online rows of {view.name} were just replaced by others. Try again.")


def _restriction(view: BoundView, served: Served) -> Restriction | None:
    """Returns what policies hide of the columns that are served."""
    from features.encoding import schema_of

    if view.restriction is None:
        return None
    try:
        return view.restriction(schema_of(served.schema).names)
    except PermissionDenied as error:
        raise PermissionDenied(
            f"{error.detail} The online store has the columns of {view.online_asset} only. Add the column to it, or "
            "read the features in the past."
        ) from None


def _form(served: Served) -> tuple[object, ...]:
    """Returns what determines the bytes of the keys, and whether the rows are those of a view."""
    return served.table, served.keys, served.timestamp, served.schema


@lru_cache(maxsize=1_000)
def _fitting(view: BoundView, served: Served) -> tuple[ViewColumns, Mapping[str, str]]:
    """Returns the columns of a view, and the name of the key of each key column, if the online rows are those of it."""
    from features.encoding import schema_of

    if served.table != view.asset:
        raise Conflict(f"{view.online_asset} serves {served.table}, not {view.asset}, the table of {view.name}.")
    schema = schema_of(served.schema)
    names = {column: key for key, column in view.keys.items()}
    if set(served.keys) != set(names):
        raise Conflict(
            f"{view.online_asset} has the keys {', '.join(served.keys)}, and {view.name} the keys "
            f"{', '.join(names)}. Change the view or the online asset."
        )
    require_key_types(view, schema)
    return view.columns(schema.names), names


def _require_pinned(view: BoundView, served: Served) -> None:
    if view.version is not None and view.version not in (served.data_version, str(served.table_version)):
        raise Conflict(
            f"{view.name} is pinned to {view.version}, and the online store serves {served.data_version}. "
            "Read the pinned version by historical retrieval, or move the pin."
        )


def column_names(features: Sequence[tuple[str, Sequence[str]]], *, full: bool) -> dict[tuple[str, str], str]:
    """Returns the name of the column of each feature: the feature, or the view and the feature.

    Args:
        features: name of each view, with its features.
        full: whether the names contain the view.

    Raises:
        InvalidPayload: two views have features of the same name, and `full` isn't set.
    """
    if not full:
        counts = Counter(feature for _, names in features for feature in names)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise InvalidPayload(
                f"Several views have a feature {twice[0]!r}. Ask for full feature names.",
                errors=[{"pointer": "/full_feature_names", "detail": "must be true"}],
            )
    return {(view, name): f"{view}__{name}" if full else name for view, names in features for name in names}


def historical(
    platform: Platform,
    views: Sequence[BoundView],
    entities: Sequence[Mapping[str, Any]],
    times: Sequence[datetime],
    *,
    full: bool = False,
) -> HistoricalFeatures:
    """Returns the features that each entity had at its time, from exact versions of the tables.

    Raises:
        InvalidPayload: an entity lacks a key, or a key has another type.
        SchemaMismatch: the columns of a table don't fit its view.
        UnknownTable: the table of a view has not been materialized.
    """
    return joined(platform, views, spine(views, entities, times), "event_timestamp", full=full)


def joined(
    platform: Platform,
    views: Sequence[BoundView],
    examples: pa.Table,
    time: str,
    *,
    keys: Mapping[str, str] = {},
    full: bool = False,
) -> HistoricalFeatures:
    """Adds the features of each row of a spine at its time.

    Args:
        platform: what the process shares.
        views: the views.
        examples: the spine.
        time: its column with the time.
        keys: its column for each key of the entities. A key that is left out has a column of its name.
        full: whether the names of features contain the view.

    Raises:
        InvalidArgument: the spine lacks a column, or two columns of the result have the same name.
        SchemaMismatch: the columns of a table don't fit its view.
        UnknownTable: the table of a view has not been materialized.
    """
    from features.history import JoinedView, retrieve
    from features.restricted import restricted_rows
    from features.rows import read_rows

    read = []
    for view in views:
        snapshot = snapshot_of(platform, view)
        rows = read_rows(snapshot, view.columns(snapshot.schema.names))
        require_key_types(view, rows.table.schema)
        if view.restriction and (hidden := view.restriction(snapshot.schema.names)):
            rows = restricted_rows(rows, snapshot, hidden)
        read.append((view, snapshot.data_version, rows))
    names = column_names([(view.name, rows.columns.features) for view, _, rows in read], full=full)
    found = [
        JoinedView(
            view.name,
            rows,
            {feature: names[view.name, feature] for feature in rows.columns.features},
            {column: keys.get(key, key) for key, column in view.keys.items()},
        )
        for view, _, rows in read
    ]
    return HistoricalFeatures(retrieve(examples, time, found), {view.name: version for view, version, _ in read})


def spine(views: Sequence[BoundView], entities: Sequence[Mapping[str, Any]], times: Sequence[datetime]) -> pa.Table:
    """Returns entities and their times as a table: the keys, and `event_timestamp`.

    Raises:
        InvalidPayload: an entity lacks a key, or a key has another type.
    """
    import pyarrow as pa

    types: dict[str, KeyType] = {}
    for view in views:
        for key, kind in view.types.items():
            if types.setdefault(key, kind) is not kind:
                raise InvalidPayload(
                    f"Two entities have a key {key!r}, of different types. Ask for their views separately.",
                    errors=[{"pointer": "/entities", "detail": f"{key} has two types"}],
                )
    stored = {
        KeyType.INTEGER: pa.int64(),
        KeyType.TEXT: pa.string(),
        KeyType.BOOLEAN: pa.bool_(),
        KeyType.DATE: pa.date32(),
    }
    columns = {
        key: pa.array([_value(entity, key, kind, n) for n, entity in enumerate(entities)], stored[kind])
        for key, kind in types.items()
    }
    return pa.table(columns | {"event_timestamp": pa.array(list(times), pa.timestamp("us", "UTC"))})


def _value(entity: Mapping[str, Any], key: str, kind: KeyType, number: int) -> Any:
    """Returns the value of a key in a request.

    Raises:
        InvalidPayload: it is missing or has another type.
    """
    pointer, value = f"/entities/{number}/{key}", entity.get(key)
    if key not in entity:
        fault = {"pointer": f"/entities/{number}", "detail": f"lacks {key}"}
        raise InvalidPayload(f"An entity lacks its key {key}.", errors=[fault])
    valid = {
        KeyType.INTEGER: isinstance(value, int) and not isinstance(value, bool) and is_storable(value),
        KeyType.TEXT: isinstance(value, str),
        KeyType.BOOLEAN: isinstance(value, bool),
        KeyType.DATE: isinstance(value, str),
    }
    if value is None:
        return None
    if valid[kind] and kind is KeyType.DATE:
        try:
            return date.fromisoformat(value)
        except ValueError:
            valid[kind] = False
    if not valid[kind]:
        fault = {"pointer": pointer, "detail": f"must be of type {kind}"}
        raise InvalidPayload(f"The key {key} must be of type {kind}.", errors=[fault])
    return value
