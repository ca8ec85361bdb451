"""The audit log as Delta tables for SQL: who could read X on date D, who did what, and when.

    platform.audit.events     every event, with its hash
    platform.audit.grants     each grant that was created or revoked
    platform.audit.members    each member that was added to a group or removed
    platform.audit.resources  each version of users, service accounts, groups, roles, projects and organizations

Rows are only appended. The state at a time is the last row of each grant, membership, or resource until then; see
`docs/how-to/answer-an-auditor.md`. The highest `sequence` of a table is its position, and a batch is only added to the
table version that it was made for. So no row is lost or duplicated, however often a process is killed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.permissions.access import Permissions
from api.kernel.permissions.grants import BUILT_IN
from api.kernel.tables import GRANT, MEMBER, RESOURCE, REVISION
from core import clock, events
from core.audit import EVENTS, GRANTS, MEMBERS, RESOURCES, TABLES
from core.db import Database
from core.events import EVENT

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.tables import Tables

BATCH_SIZE = 10_000
_COMPACT_EVERY = 200
"""Number of commits after which the small files of a table are compacted."""

_KINDS = tuple(f"admin.{name}" for name in ("user", "service_account", "group", "role", "project", "organization"))
_Row = Mapping[str, Any]
_Source = Callable[[Connection, int], Iterable[_Row]]


class AuditTables:
    """Updates of the audit tables, one at a time. A concurrent update gets a `WriteConflict` and changes nothing."""

    def __init__(self, database: Database, tables: Tables, permissions: Permissions) -> None:
        self._database = database
        self._tables = tables
        self._permissions = permissions
        self._roles_checked = False

    def catch_up(self) -> int:
        """Adds everything since the last update, and returns the number of rows.

        Raises:
            WriteConflict: Another process updates the tables.
            Unavailable: The database or the lakehouse does not respond.
        """
        rows = 0
        while added := self._add(EVENTS, _events):
            rows += added
        rows += self._add(GRANTS, _grants, _initial_grants)
        rows += self._add(MEMBERS, _members, _initial_members)
        rows += self._add(RESOURCES, self._resources)
        if not self._roles_checked:
            rows += self._add(RESOURCES, self._changed_roles)
            self._roles_checked = True
        return rows

    def _add(self, table: str, since: _Source, before: _Source | None = None) -> int:
        """Adds the rows since the last one of the table. A new table also gets the rows of `before`."""
        exists = self._tables.exists(table)
        version, last = self._position(table) if exists else (None, 0)
        with self._database.read() as connection:
            rows = list(since(connection, last))
            if before and not exists:
                rows += before(connection, events.head(connection)[0])
        if not exists:
            self._tables.create_with(table, _arrow(table, rows))
        elif rows:
            commit = self._tables.append(table, _arrow(table, rows), if_version=version)
            if commit.version % _COMPACT_EVERY == 0:
                self._tables.optimize(table)
        return len(rows)

    def _position(self, table: str) -> tuple[int, int]:
        version = self._tables.snapshot(table).version
        rows = self._sql(f"SELECT max(sequence) AS last FROM {table}", {table: version})  # noqa: S608
        return version, rows[0]["last"] or 0

    def _sql(self, statement: str, versions: Mapping[str, int] = {}) -> list[dict[str, Any]]:
        from lakehouse.query import Query

        rows: list[dict[str, Any]] = Query(self._tables).sql(statement, versions=versions).table.to_pylist()
        return rows

    def _resources(self, connection: Connection, after: int) -> Iterator[_Row]:
        """Yields the versions since an event, or all of them at first. A moved project includes everything in it."""
        if not after:
            all_versions = sa.select(
                REVISION, RESOURCE.c.kind, sa.literal(events.head(connection)[0]).label("sequence")
            )
            yield from self._versions(connection, all_versions)
            return
        recent = sa.select(EVENT).where(EVENT.c.kind.in_(_KINDS), EVENT.c.sequence > after).subquery()
        concerned = sa.or_(
            RESOURCE.c.id == recent.c.subject,
            sa.and_(recent.c.type == "admin.project.moved", RESOURCE.c.project_id == recent.c.project_id),
        )
        versions = (
            sa.select(REVISION.c.resource_id, REVISION.c.version, sa.func.max(recent.c.sequence).label("sequence"))
            .join(RESOURCE, RESOURCE.c.id == REVISION.c.resource_id)
            .join(recent, sa.and_(concerned, recent.c.request_id == REVISION.c.request_id))
            .group_by(REVISION.c.resource_id, REVISION.c.version)
            .subquery()
        )
        same = sa.and_(REVISION.c.resource_id == versions.c.resource_id, REVISION.c.version == versions.c.version)
        select = sa.select(REVISION, RESOURCE.c.kind, versions.c.sequence).join(versions, same)
        yield from self._versions(connection, select)

    def _versions(self, connection: Connection, select: sa.Select[Any]) -> Iterator[_Row]:
        of_kinds = select.join(RESOURCE, RESOURCE.c.id == REVISION.c.resource_id).where(RESOURCE.c.kind.in_(_KINDS))
        for row in connection.execute(of_kinds.order_by(REVISION.c.at, REVISION.c.version)):
            content, spec = row.content, row.content["spec"]
            yield {
                "sequence": row.sequence,
                "happened_at": row.at,
                "id": row.resource_id,
                "kind": row.kind,
                "version": row.version,
                "name": content["name"],
                "state": content["status"].get("state"),
                "deleted": content["deleted_at"] is not None,
                "organization_id": content["organization_id"],
                "project_id": content["project_id"],
                "permissions": self._included(row.resource_id) or spec.get("permissions", []),
                "denied": spec.get("denied", []),
            }

    def _included(self, role_id: str) -> list[str]:
        """Returns the permissions that a built-in role includes in this release."""
        if role_id not in BUILT_IN:
            return []
        return sorted(name for name, least in self._permissions.items() if BUILT_IN[role_id].includes(least))

    def _changed_roles(self, connection: Connection, after: int) -> Iterator[_Row]:
        """Yields built-in roles whose permissions changed with an upgrade."""
        latest = self._sql(
            f"SELECT * FROM {RESOURCES} WHERE kind = 'admin.role'"  # noqa: S608
            " QUALIFY row_number() OVER (PARTITION BY id ORDER BY version DESC, sequence DESC, happened_at DESC) = 1"
        )
        for row in latest:
            included = self._included(row["id"])
            if included and included != row["permissions"]:
                yield row | {"permissions": included, "happened_at": clock.now(), "sequence": after}


def _events(connection: Connection, after: int) -> Iterator[_Row]:
    select = sa.select(EVENT).where(EVENT.c.sequence > after).order_by(EVENT.c.sequence).limit(BATCH_SIZE)
    for row in connection.execute(select):
        yield row._asdict() | {"happened_at": row.at, "data": json.dumps(row.data, sort_keys=True)}


def _of_types(connection: Connection, after: int, *types: str) -> Iterator[Any]:
    select = sa.select(EVENT).where(EVENT.c.type.in_(types), EVENT.c.sequence > after)
    yield from connection.execute(select.order_by(EVENT.c.sequence))


def _grants(connection: Connection, after: int) -> Iterator[_Row]:
    for row in _of_types(connection, after, "admin.grant.given", "admin.grant.revoked"):
        change = row.type.rpartition(".")[2].upper()
        expires_at = row.data.get("expires_at")
        yield row.data | {
            "sequence": row.sequence,
            "happened_at": row.at,
            "change": change,
            "grant_id": row.subject,
            "expires_at": datetime.fromisoformat(expires_at) if expires_at else None,
        }


def _initial_grants(connection: Connection, head: int) -> Iterator[_Row]:
    """Yields the present grants as if they preceded all events, because older events may not include all of them."""
    for row in connection.execute(sa.select(GRANT)):
        yield row._asdict() | {"sequence": 0, "happened_at": row.created_at, "change": "GIVEN", "grant_id": row.id}


def _members(connection: Connection, after: int) -> Iterator[_Row]:
    for row in _of_types(connection, after, "admin.group.members_added", "admin.group.members_removed"):
        change = row.type.rpartition("_")[2]
        for member in row.data.get(change, ()):
            position = {"sequence": row.sequence, "happened_at": row.at, "change": change.upper()}
            yield position | {"group_id": row.subject, "member_id": member}


def _initial_members(connection: Connection, head: int) -> Iterator[_Row]:
    """Yields the present members as if they preceded all events."""
    for row in connection.execute(sa.select(MEMBER)):
        yield row._asdict() | {"sequence": 0, "happened_at": row.added_at, "change": "ADDED"}


def _schema(table: str) -> pa.Schema:
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "timestamp[us, tz=UTC]": pa.timestamp("us", "UTC"),
        "list<item: string>": pa.list_(pa.string()),
    }
    return pa.schema([(name, types[column.type]) for name, column in TABLES[table].columns.items()])


def _arrow(table: str, rows: Iterable[_Row]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in rows], schema=_schema(table))
