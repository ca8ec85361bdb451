"""Rules: grants as they apply to a principal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from api.kernel.permissions.conditions import stored_condition
from api.kernel.permissions.patterns import pattern_matches
from api.kernel.roles import Role
from api.kernel.securable import Securable
from core import clock


@dataclass(frozen=True, slots=True)
class Rule:
    """A grant as it applies to a principal. `subject_id` is the principal, or the group that has the grant."""

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
    organization_id: str | None = None
    project_id: str | None = None

    @property
    def chain(self) -> tuple[str, ...]:
        """Ids from its securable up to the platform, without duplicates."""
        return Securable(self.securable_kind, self.securable_id, self.organization_id, self.project_id).chain

    def on(self, securable: Securable) -> Rule:
        """Returns the same rule on another securable."""
        return replace(
            self,
            securable_id=securable.id,
            securable_kind=securable.kind,
            organization_id=securable.organization_id,
            project_id=securable.project_id,
        )

    def covers(self, permission: str, least: Role) -> bool:
        """Returns whether the rule applies to a permission that the built-in roles include from `least` up."""
        if self.built_in is not None:
            return self.built_in.includes(least)
        return any(pattern_matches(pattern, permission) for pattern in self.patterns)

    def expired(self, moment: datetime | None = None) -> bool:
        """Returns whether the rule has expired at a time. None is now."""
        return self.expires_at is not None and self.expires_at <= (moment or clock.now())

    def holds(self, item: Any, moment: datetime | None = None) -> bool:
        """Returns whether the rule holds for an item at a time. None is now.

        If the rule has a condition, and the item is unknown or the condition is malformed, only a denial holds.
        """
        if self.expired(moment):
            return False
        if not self.condition:
            return True
        condition = stored_condition(self.condition)
        return self.denies if item is None or condition is None else condition.matches(item)
