"""What a decision stands on: grants, memberships, accounts and things.

`Rights` reads them as they are now; `past` as they were. The rules that judge by them are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.permissions import grants
from api.kernel.permissions.access import Rule
from api.kernel.permissions.grants import EVERYBODY, FOR_EVERYBODY
from api.kernel.securable import Securable
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import GRANT, MEMBER, PRINCIPAL, RESOURCE

AT_ONCE = 5000
"""Most ids in one statement."""


class Rights:
    """All grants and memberships as they are, but for the changes that are tried: nothing of them is stored."""

    moment: datetime | None = None
    """When grants must hold; None is now."""

    def __init__(self, connection: Connection, *, without: Iterable[str] = (), added: Iterable[Rule] = ()) -> None:
        self.connection = connection
        self._without = frozenset(without)
        self._added = tuple(added)

    @property
    def changed(self) -> bool:
        """Whether they are others than those that requests are checked by."""
        return bool(self._without or self._added)

    def groups(self, principal_id: str) -> dict[str, str]:
        """Every group a principal is in, with the member it is in by."""
        return grants.groups_of(self.connection, principal_id)

    def of(self, subjects: Iterable[str]) -> list[Rule]:
        """The rules for these principals and groups."""
        wanted = set(subjects)
        found = self._kept(GRANT.c.principal_id, wanted)
        return [*found, *(rule for rule in self._added if rule.subject_id in wanted), *FOR_EVERYBODY]

    def on(self, securables: Iterable[str]) -> list[Rule]:
        """The rules on these securables, whoever they are for."""
        wanted = set(securables)
        more = (*self._added, *FOR_EVERYBODY)
        return [*self._kept(GRANT.c.securable_id, wanted), *(rule for rule in more if rule.securable_id in wanted)]

    def expanded(self, ids: Iterable[str]) -> set[str]:
        """These principals and groups with everybody who is in them, directly or through other groups."""
        found = set(ids)
        if EVERYBODY in found:
            found |= self._everybody()
        wave = found - {EVERYBODY}
        while wave:
            wave = self._members(wave) - found
            found |= wave
        return found

    def find(self, id: str) -> Stored | None:
        """The resource of whatever kind with this id, deleted or not."""
        return store.find_any(self.connection, id)

    def working(self, ids: Iterable[str]) -> set[str]:
        """Those of these principals whose credentials work."""
        wanted, found = sorted(set(ids)), set()
        for start in range(0, len(wanted), AT_ONCE):
            some = PRINCIPAL.c.id.in_(wanted[start : start + AT_ONCE])
            select = sa.select(PRINCIPAL.c.id).where(some, accounts.WORKING)
            found |= set(self.connection.execute(select).scalars())
        return found

    def placed(self, place: Securable) -> Securable:
        """Where something stands that is found by its name and stands at this place now."""
        return place

    def asked_at(self, place: Securable) -> Securable:
        """Where somebody needs the right to know of what stands at this place."""
        return place

    def _kept(self, column: sa.ColumnElement[str], wanted: set[str]) -> list[Rule]:
        found = grants.rules(self.connection, column.in_(wanted))
        return [rule for rule in found if rule.grant_id not in self._without]

    def _everybody(self) -> set[str]:
        return set(self.connection.execute(sa.select(PRINCIPAL.c.id)).scalars())

    def _members(self, groups: set[str]) -> set[str]:
        """The direct members of those of these that are groups."""
        live = sa.and_(RESOURCE.c.kind == "admin.group", RESOURCE.c.deleted_at.is_(None))
        members = sa.select(MEMBER.c.member_id).join(RESOURCE, RESOURCE.c.id == MEMBER.c.group_id)
        return set(self.connection.execute(members.where(MEMBER.c.group_id.in_(groups), live)).scalars())
