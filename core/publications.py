"""What publishing a definition changes in the metadata database, and how to take it back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import clock
from core.definitions import ASSET_CLAIM, DEFINITION, PUBLICATION, published, state_key
from core.errors import Conflict, NotFound
from core.ids import asset_key

_LIVE = (
    *("published_component", "published_attributes", "published_at", "published_by"),
    *("published_by_id", "published_reads", "blocked"),
)


@dataclass(frozen=True, slots=True)
class Before:
    """What was live of one definition before it was published, and the assets it had claimed."""

    asset_id: str
    live: Mapping[str, Any]
    assets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Publication:
    """The last state version of a project that was seen to load."""

    version: str
    digest: str


def go_live(
    connection: Connection,
    asset_id: str,
    *,
    assets: Sequence[str],
    reads: Sequence[str],
    code_assets: Mapping[str, str],
    principal: str,
    principal_id: str,
) -> Before:
    """Makes the edited attributes of a definition its live ones.

    Args:
        connection: of a write transaction.
        asset_id: the definition.
        assets: ids of every asset it makes; none of them may be made by anything else.
        reads: ids of the assets that it reads.
        code_assets: assets of other code locations, with the name of their location.
        principal: who publishes.
        principal_id: his id, under which his rights are looked up.

    Raises:
        NotFound: there is no such definition.
        Conflict: something else makes one of the assets.
    """
    row = connection.execute(sa.select(DEFINITION).where(DEFINITION.c.asset_id == asset_id)).first()
    if row is None:
        raise NotFound(f"There is no definition {asset_id!r}. See the list of definitions.")
    claimed = connection.execute(sa.select(ASSET_CLAIM.c.asset_id).where(ASSET_CLAIM.c.definition == asset_id))
    before = Before(asset_id, {name: row._mapping[name] for name in _LIVE}, tuple(claimed.scalars()))
    _renew_code_claims(connection, code_assets)
    _claim(connection, asset_id, assets)
    connection.execute(
        DEFINITION.update()
        .where(DEFINITION.c.asset_id == asset_id)
        .values(
            published_component=row.component,
            published_attributes=row.attributes,
            published_at=clock.now(),
            published_by=principal,
            published_by_id=principal_id,
            published_reads=list(reads),
            blocked=None,
        )
    )
    return before


def take_back(connection: Connection, before: Before) -> None:
    """Makes live again what was live before."""
    live = dict(before.live)
    if live["published_attributes"] is None:
        live["published_attributes"] = sa.null()  # not the JSON value null
    connection.execute(DEFINITION.update().where(DEFINITION.c.asset_id == before.asset_id).values(**live))
    _claim(connection, before.asset_id, before.assets)


def digest(connection: Connection, project: str) -> str:
    """SHA-256 of everything that is live of a project."""
    live = [
        [item.asset_id, item.component, item.attributes, *([item.blocked] if item.blocked else [])]
        for item in published(connection)
        if asset_key(item.asset_id)[0] == project
    ]
    return hashlib.sha256(json.dumps(live, sort_keys=True).encode()).hexdigest()


def live_projects(connection: Connection) -> list[str]:
    """Projects with published definitions."""
    return sorted({asset_key(item.asset_id)[0] for item in published(connection)})


def last_good(connection: Connection, project: str) -> Publication | None:
    """The version to return to, if any was ever seen to load."""
    row = connection.execute(sa.select(PUBLICATION).where(PUBLICATION.c.state_key == state_key(project))).first()
    return Publication(row.version, row.digest) if row else None


def remember(connection: Connection, project: str, version: str) -> None:
    """Notes that a version of everything that is live now was seen to load."""
    values = {"version": version, "digest": digest(connection, project), "verified_at": clock.now()}
    key = state_key(project)
    changed = connection.execute(PUBLICATION.update().where(PUBLICATION.c.state_key == key).values(**values))
    if not changed.rowcount:
        connection.execute(PUBLICATION.insert().values(state_key=key, **values))


def _renew_code_claims(connection: Connection, code_assets: Mapping[str, str]) -> None:
    rows = connection.execute(sa.select(ASSET_CLAIM))
    claims = {row.asset_id: (row.location, row.definition) for row in rows}
    gone = [name for name, (_, definition) in claims.items() if definition is None and name not in code_assets]
    if gone:
        connection.execute(ASSET_CLAIM.delete().where(ASSET_CLAIM.c.asset_id.in_(gone)))
    # An asset that the code has since come to make as well stays with its definition: examining both finds the clash.
    new = [
        {"asset_id": name, "location": place, "definition": None}
        for name, place in code_assets.items()
        if name not in claims
    ]
    if new:
        connection.execute(ASSET_CLAIM.insert(), new)


def _claim(connection: Connection, definition: str, assets: Sequence[str]) -> None:
    connection.execute(ASSET_CLAIM.delete().where(ASSET_CLAIM.c.definition == definition))
    for name in assets:
        try:
            with connection.begin_nested():
                connection.execute(
                    ASSET_CLAIM.insert().values(asset_id=name, location="published", definition=definition)
                )
        except sa.exc.IntegrityError as error:
            owner = connection.execute(sa.select(ASSET_CLAIM).where(ASSET_CLAIM.c.asset_id == name)).one()
            maker = f"the definition of {owner.definition}" if owner.definition else f"code of {owner.location}"
            raise Conflict(f"The asset {name} is made by {maker} already; choose another id.") from error
