"""Batches: each item keeps what its single method promises, and a separate item fails without a trace."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.credentials.authentication import Authenticator
from api.kernel.tables import REVISION
from tests.api.admin.tenants import user
from tests.api.platform.conftest import Library
from tests.api.platform.library import BOOKS, STAMPS, book, reader
from tests.api_process import Api, Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def batch(caller: Caller, *items: dict[str, Any], path: str = BOOKS, atomic: bool = False, **options: Any) -> Any:
    return await caller.post(f"{path}:batch", {"items": items, "atomic": atomic}, **options)


def draft(library: Library, name: str, **spec: Any) -> dict[str, Any]:
    return {"method": "CREATE", "body": {"name": name, "project_id": library.home.project, "spec": spec}}


def revisions(api: Api) -> int:
    with api.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(REVISION)).scalar_one())


async def names(caller: Caller) -> set[str]:
    return {item["name"] for item in (await caller.get(BOOKS, params={"page_size": 1000})).json["items"]}


async def test_an_item_that_fails_after_it_was_written_leaves_nothing(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, admin = library.api, library.home.admin
    stored, gone = [await book(admin, library.home.project, name) for name in ("kept", "gone")]
    forgotten: list[bool] = []
    monkeypatch.setattr(api.app.platform.part(Authenticator), "forget", lambda: forgotten.append(True))
    before, after, present = revisions(api), api.last_sequence(), await names(admin)
    done = await batch(
        admin,
        draft(library, "one"),
        draft(library, "two", title="late for create"),
        {"method": "UPDATE", "id": stored["id"], "body": {"spec": {"title": "late for update"}}},
        {"method": "UPDATE", "id": gone["id"], "body": {"spec": {"title": "fine"}}},
        draft(library, "refused"),
    )
    assert [item["status"] for item in done.json["items"]] == [201, 409, 409, 200, 409]
    assert done.json["failed"] == 3
    assert [item["id"] for item in done.json["items"]][1:3] == [None, stored["id"]]
    assert [item["problem"] is None for item in done.json["items"]] == [True, False, False, True, False]
    assert await names(admin) == present | {"one"}
    assert (await admin.get(f"{BOOKS}/{stored['id']}")).json == stored
    assert revisions(api) == before + 2
    reported = [event["type"] for event in api.events("library.", after=after)]
    assert sorted(reported) == ["library.book.batched", "library.book.created", "library.book.updated"]
    assert forgotten == [], "what a failed item would have made every process forget stays known"


async def test_one_failure_undoes_an_atomic_batch(library: Library) -> None:
    present = await names(library.home.admin)
    late = draft(library, "later", title="late for create")
    assert (await batch(library.home.admin, draft(library, "first"), late, atomic=True)).status == 409
    assert await names(library.home.admin) == present


async def test_rights_that_an_undone_item_granted_do_not_help_later_items(library: Library) -> None:
    admin = library.home.admin
    items = [draft(library, f"{verb}-everything", title=f"{verb} everything") for verb in ("grants", "needs")]
    outcomes = (await batch(admin, *items)).json["items"]
    assert [outcome["status"] for outcome in outcomes] == [409, 403]
    assert outcomes[1]["problem"]["reason"] == "EXCEEDS_RIGHTS"
    assert not {item["body"]["name"] for item in items} & await names(admin)


async def test_each_item_has_an_etag_of_its_own(library: Library) -> None:
    admin = library.home.admin
    first, second, third = [await book(admin, library.home.project, f"etag-{n}") for n in range(3)]
    items = [
        {"method": "UPDATE", "id": first["id"], "if_match": second["etag"], "body": {"labels": {"a": "b"}}},
        {"method": "DELETE", "id": second["id"], "if_match": first["etag"]},
        {"method": "UPDATE", "id": third["id"], "if_match": third["etag"], "body": {"labels": {"a": "b"}}},
        {"method": "DELETE", "id": second["id"]},
    ]
    done = await batch(admin, *items)
    assert [item["status"] for item in done.json["items"]] == [412, 412, 200, 204]
    now = (await admin.get(f"{BOOKS}/{third['id']}")).json
    assert done.json["items"][2]["etag"] == now["etag"] != third["etag"]
    assert done.json["items"][3]["etag"] is None


async def test_each_event_tells_of_its_own_item(library: Library) -> None:
    api, admin = library.api, library.home.admin
    changed = await book(admin, library.home.project, "told")
    after = api.last_sequence()
    items = [
        draft(library, "told-new"),
        {"method": "UPDATE", "id": changed["id"], "body": {"labels": {"a": "b"}}},
        {"method": "DELETE", "id": changed["id"]},
    ]
    done = (await batch(admin, *items, atomic=True)).json["items"]
    whole, *parts = sorted(
        api.events("library.", after=after), key=lambda event: event["type"] != "library.book.batched"
    )
    assert (whole["subject"], set(whole["data"])) == ("books", {"action", "outcome", "client"})
    reported = {event["type"].rpartition(".")[2]: event for event in parts}
    assert {name: event["subject"] for name, event in reported.items()} == {
        "created": done[0]["id"],
        "updated": changed["id"],
        "deleted": changed["id"],
    }
    assert {event["project_id"] for event in parts} == {library.home.project}
    assert {name: event["data"]["action"] for name, event in reported.items()} == {
        name: f"library.book.{name.removesuffix('d')}" for name in reported
    }
    assert {event["data"]["outcome"] for event in parts} == {"succeeded"}
    assert {name: event["data"]["version"] for name, event in reported.items()} == {
        "created": 1,
        "updated": 2,
        "deleted": 3,
    }
    assert "changes" not in reported["created"]["data"]


async def test_each_item_needs_the_right_of_its_single_method(library: Library) -> None:
    admin, project = library.home.admin, library.home.project
    one = await book(admin, project, "guarded")
    permissions = ("library.book.batch", "library.book.get", "library.book.create", "admin.project.get")
    ada = await reader(library.api, library.home, "batch-ada", *permissions)
    items = [
        draft(library, "of-ada"),
        {"method": "UPDATE", "id": one["id"], "body": {"labels": {"a": "b"}}},
        {"method": "DELETE", "id": one["id"]},
    ]
    done = await batch(ada, *items)
    assert [item["status"] for item in done.json["items"]] == [201, 403, 403]
    bob = await reader(library.api, library.home, "batch-bob", "library.book.batch", "library.book.delete")
    done = await batch(bob, {"method": "DELETE", "id": one["id"]}, draft(library, "of-bob"))
    assert [item["status"] for item in done.json["items"]] == [404, 404]
    assert (await admin.get(f"{BOOKS}/{one['id']}")).json == one


async def test_faults_say_in_which_item_they_are(library: Library) -> None:
    admin, fine = library.home.admin, draft(library, "fine")
    wrong = {
        "/items/1/body/spec/title": draft(library, "wrong", title=3),
        "/items/1/id": {"method": "DELETE"},
        "/items/1/body/label": {"method": "UPDATE", "id": "bok_x", "body": {"label": {}}},
    }
    for pointer, item in wrong.items():
        reply = await batch(admin, fine, item, atomic=True)
        assert (reply.status, [error["pointer"] for error in reply.json["errors"]]) == (422, [pointer])
    nothing = await batch(admin, {"method": "UPDATE", "id": (await book(admin, library.home.project, "same"))["id"]})
    assert [item["status"] for item in nothing.json["items"]] == [422]


async def test_a_kind_has_only_its_own_methods_in_batches(library: Library) -> None:
    stamp = {"method": "CREATE", "body": {"name": "once", "organization_id": library.home.organization, "spec": {}}}
    done = await batch(library.home.admin, stamp, {"method": "DELETE", "id": "once"}, path=STAMPS)
    assert [item["status"] for item in done.json["items"]] == [201, 422]
    assert done.json["items"][1]["problem"]["detail"] == "items/1: stamps cannot be deleted."


async def test_the_last_admin_stays_whatever_else_a_batch_does(library: Library) -> None:
    """What may take the last admin away is judged item by item, so the others go on."""
    api = library.api
    gone = [await user(api, f"batch-gone-{n}") for n in range(2)]
    me = (await api.admin.get("admin/users/admin")).json["id"]
    items = [{"method": "DELETE", "id": id} for id in (gone[0], me, gone[1])]
    done = await batch(api.admin, *items, path="admin/users")
    assert [item["status"] for item in done.json["items"]] == [204, 409, 204]
    assert (await api.admin.get(f"admin/users/{me}")).json["deleted_at"] is None
    assert (await batch(api.admin, items[1], path="admin/users", atomic=True)).status == 409


async def test_validating_a_batch_changes_nothing(library: Library) -> None:
    present = await names(library.home.admin)
    tried = await batch(library.home.admin, draft(library, "tried"), params={"validate_only": "true"})
    assert [item["status"] for item in tried.json["items"]] == [201]
    assert await names(library.home.admin) == present
