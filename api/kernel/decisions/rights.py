"""The basis of decisions: grants, memberships, accounts, and resources.

`Rights` reads their current state, `past.Past` an earlier one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.permissions import grants
from api.kernel.permissions.grants import AUTHENTICATED, AUTHENTICATED_RULES
from api.kernel.permissions.rule import Rule
from api.kernel.securable import Securable
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import GRANT, MEMBER, PRINCIPAL, RESOURCE

BATCH_SIZE = 5000
"""Maximum number of ids in one statement."""


class Rights:
    """The grants, memberships, accounts, and resources of one snapshot, optionally with simulated changes of grants."""

    moment: datetime | None = None
    """Time at which grants must hold. None is now."""

    def __init__(self, connection: Connection, *, without: Iterable[str] = (), added: Iterable[Rule] = ()) -> None:
        """Simulates the removal of the grants `without` and the addition of the rules `added`. Stores nothing."""
        self.connection = connection
        self._without = frozenset(without)
        self._added = tuple(added)
        # A comparison asks the same for each of some hundred permissions.
        self._rules_on: dict[frozenset[str], list[Rule]] = {}
        self._reached: dict[frozenset[str], frozenset[str]] = {}
        self._active: dict[str, bool] = {}

    @property
    def changed(self) -> bool:
        """Whether they differ from the rights that requests are checked with."""
        return bool(self._without or self._added)

    def groups(self, principal_id: str) -> dict[str, str]:
        """Returns the groups of a principal, each with the member that connects it."""
        return grants.groups_of(self.connection, principal_id)

    def rules_of(self, subjects: Iterable[str]) -> list[Rule]:
        """Returns the rules of principals and groups."""
        ids = set(subjects)
        added = (rule for rule in self._added if rule.subject_id in ids)
        return [*self._select(GRANT.c.principal_id, ids), *added, *AUTHENTICATED_RULES]

    def rules_on(self, securables: Iterable[str]) -> list[Rule]:
        """Returns the rules on securables, for all principals."""
        ids = frozenset(securables)
        if ids not in self._rules_on:
            unstored = (rule for rule in (*self._added, *AUTHENTICATED_RULES) if rule.securable_id in ids)
            self._rules_on[ids] = [*self._select(GRANT.c.securable_id, ids), *unstored]
        return self._rules_on[ids]

    def with_members(self, ids: Iterable[str]) -> frozenset[str]:
        """Returns principals and groups with all direct and indirect members."""
        first = frozenset(ids)
        if first not in self._reached:
            self._reached[first] = self._reach(first)
        return self._reached[first]

    def find(self, id: str) -> Stored | None:
        """Returns the resource of any kind with this id, deleted or not, or None."""
        return store.find_any(self.connection, id)

    def active(self, ids: Iterable[str]) -> set[str]:
        """Returns the principals that are active in an active organization."""
        candidates = set(ids)
        unknown = sorted(candidates - self._active.keys())
        for start in range(0, len(unknown), BATCH_SIZE):
            batch = unknown[start : start + BATCH_SIZE]
            select = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id.in_(batch), accounts.ACTIVE)
            active = set(self.connection.execute(select).scalars())
            self._active |= {id: id in active for id in batch}
        return {id for id in candidates if self._active[id]}

    def at_moment(self, securable: Securable) -> Securable:
        """Returns the securable of an item that is not stored, at the time of the decisions."""
        return securable

    def read_scope(self, securable: Securable) -> Securable:
        """Returns the securable on which a caller needs the permission to read about this one."""
        return securable

    def _reach(self, first: frozenset[str]) -> frozenset[str]:
        reached = set(first)
        if AUTHENTICATED in reached:
            reached |= self._all_principals()
        wave = reached - {AUTHENTICATED}
        while wave:
            wave = self._members(wave) - reached
            reached |= wave
        return frozenset(reached)

    def _select(self, column: sa.ColumnElement[str], values: Collection[str]) -> list[Rule]:
        rules = grants.rules(self.connection, column.in_(values))
        return [rule for rule in rules if rule.grant_id not in self._without]

    def _all_principals(self) -> set[str]:
        return set(self.connection.execute(sa.select(PRINCIPAL.c.id)).scalars())

    def _members(self, groups: set[str]) -> set[str]:
        """Returns the direct members of the ids that are groups."""
        live = sa.and_(RESOURCE.c.kind == "admin.group", RESOURCE.c.deleted_at.is_(None))
        members = sa.select(MEMBER.c.member_id).join(RESOURCE, RESOURCE.c.id == MEMBER.c.group_id)
        return set(self.connection.execute(members.where(MEMBER.c.group_id.in_(groups), live)).scalars())
