"""Stored branches: the versions that each reads, the tables that its runs have produced, and the checks of those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from core import clock
from core.db import METADATA, Database, UtcDateTime
from lakehouse.branches import BranchPlan, areas, remove_area
from lakehouse.tables import Tables

ID_PREFIX = "bra_"
"""Beginning of the ids of branches, and so of their areas."""

BRANCH = sa.Table(
    "branch",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False, index=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("description", sa.String(1000), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    # Data version by table that existed when the branch was created, or that a run read first.
    sa.Column("versions", sa.JSON, nullable=False),
    # Code version by asset when the branch was created.
    sa.Column("code_versions", sa.JSON, nullable=False),
    # By produced table: the run, the version, and the results of the checks.
    sa.Column("produced", sa.JSON, nullable=False),
    sa.Column("operation_id", sa.String(64)),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("merged_at", UtcDateTime),
    sa.UniqueConstraint("project_id", "name", name="uq_branch_name"),
)


def find(database: Database, id: str) -> sa.Row[Any] | None:
    """Returns a branch; `None` if it was discarded."""
    with database.read() as connection:
        return connection.execute(sa.select(BRANCH).where(BRANCH.c.id == id)).first()


def plan_of(row: sa.Row[Any], *produced: str) -> BranchPlan:
    """Returns the plan of a stored branch.

    Args:
        row: the branch.
        produced: tables that a run of the branch produces, in addition to those that earlier runs have produced.
    """
    names = tuple(dict.fromkeys([*row.produced, *produced]))
    pins = {table: version for table, version in row.versions.items() if table not in names}
    bases = {table: version for table, version in row.versions.items() if table in names}
    return BranchPlan(row.id, names, pins, bases)


def record(database: Database, id: str, produced: Mapping[str, Mapping[str, Any]]) -> None:
    """Stores what a run has produced. Does nothing if the branch was discarded."""
    with database.write() as connection:
        selected = sa.select(BRANCH.c.produced).where(BRANCH.c.id == id).with_for_update()
        before = connection.execute(selected).scalar()
        if before is not None:
            values = {**before, **{name: dict(one) for name, one in produced.items()}}
            connection.execute(BRANCH.update().where(BRANCH.c.id == id).values(produced=values))


def failed_checks(row: sa.Row[Any]) -> dict[str, list[str]]:
    """Returns the failed blocking checks of each produced table, with `contract` if it breaks its contract."""
    return {
        table: [
            *(name for name, check in one["checks"].items() if _failed(check)),
            *(["contract"] if one.get("contract") else []),
        ]
        for table, one in row.produced.items()
    }


def outdated(row: sa.Row[Any], code_versions: Mapping[str, str | None]) -> dict[str, str]:
    """Returns why produced tables can't be merged: the project doesn't run the code that made them.

    Args:
        row: the branch.
        code_versions: code version by asset that the project can make now; `None` for one without a code version.
    """
    reasons = {}
    for table, one in row.produced.items():
        if table not in code_versions:
            reasons[table] = "The project can't make it: its definition is retired, blocked, or broken."
        elif "code_version" in one and one["code_version"] != (code_versions[table] or ""):
            reasons[table] = (
                f"The branch made it with the code version {one['code_version'] or 'none'}, and the project runs "
                f"{code_versions[table] or 'none'}. Publish the definition of the branch, or make the table again with "
                "that of the project."
            )
    return reasons


def merged(database: Database, tables: Tables, id: str) -> None:
    """Stores that a branch is merged, and ends the protection of its versions. Its tables stay until it's discarded."""
    with database.write() as connection:
        opened = BRANCH.update().where(BRANCH.c.id == id, BRANCH.c.merged_at.is_(None))
        connection.execute(opened.values(state="MERGED", merged_at=clock.now()))
    tables.pins.unpin(id)


def discard_expired(database: Database, tables: Tables) -> list[str]:
    """Discards expired branches, and the areas and pins of branches that don't exist. Returns their ids."""
    now = clock.now()
    with database.read() as connection:
        rows = connection.execute(sa.select(BRANCH.c.id, BRANCH.c.expires_at)).all()
    expired = [row.id for row in rows if row.expires_at is not None and row.expires_at <= now]
    known = {row.id for row in rows}
    used = {*areas(tables.storage), *(pin.holder for pin in tables.pins.pins())}
    orphans = sorted(id for id in used - known if id.startswith(ID_PREFIX))
    for id in (*expired, *orphans):
        remove_area(tables.storage, id)
        tables.pins.unpin(id)
        with database.write() as connection:
            connection.execute(BRANCH.delete().where(BRANCH.c.id == id))
    return [*expired, *orphans]


def _failed(check: Mapping[str, Any]) -> bool:
    return bool(check["blocking"]) and not check["passed"] and check["severity"] == "ERROR"
