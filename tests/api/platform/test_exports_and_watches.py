"""Exports and watches: all that the caller may see and nothing else, each once, and safe to open."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from api.kernel.kinds import export, watch
from api.kernel.storage import store
from api.kernel.tables import RESOURCE
from tests.api.admin.tenants import tenant
from tests.api.platform.conftest import Library
from tests.api.platform.library import BOOKS, SHELVES, book, patch, reader
from tests.api_process import Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def exported(caller: Caller, **query: str) -> list[dict[str, str]]:
    reply = await caller.get(f"{BOOKS}:export", params=query | {"format": "csv"})
    assert reply.status == 200, reply.response.text
    return list(csv.DictReader(io.StringIO(reply.response.text)))


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
async def test_no_cell_is_a_formula(library: Library, begin: str) -> None:
    made = await book(library.home.admin, library.home.project, f"formula-{ord(begin)}", title="=1+1")
    with library.api.database.read() as connection:
        stored = store.find_any(connection, made["id"])
    assert stored is not None
    text = export._lines([replace(stored, created_by=f"{begin}1+1")], export.ExportFormat.CSV, header=True).decode()
    header, cells = csv.reader(io.StringIO(text, newline=""))
    reported = dict(zip(header, cells, strict=True))
    assert reported["created_by"] == f"'{begin}1+1"
    assert reported["deleted_at"] == "", "nothing is an empty cell"
    assert (reported["id"], reported["name"], json.loads(reported["spec"])) == (made["id"], made["name"], made["spec"])


async def test_every_page_of_an_export_follows_one_header(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_PAGE_SIZE", 2)
    admin = library.home.admin
    for count in (1, 2, 3, 4, 5):
        made = await book(admin, library.home.project, f"page-{count}", labels={"of": "page"})
        rows = await exported(admin, filter='labels["of"] == "page"')
        assert [row["name"] for row in rows] == [f"page-{n}" for n in range(1, count + 1)]
        lines = await admin.get(f"{BOOKS}:export", params={"filter": 'labels["of"] == "page"'})
        found = [json.loads(line) for line in lines.response.text.splitlines()]
        assert ([one["name"] for one in found], found[-1]) == ([row["name"] for row in rows], made)
    assert await exported(admin, filter='name == "none"') == []


async def test_an_export_holds_what_the_list_shows(library: Library) -> None:
    api, admin, project = library.api, library.home.admin, library.home.project
    displayed, hidden, gone = [
        await book(admin, project, name, labels={"seen": seen})
        for name, seen in (("a1", "yes"), ("a2", "no"), ("a3", "yes"))
    ]
    assert (await admin("DELETE", f"{BOOKS}/{gone['id']}")).status == 204
    condition = {"condition": 'labels.seen == "yes"'}
    permissions = ("library.book.get", "library.book.export", "library.book.list")
    ada = await reader(api, library.home, "export-ada", *permissions, **condition)
    for deleted, expected in (("false", {displayed["id"]}), ("true", {displayed["id"], gone["id"]})):
        listed = (await ada.get(BOOKS, params={"show_deleted": deleted, "total": "true"})).json
        assert {item["id"] for item in listed["items"]} == expected
        assert listed["total_size"] == len(expected)
        assert {row["id"] for row in await exported(ada, show_deleted=deleted)} == expected
    assert hidden["id"] in {row["id"] for row in await exported(admin)}
    counted = (await ada.get(BOOKS, params={"filter": 'name == "none"', "total": "true"})).json
    assert (counted["items"], counted["total_size"]) == ([], 0)
    assert (await ada.get(BOOKS)).json["total_size"] is None


async def test_what_happened_to_a_thing_in_another_organization_is_not_told(library: Library) -> None:
    new, after = await tenant(library.api, "watchnew"), library.api.last_sequence()
    element = await book(library.home.admin, library.home.project, "moving")
    with library.api.database.write() as connection:
        values = {"organization_id": new.organization, "project_id": new.project, "scope_id": new.project}
        connection.execute(RESOURCE.update().where(RESOURCE.c.id == element["id"]).values(**values))
    assert (await patch(new.admin, element["id"], {"labels": {"a": "b"}})).status == 200
    _, reported = await new.admin.stream(f"{BOOKS}:watch", 2, after=str(after))
    assert (reported["data"]["id"], reported["data"]["type"]) == (element["id"], "library.book.updated")


async def test_a_watch_passes_over_what_the_caller_may_not_see(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_MAX_EVENTS", 2)
    monkeypatch.setattr(watch, "_POLL_SECONDS", 0)
    api, admin, project = library.api, library.home.admin, library.home.project
    ada = await reader(
        api, library.home, "watch-ada", "library.book.get", "library.book.watch", condition='labels.watched == "yes"'
    )
    after = api.last_sequence()
    for n in range(5):
        await book(admin, project, f"unseen-{n}")
    await made_elsewhere(admin, project)
    seen = await book(admin, project, "seen", labels={"watched": "yes"})
    assert (await api.viewer.post(f"{BOOKS}/{seen['id']}:print")).status in (403, 404)
    assert (await patch(admin, seen["id"], {"spec": {"title": "late"}})).status == 409
    assert (await admin("DELETE", f"{BOOKS}/{seen['id']}")).status == 204
    begun, created, deleted = await ada.stream(f"{BOOKS}:watch", 3, after=str(after))
    assert begun["data"] == {"after": after}
    assert [event["data"]["type"] for event in (created, deleted)] == ["library.book.created", "library.book.deleted"]
    assert {event["data"]["id"] for event in (created, deleted)} == {seen["id"]}
    assert {event["data"]["by"] for event in (created, deleted)} == {"home-admin"}
    assert deleted["data"]["resource"]["deleted_at"] is not None


async def made_elsewhere(admin: Caller, project: str) -> None:
    """A thing of another kind, which no watch of books tells of."""
    body = {"name": "elsewhere", "project_id": project, "spec": {}, "labels": {"watched": "yes"}}
    assert (await admin.post(SHELVES, body)).status == 201


async def test_a_watch_goes_on_after_the_last_event_that_was_seen(library: Library) -> None:
    admin, project = library.home.admin, library.home.project
    after = library.api.last_sequence()
    first, second = [await book(admin, project, name) for name in ("first", "second")]
    _, reported, later = await admin.stream(f"{BOOKS}:watch", 3, after=str(after))
    assert [reported["data"]["id"], later["data"]["id"]] == [first["id"], second["id"]]
    # What a client sends of itself after a break counts more than the address it began with.
    begun, again = await admin.stream(f"{BOOKS}:watch", 2, after=str(after), last_event_id=reported["id"])
    assert (begun["data"]["after"], again) == (int(reported["id"]), later)


@pytest.mark.parametrize("wrong", ["x", "-1", "1.5", "99999999999999999999"])
async def test_an_event_id_that_is_not_ours_is_refused(library: Library, wrong: str) -> None:
    reply = await library.home.admin.get(f"{BOOKS}:watch", headers={"last-event-id": wrong})
    assert (reply.status, reply.json["detail"]) == (400, "Last-Event-ID is not an id of this stream.")
