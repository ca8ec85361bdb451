"""Histories: a reader sees every revision as it was, and none of another tenant."""

from __future__ import annotations

import pytest

from api.kernel.tables import RESOURCE
from tests.api.admin.tenants import made, tenant
from tests.api.platform.conftest import Library
from tests.api.platform.library import BOOKS, STAMPS, book, patch, reader

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_reading_one_needs_a_right_of_its_own_on_the_thing(library: Library) -> None:
    resource = await book(library.home.admin, library.home.project, "read")
    path = f"{BOOKS}/{resource['id']}/revisions"
    sees = await reader(library.api, library.home, "hist-sees", "library.book.get")
    blind = await reader(library.api, library.home, "hist-blind", "library.book.history")
    both = await reader(library.api, library.home, "hist-both", "library.book.get", "library.book.history")
    for url in (path, f"{path}/1"):
        assert [(await who.get(url)).status for who in (sees, blind, both)] == [403, 404, 200]


async def test_every_revision_is_the_thing_as_it_was(library: Library) -> None:
    admin = library.home.admin
    versions = [await book(admin, library.home.project, "then", labels={"a": "b"})]
    path = f"{BOOKS}/{versions[0]['id']}"
    for change in ({"spec": {"title": "Second"}}, {"name": "then-renamed", "labels": {"a": None}}):
        versions.append((await patch(admin, versions[0]["id"], change)).json)
    versions.append((await admin.post(f"{path}:print")).json)
    assert (await admin("DELETE", path)).status == 204
    for version in versions:
        reply = await admin.get(f"{path}/revisions/{version['version']}")
        assert reply.json == version
        assert reply.headers["etag"] == version["etag"]
    deleted = (await admin.get(f"{path}/revisions/5")).json
    assert deleted["deleted_at"] == deleted["updated_at"] is not None
    for wrong in ("0", "6", "-1", "x", "1.0", "٣", "9" * 10, "99999999999999999999"):
        assert (await admin.get(f"{path}/revisions/{wrong}")).status == 404


async def test_revisions_tell_who_changed_what_newest_first_and_by_pages(library: Library) -> None:
    api, admin = library.api, library.home.admin
    resource = await book(admin, library.home.project, "told", title="One", size={"a/b~c": 1})
    path = f"{BOOKS}/{resource['id']}"
    change = {"name": "told-on", "spec": {"size": {"a/b~c": 2, "d": 1}}, "labels": {"l": "m"}}
    assert (await api.admin("PATCH", path, json=change)).status == 200
    newest, first = (await admin.get(f"{path}/revisions")).json["items"]
    assert (newest["version"], newest["by"], newest["action"]) == (2, "admin", "library.book.update")
    assert (first["version"], first["by"], first["action"]) == (1, "home-admin", "library.book.create")
    assert newest["changes"] == [
        {"pointer": "/labels/l", "before": None, "after": "m"},
        {"pointer": "/name", "before": "told", "after": "told-on"},
        {"pointer": "/spec/size/a~1b~0c", "before": 1, "after": 2},
        {"pointer": "/spec/size/d", "before": None, "after": 1},
    ]
    page = (await admin.get(f"{path}/revisions", params={"page_size": 1})).json
    rest = (await admin.get(f"{path}/revisions", params={"page_token": page["next_page_token"]})).json
    assert (page["items"], rest["items"], rest["next_page_token"]) == ([newest], [first], None)
    by = (await admin.get(f"{path}/revisions", params={"filter": 'by == "admin"'})).json["items"]
    assert by == [newest]


async def test_a_history_is_of_one_thing_and_its_kind(library: Library) -> None:
    admin, project = library.home.admin, library.home.project
    one, other = [await book(admin, project, f"apart-{n}") for n in range(2)]
    assert (await patch(admin, other["id"], {"labels": {"a": "b"}})).status == 200
    assert len((await admin.get(f"{BOOKS}/{one['id']}/revisions")).json["items"]) == 1
    stamp = {"name": "apart", "organization_id": library.home.organization, "spec": {"text": "x"}}
    await made(admin.post(STAMPS, stamp))
    assert len((await admin.get(f"{STAMPS}/apart/revisions")).json["items"]) == 1
    assert (await admin.get(f"{STAMPS}/{one['id']}/revisions")).status == 404
    assert (await admin.get(f"{BOOKS}/apart/revisions")).status == 404


async def test_what_another_tenant_did_before_it_moved_is_not_told(library: Library) -> None:
    new, resource = await tenant(library.api, "histnew"), await book(library.home.admin, library.home.project, "moved")
    path = f"{BOOKS}/{resource['id']}"
    with library.api.database.write() as connection:
        values = {"organization_id": new.organization, "project_id": new.project, "scope_id": new.project}
        connection.execute(RESOURCE.update().where(RESOURCE.c.id == resource["id"]).values(**values))
    assert (await patch(new.admin, resource["id"], {"labels": {"a": "b"}})).status == 200
    assert [one["version"] for one in (await new.admin.get(f"{path}/revisions")).json["items"]] == [2]
    assert [(await new.admin.get(f"{path}/revisions/{n}")).status for n in (1, 2)] == [404, 200]
