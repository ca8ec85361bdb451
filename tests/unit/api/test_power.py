"""The comparison of two sets of rights: whatever it lets through, the holder could do each of it themselves.

The kind: rights that are compared by their names or by one place, so that a denial below, a condition, an end or the
limit of a key is overlooked. The oracle is the judge that every request goes through, asked of every permission, place
and moment.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.kernel.permissions.access import READ_AUDIT_LOG, Access
from api.kernel.permissions.power import excess
from api.kernel.permissions.rule import Rule
from api.kernel.roles import Role
from api.kernel.securable import ROOT, Securable
from core import clock

NOW = clock.now()
PERMISSIONS = {"admin.user.get": Role.VIEWER, "admin.user.delete": Role.ADMIN, READ_AUDIT_LOG: Role.ADMIN}
ORGANIZATION = Securable("admin.organization", "org_a", "org_a")
PROJECT = Securable("admin.project", "prj_a", "org_a", "prj_a")
RESOURCE_UNDER_TEST = Securable("admin.service_account", "sva_a", "org_a", "prj_a")
OTHER = Securable("admin.service_account", "sva_b", "org_a", "prj_a")
AUDIT = Securable("ai_catalog.asset", "platform.audit.events")
PLACES = (ROOT, ORGANIZATION, PROJECT, RESOURCE_UNDER_TEST, OTHER, AUDIT)
CONDITIONS = ("", 'labels.stage == "test"', 'labels.stage == "live"')
ENDS = (None, NOW + timedelta(days=1), NOW + timedelta(days=10))
MOMENTS = (NOW, NOW + timedelta(days=2), NOW + timedelta(days=20))


def _item(stage: str) -> Any:
    known = ("id", "kind", "name", "owner", "state", "organization_id", "project_id", "created_by")
    return SimpleNamespace(labels={"stage": stage}, created_at=NOW, updated_at=NOW, **dict.fromkeys(known, "x"))


ITEMS = (None, _item("test"), _item("live"), _item("other"))


def _rule(
    place: Securable, right: tuple[Role | None, tuple[str, ...]], *, denies: bool, condition: str, ends: Any
) -> Rule:
    built_in, patterns = right
    where = (place.id, place.kind)
    extra = {"organization_id": place.organization_id, "project_id": place.project_id}
    return Rule("gra", "usr", "", *where, denies, built_in, patterns, condition, ends, **extra)


RULE = st.builds(
    _rule,
    st.sampled_from(PLACES),
    st.sampled_from(
        [
            (Role.ADMIN, ()),
            (Role.VIEWER, ()),
            (None, ("admin.*",)),
            (None, ("admin.user.delete",)),
            (None, (READ_AUDIT_LOG,)),
        ]
    ),
    denies=st.sampled_from([False, False, False, True]),
    condition=st.sampled_from(["", "", *CONDITIONS[1:]]),
    ends=st.sampled_from([None, *ENDS]),
)
RULES = st.lists(RULE, max_size=4)
LIMITS = st.sampled_from([(), (), ("admin.user.*",), ("*.*.get",)])


def _beyond(held: list[Rule], given_rules: list[Rule], limits: tuple[Any, Any]) -> list[Any]:
    """Everything that the second could do and the first could not."""
    found = []
    for moment in MOMENTS:
        own, theirs = (
            Access(rules, PERMISSIONS, some, moment) for rules, some in ((held, limits[0]), (given_rules, limits[1]))
        )
        found += [
            (moment, permission, place.id, item and item.labels)
            for permission in PERMISSIONS
            for place in PLACES
            for item in ITEMS
            if theirs.allows(permission, place, item) and not own.allows(permission, place, item)
        ]
    return found


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RULES, RULES, LIMITS, LIMITS)
def test_what_is_let_through_is_held(held: list[Rule], extra: list[Rule], limits: Any, theirs: Any) -> None:
    for rules in (extra, [*held[:2], *extra[:1]], held):
        if excess(Access(held, PERMISSIONS, limits), Access(rules, PERMISSIONS, theirs), PERMISSIONS) is None:
            assert _beyond(held, rules, (limits, theirs)) == []


@settings(max_examples=300, deadline=None)
@given(RULES)
def test_everybody_holds_what_they_hold(held: list[Rule]) -> None:
    """So that a rule that refuses everything does not pass for a safe one; denials in their own rights aside."""
    allows = [rule for rule in held if not rule.denies and rule.securable_id != AUDIT.id]
    own = Access(allows, PERMISSIONS)
    assert excess(own, own, PERMISSIONS) is None


@pytest.mark.parametrize("count", [3000])
def test_thousands_of_grants_are_compared_place_by_place(count: int) -> None:
    """Each rule is evaluated once for each set of permissions that are granted alike, not once for each permission."""
    looked: list[str] = []

    class Counted(Rule):
        @property
        def chain(self) -> tuple[str, ...]:
            looked.append(self.securable_id)
            return super().chain

    places = [Securable("admin.project", f"prj_{n}", "org_a", f"prj_{n}") for n in range(count)]
    rules = [
        Counted("gra", "usr", "", place.id, place.kind, False, Role.VIEWER, (), "", None, "org_a", place.id)
        for place in places
    ]
    many = {f"admin.kind_{n}.get": Role.VIEWER for n in range(500)}
    held = Access([_rule(ORGANIZATION, (Role.ADMIN, ()), denies=False, condition="", ends=None)], many)
    assert excess(held, Access(rules, many), many) is None
    assert len(looked) <= 3 * count


def test_an_end_counts_on_both_sides() -> None:
    def access(ends: datetime | None) -> Access:
        return Access([_rule(ORGANIZATION, (Role.ADMIN, ()), denies=False, condition="", ends=ends)], PERMISSIONS)

    soon, late = NOW + timedelta(days=1), NOW + timedelta(days=10)
    allowed = {(a, b): excess(access(a), access(b), PERMISSIONS) is None for a in ENDS for b in ENDS}
    assert allowed[None, None]
    assert allowed[None, soon]
    assert allowed[late, soon]
    assert allowed[soon, soon]
    assert not allowed[soon, late]
    assert not allowed[soon, None]
