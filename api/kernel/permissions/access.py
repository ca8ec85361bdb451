"""What one principal may do: its grants and those of its groups, compiled once and asked many times.

A permission is allowed on a securable if a grant on it, or on anything above it, allows the permission and none denies
it. The same rules make the predicate that lists, counts, exports and streams put into their query, so what cannot be
read cannot be listed either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from api.kernel.permissions.conditions import condition
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM, ROOT, Securable
from api.kernel.tables import RESOURCE
from core import clock

Permissions = Mapping[str, Role]
"""Every permission there is, with the least built-in role that includes it."""

OVERSEE = "admin.audit_event.list"
"""On the platform: the right to know what happens in every organization."""

_ByPlace = dict[str, list["Rule"]]
_Placed = tuple[_ByPlace, _ByPlace]
"""Rules that allow and rules that deny, by the id of their securable."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One grant as it concerns one principal; `subject_id` is the principal, or the group it comes from."""

    grant_id: str
    subject_id: str
    role: str
    securable_id: str
    securable_kind: str
    denies: bool
    built_in: Role | None = None
    patterns: tuple[str, ...] = ()
    condition: str = ""
    expires_at: datetime | None = None

    def covers(self, permission: str, least: Role) -> bool:
        """Whether the rule speaks of this permission, which the built-in roles include from `least` on."""
        if self.built_in is not None:
            return self.built_in.includes(least)
        return any(pattern_matches(pattern, permission) for pattern in self.patterns)

    def expired(self, moment: datetime | None = None) -> bool:
        """Whether it has ended at a moment; None is now."""
        return self.expires_at is not None and self.expires_at <= (moment or clock.now())

    def holds(self, item: Any, moment: datetime | None = None) -> bool:
        """Whether it holds for this item at a moment; None is now.

        What depends on an unknown item allows nothing and denies all.
        """
        if self.expired(moment):
            return False
        if not self.condition:
            return True
        return self.denies if item is None else condition(self.condition).matches(item)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to "may it?", and the rule that gave it; none if no grant speaks of the permission."""

    allowed: bool
    rule: Rule | None


class Access:
    """The compiled rules of a principal. `limits` are patterns a token is narrowed to; empty means no limit.

    At a `moment` of the past it only decides: what lists and streams need is made for now.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        permissions: Permissions,
        limits: tuple[str, ...] = (),
        moment: datetime | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self._moment = moment
        self._permissions = permissions
        self.limits = limits
        self._by_permission: dict[str, _Placed] = {}
        self._alike = _grouped(self.rules)

    def decide(self, permission: str, securable: Securable, item: Any = None) -> Decision:
        """Whether the permission is allowed on this securable. `item` is what conditions look at.

        What tells of all organizations also needs the right to read their audit trail.
        """
        if securable.of_all and not self.allows(OVERSEE, ROOT):
            return Decision(False, None)
        allow, deny = self._rules(permission)
        if not allow:
            return Decision(False, None)
        chain = securable.chain
        for id in chain:
            for rule in deny.get(id, ()):
                if rule.holds(item, self._moment):
                    return Decision(False, rule)
        for id in chain:
            for rule in allow.get(id, ()):
                if rule.holds(item, self._moment):
                    return Decision(True, rule)
        return Decision(False, None)

    def allows(self, permission: str, securable: Securable, item: Any = None) -> bool:
        """Whether the permission is allowed on this securable."""
        return self.decide(permission, securable, item).allowed

    def everywhere(self, permission: str) -> bool:
        """Whether the permission is allowed on everything but what tells of all organizations."""
        allow, deny = self._rules(permission)
        return not deny and any(not rule.condition and rule.holds(None) for rule in allow.get(PLATFORM, ()))

    def unrestricted(self, permission: str) -> bool:
        """Whether the permission is allowed on everything, so that nothing need be looked at one by one."""
        return self.everywhere(permission) and self.allows(OVERSEE, ROOT)

    def anywhere(self, permission: str) -> bool:
        """Whether the permission is granted on anything at all."""
        return bool(self._rules(permission)[0])

    def highest(self, securable: Securable) -> Role | None:
        """The highest built-in role held on this securable, for people to read; it decides nothing."""
        held = [
            rule.built_in
            for rule in self.rules
            if rule.built_in and not rule.denies and rule.securable_id in securable.chain and rule.holds(None)
        ]
        return max(held, key=list(Role).index, default=None)

    def where(
        self, permission: str, table: sa.Table = RESOURCE, id: sa.ColumnElement[str] | None = None
    ) -> sa.ColumnElement[bool]:
        """The visibility predicate: exactly the rows on which the permission is allowed.

        Over another table than `RESOURCE`, which must have `organization_id` and may have `project_id`, `id` is the
        column of the securable's id, and grants with a condition, which speak of resources, are left out if they allow.
        """
        allow, deny = self._rules(permission)
        place = _Place(table, table.c.id if id is None else id)
        allowed = place.any_of(
            rule for rules in allow.values() for rule in rules if place.conditions or not rule.condition
        )
        denied = [rule for rules in deny.values() for rule in rules]
        return sa.and_(allowed, sa.not_(place.any_of(denied))) if denied else allowed

    def _rules(self, permission: str) -> _Placed:
        found = self._by_permission.get(permission)
        if found is None:
            found = self._by_permission[permission] = self._select(permission)
        return found

    def _select(self, permission: str) -> _Placed:
        if self.limits and not any(pattern_matches(pattern, permission) for pattern in self.limits):
            return {}, {}
        # An unknown permission is included by none but admins: closed unless declared open.
        least = self._permissions.get(permission, Role.ADMIN)
        chosen = [placed for rule, placed in self._alike if rule.covers(permission, least)]
        return _merged([allow for allow, _ in chosen]), _merged([deny for _, deny in chosen])


