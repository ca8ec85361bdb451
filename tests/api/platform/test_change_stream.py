"""The stream of changes: current, complete, cheap, and nothing in it that the lists of its reader do not show."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AsyncExitStack
from typing import Any

import pytest

from api.kernel.changes import feed
from api.kernel.changes.feed import Feed
from api.kernel.kinds import streams
from api.kernel.tables import OPERATION, RESOURCE
from core.ports import AssetState, Staleness
from core.runs import RunStatus
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api.operations.materializations import ASSET, materialize, rows
from tests.api.platform.change_streams import PATH, listening
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator

pytestmark = pytest.mark.effect("operations_watch_changes")


async def group(caller: Caller, name: str, organization: str = "default") -> str:
    body = {"name": name, "organization_id": organization, "spec": {"title": "A secret title"}}
    return str((await made(caller.post("admin/groups", body)))["id"])


@on_both
async def test_a_change_is_told_once_with_its_place_and_without_its_content(api: Api) -> None:
    async with listening(api.admin) as listener:
        assert (await listener.next())["event"] == "started"
        id = await group(api.admin, "readers")
        event = await listener.next()
        sequence = api.events(subject=id)[-1]["sequence"]
        assert event["event"] == "changed"
        item = {"kind": "admin.group", "id": id, "sequence": sequence}
        assert item in event["data"]["items"]
        assert int(event["id"]) >= sequence
        assert "secret" not in str(event)


@on_both
async def test_nothing_of_another_organization_is_told(api: Api) -> None:
    first, second = await tenant(api, "first"), await tenant(api, "second")
    async with listening(first.admin, after="0") as listener:
        hidden = await group(second.admin, "hidden", second.organization)
        visible = await group(first.admin, "visible", first.organization)
        found = await listener.until(visible)
    assert {hidden, second.project, second.organization, second.admin_id}.isdisjoint({item["id"] for item in found})


@on_both
async def test_what_moved_to_another_organization_is_not_told_where_it_was(api: Api) -> None:
    first, second = await tenant(api, "first"), await tenant(api, "second")
    after = api.last_sequence()
    moved = await group(first.admin, "moved", first.organization)
    with api.database.write() as connection:
        values = {"organization_id": second.organization, "scope_id": second.organization}
        connection.execute(RESOURCE.update().where(RESOURCE.c.id == moved).values(**values))
    for one in (first, second):
        async with listening(one.admin, after=str(after)) as listener:
            last = await group(one.admin, "last", one.organization)
            assert moved not in {item["id"] for item in await listener.until(last)}


@on_both
async def test_what_was_refused_changed_nothing(api: Api) -> None:
    id = await group(api.admin, "readers")
    async with listening(api.admin, after=str(api.last_sequence())) as listener:
        assert (await api.viewer("DELETE", f"admin/groups/{id}")).status == 403
        last = await group(api.admin, "last")
        assert id not in {item["id"] for item in await listener.until(last)}


@on_both
async def test_a_client_that_was_cut_off_gets_what_it_missed(api: Api) -> None:
    async with listening(api.admin) as listener:
        await listener.next()
        await group(api.admin, "first")
        last = (await listener.next())["id"]
    missed = await group(api.admin, "missed")
    async with listening(api.admin, last_event_id=last) as listener:
        assert (await listener.next())["data"]["after"] == int(last)
        assert missed in {item["id"] for item in (await listener.next())["data"]["items"]}


@on_both
async def test_a_client_that_is_too_far_behind_is_told_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_BEHIND", 2)
    for n in range(4):
        await group(api.admin, f"group-{n}")
    async with listening(api.admin, after="0") as listener:
        await listener.next()
        event = await listener.next()
    assert (event["data"]["incomplete"], event["data"]["items"]) == (True, [])
    assert event["data"]["after"] == api.last_sequence()


@pytest.mark.parametrize("wrong", ["x", "-1", "99999999999999999999"])
@on_both
async def test_an_event_id_that_is_not_ours_is_refused(api: Api, wrong: str) -> None:
    reply = await api.viewer.get(PATH, headers={"last-event-id": wrong})
    assert (reply.status, reply.reason) == (400, "INVALID_ARGUMENT")


@on_both
async def test_an_event_id_of_the_future_begins_now(api: Api) -> None:
    async with listening(api.admin, last_event_id=str(2**62)) as listener:
        assert (await listener.next())["data"]["after"] == api.last_sequence()


@on_both
async def test_the_stream_of_a_revoked_session_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CHECK_SECONDS", 0.1)
    id = await user(api, "ada")
    await grant(api, id, "rol_admin", "platform")
    ada = api.caller("ada")
    async with listening(ada) as listener:
        await listener.next()
        await made(api.admin.post(f"admin/users/{id}:suspend", {}))
        await asyncio.wait_for(listener.ended.wait(), 30)
        while (event := await listener.next())["event"] != "error":
            assert not event["data"]["items"] or event["event"] == "changed"
        assert event["data"]["status"] == 401


@on_both
async def test_a_right_that_was_removed_shows_nothing_more(api: Api) -> None:
    id = await user(api, "ada")
    right = await grant(api, id, "rol_admin", "default")
    async with listening(api.caller("ada")) as listener:
        await listener.next()
        seen = await group(api.admin, "seen")
        await listener.until(seen)
        assert (await api.admin("DELETE", f"admin/grants/{right}")).status == 204
        await group(api.admin, "unseen")
        await grant(api, id, "rol_admin", "default")
        last = await group(api.admin, "last")
        assert last in {item["id"] for item in await listener.until(last)}
        # The group that was made in between is told neither then nor, because the stream went on, later.


@on_both
async def test_a_right_that_was_given_is_in_effect_at_once(api: Api) -> None:
    id = await user(api, "ada")
    async with listening(api.caller("ada")) as listener:
        await listener.next()
        await group(api.admin, "unseen")
        await grant(api, id, "rol_admin", "default")
        seen = await group(api.admin, "seen")
        await listener.until(seen)


@on_both
async def test_an_operation_is_told_to_whom_it_belongs(api: Api, orchestrator: FakeOrchestrator) -> None:
    other = await tenant(api, "other")
    async with listening(api.admin) as first, listening(other.admin) as second:
        operation = await materialize(api.editor)
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        found = await first.until(operation["id"])
        assert {item["kind"] for item in found} >= {"operations.operation"}
        last = await group(other.admin, "last", other.organization)
        assert {item["id"] for item in await second.until(last)}.isdisjoint({operation["id"], ASSET})


@on_both
async def test_the_progress_of_an_operation_is_told_to_whom_may_see_it(
    api: Api, orchestrator: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.05)
    other = await tenant(api, "other")
    async with listening(api.admin) as first, listening(other.admin) as second:
        operation = await materialize(api.editor, upstream=True)
        id = operation["id"]
        item = {"kind": "operations.operation", "id": id, "sequence": None}
        assert item in await first.until(id)
        for done in (1, 2):
            orchestrator.advance("run-1", done)
            assert item in await first.until(id)
            # An earlier state may be told late. The one that is stored is told in any case.
            while rows(api, OPERATION)[0]["done"] != done:
                assert item in await first.until(id)
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        while not [one for one in await first.until(id) if one["id"] == id and one["sequence"]]:
            pass
        assert rows(api, OPERATION)[0]["state"] == "SUCCEEDED"
        last = await group(other.admin, "last", other.organization)
        assert id not in {item["id"] for item in await second.until(last)}


@on_both
async def test_an_asset_with_a_new_state_is_told_to_whom_may_see_it(
    api: Api, orchestrator: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.05)
    other = await tenant(api, "other")
    async with listening(api.admin) as first, listening(other.admin) as second:
        await asyncio.sleep(0.3)  # the feed has read the graph once
        orchestrator.states[ASSET] = AssetState(Staleness.FRESH)
        found = await first.until(ASSET)
        assert {"kind": "ai_catalog.asset", "id": ASSET, "sequence": None} in found
        last = await group(other.admin, "last", other.organization)
        assert ASSET not in {item["id"] for item in await second.until(last)}


@on_both
async def test_one_user_has_a_few_streams_at_most(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_STREAMS", 2)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(listening(api.viewer))
        assert (await api.viewer.get(PATH)).reason == "TOO_MANY_REQUESTS"
        other = await stack.enter_async_context(listening(api.editor))
        assert other.status == 200
    async with listening(api.viewer) as again:
        assert again.status == 200


@on_both
async def test_all_streams_share_one_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.2)
    reads: list[Any] = []
    read = Feed._read

    async def counted(self: Feed, *arguments: Any) -> Any:
        reads.append(arguments)
        return await read(self, *arguments)

    monkeypatch.setattr(Feed, "_read", counted)
    async with AsyncExitStack() as stack:
        for caller in [api.viewer] * 4 + [api.editor] * 4:
            await stack.enter_async_context(listening(caller))
        reads.clear()
        await asyncio.sleep(1)
        assert len(reads) <= 6
    reads.clear()
    await asyncio.sleep(0.5)
    assert not reads, "no stream is open"
    assert api.database.after_commit.count(api.app.platform.part(Feed)._wake) == 0


@on_both
async def test_many_changes_of_one_thing_are_one(api: Api) -> None:
    id = await group(api.admin, "readers")
    after = api.last_sequence()
    for n in range(5):
        await made(api.admin("PATCH", f"admin/groups/{id}", json={"spec": {"title": f"Title {n}"}}))
    async with listening(api.admin, after=str(after)) as listener:
        await listener.next()
        items = (await listener.next())["data"]["items"]
    assert items == [{"kind": "admin.group", "id": id, "sequence": api.last_sequence()}]


@on_both
async def test_who_can_not_log_in_gets_no_stream(api: Api) -> None:
    assert (await api.anonymous.get(PATH)).status == 401


def test_a_change_has_no_content() -> None:
    assert {field.name for field in dataclasses.fields(feed.Changed)} == {
        *("number", "kind", "id", "sequence", "organization_id")
    }
