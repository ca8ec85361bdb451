"""State versions of projects: the digest of a project's definitions, and the last version of them that loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import clock, pipelines
from core.definitions import PUBLICATION, STATE_PREFIX, PublishedDefinition, published_definitions, state_key
from core.ids import asset_key


@dataclass(frozen=True, slots=True)
class StateVersion:
    """The last state version of a project that loaded successfully."""

    version: str
    digest: str


def digest(connection: Connection, project: str) -> str:
    """Returns the SHA-256 digest of all live and retired definitions, and of all published pipelines, of a project."""
    live = [
        [item.asset_id, item.component, item.attributes, *_condition(item)]
        for item in published_definitions(connection)
        if asset_key(item.asset_id)[0] == project
    ]
    live += [[dataclasses.asdict(item)] for item in pipelines.published_pipelines(connection, project)]
    return hashlib.sha256(json.dumps(live, sort_keys=True).encode()).hexdigest()


def _condition(item: PublishedDefinition) -> list[Any]:
    if item.retired:
        return [{"retired": list(item.assets)}]
    return [item.blocked] if item.blocked else []


def projects(connection: Connection) -> list[str]:
    """Returns the projects that have published or retired definitions or published pipelines, or had some."""
    keys = connection.execute(sa.select(PUBLICATION.c.state_key)).scalars()
    recorded = {key.removeprefix(STATE_PREFIX).removesuffix("]") for key in keys}
    defined = {asset_key(item.asset_id)[0] for item in published_definitions(connection)}
    return sorted(recorded | defined | pipelines.projects(connection))


def last_verified(connection: Connection, project: str) -> StateVersion | None:
    """Returns the version that a rollback uses; `None` if no version of the project ever loaded."""
    row = connection.execute(sa.select(PUBLICATION).where(PUBLICATION.c.state_key == state_key(project))).first()
    return StateVersion(row.version, row.digest) if row else None


def record_verified(connection: Connection, project: str, version: str, digest: str) -> None:
    """Records that a state version loaded successfully.

    Args:
        connection: a connection in a write transaction.
        project: name of the project.
        version: the state version.
        digest: digest of the definitions, from before the version was written. A later one could contain a change that
            the version doesn't, and the change would never reach Dagster.
    """
    values = {"version": version, "digest": digest, "verified_at": clock.now()}
    key = state_key(project)
    changed = connection.execute(PUBLICATION.update().where(PUBLICATION.c.state_key == key).values(**values))
    if not changed.rowcount:
        connection.execute(PUBLICATION.insert().values(state_key=key, **values))
