"""What rules allow: one at a time by an oracle of a few lines, and in lists exactly what is allowed one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from api.kernel.permissions.access import READ_AUDIT_LOG, Access
from api.kernel.permissions.patterns import pattern_matches
from api.kernel.permissions.rule import Rule
from api.kernel.roles import Role
from api.kernel.securable import ROOT, Securable
from api.kernel.storage.store import Stored
from api.kernel.tables import OPERATION, RESOURCE
from core import clock
from core.events import EVENT

NOW = clock.now()
GET, DELETE = "made_up.thing.get", "made_up.thing.delete"
PERMISSIONS = {GET: Role.VIEWER, DELETE: Role.ADMIN, READ_AUDIT_LOG: Role.ADMIN}
CONDITION = 'labels.stage == "test"'
UNREADABLE = 'no_such_field == "x"'


def _stored(id: str, organization: str | None, project: str | None, stage: str) -> Stored:
    who = {"created_at": NOW, "created_by": "x", "updated_at": NOW, "updated_by": "x", "deleted_at": None}
    return Stored(
        *(id, "made_up.thing", organization, project, project or "platform", id, "usr_x", "ACTIVE", 1, 1),
        **who,
        labels=json.dumps({"stage": stage}),
        spec="{}",
        status="{}",
    )


RESOURCES = [
    _stored("thg_1", "org_a", "prj_a", "test"),
    _stored("thg_2", "org_a", "prj_a", "live"),
    _stored("thg_3", "org_a", "prj_b", "test"),
    _stored("thg_4", "org_b", "prj_c", "test"),
    _stored("thg_5", "org_b", None, "live"),
    _stored("thg_6", None, None, "test"),
]
PLACES = [
    ROOT,
    Securable("admin.organization", "org_a", "org_a"),
    Securable("admin.organization", "org_b", "org_b"),
    Securable("admin.project", "prj_a", "org_a", "prj_a"),
    Securable("admin.project", "prj_b", "org_a", "prj_b"),
    *(resource.securable for resource in RESOURCES[:2]),
]
ROLES_AND_PERMISSIONS: list[tuple[Role | None, tuple[str, ...]]] = [
    (Role.VIEWER, ()),
    (Role.ADMIN, ()),
    (None, ("made_up.*",)),
    (None, ("*.*.get",)),
    (None, (DELETE,)),
    (None, ("other.*",)),
]


def rule(
    place: Securable,
    right: Any = ROLES_AND_PERMISSIONS[0],
    *,
    denies: bool = False,
    condition: str = "",
    ends: Any = None,
) -> Rule:
    built_in, patterns = right
    where = {"organization_id": place.organization_id, "project_id": place.project_id}
    return Rule("gra", "usr", "", place.id, place.kind, denies, built_in, patterns, condition, ends, **where)


RULES = st.lists(
    st.builds(
        rule,
        st.sampled_from(PLACES),
        st.sampled_from(ROLES_AND_PERMISSIONS),
        denies=st.sampled_from([False, False, True]),
        condition=st.sampled_from(["", "", CONDITION, UNREADABLE]),
        ends=st.sampled_from([None, None, NOW - timedelta(seconds=1), NOW + timedelta(hours=1)]),
    ),
    max_size=4,
)
LIMITS = st.sampled_from([(), (), ("made_up.*",), ("*.*.get",), ("other.*",)])


def _speaks(one: Rule, permission: str) -> bool:
    if one.built_in is not None:
        return list(Role).index(one.built_in) >= list(Role).index(PERMISSIONS[permission])
    return any(pattern_matches(pattern, permission) for pattern in one.patterns)


def _holds(one: Rule, stage: str | None) -> bool:
    """`stage` is that of the thing; None if it is not known or does not count."""
    if one.expires_at is not None and one.expires_at < NOW:
        return False
    if one.condition == CONDITION and stage is not None:
        return stage == "test"
    return not one.condition or one.denies


def expected(rules: list[Rule], limits: tuple[str, ...], permission: str, place: Securable, stage: str | None) -> bool:
    """The oracle: some rule on it or above it allows, none denies, and the credential is not narrowed to others."""
    if limits and not any(pattern_matches(limit, permission) for limit in limits):
        return False
    above = {place.id, place.project_id, place.organization_id, "platform"}
    held = [one for one in rules if one.securable_id in above and _speaks(one, permission) and _holds(one, stage)]
    return any(not one.denies for one in held) and not any(one.denies for one in held)


def stage_of(resource: Stored) -> str:
    return str(json.loads(resource.labels)["stage"])


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        for table in (RESOURCE, OPERATION, EVENT):
            table.create(connection)
        for resource in RESOURCES:
            values = {name: getattr(resource, name) for name in resource.__slots__} | {
                "labels": json.loads(resource.labels)
            }
            connection.execute(RESOURCE.insert().values(values | {"spec": {}, "status": {}}))
            where = {"organization_id": resource.organization_id, "project_id": resource.project_id}
            texts = dict.fromkeys(("action", "subject", "principal", "principal_id", "request_id", "executor"), "x")
            lists: dict[str, Any] = {"assets": [], "partitions": [], "runs": [], "produced": [], "config": {}}
            counts = dict.fromkeys(("stages", "stage", "launched_stage", "done", "total"), 0)
            times = {"created_at": NOW, "updated_at": NOW, "state": "RUNNING"}
            operation = texts | lists | counts | times | where | {"id": resource.id}
            connection.execute(OPERATION.insert().values(operation))
        yield connection
    engine.dispose()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RULES, LIMITS)
def test_one_answer_for_one_thing_and_for_lists(connection: Connection, rules: list[Rule], limits: Any) -> None:
    access = Access(rules, PERMISSIONS, limits)
    for permission in (GET, DELETE):
        seen = {
            resource.id
            for resource in RESOURCES
            if expected(rules, limits, permission, resource.securable, stage_of(resource))
        }
        assert {
            resource.id for resource in RESOURCES if access.allows(permission, resource.securable, resource)
        } == seen
        listed = sa.select(RESOURCE.c.id).where(access.where(permission))
        assert set(connection.execute(listed).scalars()) == seen
        # What is not there yet, and tables of other things, know nothing that a condition could look at.
        unknown = {
            resource.id for resource in RESOURCES if expected(rules, limits, permission, resource.securable, None)
        }
        assert {resource.id for resource in RESOURCES if access.allows(permission, resource.securable)} == unknown
        coming = sa.select(RESOURCE.c.id).where(access.where(permission, conditions=False))
        assert set(connection.execute(coming).scalars()) == unknown
        others = sa.select(OPERATION.c.id).where(access.where(permission, OPERATION))
        assert set(connection.execute(others).scalars()) == unknown
        if access.everywhere(permission):
            assert unknown == {resource.id for resource in RESOURCES}
        if not access.anywhere(permission):
            assert seen == set()
        rooted = expected(rules, limits, permission, ROOT, None)
        assert access.allows(permission, ROOT) == rooted


class TestEverywhere:
    def test_is_a_right_on_the_platform_without_an_if(self) -> None:
        for rules, everywhere in (
            ([rule(ROOT)], True),
            ([rule(PLACES[1])], False),
            ([rule(ROOT, condition=CONDITION)], False),
            ([rule(ROOT, ends=NOW - timedelta(seconds=1))], False),
            ([rule(ROOT, ends=NOW - timedelta(seconds=1)), rule(ROOT, condition=CONDITION)], False),
            ([rule(ROOT), rule(PLACES[1], denies=True)], False),
            ([rule(ROOT, condition=CONDITION), rule(ROOT)], True),
            ([rule(ROOT, ROLES_AND_PERMISSIONS[4])], False),
        ):
            access = Access(rules, PERMISSIONS)
            assert access.everywhere(GET) is everywhere
            assert access.unrestricted(GET) is False, "the audit log needs a separate right"

    def test_nothing_is_hidden_from_who_oversees_all(self) -> None:
        assert Access([rule(ROOT, ROLES_AND_PERMISSIONS[1])], PERMISSIONS).unrestricted(GET)
        assert not Access([rule(PLACES[1], ROLES_AND_PERMISSIONS[1])], PERMISSIONS).unrestricted(GET)

    def test_what_tells_of_all_organizations_needs_the_right_to_oversee_them(self) -> None:
        audit = Securable("ai_catalog.asset", "platform.audit.events")
        assert not Access([rule(ROOT)], PERMISSIONS).allows(GET, audit)
        assert Access([rule(ROOT), rule(ROOT, (None, (READ_AUDIT_LOG,)))], PERMISSIONS).allows(GET, audit)
        assert not Access([rule(ROOT), rule(PLACES[1], (None, (READ_AUDIT_LOG,)))], PERMISSIONS).allows(GET, audit)


def test_a_permission_that_nobody_declared_is_for_admins() -> None:
    assert Access([rule(ROOT, ROLES_AND_PERMISSIONS[1])], PERMISSIONS).allows("made_up.thing.new", ROOT)
    assert not Access([rule(ROOT, (Role.EDITOR, ()))], PERMISSIONS).allows("made_up.thing.new", ROOT)


def test_a_condition_that_cannot_be_read_denies_and_allows_nothing() -> None:
    resource = RESOURCES[0]
    allowing = rule(ROOT, condition=UNREADABLE)
    assert not Access([allowing], PERMISSIONS).allows(GET, resource.securable, resource)
    assert not Access([rule(ROOT), rule(ROOT, denies=True, condition=UNREADABLE)], PERMISSIONS).allows(
        GET, resource.securable, resource
    )


def test_the_rule_that_decided_is_told_and_the_nearest_comes_first() -> None:
    near, far, denied = rule(PLACES[3]), rule(ROOT), rule(PLACES[1], denies=True)
    resource = RESOURCES[0].securable
    assert Access([far, near], PERMISSIONS).decide(GET, resource).rule == near
    decision = Access([far, near, denied], PERMISSIONS).decide(GET, resource)
    assert (decision.allowed, decision.rule) == (False, denied)
    assert Access([], PERMISSIONS).decide(GET, resource).rule is None


def test_an_end_counts_from_its_moment_on() -> None:
    ended = rule(ROOT, ends=NOW)
    access = Access([ended], PERMISSIONS)
    assert ended.expired(NOW)
    assert not ended.expired(NOW - timedelta(microseconds=1))
    assert Access([ended], PERMISSIONS, moment=NOW - timedelta(seconds=1)).allows(GET, ROOT)
    assert not Access([ended], PERMISSIONS, moment=NOW).allows(GET, ROOT)
    assert access.ended_since(NOW - timedelta(seconds=1))
    assert not access.ended_since(NOW)
    assert not Access([rule(ROOT, ends=NOW + timedelta(hours=1))], PERMISSIONS).ended_since(NOW - timedelta(days=1))


def test_rights_that_look_at_things_are_known() -> None:
    access = Access(
        [rule(ROOT), rule(PLACES[1], ROLES_AND_PERMISSIONS[4], denies=True, condition=CONDITION)], PERMISSIONS
    )
    assert (access.conditional(GET), access.conditional(DELETE)) == (False, True)


def test_the_highest_role_is_of_what_allows_here_now() -> None:
    rules = [
        rule(ROOT, ROLES_AND_PERMISSIONS[0]),
        rule(PLACES[1], (Role.EDITOR, ())),
        rule(PLACES[2], ROLES_AND_PERMISSIONS[1]),
        rule(ROOT, ROLES_AND_PERMISSIONS[1], denies=True),
        rule(ROOT, ROLES_AND_PERMISSIONS[1], ends=NOW - timedelta(seconds=1)),
        rule(ROOT, ROLES_AND_PERMISSIONS[1], condition=CONDITION),
    ]
    assert Access(rules, PERMISSIONS).highest(PLACES[3]) is Role.EDITOR
    assert Access(rules, PERMISSIONS).highest(ROOT) is Role.VIEWER
    assert Access(rules[1:2], PERMISSIONS).highest(ROOT) is None


def test_equal_rights_have_equal_digests() -> None:
    one, other = rule(ROOT), rule(PLACES[1])
    assert Access([one, other], PERMISSIONS).digest == Access([other, one], PERMISSIONS).digest
    different = [Access([one], PERMISSIONS), Access([], PERMISSIONS), Access([one], PERMISSIONS, ("a.*",))]
    different += [
        Access([rule(ROOT, denies=True)], PERMISSIONS),
        Access([rule(ROOT, condition=CONDITION)], PERMISSIONS),
    ]
    assert len({access.digest for access in different}) == len(different)


def test_events_of_a_moved_project_stay_with_the_organization_they_happened_in(connection: Connection) -> None:
    """A right on a project sees what happens in its organization; what happened elsewhere before is told there."""
    connection.execute(EVENT.delete())
    for sequence, organization in enumerate(("org_a", "org_b"), start=1):
        texts = {"id": str(sequence), "type": "x", "subject": "x", "kind": "x", "principal": "x", "principal_id": "x"}
        extra = {
            "request_id": "x",
            "data": {},
            "at": NOW,
            "previous_hash": "",
            "hash": "",
            "organization_id": organization,
            "project_id": "prj_a",
        }
        values = {name: value for name, value in (texts | extra).items() if name in EVENT.c}
        connection.execute(EVENT.insert().values(sequence=sequence, **values))

    def granted(*rules: Rule) -> list[int]:
        test = Access(rules, PERMISSIONS).where(GET, EVENT, EVENT.c.subject)
        return list(connection.execute(sa.select(EVENT.c.sequence).where(test).order_by(EVENT.c.sequence)).scalars())

    assert granted(rule(PLACES[3])) == [1]
    assert granted(rule(PLACES[2])) == [2]
    assert granted(rule(ROOT)) == [1, 2]
    assert granted(rule(ROOT), rule(PLACES[3], denies=True)) == [], "a denial reaches what happened before, too"


@pytest.mark.parametrize(
    ("pattern", "permission", "matches"),
    [
        ("admin.user.get", "admin.user.get", True),
        ("admin.user.get", "admin.user.get_all", False),
        ("admin.user.get", "admin-user.get", False),
        ("admin.*", "admin.user.get", True),
        ("admin.*", "administer.user.get", False),
        ("admin.*", "admin.", False),
        ("*.*.get", "admin.user.get", True),
        ("*.*.get", "admin.user.part.get", False),
        ("*", "admin.user.get", True),
        ("admin.*.get", "admin.user.get", True),
        ("admin.*.get", "admin.get", False),
        ("a.b", "axb", False),
    ],
)
def test_patterns_stand_for_whole_parts(pattern: str, permission: str, matches: bool) -> None:
    assert pattern_matches(pattern, permission) is matches
