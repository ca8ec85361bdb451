"""Decisions on permissions of any principal, with their reasons.

The rules are the same as for requests. Principals and resources that the caller cannot see are treated as unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.engine import Connection

from api.kernel.decisions.rights import Rights
from api.kernel.kinds.endpoint import Endpoints
from api.kernel.kinds.noun import Kinds
from api.kernel.kinds.refusals import denied
from api.kernel.permissions.access import Access, Permissions
from api.kernel.permissions.conditions import stored_condition
from api.kernel.permissions.grants import AUTHENTICATED
from api.kernel.permissions.graph import ASSET
from api.kernel.permissions.patterns import pattern_matches
from api.kernel.permissions.principal import Principal
from api.kernel.permissions.rule import Rule
from api.kernel.platform import Platform
from api.kernel.references import PRINCIPAL_KINDS
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM, ROOT, Securable
from api.kernel.storage.store import Stored
from core.ids import is_asset_id

DECISION = "admin.decision"
"""Kind of decisions. Questions about other principals require the permission `admin.decision.<verb>`."""


class Reason(StrEnum):
    """Reason of a decision."""

    GRANTED = "GRANTED"
    DENIED = "DENIED"
    NO_GRANT = "NO_GRANT"
    INACTIVE_PRINCIPAL = "INACTIVE_PRINCIPAL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Question:
    """A question whether a principal holds a permission on a securable. `kind` is needed for unstored items only."""

    principal_id: str
    permission: str
    securable_id: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision with its reason, and the rule that determines it."""

    allowed: bool
    reason: Reason
    rule: Rule | None = None
    disclosed: bool = True
    """Whether the caller can see the grant of the rule."""


_OF_DELETED = ("restore", "history", "purge")
"""Verbs of operations on deleted resources."""

UNKNOWN = Verdict(False, Reason.UNKNOWN)
"""The decision on a securable that does not exist, or that the caller cannot see."""


@dataclass(frozen=True, slots=True)
class Target:
    """The securable of a question, with the resource that conditions are evaluated on."""

    securable: Securable
    item: Stored | None = None


@dataclass(frozen=True, slots=True)
class EvaluatedRule:
    """A rule that applies to a question, and whether it holds."""

    rule: Rule
    pattern: str
    """Pattern of the role, or built-in role, that includes the permission."""
    path: tuple[str, ...]
    """Ids from the principal through its groups to the subject of the grant."""
    expired: bool
    condition_met: bool | None
    """Whether the condition is met. None if there is no condition."""
    holds: bool


class Decider:
    """A source of decisions for one caller, on one snapshot of the database."""

    def __init__(
        self, platform: Platform, connection: Connection, caller: Principal, rights: Rights | None = None
    ) -> None:
        self.platform = platform
        self.connection = connection
        self.caller = caller
        self.rights = rights or Rights(connection)
        self._access: dict[str, Access] = {}
        self._subjects: dict[str, Stored | None] = {}
        self._targets: dict[tuple[str, str, bool], Target | None] = {}

    def decide(self, question: Question, verb: str = "check") -> Verdict:
        """Decides a question.

        Raises:
            PermissionDenied: the caller may not ask about other principals on this securable.
        """
        target = self.target(question, verb)
        if target is None or self.subject(question.principal_id) is None:
            return UNKNOWN
        if not self.active(question.principal_id):
            return Verdict(False, Reason.INACTIVE_PRINCIPAL)
        access = self.access(question.principal_id)
        item = condition_item(self.platform, question.permission, target)
        result = access.decide(question.permission, target.securable, item)
        if result.allowed and (required := self.visibility_permission(question.permission, target)):
            # Without this permission, the resource is unknown to the principal, whatever else is allowed.
            visibility = access.decide(required, target.securable, target.item)
            result = result if visibility.allowed else visibility
        reason = Reason.GRANTED if result.allowed else Reason.DENIED if result.rule else Reason.NO_GRANT
        disclosed = result.rule is None or self.discloses(result.rule, question.principal_id, target)
        return Verdict(result.allowed, reason, result.rule, disclosed)

    def discloses(self, rule: Rule, principal_id: str, target: Target) -> bool:
        """Returns whether the caller can see the grant of a rule: a grant of the caller, or one that it can read."""
        if principal_id == self.caller.id or rule.subject_id == AUTHENTICATED:
            return True
        securable = target.securable
        if rule.securable_id == PLATFORM:
            scope = ROOT
        elif rule.securable_id == securable.organization_id:
            scope = Securable("admin.organization", rule.securable_id, rule.securable_id)
        elif rule.securable_id == securable.project_id:
            scope = Securable("admin.project", rule.securable_id, securable.organization_id, rule.securable_id)
        else:
            scope = securable
        return self.caller.access.allows("admin.grant.get", self.rights.read_scope(scope))

    def visibility_permission(self, permission: str, target: Target) -> str:
        """Returns the permission to see the target, without which `permission` has no effect, or an empty string."""
        if target.item is None or permission.rpartition(".")[2] == "get":
            return ""
        is_on_item = permission in self.platform.part(item_permissions) and permission.startswith(
            f"{target.item.kind}."
        )
        is_create = permission.endswith(".create") and permission.rpartition(".")[0] in self.platform.part(Kinds)
        return f"{target.item.kind}.get" if is_on_item or is_create else ""

    def evaluated_rules(self, question: Question, target: Target) -> list[EvaluatedRule]:
        """Returns the rules that apply to the question, nearest scope first."""
        groups = self.rights.groups(question.principal_id)
        chain = target.securable.chain
        least = self.platform.permissions.get(question.permission, Role.ADMIN)
        item = condition_item(self.platform, question.permission, target)
        rules = [
            _evaluated(rule, question, item, groups, self.rights.moment)
            for rule in self.access(question.principal_id).rules
            if rule.securable_id in chain and rule.covers(question.permission, least)
        ]
        return sorted(rules, key=lambda evaluated: (chain.index(evaluated.rule.securable_id), evaluated.rule.grant_id))

    def target(self, question: Question, verb: str) -> Target | None:
        """Returns the target of a question, or None if it does not exist or the caller cannot see it.

        Raises:
            PermissionDenied: the caller can see the target, but may not ask about other principals on it.
        """
        required = f"{DECISION}.{verb}"
        about_caller = question.principal_id == self.caller.id
        if not about_caller and not self.caller.access.anywhere(required):
            raise denied(required)
        deleted = question.permission.rpartition(".")[2] in _OF_DELETED
        target = self._target(question.kind, question.securable_id, deleted)
        if target is None:
            return None
        access, scope = self.caller.access, self.rights.read_scope(target.securable)
        if not about_caller and access.allows(required, scope, target.item):
            return target
        visible = target.securable.id == PLATFORM or access.allows(f"{target.securable.kind}.get", scope, target.item)
        if about_caller:
            item = condition_item(self.platform, question.permission, target)
            return target if visible or access.allows(question.permission, scope, item) else None
        if visible:
            raise denied(required)
        return None

    def access(self, principal_id: str) -> Access:
        """Returns the rights of a principal. For the caller, these are limited by its credentials."""
        if principal_id == self.caller.id and not self.rights.changed:
            return self.caller.access
        access = self._access.get(principal_id)
        if access is None:
            subjects = (principal_id, *self.rights.groups(principal_id))
            limits = self.caller.access.limits if principal_id == self.caller.id else ()
            access = Access(self.rights.rules_of(subjects), self.platform.permissions, limits, self.rights.moment)
            self._access[principal_id] = access
        return access

    def subject(self, id: str) -> Stored | None:
        """Returns the principal with this id, or None if it does not exist or the caller cannot see it."""
        if id not in self._subjects:
            row = self.rights.find(id)
            if row is not None and (row.kind not in PRINCIPAL_KINDS or row.deleted_at is not None):
                row = None
            visible = row and (id == self.caller.id or self._is_visible(row))
            self._subjects[id] = row if visible else None
        return self._subjects[id]

    def visible(self, ids: Sequence[str]) -> list[str]:
        """Returns the ids of principals that the caller can see, in the same order."""
        if all(self.caller.access.everywhere(f"{kind}.get") for kind in PRINCIPAL_KINDS):
            return list(ids)
        return [id for id in ids if self.subject(id) is not None]

    def active(self, id: str) -> bool:
        """Returns whether a principal is active. Groups always are."""
        row = self.subject(id)
        return row is not None and (row.kind == "admin.group" or bool(self.rights.active([id])))

    def _is_visible(self, row: Stored) -> bool:
        return self.caller.access.allows(f"{row.kind}.get", self.rights.read_scope(row.securable), row)

    def _target(self, kind: str, id: str, deleted: bool) -> Target | None:
        key = (kind, id, deleted)
        if key not in self._targets:
            self._targets[key] = locate(self.platform, self.rights, kind, id, deleted=deleted)
        return self._targets[key]


