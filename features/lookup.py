"""Features of entities at a moment, from the online store, as historical retrieval returns them for that moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, InvalidPayload
from features.encoding import StoredForm, key_bytes, key_form, key_value, restored, schema_of, stored_form
from features.history import FeatureStatus
from features.online import Found, OnlineRow, Served, decoded, features_of
from features.rows import ViewColumns

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.restrictions import Restriction


@dataclass(frozen=True)
class OnlineFeatures:
    """The features of entities in one view."""

    served: Served
    moment: int
    """Moment of the answer, in microseconds since 1970."""

    features: Mapping[str, int]
    """The features, each with its position in a row."""

    rows: Sequence[Sequence[Any] | None]
    """The stored values of each entity, or `None` unless the status of the entity is `PRESENT`."""

    statuses: Sequence[FeatureStatus]
    """Status of each entity."""

    event_at: Sequence[int | None]
    """Event time of the row of each entity, in microseconds since 1970."""

    sources: Sequence[str]
    """Name of what pushed the row of each entity. Empty for rows of the table version."""

    @cached_property
    def values(self) -> Mapping[str, pa.Array]:
        """The values of each feature, one for each entity."""
        schema = schema_of(self.served.schema)
        return {name: restored(self.stored(name), schema.field(name).type) for name in self.features}

    def form_of(self, feature: str) -> StoredForm:
        """Returns how the stored values of a feature relate to its values."""
        return _forms(self.served)[feature]

    def stored(self, feature: str) -> list[Any]:
        """Returns the stored values of a feature, one for each entity."""
        position = self.features[feature]
        return [None if row is None else row[position] for row in self.rows]


def encoded_keys(
    served: Served, entities: Sequence[Mapping[str, Any]], names: Mapping[str, str], pointer: str
) -> list[bytes | None]:
    """Returns the key of each entity, or `None` where a part of it is null.

    Args:
        served: the version that is served.
        entities: values by name.
        names: the name in `entities` for each key column.
        pointer: JSON pointer of the entities in the request.

    Raises:
        InvalidPayload: an entity lacks a part of the key, or a value has another type.
    """
    schema = schema_of(served.schema)
    forms = [(names[key], key_form(schema.field(key).type)) for key in served.keys]
    found: list[bytes | None] = []
    for number, entity in enumerate(entities):
        parts = []
        for name, form in forms:
            if name not in entity:
                fault = {"pointer": f"{pointer}/{number}", "detail": f"lacks {name}"}
                raise InvalidPayload(f"An entity lacks its key {name}.", errors=[fault])
            parts.append(key_value(entity[name], form, name, f"{pointer}/{number}/{name}"))
        found.append(None if None in parts else key_bytes(parts))
    return found


def look_up(
    found: Found,
    columns: ViewColumns,
    keys: Sequence[bytes | None],
    features: Sequence[str],
    moment: int,
    restriction: Restriction | None = None,
) -> OnlineFeatures:
    """Returns the features of entities: of each the newest row whose event time is not after the moment.

    The moment of the answer is at least the one from which on the stored rows are complete.

    Args:
        found: the stored rows.
        columns: the columns of the view.
        keys: the key of each entity.
        features: features to return.
        moment: the moment.
        restriction: what policies hide from the reader. An entity whose newest row is hidden has none.

    Raises:
        Conflict: the online rows are not those of the view. The message says what to do.
        PermissionDenied: the restriction can't be applied.
    """
    served = found.served
    positions = _positions(served, columns, tuple(features))
    moment = max(moment, served.as_of)
    chosen = [None if key is None else _newest(found.rows.get(key, ()), moment) for key in keys]
    if served.max_age is not None:
        # Expired rows that are not deleted yet.
        chosen = [row if row and row.event_at >= moment - served.max_age else None for row in chosen]
    seen: Sequence[list[Any] | None] | None = None
    if restriction is not None:
        from features.restricted import restricted_values

        seen = restricted_values(restriction, served, keys, chosen)
        chosen = [None if one is None else row for row, one in zip(chosen, seen, strict=True)]
    ttl = columns.ttl_microseconds
    statuses = [_status(row, moment, ttl) for row in chosen]
    return OnlineFeatures(
        served,
        moment,
        positions,
        [
            (decoded(row) if seen is None else seen[number]) if row and status is FeatureStatus.PRESENT else None
            for number, (row, status) in enumerate(zip(chosen, statuses, strict=True))
        ],
        statuses,
        [row.event_at if row else None for row in chosen],
        [row.source if row else "" for row in chosen],
    )


@lru_cache(maxsize=1_000)
def _forms(served: Served) -> Mapping[str, StoredForm]:
    return {field.name: stored_form(field.type) for field in schema_of(served.schema)}


@lru_cache(maxsize=1_000)
def _positions(served: Served, columns: ViewColumns, features: tuple[str, ...]) -> Mapping[str, int]:
    """Returns the position of each feature in the stored rows. Raises `Conflict` as `look_up`."""
    stored = features_of(schema_of(served.schema), served)
    if set(served.keys) != set(columns.keys) or served.timestamp != columns.timestamp:
        raise Conflict(
            f"The online rows of {served.table} have the keys {', '.join(served.keys)} and the event time "
            f"{served.timestamp}. The view declares others: change the view or the online asset."
        )
    if lacking := [name for name in features if name not in stored]:
        raise Conflict(
            f"The online rows of {served.table} lack {lacking[0]!r}: they come from {served.data_version}. Add the "
            "feature to the online asset, and materialize it."
        )
    return {name: stored.index(name) for name in features}


def _newest(rows: Sequence[OnlineRow], moment: int) -> OnlineRow | None:
    """Returns the newest row at a moment. A pushed row counts before one of the table with the same event time."""
    if len(rows) == 1:
        return rows[0] if rows[0].event_at <= moment else None
    known = [row for row in rows if row.event_at <= moment]
    return max(known, key=lambda row: (row.event_at, bool(row.source)), default=None)


def _status(row: OnlineRow | None, moment: int, ttl: int | None) -> FeatureStatus:
    if row is None:
        return FeatureStatus.NOT_FOUND
    too_old = ttl is not None and moment - row.event_at > ttl
    return FeatureStatus.OUTSIDE_MAX_AGE if too_old else FeatureStatus.PRESENT
