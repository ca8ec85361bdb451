"""What a change of a stored thing keeps to: its right, its version, what never changes, and what is written of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.kernel.kinds.merge_patch import merged
from api.kernel.storage import store
from core.errors import PreconditionFailed
from core.ids import new_id
from tests.api.admin.tenants import user
from tests.api.platform.conftest import Library
from tests.api.platform.library import BOOKS, SHELVES, STAMPS, book, patch, reader
from tests.api_process import Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("target", "change", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
async def test_a_merge_patch_does_what_the_rfc_says(target: Any, change: Any, result: Any) -> None:
    before = repr(target)
    assert merged(target, change) == result
    assert repr(target) == before, "what was there is left as it is"


async def one(library: Library, name: str, **spec: Any) -> dict[str, Any]:
    return dict(await book(library.home.admin, library.home.project, name, **spec))


async def test_what_never_changes_may_be_sent_as_it_is_and_not_otherwise(library: Library) -> None:
    admin, made = library.home.admin, await one(library, "fixed", isbn="1-2")
    for wrong in ("1-3", "", None, 12):
        reply = await patch(admin, made["id"], {"spec": {"isbn": wrong, "title": "T"}})
        assert (reply.status, reply.json["errors"]) == (
            422,
            [{"pointer": "/spec/isbn", "detail": "cannot be changed once it is set"}],
        )
    assert (await admin.get(f"{BOOKS}/{made['id']}")).json == made
    reply = await patch(admin, made["id"], {"spec": {"isbn": "1-2", "title": "T"}})
    assert (reply.status, reply.json["spec"]["title"], reply.json["spec"]["isbn"]) == (200, "T", "1-2")


async def test_a_change_is_of_what_is_declared(library: Library) -> None:
    admin, made = library.home.admin, await one(library, "declared", size={"w": 1, "h": 2})
    for wrong in ({"spec": {"no_such": 1}}, {"spec": {"size": {"w": "x"}}}, {}, {"status": {"state": "PRINTED"}}):
        assert (await patch(admin, made["id"], wrong)).status == 422
    changed = await patch(admin, made["id"], {"spec": {"size": {"w": None, "d": 3}}})
    assert changed.json["spec"] == made["spec"] | {"size": {"h": 2, "d": 3}}
    assert (await patch(admin, made["id"], {"spec": {"size": None}})).json["spec"]["size"] == {}


async def test_a_change_sets_only_labels_that_a_new_item_may_have(library: Library) -> None:
    admin, made = library.home.admin, await one(library, "labeled")
    many = {f"n{n}": "x" for n in range(65)}
    for labels in ({"A": "x"}, {"a b": "x"}, {"a": "x" * 201}, {"a": "\u202e"}, {"a\n": "x"}, many):
        refused = await patch(admin, made["id"], {"labels": labels})
        assert (refused.status, refused.json["errors"][0]["pointer"].startswith("/labels")) == (422, True), labels
    assert (await patch(admin, made["id"], {"labels": {"A": None, "a": "x"}})).json["labels"] == {"a": "x"}


async def test_versions_count_changes_and_generations_those_of_the_spec(library: Library) -> None:
    admin, made = library.home.admin, await one(library, "counted")
    id, after = made["id"], library.api.last_sequence()
    steps: list[tuple[dict[str, Any], int, int]] = [
        ({"labels": {"a": "b"}}, 2, 1),
        ({"labels": {"a": "b"}}, 2, 1),
        ({"spec": {"title": made["spec"]["title"]}}, 2, 1),
        ({"spec": {"title": "Other"}}, 3, 2),
        ({"name": "counted-on"}, 4, 2),
        ({"labels": {"a": None, "none": None, "c": "d"}}, 5, 2),
    ]
    seen = made
    for change, version, generation in steps:
        now = (await patch(admin, id, change)).json
        assert (now["version"], now["generation"]) == (version, generation)
        assert (now["etag"] != seen["etag"], now["updated_at"] != seen["updated_at"]) == (
            version > seen["version"],
        ) * 2
        seen = now
    assert seen["labels"] == {"c": "d"}
    history = (await admin.get(f"{BOOKS}/{id}/revisions")).json["items"]
    assert [revision["version"] for revision in history] == [5, 4, 3, 2, 1]
    noted = [event["data"].get("version") for event in library.api.events("library.book.updated", after=after)]
    assert noted == [2, None, None, 3, 4, 5], "what changed nothing says so"


async def test_two_at_the_same_moment_do_not_lose_a_change(library: Library) -> None:
    """The version guard of an update: who read an older version writes nothing."""
    made = await one(library, "guarded")
    with library.api.database.read() as connection:
        stale = store.find_any(connection, made["id"])
    assert stale is not None
    assert (await patch(library.home.admin, made["id"], {"labels": {"first": "yes"}})).status == 200
    late = store.replace(stale, labels='{"second": "yes"}')
    with pytest.raises(PreconditionFailed), library.api.database.write() as connection:
        store.replace_row(connection, stale, late, action="-", request_id="-")
    now = (await library.home.admin.get(f"{BOOKS}/{made['id']}")).json
    assert (now["labels"], now["version"]) == ({"first": "yes"}, 2)
    replies = await asyncio.gather(
        *(patch(library.home.admin, made["id"], {"labels": {f"n{n}": "x"}}) for n in range(8))
    )
    assert {reply.status for reply in replies} == {200}
    now = (await library.home.admin.get(f"{BOOKS}/{made['id']}")).json
    assert set(now["labels"]) == {"first", *(f"n{n}" for n in range(8))}


async def test_every_change_of_one_thing_honours_its_etag(library: Library) -> None:
    """Whatever names one thing in its path checks `If-Match`, takes any of a list, and is about that thing."""
    admin, made = library.home.admin, await one(library, "matched")
    path, stale = f"{BOOKS}/{made['id']}", made["etag"]
    calls: dict[str, tuple[str, str, Any]] = {
        "updated": ("PATCH", path, {"labels": {"a": "b"}}),
        "read": ("POST", f"{path}:read", {"count": 2}),
        "printed": ("POST", f"{path}:print", {}),
        "deleted": ("DELETE", path, None),
        "mourned": ("POST", f"{path}:mourn", {}),
        "restored": ("POST", f"{path}:restore", {}),
    }
    assert (await patch(admin, made["id"], {"labels": {"x": "y"}})).status == 200
    for past, (method, url, body) in calls.items():
        options = {} if body is None else {"json": body}
        after = library.api.last_sequence()
        reply = await admin(method, url, headers={"if-match": stale}, **options)
        assert (reply.status, reply.reason) == (412, "PRECONDITION_FAILED"), past
        current = reply.json["metadata"]["etag"]
        assert current in reply.json["detail"]
        done = await admin(method, url, headers={"if-match": f'"0-other" , {current}'}, **options)
        assert done.status in (200, 204), done.response.text
        failed, succeeded = library.api.events("library.book.", after=after)
        assert succeeded["type"] == f"library.book.{past}"
        for event, outcome in ((failed, "failed"), (succeeded, "succeeded")):
            assert (event["subject"], event["project_id"]) == (made["id"], library.home.project)
            assert event["data"]["outcome"] == outcome
    assert (await admin("PATCH", path, json={"labels": {"z": "z"}}, headers={"if-match": "*"})).status == 200


async def test_a_command_stores_what_it_changed_and_only_that(library: Library) -> None:
    admin, made = library.home.admin, await one(library, "commanded")
    path = f"{BOOKS}/{made['id']}"
    assert (await admin.post(f"{path}:read", {"count": 3})).json == {"text": "commanded"}
    now = (await admin.get(path)).json
    assert (now["status"]["read"], now["version"], now["generation"]) == (3, 2, 1)
    assert (await admin.post(f"{path}:read", {"count": 0})).status == 200
    assert (await admin.post(f"{path}:quote", {})).json == {"text": "A book"}
    assert (await admin.get(path)).json == now
    revisions = [one["action"] for one in (await admin.get(f"{path}/revisions")).json["items"]]
    assert revisions == ["library.book.read", "library.book.create"]


async def test_a_transition_begins_in_its_state(library: Library) -> None:
    admin, made = library.home.admin, await one(library, "moved")
    path = f"{BOOKS}/{made['id']}"
    assert (await admin.post(f"{path}:print")).json["status"]["state"] == "PRINTED"
    again = await admin.post(f"{path}:print")
    assert (again.status, again.json["metadata"]) == (409, {"state": "PRINTED"})
    assert (await admin.get(path)).json["version"] == 2


VERBS: dict[str, tuple[str, str, Any]] = {
    "update": ("PATCH", "", {"labels": {"a": "b"}}),
    "delete": ("DELETE", "", None),
    "read": ("POST", ":read", {"count": 1}),
    "quote": ("POST", ":quote", {}),
    "print": ("POST", ":print", {}),
    "summary": ("GET", "/summary", None),
    "history": ("GET", "/revisions", None),
    "get": ("GET", "", None),
}
ON_DELETED: dict[str, tuple[str, str, Any]] = {"mourn": ("POST", ":mourn", {}), "restore": ("POST", ":restore", {})}


async def call(caller: Caller, id: str, call_of: tuple[str, str, Any]) -> int:
    method, tail, body = call_of
    return (await caller(method, f"{BOOKS}/{id}{tail}", **({} if body is None else {"json": body}))).status


@pytest.mark.parametrize("verb", [*VERBS, *ON_DELETED])
async def test_each_verb_needs_its_right_on_the_thing_and_sight_of_it(library: Library, verb: str) -> None:
    """Rights that hold for one thing by its labels, not for its neighbour: nothing leaks from one to the other."""
    call_of = (VERBS | ON_DELETED)[verb]
    own_id, seen, hidden = [
        await book(library.home.admin, library.home.project, f"{verb}-{kind}", labels={"is": kind})
        for kind in ("mine", "seen", "hidden")
    ]
    if verb in ON_DELETED:
        for resource_id in (own_id, seen, hidden):
            assert (await library.home.admin("DELETE", f"{BOOKS}/{resource_id['id']}")).status == 204
    sight = {"condition": 'labels["is"] != "hidden"'}
    ada = await reader(library.api, library.home, f"{verb}-ada", "library.book.get", **sight)
    if verb == "get":
        assert [await call(ada, resource_id["id"], call_of) for resource_id in (own_id, seen, hidden)] == [
            200,
            200,
            404,
        ]
        return
    assert await call(ada, own_id["id"], call_of) == 403, "sight alone"
    bob = await reader(library.api, library.home, f"{verb}-bob", f"library.book.{verb}")
    assert await call(bob, own_id["id"], call_of) == 404, "the right alone"
    eve = await reader(
        library.api, library.home, f"{verb}-eve", f"library.book.{verb}", condition='labels["is"] == "mine"'
    )
    grant_body = {"principal_id": await id_of(library, f"{verb}-eve"), "securable_id": library.home.project, **sight}
    assert (await library.api.admin.post("admin/grants", grant_body | {"permission": "library.book.get"})).status == 201
    assert [await call(eve, resource_id["id"], call_of) for resource_id in (hidden, seen)] == [404, 403]
    assert await call(eve, own_id["id"], call_of) in (200, 204)


async def id_of(library: Library, name: str) -> str:
    return str((await library.api.admin.get(f"admin/users/{name}")).json["id"])


@pytest.mark.parametrize("verb", [*VERBS, *ON_DELETED])
async def test_what_was_deleted_is_there_only_for_what_is_done_with_it(library: Library, verb: str) -> None:
    resource_id, call_of = await one(library, f"gone-{verb}"), (VERBS | ON_DELETED)[verb]
    if verb in ON_DELETED:
        assert await call(library.home.admin, resource_id["id"], call_of) == 409
        return
    assert (await library.home.admin("DELETE", f"{BOOKS}/{resource_id['id']}")).status == 204
    assert await call(library.home.admin, resource_id["id"], call_of) == (200 if verb == "history" else 404)


async def test_a_new_owner_is_one_that_the_caller_may_know_of(library: Library) -> None:
    api, admin, made = library.api, library.home.admin, await one(library, "owned")
    stranger, gone = await user(api, "owned-stranger"), await user(api, "owned-gone", library.home.organization)
    assert (await api.admin("DELETE", f"admin/users/{gone}")).status == 204
    for wrong in (stranger, gone, library.home.project, "absent"):
        reply = await patch(admin, made["id"], {"owner": wrong})
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/owner")
    colleague = await user(api, "owned-colleague", library.home.organization)
    assert (await patch(admin, made["id"], {"owner": colleague})).json["owner"] == colleague
    ada = await reader(api, library.home, "owned-ada", "library.book.get", "library.book.update")
    own_id = await id_of(library, "owned-ada")
    assert (await patch(ada, made["id"], {"owner": colleague})).status == 422
    assert (await patch(ada, made["id"], {"owner": own_id})).json["owner"] == own_id, (
        "all principals know of themselves"
    )


async def test_names_are_free_again_after_deletion_and_never_look_like_ids(library: Library) -> None:
    admin, made = library.home.admin, await one(library, "named")
    other = await one(library, "named-too")
    draft = {"name": "named", "project_id": library.home.project, "spec": {}}
    assert (await admin.post(BOOKS, draft)).status == 409
    assert (await patch(admin, other["id"], {"name": "named"})).status == 409
    for wrong in ("Named", "", "a b", "1a", "a" * 64):
        assert (await patch(admin, other["id"], {"name": wrong})).status == 422
        assert (await admin.post(BOOKS, draft | {"name": wrong})).status == 422
    assert (await admin("DELETE", f"{BOOKS}/{made['id']}")).status == 204
    again = await admin.post(BOOKS, draft)
    assert again.status == 201
    assert (await admin.post(f"{BOOKS}/{made['id']}:restore")).status == 409, "its name was taken meanwhile"
    assert (await admin.get(f"{BOOKS}/named")).json["id"] == again.json["id"], (
        "a path takes the name of the one that has it now"
    )
    stamp = {"organization_id": library.home.organization, "spec": {}}
    assert (await admin.post(STAMPS, stamp | {"name": "postage"})).status == 201
    assert (await admin.get(f"{STAMPS}/postage")).json["name"] == "postage"
    looks_like_one = new_id("stp")
    assert (await admin.post(STAMPS, stamp | {"name": looks_like_one})).status == 422
    assert (await admin("PATCH", f"{STAMPS}/postage", json={"name": looks_like_one})).status == 422
    assert (await admin("PATCH", f"{STAMPS}/postage", json={"name": "stp_short"})).status == 200
    assert (await admin.get(f"{SHELVES}/postage")).status == 404
