"""Prevents privilege escalation: callers can pass on only the rights that they hold now.

Each function runs in the transaction of the request and reads the rights of the caller from the database, because the
caches of a process can be a second old.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.permissions import grants
from api.kernel.permissions.access import Access
from api.kernel.permissions.conditions import condition
from api.kernel.permissions.grants import GrantRow
from api.kernel.permissions.graph import READ_ROWS
from api.kernel.permissions.power import Excess, ending, excess, lifted, refusal
from api.kernel.permissions.rule import Rule
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM, Securable
from api.kernel.storage.store import Stored
from api.kernel.tables import GRANT
from core.errors import ExceedsRights

_MAX_IDS = 5000
"""Ids in one statement."""

_CONDITION_FIELDS = ("name", "owner", "state", "labels")
"""Fields that conditions of grants can read and that can change."""

_PASSED_ON = "passed on"
EVERYTHING = Rule(_PASSED_ON, _PASSED_ON, "", PLATFORM, PLATFORM, denies=False, built_in=Role.ADMIN)
"""Every right on the whole platform."""


def rights_of_caller(unit: Unit) -> Access:
    """Returns what the caller may do now, within the limits of the key or session of the request."""
    principal = unit.principal
    access = unit.held.get(principal.id)
    if access is None:
        access = grants.access_of(unit.connection, principal.id, unit.platform.permissions, principal.access.limits)
        unit.held[principal.id] = access
    return access


def require_rights(unit: Unit, rules: Iterable[Rule], limits: tuple[str, ...] = ()) -> None:
    """Requires that the caller holds all rights that a change passes on.

    Args:
        unit: the transaction of the request.
        rules: the rights. Rules that deny subtract from rules that allow.
        limits: patterns of permissions that the rights are limited to. Empty for no limit.

    Raises:
        ExceedsRights: the caller does not hold one of them.
    """
    permissions = unit.platform.permissions
    missing = excess(rights_of_caller(unit), Access(list(rules), permissions, limits), permissions)
    if missing is not None:
        raise refusal(missing)


def require_control(
    unit: Unit, principal_id: str, *, scopes: Sequence[str] = (), until: datetime | None = None
) -> None:
    """Requires that the caller may act as a principal, or control its credentials.

    Args:
        unit: the transaction of the request.
        principal_id: a user or service account, or a group that is to get a member.
        scopes: patterns of permissions that the caller is limited to when acting. Empty for no limit.
        until: when the caller can no longer act. None for no end.

    Raises:
        ExceedsRights: the principal holds a right that the caller does not hold.
    """
    if principal_id == unit.principal.id and not unit.principal.access.limits:
        return
    rules = rules_of(unit, [principal_id])
    require_rights(unit, ending(rules, until), tuple(scopes))
    require_restricted_alike(unit, principal_id, rules)


def require_control_of_all(unit: Unit, principal_ids: Sequence[str]) -> None:
    """Requires that the caller may decide who acts as these principals. Denials of one principal do not count.

    Raises:
        ExceedsRights: one of the principals holds a right that the caller does not hold.
    """
    require_rights(unit, [rule for rule in rules_of(unit, principal_ids) if not rule.denies])
    if rights_of_caller(unit).reader.policies:
        for id in principal_ids:
            require_restricted_alike(unit, id, rules_of(unit, [id]))


def require_removal(unit: Unit, rules: Iterable[Rule]) -> None:
    """Requires that the caller may remove these rules. Only the removal of a denial passes on a right.

    Raises:
        ExceedsRights: a rule denies a right that the caller does not hold.
    """
    if given := lifted(rules):
        require_rights(unit, given)


def require_relabeling(unit: Unit, before: Stored, after: Stored) -> None:
    """Requires that the caller may change the fields that conditions of grants read.

    Such a change can make a conditional grant hold, or a conditional denial not hold.

    Raises:
        ExceedsRights: the change passes on a right that the caller did not hold on this resource before.
    """
    if all(getattr(before, name) == getattr(after, name) for name in _CONDITION_FIELDS):
        return
    conditional = GRANT.c.securable_id.in_(before.securable.chain), GRANT.c.condition != ""
    for rule in grants.rules(unit.connection, sa.and_(*conditional)):
        parsed = condition(rule.condition)
        matched, matches = parsed.matches(before), parsed.matches(after)
        if rule.expired() or matched is matches or matches is rule.denies:
            continue
        for permission, least in unit.platform.permissions.items():
            # A condition reads the resource that a permission is checked on, so it passes on rights to its kind only.
            concerned = permission.startswith(f"{before.kind}.") and rule.covers(permission, least)
            if concerned and not rights_of_caller(unit).allows(permission, before.securable, before):
                raise refusal(Excess(permission, before.id))


def store_grant(unit: Unit, grant: GrantRow) -> None:
    """Stores a grant whose rights the caller was required to hold, and makes it effective. Its event is separate."""
    grants.insert(unit.connection, grant)
    require_restricted_alike(unit, grant.principal_id, grants.rules(unit.connection, GRANT.c.id == grant.id))
    unit.rights_changed()


def require_policies_kept(unit: Unit, group_id: str) -> None:
    """Requires that the caller may decide who is in a group, as far as policies on rows name the group.

    Raises:
        ExceedsRights: a policy that restricts the caller names the group, or a group that contains it.
    """
    policies = rights_of_caller(unit).reader.policies
    groups = {group_id, *grants.groups_of(unit.connection, group_id)} if policies else set()
    if any(groups & (policy.to | policy.exempt) for policy in policies):
        raise ExceedsRights("A policy on rows that restricts you names the group. Ask a user whom it exempts.")


def require_restricted_alike(unit: Unit, principal_id: str, rules: Sequence[Rule]) -> None:
    """Requires that a principal reads no more of any table by rules than the caller, because of policies on rows.

    For a group, the same is required of all its members, direct and indirect.

    Raises:
        ExceedsRights: a policy restricts the caller and not the principal, who reads tables of its organization.
    """
    least = unit.platform.permissions.get(READ_ROWS, Role.ADMIN)
    places = {rule.organization_id for rule in rules if not rule.denies and rule.covers(READ_ROWS, least)}
    policies = [one for one in rights_of_caller(unit).reader.policies if places & {None, one.organization_id}]
    if not policies:
        return
    for id in grants.with_members(unit.connection, {principal_id}):
        subjects = {id, *grants.groups_of(unit.connection, id)}
        if not all(policy.restricts(subjects) for policy in policies):
            raise ExceedsRights("A policy on rows restricts you and not that principal. Ask a user whom it exempts.")


def require_holders_restricted_alike(unit: Unit, role_id: str) -> None:
    """Requires of all holders of a role what `require_restricted_alike` requires, by the role as it is stored now.

    Raises:
        ExceedsRights: a policy restricts the caller and not one of the holders.
    """
    if rights_of_caller(unit).reader.policies:
        for rule in grants.rules(unit.connection, GRANT.c.role_id == role_id):
            require_restricted_alike(unit, rule.subject_id, [rule])


def rules_on(permissions: Iterable[str], place: Securable) -> list[Rule]:
    """Returns a rule that allows these permissions on a resource or scope, or no rule if there are none."""
    patterns = tuple(permissions)
    return [replace(EVERYTHING, built_in=None, patterns=patterns).on(place)] if patterns else []


def rules_of(unit: Unit, subject_ids: Sequence[str]) -> list[Rule]:
    """Returns the rules of these principals, and of the groups that they are in, directly or through other groups."""
    subjects: set[str] = set()
    added = set(subject_ids)
    while added:
        subjects |= added
        added = {group for group, _ in grants.memberships(unit.connection, sorted(added))} - subjects
    rules: list[Rule] = []
    ids = sorted(subjects)
    for start in range(0, len(ids), _MAX_IDS):
        rules += grants.rules(unit.connection, GRANT.c.principal_id.in_(ids[start : start + _MAX_IDS]))
    return rules
