"""What SQL makes of a filter: the answer is the library's own, and few rows are read for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Union

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scim2_models import Path, Resource, ResourceType, SearchRequest
from scim2_models.path import AttributeBinding
from scim2_server.memory import InMemoryStorage
from scim2_server.storage import ScimStorage
from scim2_server.utils import parametrize

from api.kernel.application import Application
from api.kernel.kinds import standard
from api.kernel.tables import RESOURCE
from api.protocols.scim import filtering
from api.protocols.scim.storage import DirectoryStorage
from api.protocols.scim.users import login_name
from api.services.admin.kinds.user import USER
from tests.scim import ENTERPRISE, described, empty_directory

TYPES = {str(type.name): type for type in described().resource_types}
MODELS: dict[str, type[Resource[Any]]] = {name: described().model_for(type) for name, type in TYPES.items()}
START = datetime.fromisoformat("2026-01-01T00:00:00+00:00")

# The last ones are equal to others only for who normalizes and folds as the library does.
WORDS = ["Ada", "ADA", "ad", "a.d", "50%_", "q\"u\\o'te", "[x]^$|", "k;`", "straße", "İx", "日本", "x" * 300]
WORDS += ["\u212aelvin", "kelvin", "\u00e9", "e\u0301", "\u037e", ";", "\u1fef"]
ADDRESSES = [
    "ada@x.example",
    "ADA@x.example",
    "\u00e9@x.example",
    "q\"u\\o'te@x.example",
    "ada@localhost",
    "k@x.example",
]
TITLES = [*WORDS, "", "tab\tand\nline", " "]

TIMES = ["meta.created", "meta.lastModified"]
TEXTS = ["userName", "displayName", "externalId", "title", "name.familyName", f"{ENTERPRISE}:department"]
COMMON = ["displayName", "externalId", "id", "meta.resourceType", "meta.version"]
OF_USERS = ["userName", "title", "nickName", "name.familyName", f"{ENTERPRISE}:department", "emails", "emails.value"]
OF_USERS += ["emails.type", "emails.display", "roles.value", "groups", "groups.value", *COMMON]
OF_GROUPS = ["members", "members.value", *COMMON]

# Few, so that they meet; all of them meet all others in the test before.
SOME = ["Ada", "ADA", "ad", 'q"u\\o', "\u212a;", "k;", "\u00e9", "e\u0301"]

EMAILS = st.fixed_dictionaries(
    {"value": st.sampled_from(ADDRESSES)},
    optional={"type": st.sampled_from(["work", "home"]), "display": st.sampled_from(SOME), "primary": st.booleans()},
)
USERS = st.fixed_dictionaries(
    {"userName": st.sampled_from([*SOME, "1 x", "u1+20.x"])},
    optional={
        "displayName": st.sampled_from(SOME),
        "externalId": st.sampled_from(SOME),
        "title": st.sampled_from(["", *SOME]),
        "name": st.fixed_dictionaries({"familyName": st.sampled_from(SOME)}),
        "active": st.booleans(),
        "emails": st.lists(EMAILS, max_size=2),
        "roles": st.lists(st.fixed_dictionaries({"value": st.sampled_from(SOME)}), max_size=2),
        ENTERPRISE: st.fixed_dictionaries({"department": st.sampled_from(SOME)}),
    },
)
GROUPS = st.tuples(st.sampled_from(["Ada", "\u212aelvin", "team"]), st.lists(st.integers(0, 5), max_size=3))
LATER = st.tuples(st.sampled_from(["suspend", "forget", "forget", "emails", "rename"]), st.integers(0, 4))
DIRECTORIES = st.fixed_dictionaries(
    {
        "users": st.lists(USERS, max_size=5, unique_by=lambda user: login_name(user["userName"])),
        "groups": st.lists(GROUPS, max_size=2),
        "later": st.lists(LATER, max_size=3),
    }
)


def quoted(word: str) -> str:
    return str(parametrize(filtering.ScimFilter, MODELS["User"]).quote(word))


def _compared(names: list[str], ops: list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("{} {} {}".format, st.sampled_from(names), st.sampled_from(ops), values)


ANY = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]
VALUES = st.one_of(st.sampled_from([*SOME, *ADDRESSES, "a", "e", ""]).map(quoted), st.just("ID"))
MOMENTS = st.integers(0, 14).map(lambda second: f'"{(START + timedelta(seconds=second)).isoformat()}"')
OF_ALL = [
    _compared(["displayName", "externalId"], ["eq", "ne", "gt"], st.just("null")),
    _compared(TIMES, ["eq", "ne", "gt", "ge", "lt", "le"], MOMENTS | st.just('"2026-01-01T00:00:05"')),
]


def _filters(strings: list[str], *extra: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    present = st.sampled_from([*strings, *TIMES, "schemas"]).map("{} pr".format)
    return st.recursive(
        st.one_of(_compared(strings, ANY, VALUES), present, *OF_ALL, *extra),
        lambda inner: st.one_of(
            inner.map("not ({})".format),
            st.builds("({}) and ({})".format, inner, inner),
            st.builds("({}) or ({})".format, inner, inner),
        ),
        max_leaves=4,
    )


TYPES_OF_EMAILS = st.sampled_from(["work", "WORK", "home", "other", "o"]).map(quoted) | st.just("null")


def _within(name: str, *inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Conditions that one and the same value must meet."""
    one = st.one_of(*inner, st.sampled_from(["value pr", "type pr"]))
    both = st.builds("{} {} {}".format, one, st.sampled_from(["and", "or"]), one)
    return st.one_of(one, both, both.map("not ({})".format)).map(f"{name}[{{}}]".format)


