"""Revisions of definitions that were published: what ran at a time, or made a version.

The code version of an asset is a digest of everything in its definition that determines its content. So the revision
that made a version is found by the code version in the lineage of that version.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import clock
from core.db import METADATA, UtcDateTime
from core.definitions import ASSET_CLAIM, DEFINITION

DEFINITION_REVISION = sa.Table(
    "definition_revision",
    METADATA,
    sa.Column("asset_id", sa.String(200), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("component", sa.String(64), nullable=False),
    sa.Column("attributes", sa.JSON, nullable=False),
    # Ids of the assets that it reads. Null if it was published before they were recorded.
    sa.Column("reads", sa.JSON(none_as_null=True)),
    # Code version of each asset that it produces. Empty if it was published before they were recorded.
    sa.Column("code_versions", sa.JSON, nullable=False),
    sa.Column("published_at", UtcDateTime, nullable=False),
    sa.Column("published_by", sa.String(128), nullable=False),
)


@dataclass(frozen=True, slots=True)
class RecordedDefinition:
    """A definition as it was published, or as a branch has it."""

    asset_id: str
    revision: int | None
    """Number of the revision; `None` for a definition that only a branch has."""
    component: str
    attributes: Mapping[str, Any]
    reads: tuple[str, ...] | None
    """Ids of the assets that it reads; `None` if they weren't recorded."""
    code_versions: Mapping[str, str]
    """Code version by asset that it produces."""

    @classmethod
    def of(cls, row: sa.Row[Any]) -> Self:
        """Returns the definition of a row."""
        reads = None if row.reads is None else tuple(row.reads)
        return cls(row.asset_id, row.revision, row.component, row.attributes, reads, row.code_versions)


def add(
    connection: Connection,
    definition: RecordedDefinition,
    *,
    principal: str,
) -> bool:
    """Records a published revision, unless it is recorded already. Returns whether it was added."""
    if find(connection, definition.asset_id, definition.revision) is not None:
        return False
    connection.execute(
        DEFINITION_REVISION.insert().values(
            asset_id=definition.asset_id,
            revision=definition.revision,
            component=definition.component,
            attributes=dict(definition.attributes),
            reads=None if definition.reads is None else list(definition.reads),
            code_versions=dict(definition.code_versions),
            published_at=clock.now(),
            published_by=principal,
        )
    )
    return True


def remove(connection: Connection, definitions: Sequence[str] | sa.Select[Any], revision: int | None = None) -> None:
    """Deletes the revisions of definitions, or one of them."""
    removed = DEFINITION_REVISION.delete().where(DEFINITION_REVISION.c.asset_id.in_(definitions))
    if revision is not None:
        removed = removed.where(DEFINITION_REVISION.c.revision == revision)
    connection.execute(removed)


def find(connection: Connection, definition: str, revision: int | None) -> RecordedDefinition | None:
    """Returns a revision of a definition; `None` if it wasn't published."""
    table = DEFINITION_REVISION
    row = connection.execute(
        sa.select(table).where(table.c.asset_id == definition, table.c.revision == revision)
    ).first()
    return None if row is None else RecordedDefinition.of(row)


def newest(connection: Connection, definition: str, before: int | None, limit: int) -> Sequence[sa.Row[Any]]:
    """Returns published revisions of a definition, newest first, as rows."""
    table = DEFINITION_REVISION
    selected = sa.select(table).where(table.c.asset_id == definition)
    if before is not None:
        selected = selected.where(table.c.revision < before)
    return connection.execute(selected.order_by(table.c.revision.desc()).limit(limit)).all()


def of_code(connection: Connection, asset: str, code_version: str) -> RecordedDefinition | None:
    """Returns the newest revision with which an asset has a code version; `None` if none is recorded."""
    if not code_version:
        return None
    table = DEFINITION_REVISION
    selected = (
        sa.select(table)
        .join(ASSET_CLAIM, ASSET_CLAIM.c.definition == table.c.asset_id)
        .where(ASSET_CLAIM.c.asset_id == asset)
        .order_by(table.c.revision.desc())
    )
    for row in connection.execute(selected):
        if row.code_versions.get(asset) == code_version:
            return RecordedDefinition.of(row)
    return None


def published(connection: Connection, project: str, at: datetime | None = None) -> dict[str, int]:
    """Returns the revision of each definition of a project that ran at a time, or runs now."""
    if at is None:
        live = (DEFINITION.c.published_revision.is_not(None), DEFINITION.c.retired_at.is_(None))
        selected = sa.select(DEFINITION.c.asset_id, DEFINITION.c.published_revision)
        return _revisions(connection, selected.where(DEFINITION.c.project == project, *live))
    table = DEFINITION_REVISION
    then = (
        sa.select(table.c.asset_id, sa.func.max(table.c.revision))
        .join(DEFINITION, DEFINITION.c.asset_id == table.c.asset_id)
        .where(
            DEFINITION.c.project == project,
            table.c.published_at <= at,
            sa.or_(DEFINITION.c.retired_at.is_(None), DEFINITION.c.retired_at > at),
        )
        .group_by(table.c.asset_id)
    )
    return _revisions(connection, then)


def producers(connection: Connection, assets: Collection[str]) -> dict[str, int]:
    """Returns the revision that runs now of each definition that produces one of these assets."""
    selected = (
        sa.select(DEFINITION.c.asset_id, DEFINITION.c.published_revision)
        .join(ASSET_CLAIM, ASSET_CLAIM.c.definition == DEFINITION.c.asset_id)
        .where(
            ASSET_CLAIM.c.asset_id.in_(assets),
            DEFINITION.c.published_revision.is_not(None),
            DEFINITION.c.retired_at.is_(None),
        )
    )
    return _revisions(connection, selected)


def _revisions(connection: Connection, selected: sa.Select[Any]) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in connection.execute(selected)}
