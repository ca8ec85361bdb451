"""The rights of a principal: its grants and those of its groups, compiled for fast checks.

A permission is allowed on a securable if a grant on it, or on a scope above it, allows the permission, and none denies
it. The same rules produce the predicate that lists, counts, exports, and streams add to their queries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from api.kernel.permissions.patterns import pattern_matches
from api.kernel.permissions.row_policies import NOBODY, Reader
from api.kernel.permissions.row_predicate import RowPredicate
from api.kernel.permissions.rule import Rule
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM, ROOT, Securable
from api.kernel.tables import RESOURCE

Permissions = Mapping[str, Role]
"""All permissions, each with the least built-in role that includes it."""

READ_AUDIT_LOG = "admin.audit_event.list"
"""The permission that data of all organizations requires on the platform."""

_BySecurable = dict[str, list[Rule]]
_Effects = tuple[_BySecurable, _BySecurable]
"""Rules that allow and rules that deny, by the id of their securable."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on a permission, and the rule that determines it. None if no rule applies."""

    allowed: bool
    rule: Rule | None


class Access:
    """The compiled rules of a principal."""

    def __init__(
        self,
        rules: Sequence[Rule],
        permissions: Permissions,
        limits: tuple[str, ...] = (),
        moment: datetime | None = None,
        reader: Reader = NOBODY,
    ) -> None:
        """Compiles rules.

        Args:
            rules: the rules of the principal and its groups.
            permissions: all permissions.
            limits: patterns of permissions to which a token is limited. Empty means no limit.
            moment: time of the decisions. None is now. Predicates are always evaluated now.
            reader: the principal as a reader of rows, with the policies that restrict it.
        """
        self.rules = tuple(rules)
        self._moment = moment
        self._permissions = permissions
        self.limits = limits
        self.reader = reader
        self._by_permission: dict[str, _Effects] = {}
        self._groups = _grouped(self.rules)
        """Rules that cover the same permissions, because thousands of grants have a few roles."""

    def decide(self, permission: str, securable: Securable, item: Any = None) -> Decision:
        """Decides whether the permission is allowed on a securable.

        Data of all organizations also requires `READ_AUDIT_LOG` on the platform.

        Args:
            permission: the permission.
            securable: the securable.
            item: the resource that conditions are evaluated on.
        """
        if securable.cross_tenant and not self.allows(READ_AUDIT_LOG, ROOT):
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

    @cached_property
    def digest(self) -> str:
        """Digest of all rules and limits. Equal digests mean equal rights, except for expired rules."""
        return hashlib.sha256("\0".join((*sorted(map(repr, self.rules)), *sorted(self.limits))).encode()).hexdigest()

    def ended_since(self, moment: datetime) -> bool:
        """Returns whether a rule has expired since a time."""
        return any(rule.expires_at is not None and rule.expires_at > moment and rule.expired() for rule in self.rules)

    def conditional(self, permission: str) -> bool:
        """Returns whether a decision on the permission depends on the fields of the resource."""
        return any(rule.condition for effect in self._rules(permission) for rules in effect.values() for rule in rules)

    def allows(self, permission: str, securable: Securable, item: Any = None) -> bool:
        """Returns whether the permission is allowed on a securable."""
        return self.decide(permission, securable, item).allowed

    def everywhere(self, permission: str) -> bool:
        """Returns whether the permission is allowed on everything except data of all organizations."""
        allow, deny = self._rules(permission)
        return not deny and any(not rule.condition and rule.holds(None) for rule in allow.get(PLATFORM, ()))

    def unrestricted(self, permission: str) -> bool:
        """Returns whether the permission is allowed on everything, so that no item needs a check."""
        return self.everywhere(permission) and self.allows(READ_AUDIT_LOG, ROOT)

    def anywhere(self, permission: str) -> bool:
        """Returns whether the permission is granted on at least one securable."""
        return bool(self._rules(permission)[0])

    def highest(self, securable: Securable) -> Role | None:
        """Returns the highest built-in role on a securable, for display only."""
        held = [
            rule.built_in
            for rule in self.rules
            if rule.built_in and not rule.denies and rule.securable_id in securable.chain and rule.holds(None)
        ]
        return max(held, key=list(Role).index, default=None)

    def where(
        self,
        permission: str,
        table: sa.Table = RESOURCE,
        id: sa.ColumnElement[str] | None = None,
        *,
        conditions: bool = True,
    ) -> sa.ColumnElement[bool]:
        """Returns the visibility predicate: the condition for rows on which the permission is allowed.

        Args:
            permission: the permission.
            table: `RESOURCE`, or another table with the column `organization_id` and optionally `project_id`.
            id: column of the id of the securable. Defaults to `id`.
            conditions: whether to evaluate the conditions of grants. They are never evaluated on other tables than
                `RESOURCE`. Without evaluation, conditional grants that allow are left out, and those that deny hold.
        """
        allow, deny = self._rules(permission)
        rows = RowPredicate(table, table.c.id if id is None else id, conditions=conditions)
        allowed = rows.matching(
            rule for rules in allow.values() for rule in rules if rows.conditions or not rule.condition
        )
        denied = [rule for rules in deny.values() for rule in rules]
        # For a row without an organization or project, the comparison is NULL, which must not count as a denial.
        return sa.and_(allowed, rows.matching(denied).is_not(sa.true())) if denied else allowed

    def covering(self, permission: str) -> tuple[int, ...]:
        """Returns the numbers of the groups of rules that apply to a permission. Equal numbers mean equal rights."""
        if self._is_outside_limits(permission):
            return ()
        least = self._permissions.get(permission, Role.ADMIN)
        return tuple(n for n, (rule, _) in enumerate(self._groups) if rule.covers(permission, least))

    def rules_for(self, permission: str) -> _Effects:
        """Returns the rules that allow a permission and those that deny it, both by the id of their securable."""
        return self._rules(permission)

    def _is_outside_limits(self, permission: str) -> bool:
        return bool(self.limits) and not any(pattern_matches(pattern, permission) for pattern in self.limits)

    def _rules(self, permission: str) -> _Effects:
        rules = self._by_permission.get(permission)
        if rules is None:
            rules = self._by_permission[permission] = self._select(permission)
        return rules

    def _select(self, permission: str) -> _Effects:
        if self._is_outside_limits(permission):
            return {}, {}
        # Only admins have unknown permissions.
        least = self._permissions.get(permission, Role.ADMIN)
        matching = [effects for rule, effects in self._groups if rule.covers(permission, least)]
        return _merged([allow for allow, _ in matching]), _merged([deny for _, deny in matching])


def _grouped(rules: Sequence[Rule]) -> list[tuple[Rule, _Effects]]:
    """Groups the rules by the permissions that they cover. Returns each group with one of its rules."""
    groups: dict[Any, tuple[Rule, _Effects]] = {}
    for rule in rules:
        _, effects = groups.setdefault((rule.built_in, rule.patterns), (rule, ({}, {})))
        effects[rule.denies].setdefault(rule.securable_id, []).append(rule)
    return list(groups.values())


def _merged(parts: Sequence[_BySecurable]) -> _BySecurable:
    """Merges rules by securable. Copies the largest part, unless it is the only one."""
    parts = sorted((part for part in parts if part), key=len, reverse=True)
    if len(parts) < 2:
        return parts[0] if parts else {}
    merged = dict(parts[0])
    for part in parts[1:]:
        for id, rules in part.items():
            merged[id] = [*merged[id], *rules] if id in merged else rules
    return merged