def item_permissions(platform: Platform) -> frozenset[str]:
    """Returns the permissions of operations on an item, for which the conditions of grants are evaluated."""
    return frozenset(endpoint.permission for endpoint in platform.part(Endpoints) if endpoint.shape.on_item)


def condition_item(platform: Platform, permission: str, target: Target) -> Stored | None:
    """Returns the resource that conditions are evaluated on: the target, if the permission is for items of its kind.

    A resource that is created within the target does not exist yet, so there is none, as in its request.
    """
    item = target.item
    if item is None or not permission.startswith(f"{item.kind}.") or permission not in platform.part(item_permissions):
        return None
    return item


def locate(platform: Platform, rights: Rights, kind: str, id: str, *, deleted: bool = False) -> Target | None:
    """Returns the target with this id: the platform, a resource, or an item that is not stored, such as an asset.

    `deleted` is whether the resource may be deleted.
    """
    if id == PLATFORM:
        return Target(ROOT)
    row = rights.find(id)
    if row is not None:
        available = deleted or row.deleted_at is None
        return Target(row.securable, row) if available and kind in ("", row.kind) else None
    declared = platform.part(Kinds).get(kind or (ASSET if is_asset_id(id) else ""))
    if declared is None or declared.locate is None:
        return None
    return Target(rights.at_moment(declared.locate.securable(platform, id)))


def matching_rules(rules: Iterable[Rule], permission: str, permissions: Permissions) -> list[Rule]:
    """Returns the rules that apply to a permission."""
    least = permissions.get(permission, Role.ADMIN)
    return [rule for rule in rules if rule.covers(permission, least)]


def _evaluated(
    rule: Rule, question: Question, item: Stored | None, groups: dict[str, str], moment: datetime | None
) -> EvaluatedRule:
    pattern = (
        rule.built_in.value
        if rule.built_in
        else next(pattern for pattern in rule.patterns if pattern_matches(pattern, question.permission))
    )
    met = None
    if rule.condition:
        condition = stored_condition(rule.condition)
        met = item is not None and condition is not None and condition.matches(item)
    path = _path(rule.subject_id, question.principal_id, groups)
    return EvaluatedRule(rule, pattern, path, rule.expired(moment), met, rule.holds(item, moment))


def _path(subject: str, principal_id: str, groups: dict[str, str]) -> tuple[str, ...]:
    path = [subject]
    while path[-1] in groups:
        path.append(groups[path[-1]])
    return tuple(reversed(path)) if path[-1] == principal_id else (principal_id, subject)
