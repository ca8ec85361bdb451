"""What decisions stood on at a moment of the past, rebuilt from what the metadata database never forgets.

Things are their last revision until then. A grant or membership of now that is older than the moment held at it, for
neither is ever changed; one that has ended since is told by the event of its end. So a question about yesterday reads
what happened since yesterday, not all that ever happened.

A change counts from the time it bears, which is when its transaction began: one that was being committed at the moment
counts already, though a request of that moment may not have seen it.

Two things are as they are now: what the built-in roles include, and organizations that were purged, which are gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials.accounts import AccountState
from api.kernel.decisions.rights import AT_ONCE, Rights
from api.kernel.permissions import grants
from api.kernel.permissions.access import Rule
from api.kernel.permissions.projects import PROJECT, Projects
from api.kernel.securable import Securable
from api.kernel.storage.store import Stored
from api.kernel.tables import GRANT, MEMBER, PRINCIPAL, RESOURCE, REVISION
from core import clock
from core.errors import InvalidPayload
from core.events import EVENT
from core.ids import is_asset_id

_GIVEN, _REVOKED = "admin.grant.given", "admin.grant.revoked"
_ADDED, _REMOVED = "admin.group.members_added", "admin.group.members_removed"
_ACCOUNTS = ("admin.user", "admin.service_account")


class Past(Rights):
    """All grants and memberships as they were at a moment.

    Raises:
        InvalidPayload: the moment lies in the future, or before anything happened here.
    """

    def __init__(self, connection: Connection, moment: datetime) -> None:
        super().__init__(connection)
        _require_past(connection, moment)
        self.moment = moment
        self._known: dict[str, Stored] = {}
        self._looked_for: set[str] = set()

    @property
    def changed(self) -> bool:
        """Always: the asker's own rights may have been others, too."""
        return True

    def groups(self, principal_id: str) -> dict[str, str]:
        """Every group a principal was in, with the member it was in by."""
        return grants.climbed(principal_id, self._above)

    def find(self, id: str) -> Stored | None:
        """The resource of whatever kind with this id as it was, deleted or not."""
        return self._find_all([id]).get(id)

    def working(self, ids: Iterable[str]) -> set[str]:
        """Those of these principals whose credentials worked."""
        rows = [row for row in self._find_all(ids).values() if row.kind in _ACCOUNTS and _active(row)]
        homes = self._find_all({row.organization_id for row in rows if row.organization_id})
        return {row.id for row in rows if (home := homes.get(row.organization_id or "")) and _active(home)}

    def placed(self, place: Securable) -> Securable:
        """Where something stood that is found by its name: in the project that then had the first part of it."""
        if is_asset_id(place.id):
            name = place.id.partition(".")[0]
            ids = sa.select(RESOURCE.c.id).where(RESOURCE.c.kind == PROJECT, RESOURCE.c.name == name)
            then = self._find_all(self.connection.execute(ids).scalars())
            live = {row.name: row.securable for row in then.values() if row.deleted_at is None}
            return Projects(places=live).inside(name, place.kind, place.id)
        project = self.find(place.project_id) if place.project_id else None
        return replace(place, organization_id=project.organization_id) if project else place

    def asked_at(self, place: Securable) -> Securable:
        """The organization that it stood in, if it has gone to another one: who has it now learns nothing of that."""
        here = RESOURCE.c.id == (place.project_id or place.id)
        now = self.connection.execute(sa.select(RESOURCE.c.organization_id).where(here)).scalar()
        home = place.organization_id
        return place if now in (None, home) or home is None else Securable("admin.organization", home, home)

    def _kept(self, column: sa.ColumnElement[str], wanted: set[str]) -> list[Rule]:
        lasting = sa.select(GRANT).where(column.in_(wanted), GRANT.c.created_at <= self.moment)
        rows = [row._asdict() for row in self.connection.execute(lasting)]
        told = EVENT.c.data[column.key].as_string().in_(wanted)
        revoked = sa.select(EVENT.c.subject, EVENT.c.data).where(
            EVENT.c.type == _REVOKED, EVENT.c.at > self.moment, told
        )
        ended = {row.subject: row.data for row in self.connection.execute(revoked)}
        given = sa.select(EVENT.c.subject, EVENT.c.data).where(
            EVENT.c.type == _GIVEN,
            EVENT.c.at <= self.moment,
            EVENT.c.subject.in_(revoked.with_only_columns(EVENT.c.subject).scalar_subquery()),
        )
        # Events of earlier releases tell the rest in the event of the grant.
        rows += [{"id": id, **data, **ended[id]} for id, data in self.connection.execute(given)]
        return self._rules(sorted(rows, key=lambda row: str(row["id"])))

    def _rules(self, rows: Sequence[dict[str, Any]]) -> list[Rule]:
        roles = {row.id: row for row in self._find_all({row["role_id"] for row in rows if row.get("role_id")}).values()}
        found: list[Rule] = []
        for row in rows:
            role = roles.get(row.get("role_id") or "")
            live = role if role and role.deleted_at is None else None
            said = {column.name: row.get(column.name) for column in GRANT.c}
            said |= {"expires_at": _time(said["expires_at"]), "condition": said["condition"] or ""}
            names = {"role_name": live and live.name, "role_spec": live and live.spec}
            found += grants.rules_of(SimpleNamespace(**said, **names))
        return found

    def _above(self, members: Sequence[str]) -> list[tuple[str, str]]:
        pairs = self._pairs(MEMBER.c.member_id, members) | {pair for pair in self._left if pair[1] in members}
        groups = self._find_all({group for group, _ in pairs})
        return [pair for pair in pairs if pair[0] in groups and groups[pair[0]].deleted_at is None]

    def _members(self, groups: set[str]) -> set[str]:
        # Most of a wave are people: by their ids they need not be looked at.
        found = self._find_all(id for id in groups if id.startswith("grp_"))
        live = [id for id, row in found.items() if row.deleted_at is None]
        pairs = self._pairs(MEMBER.c.group_id, live) | {pair for pair in self._left if pair[0] in live}
        return {member for _, member in pairs}

    def _pairs(self, column: sa.ColumnElement[str], ids: Sequence[str]) -> set[tuple[str, str]]:
        """Group and member of what lasts until now."""
        select = sa.select(MEMBER.c.group_id, MEMBER.c.member_id).where(MEMBER.c.added_at <= self.moment)
        return {(group, member) for group, member in self.connection.execute(select.where(column.in_(ids)))}

    @cached_property
    def _left(self) -> set[tuple[str, str]]:
        """Group and member of what has ended since, even if it began anew."""
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

    def _everybody(self) -> set[str]:
        select = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.created_at <= self.moment)
        return set(self.connection.execute(select).scalars())

    def _find_all(self, ids: Iterable[str]) -> dict[str, Stored]:
        wanted = set(ids)
        missing = sorted(wanted - self._looked_for)
        for start in range(0, len(missing), AT_ONCE):
            for row in self._revisions(missing[start : start + AT_ONCE]):
                self._known[row.id] = row
        self._looked_for |= wanted
        return {id: self._known[id] for id in wanted if id in self._known}

    def _revisions(self, ids: Sequence[str]) -> Iterable[Stored]:
        latest = (
            sa.select(REVISION.c.resource_id, sa.func.max(REVISION.c.version).label("version"))
            .where(REVISION.c.resource_id.in_(ids), REVISION.c.at <= self.moment)
            .group_by(REVISION.c.resource_id)
            .subquery()
        )
        ours = sa.and_(REVISION.c.resource_id == latest.c.resource_id, REVISION.c.version == latest.c.version)
        unchanged = [RESOURCE.c[name] for name in ("kind", "scope_id", "generation", "created_at", "created_by")]
        select = (
            sa.select(REVISION, *unchanged).join(latest, ours).join(RESOURCE, RESOURCE.c.id == REVISION.c.resource_id)
        )
        return [_stored(row) for row in self.connection.execute(select)]


def _require_past(connection: Connection, moment: datetime) -> None:
    first = connection.execute(sa.select(EVENT.c.at).order_by(EVENT.c.sequence).limit(1)).scalar()
    if moment > clock.now():
        fault = {"pointer": "/as_of", "detail": "lies in the future"}
        raise InvalidPayload("What will be decided is not known. Ask about a moment until now.", errors=[fault])
    if first is None or moment < first:
        fault = {"pointer": "/as_of", "detail": "lies before everything that is known"}
        began = f"{first.isoformat()}" if first else "later"
        raise InvalidPayload(f"Nothing is known of that moment: the records begin at {began}.", errors=[fault])


def _stored(row: Any) -> Stored:
    """The resource as a revision tells it."""
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
