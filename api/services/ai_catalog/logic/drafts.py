"""Definition rows as they are edited. Publishing them is the publisher's work."""

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
    """One definition as last edited."""

    asset_id: str
    component: str
    attributes: Mapping[str, Any]
    state: DefinitionState
    revision: int
    published_at: datetime | None
    published_by: str | None
    blocked: str | None
    created_at: datetime
    created_by: str
    updated_at: datetime


def row_of(row: sa.Row[*tuple[Any, ...]]) -> Draft:
    """The definition in a row of the table."""
    live = row.published_attributes is not None
    same = row.published_attributes == row.attributes and row.published_component == row.component
    state = DefinitionState.DRAFT if not live else DefinitionState.PUBLISHED if same else DefinitionState.MODIFIED
    return Draft(
        asset_id=row.asset_id,
        component=row.component,
        attributes=row.attributes,
        state=state,
        revision=row.revision,
        published_at=row.published_at,
        published_by=row.published_by,
        blocked=row.blocked,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
    )


def asset_of(attributes: Mapping[str, Any]) -> str:
    """The asset id in the attributes.

    Raises:
        InvalidPayload: there is none, or it is no asset id.
    """
    asset = attributes.get("asset")
    if not isinstance(asset, str) or not ids.is_asset_id(asset):
        detail = "must be an asset id: three lower-case names joined by dots, such as flights.gold.busiest_routes"
        raise InvalidPayload(f"attributes.asset {detail}.", errors=[{"pointer": "/attributes/asset", "detail": detail}])
    if audit.is_audit(asset):
        detail = "is among the platform's own tables"
        raise InvalidPayload(f"{asset} {detail}.", errors=[{"pointer": "/attributes/asset", "detail": detail}])
    return asset


def taken(asset: str) -> Conflict:
    """The error for an id that an asset has already."""
    return Conflict(f"There is an asset {asset!r} already; choose another id, or edit what defines it.")


def unknown(id: str) -> NotFound:
    """The error for an id that no definition has, or none that the caller may know of."""
    return NotFound(f"There is no definition {id!r}. See the list of definitions.")


def get(connection: Connection, id: str) -> Draft:
    """The definition of this asset.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(DEFINITION).where(DEFINITION.c.asset_id == id)).first()
    if row is None:
        raise unknown(id)
    return row_of(row)


def create(connection: Connection, component: str, attributes: Mapping[str, Any], *, principal: str) -> Draft:
    """Inserts a draft.

    Raises:
        Conflict: there is a definition of this asset already.
    """
    asset, now = asset_of(attributes), clock.now()
    what = {"asset_id": asset, "project": ids.asset_key(asset)[0], "component": component, "attributes": attributes}
    when = {"revision": 1, "created_at": now, "created_by": principal, "updated_at": now}
    try:
        connection.execute(DEFINITION.insert().values(**what, **when))
    except sa.exc.IntegrityError as error:
        raise Conflict(f"There is a definition of {asset!r} already: edit it instead.") from error
    return get(connection, asset)


def change(connection: Connection, id: str, component: str | None, attributes: Mapping[str, Any] | None) -> Draft:
    """Edits a definition.

    Raises:
        NotFound: there is none.
        InvalidPayload: the attributes name another asset.
    """
    draft = get(connection, id)
    if attributes is not None and asset_of(attributes) != id:
        fault = {"pointer": "/attributes/asset", "detail": f"must stay {id}"}
        raise InvalidPayload("A definition keeps its asset: create another one instead.", errors=[fault])
    values = {
        "component": component or draft.component,
        "attributes": draft.attributes if attributes is None else attributes,
        "revision": DEFINITION.c.revision + 1,
        "updated_at": clock.now(),
    }
    connection.execute(DEFINITION.update().where(DEFINITION.c.asset_id == id).values(**values))
    return get(connection, id)


def delete(connection: Connection, id: str) -> None:
    """Deletes a draft.

    Raises:
        NotFound: there is none.
        Conflict: it is live.
    """
    if get(connection, id).state is not DefinitionState.DRAFT:
        raise Conflict(f"{id} is live: its asset has versions and lineage, so its definition stays.")
    connection.execute(DEFINITION.delete().where(DEFINITION.c.asset_id == id))
