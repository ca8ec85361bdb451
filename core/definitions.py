"""Asset definitions that users publish over REST: rows here, assets in Dagster.

The API writes them, `assets.published` turns the published ones into Dagster assets. A definition's id is the id of
the one asset it defines, so the primary key keeps asset keys unique.
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
    """`DRAFT` was never published, `PUBLISHED` is live, `MODIFIED` is live with newer unpublished attributes."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    MODIFIED = "MODIFIED"


DEFINITION = sa.Table(
    "definition",
    METADATA,
    sa.Column("asset_id", sa.String(200), primary_key=True),
    sa.Column("project", sa.String(64), nullable=False, index=True),
    sa.Column("component", sa.String(64), nullable=False),
    sa.Column("attributes", sa.JSON, nullable=False),
    sa.Column("published_component", sa.String(64)),
    sa.Column("published_attributes", sa.JSON),
    sa.Column("published_at", UtcDateTime),
    sa.Column("published_by", sa.String(128)),
    # For who must hold the right to what: null if it was published before that was kept.
    sa.Column("published_by_id", sa.String(64)),
    sa.Column("published_reads", sa.JSON(none_as_null=True)),
    sa.Column("blocked", sa.String(500)),
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
"""Which code location makes which asset, and by which definition: two can never make the same one."""

PUBLICATION = sa.Table(
    "publication",
    METADATA,
    sa.Column("state_key", sa.String(100), primary_key=True),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("verified_at", UtcDateTime, nullable=False),
)
"""The last state version of each project that was seen to load, with the digest of the rows it was made from."""

STATE_PREFIX = "published["
PROJECTS_KEY = "published"
"""Name of the state that changes when a project publishes for the first time."""


def state_key(project: str) -> str:
    """Name of a project's published definitions in Dagster's state storage."""
    return f"{STATE_PREFIX}{project}]"


@dataclass(frozen=True, slots=True)
class PublishedDefinition:
    """What Dagster builds an asset from: a component name and its YAML attributes."""

    asset_id: str
    component: str
    attributes: Mapping[str, Any]
    published_by: str
    published_at: datetime
    blocked: str = ""
    """Why it must not run, if it must not."""


def published(connection: Connection) -> list[PublishedDefinition]:
    """Every live definition, ordered by asset id."""
    rows = connection.execute(
        sa.select(DEFINITION).where(DEFINITION.c.published_attributes.is_not(None)).order_by(DEFINITION.c.asset_id)
    )
    return [
        PublishedDefinition(
            asset_id=row.asset_id,
            component=row.published_component,
            attributes=row.published_attributes,
            published_by=row.published_by,
            published_at=row.published_at,
            blocked=row.blocked or "",
        )
        for row in rows
    ]