def _grouped(rules: Sequence[Rule]) -> list[tuple[Rule, _Placed]]:
    """The rules by what they cover, each group with one of its rules: thousands of grants are of a few roles."""
    groups: dict[Any, tuple[Rule, _Placed]] = {}
    for rule in rules:
        _, placed = groups.setdefault((rule.built_in, rule.patterns), (rule, ({}, {})))
        placed[rule.denies].setdefault(rule.securable_id, []).append(rule)
    return list(groups.values())


def _merged(parts: Sequence[_ByPlace]) -> _ByPlace:
    """The rules of all parts by their place; the largest part is copied, or taken as it is if it is the only one."""
    parts = sorted((part for part in parts if part), key=len, reverse=True)
    if len(parts) < 2:
        return parts[0] if parts else {}
    merged = dict(parts[0])
    for part in parts[1:]:
        for id, rules in part.items():
            merged[id] = [*merged[id], *rules] if id in merged else rules
    return merged


def pattern_matches(pattern: str, permission: str) -> bool:
    """Whether a pattern such as `admin.*`, `*.*.get` or `admin.user.get` includes a permission."""
    return bool(_compiled(pattern).fullmatch(permission))


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = pattern.split(".")
    if parts[-1] == "*":
        head = "".join(f"{_part(part)}\\." for part in parts[:-1])
        return re.compile(f"{head}.+")
    return re.compile(r"\.".join(_part(part) for part in parts))


def _part(part: str) -> str:
    return "[^.]+" if part == "*" else re.escape(part)


class _Place:
    """The columns of a table that say where its rows stand in the tree of scopes."""

    def __init__(self, table: sa.Table, id: sa.ColumnElement[str]) -> None:
        self.conditions = table is RESOURCE
        self._columns = {"admin.organization": table.c.organization_id}
        if "project_id" in table.c:
            self._columns["admin.project"] = table.c.project_id
        self._id = id

    def any_of(self, rules: Iterable[Rule]) -> sa.ColumnElement[bool]:
        """The rows that some of these rules speak of."""
        plain: dict[str, set[str]] = {}
        clauses: list[sa.ColumnElement[bool]] = []
        now = clock.now()
        for rule in rules:
            if rule.expires_at is not None and rule.expires_at <= now:
                continue
            if rule.condition and self.conditions:
                here = self._below(rule.securable_kind, {rule.securable_id})
                clauses.append(sa.and_(here, condition(rule.condition).sql()))
            else:
                plain.setdefault(rule.securable_kind, set()).add(rule.securable_id)
        if PLATFORM in plain:
            return sa.true()
        clauses += [self._below(kind, ids) for kind, ids in plain.items()]
        return sa.or_(sa.false(), *clauses)

    def _below(self, kind: str, ids: set[str]) -> sa.ColumnElement[bool]:
        if kind == PLATFORM:
            return sa.true()
        column = self._columns.get(kind, self._id)
        return column.in_(sorted(ids)) if len(ids) > 1 else column == next(iter(ids))
