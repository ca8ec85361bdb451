"""Answers to "may this principal do that there, and why?", for whoever may ask.

The rules are those that every request is checked by; here they are asked about anybody, and asked for their reasons.
What the asker may not know of is answered as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.engine import Connection

from api.kernel.decisions.rights import Rights
from api.kernel.kinds.unit import HOLDERS, denied
from api.kernel.permissions.access import Access, Permissions, Rule, pattern_matches
from api.kernel.permissions.conditions import condition
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.kernel.securable import PLATFORM, ROOT, Securable
from api.kernel.storage.store import Stored

ASK = "admin.decision"
"""Asking about others needs the permission `admin.decision.<verb>`."""


class Reason(StrEnum):
    """Why an answer is what it is."""

    GRANTED = "GRANTED"
    DENIED = "DENIED"
    NO_GRANT = "NO_GRANT"
    INACTIVE_PRINCIPAL = "INACTIVE_PRINCIPAL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Question:
    """May this principal do that there? `kind` is needed only for what is found by name, such as assets."""

    principal_id: str
    permission: str
    securable_id: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, and the rule that gave it."""

    allowed: bool
    reason: Reason
    rule: Rule | None = None


UNKNOWN = Verdict(False, Reason.UNKNOWN)
"""The answer about what is not there, or what the asker may not know of."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is granted, with the resource that conditions look at."""

    securable: Securable
    item: Stored | None = None


@dataclass(frozen=True, slots=True)
class Considered:
    """A rule that speaks of a permission at a place, and whether it holds there."""

    rule: Rule
    pattern: str
    """The pattern of its role, or the built-in role, that includes the permission."""
    path: tuple[str, ...]
    """From the principal over its groups to whom the grant is given to."""
    expired: bool
    condition_met: bool | None
    """None if it has no condition."""
    holds: bool


class Decider:
    """Decides for one asker, over one snapshot of the database."""

    def __init__(
        self, platform: Platform, connection: Connection, asker: Principal, rights: Rights | None = None
    ) -> None:
        self.platform = platform
        self.connection = connection
        self.asker = asker
        self.rights = rights or Rights(connection)
        self._access: dict[str, Access] = {}
        self._subjects: dict[str, Stored | None] = {}
        self._places: dict[tuple[str, str], Place | None] = {}

    def decide(self, question: Question, verb: str = "check") -> Verdict:
        """The answer to a question.

        Raises:
            PermissionDenied: the asker may not ask about others there.
        """
        place = self.place(question, verb)
        if place is None or self.subject(question.principal_id) is None:
            return UNKNOWN
        if not self.active(question.principal_id):
            return Verdict(False, Reason.INACTIVE_PRINCIPAL)
        found = self.access(question.principal_id).decide(question.permission, place.securable, place.item)
        reason = Reason.GRANTED if found.allowed else Reason.DENIED if found.rule else Reason.NO_GRANT
        return Verdict(found.allowed, reason, found.rule)

    def considered(self, question: Question, place: Place) -> list[Considered]:
        """Every rule that speaks of the permission there, the nearest first."""
        groups = self.rights.groups(question.principal_id)
        chain = place.securable.chain
        least = self.platform.permissions.get(question.permission, Role.ADMIN)
        found = [
            _considered(rule, question, place, groups, self.rights.moment)
            for rule in self.access(question.principal_id).rules
            if rule.securable_id in chain and rule.covers(question.permission, least)
        ]
        return sorted(found, key=lambda one: (chain.index(one.rule.securable_id), one.rule.grant_id))

    def place(self, question: Question, verb: str) -> Place | None:
        """Where the question is about; None if the asker may not know that it exists.

        Raises:
            PermissionDenied: he may know of it, but not ask about others there.
        """
        asking = f"{ASK}.{verb}"
        own = question.principal_id == self.asker.id
        if not own and not self.asker.access.anywhere(asking):
            raise denied(asking)
        found = self._place(question.kind, question.securable_id)
        if found is None:
            return None
        asker, where = self.asker.access, (self.rights.asked_at(found.securable), found.item)
        if not own and asker.allows(asking, *where):
            return found
        known = asker.allows(f"{found.securable.kind}.get", *where) or found.securable.id == PLATFORM
        if own:
            return found if known or asker.allows(question.permission, *where) else None
        if known:
            raise denied(asking)
        return None

    def access(self, principal_id: str) -> Access:
        """What a principal may do. For the asker: what his own credential may do."""
        if principal_id == self.asker.id and not self.rights.changed:
            return self.asker.access
        found = self._access.get(principal_id)
        if found is None:
            subjects = (principal_id, *self.rights.groups(principal_id))
            limits = self.asker.access.limits if principal_id == self.asker.id else ()
            found = Access(self.rights.of(subjects), self.platform.permissions, limits, self.rights.moment)
            self._access[principal_id] = found
        return found

    def subject(self, id: str) -> Stored | None:
        """The user, service account or group with this id; None if the asker may not know that it exists."""
        if id not in self._subjects:
            row = self.rights.find(id)
            if row is not None and (row.kind not in HOLDERS or row.deleted_at is not None):
                row = None
            known = row and (id == self.asker.id or self._shows(row))
            self._subjects[id] = row if known else None
        return self._subjects[id]

    def active(self, id: str) -> bool:
        """Whether a principal can do anything at all; a group can."""
        row = self.subject(id)
        return row is not None and (row.kind == "admin.group" or bool(self.rights.working([id])))

    def _shows(self, row: Stored) -> bool:
        return self.asker.access.allows(f"{row.kind}.get", self.rights.asked_at(row.securable), row)

    def _place(self, kind: str, id: str) -> Place | None:
        key = (kind, id)
        if key not in self._places:
            self._places[key] = locate(self.platform, self.rights, kind, id)
        return self._places[key]


def locate(platform: Platform, rights: Rights, kind: str, id: str) -> Place | None:
    """The place with this id: the platform, a live resource, or something that is found by name."""
    if id == PLATFORM:
        return Place(ROOT)
    row = rights.find(id)
    if row is not None:
        return Place(row.securable, row) if row.deleted_at is None and kind in ("", row.kind) else None
    found = platform.kinds.get(kind)
    return Place(rights.placed(found.locate.place(platform, id))) if found and found.locate else None


def speaking(found: Iterable[Rule], permission: str, permissions: Permissions) -> list[Rule]:
    """Those of these rules that speak of a permission."""
    least = permissions.get(permission, Role.ADMIN)
    return [rule for rule in found if rule.covers(permission, least)]


def _considered(
    rule: Rule, question: Question, place: Place, groups: dict[str, str], moment: datetime | None
) -> Considered:
    pattern = (
        rule.built_in.value
        if rule.built_in
        else next(pattern for pattern in rule.patterns if pattern_matches(pattern, question.permission))
    )
    met = None
    if rule.condition:
        met = place.item is not None and bool(condition(rule.condition).matches(place.item))
    path = _path(rule.subject_id, question.principal_id, groups)
    return Considered(rule, pattern, path, rule.expired(moment), met, rule.holds(place.item, moment))


def _path(subject: str, principal_id: str, groups: dict[str, str]) -> tuple[str, ...]:
    path = [subject]
    while path[-1] in groups:
        path.append(groups[path[-1]])
    return tuple(reversed(path)) if path[-1] == principal_id else (principal_id, subject)
