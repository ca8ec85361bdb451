"""Definitions as they are edited. The publisher publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import audit, clock, ids
from core.definitions import DEFINITION, DefinitionState
from core.errors import Conflict, InvalidPayload, NotFound


@dataclass(frozen=True, slots=True)
class Draft:
    """A definition as it was last edited."""

    asset_id: str
    component: str
    attributes: Mapping[str, Any]
    state: DefinitionState
    revision: int
    published_at: datetime | None
    published_by: str | None
    blocked: str | None
    retired_at: datetime | None
    retired_by: str | None
    created_at: datetime
    created_by: str
    updated_at: datetime


def row_of(row: sa.Row[*tuple[Any, ...]]) -> Draft:
    """Returns the definition of a row."""
    published = row.published_attributes is not None
    same = row.published_attributes == row.attributes and row.published_component == row.component
    state = DefinitionState.DRAFT if not published else DefinitionState.PUBLISHED if same else DefinitionState.MODIFIED
    if row.retired_at is not None:
        state = DefinitionState.RETIRED
    return Draft(
        asset_id=row.asset_id,
        component=row.component,
        attributes=row.attributes,
        state=state,
        revision=row.revision,
        published_at=row.published_at,
        published_by=row.published_by,
        blocked=row.blocked if row.retired_at is None else None,
        retired_at=row.retired_at,
        retired_by=row.retired_by,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
    )


def asset_of(attributes: Mapping[str, Any]) -> str:
    """Returns the asset id in the attributes.

    Raises:
        InvalidPayload: There is no valid asset id.
    """
    asset = attributes.get("asset")
    if not isinstance(asset, str) or not ids.is_asset_id(asset):
        detail = "must be an asset id: three lower-case names joined by dots, such as flights.gold.busiest_routes"
        raise InvalidPayload(f"attributes.asset {detail}.", errors=[{"pointer": "/attributes/asset", "detail": detail}])
    if audit.is_audit_table(asset):
        detail = "is reserved for a table of the platform"
        raise InvalidPayload(f"{asset} {detail}.", errors=[{"pointer": "/attributes/asset", "detail": detail}])
    return asset


def taken(asset: str) -> Conflict:
    """Returns the error for an id that an asset has already."""
    return Conflict(f"There is an asset {asset!r} already. Choose another id, or edit its definition.")


def unknown(id: str) -> NotFound:
    """Returns the error for an id that no definition has, or none that the caller can see."""
    return NotFound(f"There is no definition {id!r}. See the list of definitions.")


def get(connection: Connection, id: str, *, lock: bool = False) -> Draft:
    """Returns the definition of an asset.

    Raises:
        NotFound: There is no such definition.
    """
    select = sa.select(DEFINITION).where(DEFINITION.c.asset_id == id)
    row = connection.execute(select.with_for_update() if lock else select).first()
    if row is None:
        raise unknown(id)
    return row_of(row)


def create(connection: Connection, component: str, attributes: Mapping[str, Any], *, principal: str) -> Draft:
    """Stores a draft.

    Raises:
        Conflict: The asset has a definition already.
    """
    asset, now = asset_of(attributes), clock.now()
    identity = {"asset_id": asset, "project": ids.asset_key(asset)[0]}
    content = {"component": component, "attributes": attributes, "revision": 1}
    origin = {"created_at": now, "created_by": principal, "updated_at": now}
    try:
        with connection.begin_nested():
            connection.execute(DEFINITION.insert().values(**identity, **content, **origin))
    except sa.exc.IntegrityError as error:
        retired_at = connection.execute(
            sa.select(DEFINITION.c.retired_at).where(DEFINITION.c.asset_id == asset)
        ).scalar()
        if retired_at is not None:
            raise Conflict(
                f"There is a retired definition of {asset!r}. Reinstate it, or choose another id."
            ) from error
        raise Conflict(f"There is a definition of {asset!r} already. Edit it instead.") from error
    return get(connection, asset)


def change(connection: Connection, id: str, component: str | None, attributes: Mapping[str, Any] | None) -> Draft:
    """Changes a definition.

    Raises:
        NotFound: There is no such definition.
        InvalidPayload: The attributes name another asset.
    """
    draft = get(connection, id)
    if attributes is not None and asset_of(attributes) != id:
        fault = {"pointer": "/attributes/asset", "detail": f"must be {id}"}
        raise InvalidPayload("The asset of a definition can't change. Create another definition.", errors=[fault])
    values = {
        "component": component or draft.component,
        "attributes": draft.attributes if attributes is None else attributes,
        "revision": DEFINITION.c.revision + 1,
        "updated_at": clock.now(),
    }
    connection.execute(DEFINITION.update().where(DEFINITION.c.asset_id == id).values(**values))
    return get(connection, id)
