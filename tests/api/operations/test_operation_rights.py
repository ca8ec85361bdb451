"""Who sees, cancels and reads the logs of an operation: who began it, and who holds the right where it works."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from api.kernel.operations import launches
from api.kernel.operations.engine import Operations
from api.kernel.tables import IDEMPOTENCY, OPERATION
from core import clock
from core.errors import LaunchUnconfirmed
from core.runs import RunStatus
from tests.api.admin.tenants import grant, user
from tests.api.both_databases import on_both
from tests.api.operations.test_operations import ASSET, materialize, rows, seen
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator
from tests.sagas import later


async def projects(api: Api) -> tuple[str, str]:
    """The project of the assets of the orchestrator, and another one."""
    made = []
    for name in ("flights", "elsewhere"):
        reply = await api.admin.post("admin/projects", {"name": name, "spec": {"title": name}})
        made.append(
            reply.json["id"] if reply.status == 201 else (await api.admin.get(f"admin/projects/{name}")).json["id"]
        )
    return made[0], made[1]


async def holding(api: Api, name: str, permissions: list[str], place: str) -> Caller:
    id = await user(api, name)
    for permission in permissions:
        await grant(api, id, permission, place)
    return api.caller(name)


async def test_each_verb_needs_its_right_where_the_operation_works(api: Api, orchestrator: FakeOrchestrator) -> None:
    """A right that is held elsewhere opens nothing here, and none opens without the right to know of it."""
    local, elsewhere = await projects(api)
    id = (await materialize(api.editor))["id"]
    orchestrator.log("run-1", "a line")
    calls = {"get": ("GET", ""), "logs": ("GET", "/logs"), "cancel": ("POST", ":cancel")}
    for verb, (method, tail) in calls.items():
        right = f"operations.operation.{verb}"
        blind = await holding(api, f"{verb}-blind", [right] if verb != "get" else [], local)
        abroad = await holding(api, f"{verb}-abroad", [right, "operations.operation.get"], elsewhere)
        sees = await holding(api, f"{verb}-sees", ["operations.operation.get"], local)
        half = await holding(api, f"{verb}-half", ["operations.operation.get"], local)
        await grant(api, (await api.admin.get(f"admin/users/{verb}-half")).json["id"], right, elsewhere)
        expected = {"get": (403, 404, 200, 200)}.get(verb, (404, 404, 403, 403))
        path = f"operations/{id}{tail}"
        assert tuple([(await who(method, path)).status for who in (blind, abroad, sees, half)]) == expected, verb
        assert (orchestrator.terminated, (await api.viewer.get(f"operations/{id}")).json["state"]) == ([], "RUNNING")
    orchestrator.end("run-1", RunStatus.SUCCEEDED)
    reads = await holding(api, "reads", ["operations.operation.get", "operations.operation.logs"], local)
    assert "a line" not in (await reads.get(f"operations/{id}/logs")).response.text, "it can contain values of rows"
    for permission in ("ai_catalog.asset.get", "ai_catalog.asset.preview"):
        await grant(api, (await api.admin.get("admin/users/reads")).json["id"], permission, local)
    assert "a line" in (await reads.get(f"operations/{id}/logs")).response.text


@on_both
async def test_who_began_one_follows_it_without_any_right_to_others(api: Api, orchestrator: FakeOrchestrator) -> None:
    local, elsewhere = await projects(api)
    rights = ["ai_catalog.asset.get", "ai_catalog.asset.materialize"]
    ada = await holding(api, "ada", rights, local)
    await grant(api, (await api.admin.get("admin/users/ada")).json["id"], "operations.operation.*", elsewhere)
    owned, other = (await materialize(ada))["id"], (await materialize(api.editor))["id"]
    orchestrator.end("run-1", RunStatus.SUCCEEDED)
    await seen(api, owned, lambda now: now["state"] == "SUCCEEDED")
    assert [item["id"] for item in (await ada.get("operations")).json["items"]] == [owned]
    assert [item["id"] for item in (await api.viewer.get("operations")).json["items"]] == [other, owned]
    for tail in ("", "/logs"):
        assert (await ada.get(f"operations/{owned}{tail}")).status == 200
        assert (await ada.get(f"operations/{other}{tail}")).status == 404
    assert (await ada.post(f"operations/{owned}:cancel")).status == 200
    bob = await holding(api, "bob", ["operations.operation.list"], elsewhere)
    assert (await bob.get("operations")).json["items"] == []


async def test_a_stream_of_logs_ends_with_the_right_to_it(api: Api, orchestrator: FakeOrchestrator) -> None:
    local, _ = await projects(api)
    id = (await materialize(api.editor))["id"]
    ada = await user(api, "ada")
    await grant(api, ada, "operations.operation.get", local)
    given = await grant(api, ada, "operations.operation.logs", local)
    await grant(api, ada, "ai_catalog.asset.*", local)
    orchestrator.log("run-1", "of ada")
    logs = orchestrator.logs

    async def revoking(run: str, *, after: str | None, limit: int) -> object:
        found = await logs(run, after=after, limit=limit)
        if after is None:
            assert (await api.admin("DELETE", f"/api/v1/admin/grants/{given}")).status == 204
            orchestrator.log(run, "of another")
        return found

    orchestrator.logs = revoking  # type: ignore[assignment]
    events = await api.caller("ada").events(f"operations/{id}/logs")
    assert [event["data"]["message"] for event in events if event["event"] == "log"] == ["of ada"]
    assert (events[-1]["event"], events[-1]["data"]["status"] in (401, 403, 404)) == ("error", True)


async def test_who_sees_it_succeed_sees_the_versions_it_made(api: Api, orchestrator: FakeOrchestrator) -> None:
    """The view of the graph is brought up to date before the operation is written as ended."""
    refreshed: list[tuple[tuple[str, ...], str]] = []

    async def refresh(assets: object = ()) -> None:
        refreshed.append((tuple(assets), rows(api, OPERATION)[0]["state"]))  # type: ignore[call-overload]

    orchestrator.refresh = refresh  # type: ignore[method-assign]
    id = (await materialize(api.editor))["id"]
    orchestrator.end("run-1", RunStatus.SUCCEEDED, versions={ASSET: "new@7"})
    await seen(api, id, lambda now: now["state"] == "SUCCEEDED")
    assert ((ASSET,), "RUNNING") in refreshed


async def test_a_launch_that_nobody_confirmed_is_given_time(api: Api, orchestrator: FakeOrchestrator) -> None:
    orchestrator.refusal = LaunchUnconfirmed("no answer")
    id = (await materialize(api.editor))["id"]
    operations = api.app.platform.part(Operations)

    async def looked(moment: timedelta) -> str:
        with later(seconds=moment.total_seconds()):
            row = await operations.stored(id)
            return str((await operations._launches._observe(row)).state)

    assert await looked(timedelta()) == "PENDING"
    assert await looked(launches.UNSTARTED_AFTER - timedelta(seconds=5)) == "PENDING"
    assert await looked(launches.UNSTARTED_AFTER + timedelta(seconds=5)) == "FAILED"
    assert (await operations.stored(id)).error is not None


async def test_a_cancelled_launch_that_never_began_ends_as_cancelled(api: Api, orchestrator: FakeOrchestrator) -> None:
    orchestrator.refusal = LaunchUnconfirmed("no answer")
    id = (await materialize(api.editor))["id"]
    await api.editor.post(f"operations/{id}:cancel")
    operations = api.app.platform.part(Operations)
    with later(seconds=60):
        ended = await operations._launches._observe(await operations.stored(id))
    assert (ended.state, ended.error) == ("CANCELED", None)


@on_both
async def test_old_operations_and_keys_are_forgotten_and_no_others(api: Api, orchestrator: FakeOrchestrator) -> None:
    ids = []
    for number in range(3):
        headers = {"idempotency-key": f"k{number}"}
        reply = await api.editor.post(f"ai-catalog/assets/{ASSET}:materialize", {}, headers=headers)
        ids.append(reply.json["id"])
        orchestrator.end(f"run-{number + 1}", RunStatus.SUCCEEDED)
        await seen(api, ids[-1], lambda now: now["state"] == "SUCCEEDED")
    now = clock.now()
    with api.database.write() as connection:
        for id, age in zip(ids, (timedelta(days=31), timedelta(days=29), timedelta()), strict=True):
            connection.execute(OPERATION.update().where(OPERATION.c.id == id).values(finished_at=now - age))
        for key, age in (("k0", timedelta(hours=25)), ("k1", timedelta(hours=23))):
            connection.execute(IDEMPOTENCY.update().where(IDEMPOTENCY.c.key == key).values(created_at=now - age))
    await api.app.platform.part(Operations)._purge()
    assert sorted(row["id"] for row in rows(api, OPERATION)) == sorted(ids[1:])
    assert sorted(row["key"] for row in rows(api, IDEMPOTENCY)) == ["k1", "k2"]


@on_both
async def test_a_run_that_did_not_hear_the_cancel_is_told_again(api: Api, orchestrator: FakeOrchestrator) -> None:
    id = (await materialize(api.editor))["id"]
    with api.database.write() as connection:
        connection.execute(sa.update(OPERATION).values(cancel_requested_at=clock.now(), state="CANCELING"))
    ended = await seen(api, id, lambda now: now["finished_at"] is not None)
    assert (ended["state"], orchestrator.terminated) == ("CANCELED", ["run-1"])
