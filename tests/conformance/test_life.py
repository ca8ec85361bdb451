"""The life of a thing of every stored kind, by all standard methods, on both databases."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from api.kernel.kinds.resource import Level
from api.kernel.kinds.resource_kind import ResourceKind
from api.services.admin.kinds.project import PROJECT
from tests.api_process import Api, Reply, running
from tests.conformance.examples import DRAFTS
from tests.conformance.operations import STORED
from tests.databases import new_database
from tests.orchestration import FakeOrchestrator

_NUMBERS = count()
OF_EACH_LEVEL = {(kind.service, kind.level): kind for kind in STORED}


def on_databases(postgresql: Iterable[ResourceKind[Any]]) -> pytest.MarkDecorator:
    """Every kind on SQLite, and these on PostgreSQL."""
    on_sqlite = [pytest.param("sqlite", kind, id=f"sqlite-{kind.full_name}") for kind in STORED]
    others = [
        pytest.param("postgresql", kind, marks=pytest.mark.slow, id=f"postgresql-{kind.full_name}")
        for kind in postgresql
    ]
    return pytest.mark.parametrize(("started", "kind"), [*on_sqlite, *others], indirect=["started"])


every_kind = on_databases(STORED)
standard = on_databases(OF_EACH_LEVEL.values())
"""For methods whose SQL says nothing of the kind: the kernel wrote it alike for all kinds of a level."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    with ExitStack() as stack:
        url = ""
        if request.param == "postgresql":
            url = stack.enter_context(new_database(request.getfixturevalue("postgresql")))
        async with running(tmp_path_factory.mktemp("home"), FakeOrchestrator(), database_url=url) as api:
            yield api


class StoredKind:
    """The things of one kind, through the API."""

    def __init__(self, api: Api, kind: ResourceKind[Any]) -> None:
        self.api = api
        self.kind = kind
        self.path = f"{kind.service.replace('_', '-')}/{kind.plural}"
        self.spec, self.change = DRAFTS[kind.full_name]
        self.project: str | None = None

    def draft(self) -> dict[str, Any]:
        return {
            "name": f"thing{next(_NUMBERS)}",
            "labels": {"of": "life"},
            "spec": self.spec,
            "project_id": self.project,
        }

    async def create(self) -> dict[str, Any]:
        return self.fits(await self.api.admin.post(self.path, self.draft()), 201)

    def fits(self, reply: Reply, status: int = 200) -> dict[str, Any]:
        """The thing in an answer, which has every field that was declared and no other."""
        assert reply.status == status, reply.response.text
        self.kind.model.model_validate_json(reply.response.content)
        created_one: dict[str, Any] = reply.json
        assert reply.headers["etag"] == created_one["etag"]
        return created_one

    async def listed(self, **query: Any) -> list[str]:
        reply = await self.api.admin.get(self.path, params=query)
        assert reply.status == 200, reply.response.text
        return [item["id"] for item in reply.json["items"]]

    def events(self, id: str) -> list[str]:
        """What the audit trail says was done to it, oldest first."""
        return [event["type"].rpartition(".")[2] for event in self.api.events(subject=id)]


@pytest_asyncio.fixture(loop_scope="module")
async def stored_kind(api: Api, kind: ResourceKind[Any]) -> StoredKind:
    found = StoredKind(api, kind)
    if kind.level is Level.PROJECT:
        found.project = (await StoredKind(api, PROJECT).create())["id"]
    return found