USER_FILTERS = (
    st.sampled_from(["active eq true", "active eq false", "active ne true", "active pr"]),
    st.sampled_from(["title eq null", "title ne null", "name pr", "roles[value pr]", "emails[not (primary eq true)]"]),
    _within("emails", _compared(["value", "display"], ANY, VALUES), _compared(["type"], ANY, TYPES_OF_EMAILS)),
)
GROUP_FILTERS = (_within("members", _compared(["value"], ANY, VALUES), _compared(["type"], ANY, VALUES)),)
ORDERS = st.sampled_from(["ascending", "descending"])
QUESTIONS = st.one_of(
    st.tuples(
        st.just(["User"]),
        _filters(OF_USERS, *USER_FILTERS),
        st.sampled_from([None, "id", "emails", *TEXTS, *TIMES]),
        ORDERS,
    ),
    st.tuples(
        st.just(["Group"]),
        _filters(OF_GROUPS, *GROUP_FILTERS),
        st.sampled_from([None, "id", "displayName", "externalId", *TIMES]),
        ORDERS,
    ),
    st.tuples(
        st.just(["User", "Group"]),
        _filters([*OF_USERS, *OF_GROUPS], *USER_FILTERS, *GROUP_FILTERS),
        st.sampled_from([None, "id", "userName", "displayName", *TIMES]),
        ORDERS,
    ),
)


PAGING = st.sampled_from([{}, {}, {"start_index": 2, "count": 2}, {"count": 0}, None])
"""By index, or by cursor."""


def test_nothing_else_beyond_ascii_is_equal_to_ascii() -> None:
    binding = _binding("displayName")
    beyond = {chr(code) for code in range(128, sys.maxunicode + 1) if binding.comparable(chr(code)).isascii()}
    assert beyond == set(filtering._LOOKALIKES.values())


@pytest.mark.parametrize("name", ["title", "externalId", f"{ENTERPRISE}:department", "emails"])
def test_every_word_is_compared_with_every_other(app: Application, name: str) -> None:
    short = [word for word in TITLES if word and len(word) < 256]
    emails = [f"{word}@x.example" for word in short if not set(word) & set("\t\n ")]
    users: list[dict[str, Any]] = [{"userName": "none"}]
    users += [{"userName": f"title{n}", "title": word} for n, word in enumerate(TITLES)]
    users += [
        {"userName": f"word{n}", "externalId": word, ENTERPRISE: {"department": word}} for n, word in enumerate(short)
    ]
    users += [{"userName": f"email{n}", "emails": [{"value": email}]} for n, email in enumerate(emails)]
    with empty_directory(app) as storage:
        _fill(storage, {"users": users, "groups": [], "later": []})
        memory = InMemoryStorage()
        memory.resources = _all(storage, TYPES["User"])
        for op in ANY:
            for word in emails + TITLES if name == "emails" else TITLES:
                request = _request(["User"], filter=f"{name} {op} {quoted(word)}")
                asked = [TYPES["User"]], request
                assert _found(storage, *asked) == _found(memory, *asked), request.filter


