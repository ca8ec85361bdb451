"""Definitions of branches: the published revision that each branch runs, or a definition that only the branch has."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.db import METADATA
from core.definition_revisions import DEFINITION_REVISION, RecordedDefinition

BRANCH_DEFINITION = sa.Table(
    "branch_definition",
    METADATA,
    sa.Column("branch_id", sa.ForeignKey("branch.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("asset_id", sa.String(200), primary_key=True),
    # A published revision. Null for a definition that only the branch has, which the other columns contain.
    sa.Column("revision", sa.Integer),
    sa.Column("component", sa.String(64)),
    sa.Column("attributes", sa.JSON(none_as_null=True)),
    sa.Column("reads", sa.JSON(none_as_null=True)),
    sa.Column("code_versions", sa.JSON(none_as_null=True)),
)


def pin(connection: Connection, branch: str, revisions: Mapping[str, int]) -> None:
    """Makes a branch run these revisions, by definition. A definition that the branch already has doesn't change."""
    known = sa.select(BRANCH_DEFINITION.c.asset_id).where(BRANCH_DEFINITION.c.branch_id == branch)
    present = set(connection.execute(known).scalars())
    rows = [
        {"branch_id": branch, "asset_id": id, "revision": number}
        for id, number in revisions.items()
        if id not in present
    ]
    if rows:
        connection.execute(BRANCH_DEFINITION.insert(), rows)


def put(connection: Connection, branch: str, definition: RecordedDefinition) -> None:
    """Makes a branch run a definition: a published revision, or one that only the branch has."""
    same = (BRANCH_DEFINITION.c.branch_id == branch, BRANCH_DEFINITION.c.asset_id == definition.asset_id)
    connection.execute(BRANCH_DEFINITION.delete().where(*same))
    content = {}
    if definition.revision is None:
        content = {
            "component": definition.component,
            "attributes": dict(definition.attributes),
            "reads": list(definition.reads or ()),
            "code_versions": dict(definition.code_versions),
        }
    values = {"branch_id": branch, "asset_id": definition.asset_id, "revision": definition.revision, **content}
    connection.execute(BRANCH_DEFINITION.insert().values(values))


def definitions_of(connection: Connection, branch: str) -> list[RecordedDefinition]:
    """Returns the definitions that a branch runs, by id."""
    table, published = BRANCH_DEFINITION, DEFINITION_REVISION
    either = [
        sa.func.coalesce(table.c[name], published.c[name]).label(name)
        for name in ("component", "attributes", "reads", "code_versions")
    ]
    same = sa.and_(published.c.asset_id == table.c.asset_id, published.c.revision == table.c.revision)
    selected = sa.select(table.c.asset_id, table.c.revision, *either).outerjoin(published, same)
    rows = connection.execute(selected.where(table.c.branch_id == branch).order_by(table.c.asset_id))
    return [RecordedDefinition.of(row) for row in rows if row.component is not None]


def producing(definitions: Collection[RecordedDefinition], assets: Collection[str]) -> list[RecordedDefinition]:
    """Returns the definitions that produce one of these assets."""
    return [one for one in definitions if not set(assets).isdisjoint(one.code_versions)]
