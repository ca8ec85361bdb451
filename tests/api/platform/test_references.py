"""References between stored things: to what the caller may see, and kept from being left without their target."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.tables import REFERENCE
from tests.api.admin.tenants import made, tenant
from tests.api.platform.conftest import Library
from tests.api.platform.library import BOOKS, SHELVES, book, patch, reader

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def shelf(library: Library, name: str, **extra: Any) -> str:
    body = {"name": name, "project_id": library.home.project, "spec": {}, **extra}
    return str((await made(library.home.admin.post(SHELVES, body)))["id"])


def edges(library: Library, id: str) -> list[tuple[str, str]]:
    with library.api.database.read() as connection:
        select = sa.select(REFERENCE.c.field, REFERENCE.c.to_id).where(REFERENCE.c.from_id == id)
        return [tuple(row) for row in connection.execute(select.order_by(REFERENCE.c.field, REFERENCE.c.to_id))]


async def test_what_is_referred_to_stays_until_nothing_alive_refers_to_it(library: Library) -> None:
    admin, project = library.home.admin, library.home.project
    target, other = await shelf(library, "used"), await shelf(library, "spare")
    first, second = [await book(admin, project, f"user-{n}", shelf=target) for n in range(2)]

    async def refused(by: set[str]) -> None:
        reply = await admin("DELETE", f"{SHELVES}/{target}")
        assert (reply.status, reply.json["metadata"]["field"]) == (409, "shelf")
        assert reply.json["metadata"]["used_by"] in by
        assert (await admin.get(f"{SHELVES}/{target}")).status == 200

    await refused({first["id"], second["id"]})
    # A change of something else keeps the reference; one of the reference takes it away.
    assert (await patch(admin, first["id"], {"labels": {"a": "b"}})).status == 200
    assert edges(library, first["id"]) == [("shelf", target)]
    assert (await patch(admin, second["id"], {"spec": {"shelf": other}})).status == 200
    assert edges(library, second["id"]) == [("shelf", other)]
    await refused({first["id"]})
    assert (await admin("DELETE", f"{BOOKS}/{first['id']}")).status == 204
    assert (await admin("DELETE", f"{SHELVES}/{target}")).status == 204, "who refers to it is deleted itself"
    assert (await admin("DELETE", f"{SHELVES}/{other}")).status == 409
    assert (await patch(admin, second["id"], {"spec": {"shelf": None}})).status == 200
    assert (edges(library, second["id"]), (await admin("DELETE", f"{SHELVES}/{other}")).status) == ([], 204)


async def test_lists_of_references_are_kept_each(library: Library) -> None:
    admin, project = library.home.admin, library.home.project
    a, b, c = [(await book(admin, project, f"list-{n}"))["id"] for n in range(3)]
    whole = await book(admin, project, "list-whole", also=[a, b])
    assert edges(library, whole["id"]) == [("also", id) for id in sorted((a, b))]
    assert (await patch(admin, whole["id"], {"spec": {"also": [b, c]}})).status == 200
    assert [(await admin("DELETE", f"{BOOKS}/{id}")).status for id in (a, b, c)] == [204, 409, 409]


async def test_only_what_the_caller_may_see_is_referred_to(library: Library) -> None:
    api, admin, project = library.api, library.home.admin, library.home.project
    seen, hidden = [await shelf(library, name, labels={"seen": name}) for name in ("yes", "no")]
    gone, of_another = await shelf(library, "gone", labels={"seen": "gone"}), await tenant(api, "refother")
    body = {"name": "theirs", "project_id": of_another.project, "spec": {}}
    theirs = (await made(of_another.admin.post(SHELVES, body)))["id"]
    assert (await admin("DELETE", f"{SHELVES}/{gone}")).status == 204
    wrong_kind = (await book(admin, project, "no-shelf", labels={"seen": "a book"}))["id"]
    ada = await reader(api, library.home, "ref-ada", "library.shelf.get", condition='labels["seen"] != "no"')
    extra = {"principal_id": (await api.admin.get("admin/users/ref-ada")).json["id"], "securable_id": project}
    for right in ("library.book.create", "library.book.update", "library.book.get", "admin.project.get"):
        await made(api.admin.post("admin/grants", extra | {"permission": right}))
    texts = set()
    for n, wrong in enumerate((hidden, gone, theirs, wrong_kind, "shf_none")):
        draft = {"name": f"ref-{n}", "project_id": project, "spec": {"shelf": wrong}}
        reply = await ada.post(BOOKS, draft)
        fault = {"pointer": "/spec/shelf", "detail": "is the id of no shelf that you may see"}
        assert (reply.status, reply.json["errors"]) == (422, [fault])
        texts.add(reply.json["detail"].replace(wrong, ""))
    assert len(texts) == 1, "what is hidden is answered like what is not there"
    owned = await book(ada, project, "ref-mine", shelf=seen)
    assert (await patch(ada, owned["id"], {"spec": {"shelf": hidden}})).status == 422
    assert edges(library, owned["id"]) == [("shelf", seen)]
    # What it refers to already is not asked for again.
    assert (await patch(admin, owned["id"], {"spec": {"shelf": hidden}})).status == 200
    assert (await patch(ada, owned["id"], {"labels": {"a": "b"}})).status == 200
    assert edges(library, owned["id"]) == [("shelf", hidden)]
