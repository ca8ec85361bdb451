"""The basis of decisions at a time in the past, reconstructed from the metadata database.

Resources have the state of their last revision before that time. Current grants and memberships that are older than the
time were in effect, because they never change. Those that have ended since are in the events of their end. A question
about yesterday therefore reads only the events since yesterday.

A change counts from the start of its transaction, even if requests at that time could not see it yet.

Two things are current: the permissions of built-in roles, and the organizations, of which purged ones are missing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials.accounts import AccountState
from api.kernel.decisions.rights import BATCH_SIZE, Rights
from api.kernel.permissions import grants
from api.kernel.permissions.projects import PROJECT, Projects
from api.kernel.permissions.rule import Rule
from api.kernel.securable import Securable
from api.kernel.storage.store import Stored
from api.kernel.tables import GRANT, MEMBER, PRINCIPAL, RESOURCE, REVISION
from core import clock
from core.errors import InvalidPayload
from core.events import EVENT
from core.ids import is_asset_id

_GRANTED, _REVOKED = "admin.grant.given", "admin.grant.revoked"
_ADDED, _REMOVED = "admin.group.members_added", "admin.group.members_removed"
_ACCOUNTS = ("admin.user", "admin.service_account")


class Past(Rights):
    """The grants, memberships, accounts, and resources at a time in the past.

    Raises:
        InvalidPayload: the time is in the future, or before the first event.
    """

    def __init__(self, connection: Connection, moment: datetime) -> None:
        super().__init__(connection)
        _require_past(connection, moment)
        self.moment = moment
        self._rows: dict[str, Stored] = {}
        self._requested: set[str] = set()

    @property
    def changed(self) -> bool:
        """Always true: the rights of the caller may have changed too."""
        return True

    def groups(self, principal_id: str) -> dict[str, str]:
        """Returns the groups of a principal, each with the member that connects it."""
        return grants.all_groups(principal_id, self._memberships)

    def find(self, id: str) -> Stored | None:
        """Returns the resource of any kind with this id in its state at that time, deleted or not."""
        return self._rows_at_moment([id]).get(id)

    def active(self, ids: Iterable[str]) -> set[str]:
        """Returns the principals that were active in an active organization."""
        rows = [row for row in self._rows_at_moment(ids).values() if row.kind in _ACCOUNTS and _active(row)]
        organizations = self._rows_at_moment({row.organization_id for row in rows if row.organization_id})
        active = {id for id, organization in organizations.items() if _active(organization)}
        return {row.id for row in rows if row.organization_id in active}

    def at_moment(self, securable: Securable) -> Securable:
        """Returns the securable of an item that is not stored, in the project that had its name at that time."""
        if is_asset_id(securable.id):
            name = securable.id.partition(".")[0]
            ids = sa.select(RESOURCE.c.id).where(RESOURCE.c.kind == PROJECT, RESOURCE.c.name == name)
            rows = self._rows_at_moment(self.connection.execute(ids).scalars()).values()
            # As in `projects.load`: the live project counts, or the one that was deleted last.
            ordered = sorted(rows, key=lambda row: (row.deleted_at is None, row.deleted_at or row.created_at))
            projects = {row.name: row.securable for row in ordered}
            return Projects(projects=projects).inside(name, securable.kind, securable.id)
        project = self.find(securable.project_id) if securable.project_id else None
        return replace(securable, organization_id=project.organization_id) if project else securable

    def read_scope(self, securable: Securable) -> Securable:
        """Returns the former organization if the securable has moved since, because only it may read its past."""
        condition = RESOURCE.c.id == (securable.project_id or securable.id)
        current = self.connection.execute(sa.select(RESOURCE.c.organization_id).where(condition)).scalar()
        former = securable.organization_id
        if former is None or current in (None, former):
            return securable
        return Securable("admin.organization", former, former)

    def _select(self, column: sa.ColumnElement[str], values: Collection[str]) -> list[Rule]:
        current = sa.select(GRANT).where(column.in_(values), GRANT.c.created_at <= self.moment)
        rows = [row._asdict() for row in self.connection.execute(current)]
        concerned = EVENT.c.data[column.key].as_string().in_(values)
        revoked = sa.select(EVENT.c.subject, EVENT.c.data).where(
            EVENT.c.type == _REVOKED, EVENT.c.at > self.moment, concerned
        )
        ended = {row.subject: row.data for row in self.connection.execute(revoked)}
        granted = sa.select(EVENT.c.subject, EVENT.c.data).where(
            EVENT.c.type == _GRANTED,
            EVENT.c.at <= self.moment,
            EVENT.c.subject.in_(revoked.with_only_columns(EVENT.c.subject).scalar_subquery()),
        )
        # Events of earlier releases have some fields only in the event of the grant.
        rows += [{"id": id, **data, **ended[id]} for id, data in self.connection.execute(granted)]
        return self._rules(sorted(rows, key=lambda row: str(row["id"])))

    def _rules(self, rows: Sequence[dict[str, Any]]) -> list[Rule]:
        roles = {
            row.id: row for row in self._rows_at_moment({row["role_id"] for row in rows if row.get("role_id")}).values()
        }
        rules: list[Rule] = []
        for row in rows:
            role = roles.get(row.get("role_id") or "")
            live = role if role and role.deleted_at is None else None
            values = {column.name: row.get(column.name) for column in GRANT.c}
            values |= {"expires_at": _time(values["expires_at"]), "condition": values["condition"] or ""}
            values |= {"role_name": live and live.name, "role_spec": live and live.spec}
            rules += grants.rules_of(SimpleNamespace(**values))
        return rules

    def _memberships(self, members: Sequence[str]) -> list[tuple[str, str]]:
        pairs = self._pairs(MEMBER.c.member_id, members) | {pair for pair in self._left if pair[1] in members}
        groups = self._rows_at_moment({group for group, _ in pairs})
        return [pair for pair in pairs if pair[0] in groups and groups[pair[0]].deleted_at is None]

    def _members(self, groups: set[str]) -> set[str]:
        # Most ids are those of users, which have no members.
        rows = self._rows_at_moment(id for id in groups if id.startswith("grp_"))
        live = [id for id, row in rows.items() if row.deleted_at is None]
        pairs = self._pairs(MEMBER.c.group_id, live) | {pair for pair in self._left if pair[0] in live}
        return {member for _, member in pairs}

    def _pairs(self, column: sa.ColumnElement[str], ids: Sequence[str]) -> set[tuple[str, str]]:
        """Returns the memberships that are still in effect, as pairs of group and member."""
        select = sa.select(MEMBER.c.group_id, MEMBER.c.member_id).where(MEMBER.c.added_at <= self.moment)
        return {(group, member) for group, member in self.connection.execute(select.where(column.in_(ids)))}

    @cached_property
    def _left(self) -> set[tuple[str, str]]:
        """The memberships that have ended since, even if they started again, as pairs of group and member."""
        since = sa.and_(EVENT.c.type == _REMOVED, EVENT.c.at > self.moment)
        removals = sa.select(EVENT.c.subject, EVENT.c.data).where(since)
        ended = {(group, member) for group, data in self.connection.execute(removals) for member in data["removed"]}
        until = sa.select(EVENT.c.subject, EVENT.c.data).where(
            EVENT.c.type.in_((_ADDED, _REMOVED)),
            EVENT.c.at <= self.moment,
            EVENT.c.subject.in_(sa.select(EVENT.c.subject).where(since)),
        )
        inside: set[tuple[str, str]] = set()
        for group, data in self.connection.execute(until.order_by(EVENT.c.sequence)):
            inside |= {(group, member) for member in data.get("added", ())}
            inside -= {(group, member) for member in data.get("removed", ())}
        return ended & inside

    def _all_principals(self) -> set[str]:
        select = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.created_at <= self.moment)
        return set(self.connection.execute(select).scalars())

    def _rows_at_moment(self, ids: Iterable[str]) -> dict[str, Stored]:
        requested = set(ids)
        missing = sorted(requested - self._requested)
        for start in range(0, len(missing), BATCH_SIZE):
            for row in self._revisions(missing[start : start + BATCH_SIZE]):
                self._rows[row.id] = row
        self._requested |= requested
        return {id: self._rows[id] for id in requested if id in self._rows}

    def _revisions(self, ids: Sequence[str]) -> Iterable[Stored]:
        latest = (
            sa.select(REVISION.c.resource_id, sa.func.max(REVISION.c.version).label("version"))
            .where(REVISION.c.resource_id.in_(ids), REVISION.c.at <= self.moment)
            .group_by(REVISION.c.resource_id)
            .subquery()
        )
        is_latest = sa.and_(REVISION.c.resource_id == latest.c.resource_id, REVISION.c.version == latest.c.version)
        unchanged = [RESOURCE.c[name] for name in ("kind", "scope_id", "generation", "created_at", "created_by")]
        select = (
            sa.select(REVISION, *unchanged)
            .join(latest, is_latest)
            .join(RESOURCE, RESOURCE.c.id == REVISION.c.resource_id)
        )
        return [_stored(row) for row in self.connection.execute(select)]


def _require_past(connection: Connection, moment: datetime) -> None:
    first = connection.execute(sa.select(EVENT.c.at).order_by(EVENT.c.sequence).limit(1)).scalar()
    if moment > clock.now():
        fault = {"pointer": "/as_of", "detail": "is in the future"}
        raise InvalidPayload("as_of is in the future. Send a time in the past.", errors=[fault])
    if first is None or moment < first:
        fault = {"pointer": "/as_of", "detail": "is before the first event"}
        start = f"The first event is from {first.isoformat()}." if first else "There are no events yet."
        raise InvalidPayload(f"as_of is before the first event. {start}", errors=[fault])


def _stored(row: Any) -> Stored:
    """Returns the resource in a row of revisions."""
    content = row.content
    return Stored(
        id=row.resource_id,
        kind=row.kind,
        organization_id=content["organization_id"],
        project_id=content["project_id"],
        scope_id=row.scope_id,
        name=content["name"],
        owner=content["owner"],
        state=content["status"].get("state"),
        generation=row.generation,
        version=row.version,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.at,
        updated_by=row.by,
        deleted_at=_time(content["deleted_at"]),
        **{name: json.dumps(content[name]) for name in ("labels", "spec", "status")},
    )


def _active(row: Stored) -> bool:
    return row.deleted_at is None and row.state == AccountState.ACTIVE.value


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