@pytest.mark.standard("create", "get", "list", "update", "delete", "history", "restore")
@every_kind
async def test_from_creation_to_restoration(stored_kind: StoredKind) -> None:
    admin = stored_kind.api.admin
    made = await stored_kind.create()
    id, name = made["id"], made["name"]
    one = f"{stored_kind.path}/{id}"
    assert (made["version"], made["generation"], made["created_by"], made["deleted_at"]) == (1, 1, "admin", None)
    assert made["spec"].items() >= stored_kind.spec.items()
    assert stored_kind.fits(await admin.get(one)) == made
    assert await stored_kind.listed(filter=f'name == "{name}" && labels["of"] == "life"') == [id]

    changed = stored_kind.fits(
        await admin("PATCH", one, json={"spec": stored_kind.change, "labels": {"of": None, "x": "y"}})
    )
    assert changed["spec"] == made["spec"] | stored_kind.change
    assert (changed["labels"], changed["version"], changed["generation"]) == ({"x": "y"}, 2, 2)
    assert changed["etag"] != made["etag"]
    assert await stored_kind.listed(filter=f'name == "{name}" && labels["of"] == "life"') == []

    history = (await admin.get(f"{one}/revisions")).json["items"]
    assert [(revision["version"], revision["by"]) for revision in history] == [(2, "admin"), (1, "admin")]
    assert all(field in json.dumps(history[0]["changes"]) for field in stored_kind.change)
    first = (await admin.get(f"{one}/revisions/1")).json
    assert (first["spec"], first["labels"]) == (made["spec"], made["labels"])
    assert (await admin.get(f"{one}/revisions/3")).status == 404

    assert (await admin("DELETE", f"/api/v1/{one}")).status == 204
    assert (await admin.get(one)).status == 404
    assert (await admin("PATCH", one, json={"spec": stored_kind.change})).status == 404
    assert await stored_kind.listed(filter=f'name == "{name}"') == []
    assert await stored_kind.listed(filter=f'name == "{name}"', show_deleted="true") == [id]
    assert len((await admin.get(f"{one}/revisions")).json["items"]) == 3, "what is gone still has its history"

    back = stored_kind.fits(await admin.post(f"{one}:restore"))
    assert (back["spec"], back["labels"], back["deleted_at"]) == (changed["spec"], changed["labels"], None)
    assert stored_kind.fits(await admin.get(one)) == back
    assert (await admin.post(f"{one}:restore")).status in (404, 409)
    succeeded = [event for event in stored_kind.api.events(subject=id) if event["data"]["outcome"] == "succeeded"]
    types = [event["type"].rpartition(".")[2] for event in succeeded]
    assert types == ["created", "updated", "deleted", "restored"], "each once"


@pytest.mark.standard("update", "delete")
@standard
async def test_only_what_was_seen_is_changed(stored_kind: StoredKind) -> None:
    made = await stored_kind.create()
    one, stale = f"{stored_kind.path}/{made['id']}", {"if-match": made["etag"]}
    changed = stored_kind.fits(
        await stored_kind.api.admin("PATCH", one, json={"spec": stored_kind.change}, headers=stale)
    )
    for method, options in (("PATCH", {"json": {"labels": {"a": "b"}}}), ("DELETE", {})):
        reply = await stored_kind.api.admin(method, one, headers=stale, **options)
        assert (reply.status, reply.reason) == (412, "PRECONDITION_FAILED")
    assert stored_kind.fits(await stored_kind.api.admin.get(one)) == changed
    assert (await stored_kind.api.admin("DELETE", one, headers={"if-match": changed["etag"]})).status == 204


@pytest.mark.standard("create", "update", "delete")
@standard
async def test_validating_changes_nothing(stored_kind: StoredKind) -> None:
    admin, check = stored_kind.api.admin, {"params": {"validate_only": "true"}}
    made = await stored_kind.create()
    one, draft = f"{stored_kind.path}/{made['id']}", stored_kind.draft()
    before = stored_kind.api.last_sequence()
    assert (await admin.post(stored_kind.path, draft, **check)).status == 201
    assert (await admin("PATCH", one, json={"spec": stored_kind.change}, **check)).status == 200
    assert (await admin("DELETE", one, **check)).status == 204
    refused = await admin.post(stored_kind.path, draft | {"spec": {"no_such_field": 1}}, **check)
    assert refused.status == 422
    assert stored_kind.fits(await admin.get(one)) == made
    assert await stored_kind.listed(filter=f'name == "{draft["name"]}"') == []
    assert stored_kind.api.events(after=before) == []


@pytest.mark.standard("create")
@standard
async def test_the_same_request_twice_is_done_once(stored_kind: StoredKind) -> None:
    draft, once = stored_kind.draft(), {"headers": {"idempotency-key": f"life-{next(_NUMBERS)}"}}
    first = await stored_kind.api.admin.post(stored_kind.path, draft, **once)
    again = await stored_kind.api.admin.post(stored_kind.path, draft, **once)
    assert (first.status, again.status, again.json) == (201, 201, first.json)
    assert again.headers["idempotency-replayed"] == "true"
    assert stored_kind.events(first.json["id"]) == ["created"]
    other = await stored_kind.api.admin.post(stored_kind.path, draft | {"labels": {}}, **once)
    assert (other.status, other.reason) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await stored_kind.api.admin.post(stored_kind.path, draft)).status == 409, (
        "without the key the name is taken"
    )


