"""Asset definitions that users publish over REST. Each definition is a row here and an asset in Dagster.

The API writes the rows; `assets.published` builds Dagster assets from the published ones. The id of a definition is the
id of the asset that it defines, so the primary key keeps asset keys unique.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.db import METADATA, UtcDateTime


class DefinitionState(StrEnum):
    """Publication state.

    `MODIFIED`: published, with newer draft attributes that aren't published. `RETIRED`: was published; nothing produces
    its assets any more, and the tables, versions and lineage stay.
    """

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    MODIFIED = "MODIFIED"
    RETIRED = "RETIRED"


ERROR_TAG = "headwater/error"
"""Tag (the reason) and metadata entry (the error) of an asset whose definition is broken or blocked."""

DEFINITION_REVISION_KEY = "headwater/definition_revision"
"""Metadata entry of an asset, and of each version that it makes: the published revision of its definition."""

RETIRED_TAG = "headwater/retired"
"""Tag of an asset whose definition is retired."""


DEFINITION = sa.Table(
    "definition",
    METADATA,
    sa.Column("asset_id", sa.String(200), primary_key=True),
    sa.Column("project", sa.String(64), nullable=False, index=True),
    sa.Column("component", sa.String(64), nullable=False),
    sa.Column("attributes", sa.JSON, nullable=False),
    sa.Column("published_component", sa.String(64)),
    sa.Column("published_attributes", sa.JSON),
    # The revision that is published. Its content is also in `definition_revision`.
    sa.Column("published_revision", sa.Integer),
    sa.Column("published_at", UtcDateTime),
    sa.Column("published_by", sa.String(128)),
    # For permission checks on the publisher. Null for definitions published before these columns existed.
    sa.Column("published_by_id", sa.String(64)),
    sa.Column("published_reads", sa.JSON(none_as_null=True)),
    sa.Column("blocked", sa.String(500)),
    # A retired definition keeps the published columns, for its reinstatement.
    sa.Column("retired_at", UtcDateTime),
    sa.Column("retired_by", sa.String(128)),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

ASSET_CLAIM = sa.Table(
    "asset_claim",
    METADATA,
    sa.Column("asset_id", sa.String(200), primary_key=True),
    sa.Column("location", sa.String(64), nullable=False),
    sa.Column("definition", sa.String(200), index=True),
)
"""The code location and definition that produce each asset. The primary key prevents two producers of one asset."""

PUBLICATION = sa.Table(
    "publication",
    METADATA,
    sa.Column("state_key", sa.String(100), primary_key=True),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("verified_at", UtcDateTime, nullable=False),
)
"""The last state version of each project that loaded successfully, with the digest of the rows it was built from."""

STATE_PREFIX = "published["
PROJECTS_KEY = "published"
"""Key of the state that changes when a project publishes for the first time."""


def state_key(project: str) -> str:
    """Returns the key of a project's published definitions in Dagster's state storage."""
    return f"{STATE_PREFIX}{project}]"


@dataclass(frozen=True, slots=True)
class PublishedDefinition:
    """The input for building a Dagster asset: a component name and its YAML attributes."""

    asset_id: str
    component: str
    attributes: Mapping[str, Any]
    published_by: str
    published_at: datetime
    blocked: str = ""
    """Reason why the asset must not run; empty if it may run."""

    retired: bool = False
    """Whether the definition is retired."""

    assets: tuple[str, ...] = ()
    """Ids of the assets that the definition claims, sorted."""

    revision: int = 0
    """The revision that is published; 0 if it isn't known."""


def retired_assets(connection: Connection) -> set[str]:
    """Returns the ids of the assets whose definition is retired."""
    return set(
        connection.execute(sa.select(DEFINITION.c.asset_id).where(DEFINITION.c.retired_at.is_not(None))).scalars()
    )


def published_definitions(connection: Connection) -> list[PublishedDefinition]:
    """Returns every live or retired definition, ordered by asset id."""
    published = DEFINITION.c.published_attributes.is_not(None)
    rows = connection.execute(sa.select(DEFINITION).where(published).order_by(DEFINITION.c.asset_id)).all()
    claimed: dict[str, list[str]] = {}
    claims = sa.select(ASSET_CLAIM).where(ASSET_CLAIM.c.definition.is_not(None)).order_by(ASSET_CLAIM.c.asset_id)
    for claim in connection.execute(claims):
        claimed.setdefault(claim.definition, []).append(claim.asset_id)
    return [
        PublishedDefinition(
            asset_id=row.asset_id,
            component=row.published_component,
            attributes=row.published_attributes,
            published_by=row.published_by,
            published_at=row.published_at,
            blocked=row.blocked or "",
            retired=row.retired_at is not None,
            assets=tuple(claimed.get(row.asset_id, (row.asset_id,))),
            revision=row.published_revision or 0,
        )
        for row in rows
    ]
