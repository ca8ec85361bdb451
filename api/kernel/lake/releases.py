"""Releases: decisions of owners that copies of their table are no longer bound to the right to read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.permissions.graph import item_node
from api.kernel.tables import project_rows
from core import clock
from core.db import METADATA, UtcDateTime

RELEASE = sa.Table(
    "release",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("asset", sa.String(200), nullable=False, index=True),
    sa.Column("copies", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("created_by_id", sa.String(64), nullable=False),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("revoked_by", sa.String(128)),
    info=project_rows("created_by", "revoked_by"),
)
"""Releases. They belong to the project of the table that is released. `copies` is an asset, a schema, or a project."""

Release = tuple[str, str]
"""The id of a release, and the copies that it covers."""


def active() -> sa.ColumnElement[bool]:
    """Returns the condition for the releases that hold now."""
    unexpired = sa.or_(RELEASE.c.expires_at.is_(None), RELEASE.c.expires_at > clock.now())
    return sa.and_(RELEASE.c.revoked_at.is_(None), unexpired)


def of_assets(connection: Connection, assets: Iterable[str]) -> dict[str, list[Release]]:
    """Returns the releases that hold now, by the asset that they release."""
    select = sa.select(RELEASE.c.asset, RELEASE.c.id, RELEASE.c.copies).where(RELEASE.c.asset.in_(sorted(assets)))
    found: dict[str, list[Release]] = defaultdict(list)
    for asset, id, copies in connection.execute(select.where(active()).order_by(RELEASE.c.id)):
        found[asset].append((id, copies))
    return found


def covers(copies: str, asset: str) -> bool:
    """Returns whether an asset is one of the copies: the asset itself, or one in the schema or project.

    Runs, and models that are no assets, are only in their project.
    """
    if (item := item_node(asset)) is not None:
        return item.project == copies
    return asset == copies or asset.startswith(f"{copies}.")