@pytest.mark.standard("batch")
@standard
async def test_a_batch_is_all_or_none_unless_it_says_otherwise(stored_kind: StoredKind) -> None:
    admin, kept_one, gone = stored_kind.api.admin, await stored_kind.create(), await stored_kind.create()
    fresh = stored_kind.draft()
    items = [
        {"method": "CREATE", "body": fresh},
        {"method": "UPDATE", "id": kept_one["id"], "if_match": kept_one["etag"], "body": {"spec": stored_kind.change}},
        {"method": "DELETE", "id": gone["id"]},
        {"method": "UPDATE", "id": "absent", "body": {"spec": stored_kind.change}},
    ]
    before = stored_kind.api.last_sequence()
    assert (await admin.post(f"{stored_kind.path}:batch", {"items": items})).status == 404
    assert await stored_kind.listed(filter=f'name == "{fresh["name"]}"') == []
    assert stored_kind.fits(await admin.get(f"{stored_kind.path}/{kept_one['id']}")) == kept_one
    assert [one for one in stored_kind.api.events(after=before) if one["data"]["outcome"] == "succeeded"] == []

    result = await admin.post(f"{stored_kind.path}:batch", {"items": items, "atomic": False})
    assert result.status == 200, result.response.text
    assert [item["status"] for item in result.json["items"]] == [201, 200, 204, 404]
    assert (result.json["failed"], result.json["items"][3]["problem"]["reason"]) == (1, "NOT_FOUND")
    created = result.json["items"][0]["id"]
    assert await stored_kind.listed(filter=f'name == "{fresh["name"]}"') == [created]
    changed = stored_kind.fits(await admin.get(f"{stored_kind.path}/{kept_one['id']}"))
    assert changed["spec"] == kept_one["spec"] | stored_kind.change
    assert changed["etag"] == result.json["items"][1]["etag"]
    assert (await admin.get(f"{stored_kind.path}/{gone['id']}")).status == 404
    done = [stored_kind.events(id)[-1] for id in (created, kept_one["id"], gone["id"])]
    assert done == ["created", "updated", "deleted"], "each has a separate event"


@pytest.mark.standard("export")
@standard
async def test_an_export_is_the_list(stored_kind: StoredKind) -> None:
    made = await stored_kind.create()
    query = {"filter": f'name == "{made["name"]}"'}
    lines = await stored_kind.api.admin.get(f"{stored_kind.path}:export", params=query)
    assert [json.loads(line) for line in lines.response.text.splitlines()] == [made]
    table = await stored_kind.api.admin.get(f"{stored_kind.path}:export", params=query | {"format": "csv"})
    (row,) = csv.DictReader(io.StringIO(table.response.text))
    assert (row["id"], row["name"], json.loads(row["spec"])) == (made["id"], made["name"], made["spec"])
    everything = (await stored_kind.api.admin.get(f"{stored_kind.path}:export")).response.text.splitlines()
    assert {json.loads(line)["id"] for line in everything} == set(await stored_kind.listed(page_size=1000))


@pytest.mark.standard("watch")
@standard
async def test_a_watch_goes_on_where_it_ended(stored_kind: StoredKind) -> None:
    after = stored_kind.api.last_sequence()
    made = await stored_kind.create()
    one = f"{stored_kind.path}/{made['id']}"
    changed = stored_kind.fits(await stored_kind.api.admin("PATCH", one, json={"spec": stored_kind.change}))
    _, created, updated = await stored_kind.api.admin.stream(f"{stored_kind.path}:watch", 3, after=str(after))
    assert [event["data"]["id"] for event in (created, updated)] == [made["id"]] * 2
    assert [event["data"]["type"].rpartition(".")[2] for event in (created, updated)] == ["created", "updated"]
    assert updated["data"]["resource"] == changed
    (_, later) = await stored_kind.api.admin.stream(f"{stored_kind.path}:watch", 2, after=created["id"])
    assert later == updated, "nothing is told twice, nothing left out"


@pytest.mark.standard("list")
@standard
async def test_pages_neither_repeat_nor_lose_what_was_there(stored_kind: StoredKind) -> None:
    ids = {(await stored_kind.create())["id"] for _ in range(5)}
    seen: list[str] = []
    query = {"page_size": 2, "order_by": "name desc"}
    while True:
        page = (await stored_kind.api.admin.get(stored_kind.path, params=query)).json
        seen += [item["id"] for item in page["items"]]
        if not page["next_page_token"]:
            break
        query["page_token"] = page["next_page_token"]
        made = await stored_kind.create()
        await stored_kind.api.admin("DELETE", f"{stored_kind.path}/{made['id']}")
    assert len(seen) == len(set(seen))
    assert ids <= set(seen)
