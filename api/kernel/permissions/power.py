"""Powers of operations, and the comparison of rights that prevents privilege escalation.

No principal can obtain a right that it does not hold, directly or through another principal. Every operation that acts
as another principal, grants or restores a right, or removes a limit calls `excess`, which compares two sets of rights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Flag

from api.kernel.permissions.access import READ_AUDIT_LOG, Access, Permissions
from api.kernel.permissions.grants import AUTHENTICATED
from api.kernel.permissions.rule import Rule
from api.kernel.securable import PLATFORM, ROOT
from core import audit
from core.errors import ExceedsRights


class Power(Flag):
    """What an operation lets its caller pass on.

    `ACTS_AS`: the caller acts as another principal, or controls its credentials. `GRANTS`: a principal gets or regains
    a right. `REMOVES_LIMIT`: a limit on the rights of a principal is removed. `BY_PROOF`: the operation opens only what
    the credential in the request itself opens, such as a password, a link from an email, or a refresh token.
    """

    NOTHING = 0
    ACTS_AS = 1
    GRANTS = 2
    REMOVES_LIMIT = 4
    BY_PROOF = 8


@dataclass(frozen=True, slots=True)
class Excess:
    """A permission on a securable that would be granted and is not held."""

    permission: str
    securable_id: str


def refusal(excess: Excess) -> ExceedsRights:
    """Returns the error for an excess. It names the permission only, because the scope may be in another tenant."""
    return ExceedsRights(
        f"This would grant {excess.permission}, which you do not hold on that scope, or not for as long. Ask a user "
        "who holds it.",
        metadata={"permission": excess.permission},
    )


def excess(held: Access, granted: Access, permissions: Permissions) -> Excess | None:
    """Returns a right in `granted` that is not in `held`, or None if all are held.

    If in doubt, the comparison refuses:

    - One held grant, on the same securable or above it, must cover a granted right.
    - A held grant with a condition covers only a grant with the same condition. The condition of a granted right does
      not reduce it.
    - A held grant that expires covers only rights that expire with it or earlier.
    - A held denial counts on all securables that it shares with the granted right, unless the same is denied there for
      as long.
    - The limits of API keys count on both sides.

    Rules that apply to all principals are not compared.
    """
    checked: dict[tuple[tuple[int, ...], tuple[int, ...]], str | None] = {}
    for permission in permissions:
        covering = granted.covering(permission)
        if not covering:
            continue
        key = covering, held.covering(permission)
        if key not in checked:
            checked[key] = _exceeded(held, granted, permission)
        securable_id = checked[key]
        if securable_id is not None:
            return Excess(permission, securable_id)
    return None


def ending(rules: Iterable[Rule], moment: datetime | None) -> Iterator[Rule]:
    """Yields the rules, where those that allow expire at a time at the latest. None is no limit."""
    for rule in rules:
        shortened = moment is not None and not rule.denies and (rule.expires_at is None or rule.expires_at > moment)
        yield replace(rule, expires_at=moment) if shortened else rule


def lifted(rules: Iterable[Rule]) -> list[Rule]:
    """Returns the rights that the removal of denials among these rules grants."""
    return [replace(rule, denies=False, expires_at=None) for rule in rules if rule.denies and not rule.expired()]


def _exceeded(held: Access, granted: Access, permission: str) -> str | None:
    """Returns the id of a securable on which the permission is granted and not held, or None."""
    allows, _ = held.rules_for(permission)
    denials = _Denials(held, granted, permission)
    everywhere = any(not rule.condition and rule.expires_at is None for rule in allows.get(PLATFORM, ()))
    if everywhere and not denials.any and held.allows(READ_AUDIT_LOG, ROOT):
        return None
    for rules in granted.rules_for(permission)[0].values():
        for rule in rules:
            if rule.subject_id == AUTHENTICATED or rule.expired() or denials.ineffective(rule):
                continue
            covered = any(_covers(allowing, rule) for id in rule.chain for allowing in allows.get(id, ()))
            hidden = audit.is_audit_table(rule.securable_id) and not held.allows(READ_AUDIT_LOG, ROOT)
            if not covered or hidden or denials.meet(rule):
                return rule.securable_id
    return None


def _covers(held: Rule, granted: Rule) -> bool:
    """Returns whether a held rule, on the same securable or above it, allows all that a granted rule allows."""
    if held.expired() or held.condition not in ("", granted.condition):
        return False
    return held.expires_at is None or (granted.expires_at is not None and granted.expires_at <= held.expires_at)


class _Denials:
    """The rules that deny a permission, held and granted."""

    def __init__(self, held: Access, granted: Access, permission: str) -> None:
        self._granted = granted.rules_for(permission)[1]
        denied = held.rules_for(permission)[1]
        self._at = {id: [rule for rule in rules if not rule.expired()] for id, rules in denied.items()}
        self.any = any(self._at.values())
        self._below: dict[str, list[Rule]] = {}
        for rules in self._at.values():
            for rule in rules:
                for id in rule.chain:
                    self._below.setdefault(id, []).append(rule)

    def ineffective(self, rule: Rule) -> bool:
        """Returns whether the grantee is denied what a rule grants, for as long as it is granted."""
        return self._denied(rule.chain, rule.condition, rule.expires_at)

    def meet(self, rule: Rule) -> bool:
        """Returns whether a part of what a rule grants is denied to the holder and not to the grantee."""
        above = [denial for id in rule.chain for denial in self._at.get(id, ())]
        if any(not self._denied(rule.chain, denial.condition, denial.expires_at) for denial in above):
            return True
        below = self._below.get(rule.securable_id, ())
        return any(not self._denied(denial.chain, denial.condition, denial.expires_at) for denial in below)

    def _denied(self, chain: Sequence[str], condition: str, until: datetime | None) -> bool:
        """Returns whether the grantee is denied the permission too, under the same condition and for as long."""
        return any(
            rule.condition in ("", condition)
            and not rule.expired()
            and (rule.expires_at is None or (until is not None and rule.expires_at >= until))
            for id in chain
            for rule in self._granted.get(id, ())
        )