@settings(
    deadline=None,
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(directory=DIRECTORIES, questions=st.lists(st.tuples(QUESTIONS, PAGING), min_size=30, max_size=40))
def test_the_answer_is_that_of_the_librarys_own_storage(
    app: Application,
    directory: dict[str, Any],
    questions: list[tuple[tuple[list[str], str, str | None, str], dict[str, int] | None]],
) -> None:
    with empty_directory(app) as storage:
        ids = [*_fill(storage, directory), "usr_nobody"]
        memory = InMemoryStorage()
        memory.resources = [resource for type in TYPES.values() for resource in _all(storage, type)]
        for number, ((names, filter, sort, order), paging) in enumerate(questions):
            asked = {
                "filter": filter.replace("ID", f'"{ids[number % len(ids)]}"'),
                "sort_by": sort,
                "sort_order": order,
            }
            types = [TYPES[name] for name in names]
            if paging is None:
                assert list(_pages(storage, names, asked)) == list(_pages(memory, names, asked)), asked
            else:
                request = _request(names, **asked, **paging)
                assert _found(storage, types, request) == _found(memory, types, request), asked


def _fill(storage: DirectoryStorage, directory: dict[str, Any]) -> list[str]:
    """Creates the users and groups, each at a different time, and returns their ids."""
    unit = storage._unit
    unit.now = START
    ids: list[str] = []

    def made(name: str, values: dict[str, Any]) -> None:
        unit.now += timedelta(seconds=1)
        ids.append(str(storage.create(TYPES[name], MODELS[name].model_validate(values)).id))

    for user in directory["users"]:
        made("User", user)
    users = list(ids)
    for name, numbers in directory["groups"]:
        members = {ids[number % len(ids)] for number in numbers if ids}
        made("Group", {"displayName": name, "members": [{"value": id} for id in members]})
    for change, number in directory["later"] if users else ():
        unit.now += timedelta(seconds=1)
        _change(storage, users[number % len(users)], change)
    return ids


def _change(storage: DirectoryStorage, id: str, change: str) -> None:
    """What a directory or an admin does to a user later on."""
    user: Any = storage.get(TYPES["User"], id)
    if change in ("suspend", "forget"):
        user.active = False if change == "suspend" else None
        storage.update(TYPES["User"], user)
        return
    row = storage._unit.row(USER, id)
    known = USER.resource(row)
    if change == "emails":
        known.spec.emails = ["Admin@localhost"]
    else:
        known.name = f"admin-{id.replace('_', '-')}"
    standard.write(storage._unit, USER, row, known, "update")


def _all(storage: DirectoryStorage, type: ResourceType) -> list[Resource[Any]]:
    rows = storage._unit.connection.execute(
        sa.select(RESOURCE.c.id).where(
            RESOURCE.c.kind == f"admin.{str(type.name).lower()}", RESOURCE.c.organization_id == "org_empty"
        )
    )
    return [storage.get(type, row.id) for row in rows]


def _request(names: list[str], **asked: Any) -> SearchRequest[Any]:
    models = tuple(MODELS[name] for name in names)
    return parametrize(SearchRequest, Union[models])(**asked)  # noqa: UP007


def _found(
    storage: ScimStorage, types: list[ResourceType], request: SearchRequest[Any]
) -> tuple[int, list[str | None]]:
    page = storage.search(types, request)
    return page.total, [resource.id for resource in page.resources]


def _pages(storage: ScimStorage, names: list[str], asked: dict[str, Any]) -> Iterator[list[str | None]]:
    """All pages by cursor, and then from the last one backwards."""
    types, request = [TYPES[name] for name in names], _request(names, **asked, cursor="", count=2)
    page = storage.search(types, request)
    yield [resource.id for resource in page.resources]
    for way in ("next", "previous"):
        while (position := getattr(page, way)) is not None:
            page = storage.search(types, request, position=position)
            yield [resource.id for resource in page.resources]


def _binding(name: str) -> AttributeBinding:
    found = parametrize(Path, MODELS["User"])(name).resolve()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def storage(app: Application) -> Iterator[DirectoryStorage]:
    """A directory of 40 users and a group of two of them."""
    with empty_directory(app) as storage:
        users = [
            {
                "userName": f"Person{number}@x.example",
                "displayName": f"Person {number}",
                "externalId": f"Ext{number}",
                "title": f"Title {number}",
                "active": number % 4 > 0,
                "emails": [{"value": f"Person{number}@x.example"} | ({} if number % 10 else {"type": "home"})],
            }
            for number in range(39)
        ]
        users.append({"userName": "\u00c9mile@x.example", "displayName": "\u00e9mile", "active": True})
        group = ("team", [0, 1])
        _fill(storage, {"users": users, "groups": [group], "later": []})
        yield storage


class TestFewRowsAreLookedAt:
    @pytest.fixture
    def seen(self, storage: DirectoryStorage, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many rows become resources, each time."""
        seen: list[int] = []
        for face in storage._directories.values():

            def rendered(rows: list[Any], arguments: Any = face.rendered) -> Any:
                seen.append(len(rows))
                return arguments(rows)

            monkeypatch.setattr(face, "rendered", rendered)
        return seen

    @pytest.mark.parametrize(
        ("name", "filter", "looked_at"),
        [
            ("User", 'userName eq "PERSON7@X.example"', 1),
            ("User", 'displayName eq "person 7"', 1),
            ("User", 'externalId eq "Ext7"', 1),
            ("User", 'externalId eq "ext7"', 0),
            ("User", 'emails eq "PERSON7@x.example"', 1),
            ("User", 'emails.value sw "person7@"', 1),
            ("User", 'title ew " 7"', 1),
            ("User", "active eq false", 10),
            ("User", "not (active eq true)", 10),
            ("User", "groups pr", 2),
            ("User", 'meta.created gt "2026-01-01T00:00:38Z"', 2),
            ("User", 'emails[type eq "work"] and active eq false', 0),
            ("User", 'emails[type eq "work"] or active eq false', 10),
            ("User", 'emails[type eq "home"]', 4),
            ("User", 'emails[type eq "HOME" and value eq "person20@x.example"]', 1),
            ("User", 'emails[type eq "home" or value eq "person7@x.example"]', 5),
            ("User", 'emails[not (type eq "home")]', 40),
            ("User", 'not (displayName co "Person 1")', 40),
            ("User", "displayName eq null", 0),
            ("Group", 'displayName eq "TEAM"', 1),
            ("Group", 'members eq "absent"', 0),
            ("Group", 'members[value eq "absent"]', 0),
        ],
    )
    def test_by_a_filter(
        self, storage: DirectoryStorage, seen: list[int], name: str, filter: str, looked_at: int
    ) -> None:
        storage.search([TYPES[name]], _request([name], filter=filter, count=100))
        assert sum(seen) == looked_at

    @pytest.mark.parametrize("sort", [None, "id", "meta.created", "meta.lastModified", "userName", "displayName"])
    @pytest.mark.parametrize("filter", [None, 'active eq true and meta.lastModified gt "2026-01-01T00:00:00Z"'])
    def test_by_a_page(self, storage: DirectoryStorage, seen: list[int], sort: str | None, filter: str | None) -> None:
        asked = _request(["User"], filter=filter, sort_by=sort, start_index=11, count=5)
        page = storage.search([TYPES["User"]], asked)
        assert (page.total, len(page.resources)) == (30 if filter else 40, 5)
        assert sum(seen) == 5
