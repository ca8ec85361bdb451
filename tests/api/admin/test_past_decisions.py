"""Decisions as of a moment: what was answered then is answered of then, whatever has happened since."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.kernel.credentials.authentication import EPOCH_SECONDS
from core import clock
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller, Reply, running
from tests.orchestration import FakeOrchestrator

GET, UPDATE, READ = "admin.project.get", "admin.project.update", "ai_catalog.asset.get"
ASSET = "acme_data.silver.trips"
STEPS = 25


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        clock.freeze(lambda: self.now)

    def pass_by(self, seconds: float = 10) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Iterator[Time]:
    yield Time()
    clock.freeze(None)


@pytest.fixture
async def api(tmp_path: Path, database_url: str, time: Time) -> AsyncIterator[Api]:
    async with running(tmp_path, FakeOrchestrator(), database_url=database_url) as started:
        yield started


async def moved(api: Api, project: str, organization: str) -> int:
    """Moves a project, waits until each process knows, and returns the first status."""
    reply = await api.admin.post(f"admin/projects/{project}:move", {"organization_id": organization})
    if reply.status == 202:
        while (await api.admin.get(f"operations/{reply.json['id']}")).json["state"] in ("PENDING", "RUNNING"):
            await asyncio.sleep(0.02)
        await asyncio.sleep(EPOCH_SECONDS + 0.1)
    return reply.status


class World:
    """Two organizations, people and nested groups in them, a project that moves between them; and random changes."""

    def __init__(self, api: Api, time: Time, seed: int) -> None:
        self.api = api
        self.time = time
        self.random = random.Random(seed)
        self.done: dict[str, int] = {}

    async def build(self) -> None:
        api = self.api
        self.acme, self.globex = await tenant(api, "acme"), await tenant(api, "globex")
        self.users = [await user(api, name, self.acme.organization) for name in ("ada", "bob", "eve", "dan")]
        body = {"organization_id": self.acme.organization}
        self.groups = [
            (await made(api.admin.post("admin/groups", body | {"name": name, "spec": {"title": name}})))["id"]
            for name in ("inner", "middle", "outer")
        ]
        role = body | {"name": "looker", "spec": {"title": "x", "permissions": ["admin.project.*"]}}
        self.role = (await made(api.admin.post("admin/roles", role)))["id"]
        account = {"name": "robot", "project_id": self.acme.project, "spec": {}}
        self.robot = (await made(api.admin.post("admin/service-accounts", account)))["id"]
        self.project = self.acme.project
        self.holders = [*self.users, *self.groups, self.robot]
        self.grants: list[str] = []

    async def change(self) -> None:
        """Does something at random; what is refused changes nothing, either."""
        changes: list[Callable[[], Awaitable[int]]] = [
            *([self.give] * 5),
            *([self.revoke] * 3),
            *([self.join] * 4),
            *(self.leave, self.leave, self.group, self.write_role, self.account, self.label, self.move),
            *(self.home, self.person, self.revoke),
        ]
        chosen = self.random.choice(changes)
        if await chosen() < 300:
            self.done[chosen.__name__] = self.done.get(chosen.__name__, 0) + 1

    async def send(self, method: str, path: str, **body: Any) -> int:
        status = (await self.api.admin(method, f"admin/{path}", json=body)).status
        assert status < 500
        return status

    async def give(self) -> int:
        pick = self.random.choice
        on = pick([self.project, self.acme.organization, "platform", ASSET])
        extra: dict[str, Any] = {"effect": "DENY"} if self.random.random() < 0.25 else {}
        if self.random.random() < 0.3:
            extra["condition"] = pick(['labels.stage == "test"', 'labels.stage == "live"'])
        if self.random.random() < 0.3:
            extra["expires_at"] = (clock.now() + timedelta(seconds=pick([15, 40]))).isoformat()
        right = pick(["rol_viewer", "rol_editor", self.role, GET, "admin.*", "*"])
        body = {"principal_id": pick(self.holders), "securable_id": on, **extra}
        body |= {"permission": right} if "." in right or right == "*" else {"role_id": right}
        body |= {"securable_kind": "ai_catalog.asset"} if "." in on else {}
        reply = await self.api.admin.post("admin/grants", body)
        if reply.status == 201:
            self.grants.append(reply.json["id"])
        return reply.status

    async def revoke(self) -> int:
        if not self.grants:
            return 404
        return await self.send("DELETE", f"grants/{self.grants.pop(self.random.randrange(len(self.grants)))}")

    async def join(self) -> int:
        members = self.random.sample([*self.users, *self.groups], 2)
        return await self.send("POST", f"groups/{self.random.choice(self.groups)}:add-members", members=members)

    async def leave(self) -> int:
        members = self.random.sample([*self.users, *self.groups], 3)
        return await self.send("POST", f"groups/{self.random.choice(self.groups)}:remove-members", members=members)

    async def group(self) -> int:
        return await self.gone_or_back(f"groups/{self.random.choice(self.groups)}")

    async def person(self) -> int:
        return await self.gone_or_back(f"users/{self.random.choice(self.users)}")

    async def gone_or_back(self, path: str) -> int:
        status = await self.send("POST", f"{path}:restore")
        return status if status < 300 else await self.send("DELETE", path)

    async def write_role(self) -> int:
        pick = self.random.choice
        spec = {"permissions": pick([["*.*.get"], ["admin.*"]]), "denied": pick([[], [UPDATE], [GET]])}
        return await self.send("PATCH", f"roles/{self.role}", spec=spec)

    async def account(self) -> int:
        path = self.random.choice([*(f"users/{id}" for id in self.users), f"service-accounts/{self.robot}"])
        status = await self.send("POST", f"{path}:suspend")
        return status if status < 300 else await self.send("POST", f"{path}:activate")

    async def home(self) -> int:
        path = f"organizations/{self.acme.organization}"
        status = await self.send("POST", f"{path}:suspend")
        return status if status < 300 else await self.send("POST", f"{path}:activate")

    async def label(self) -> int:
        return await self.send(
            "PATCH", f"projects/{self.project}", labels={"stage": self.random.choice(["test", "live"])}
        )

    async def move(self) -> int:
        local = (await self.api.admin.get(f"admin/projects/{self.project}")).json["organization_id"]
        to = self.globex if local == self.acme.organization else self.acme
        return await moved(self.api, self.project, to.organization)

    async def answers(self, **as_of: str) -> list[Any]:
        """Returns all questions about all places and principals, with the answers."""
        asset = {"securable_id": ASSET, "securable_kind": "ai_catalog.asset"}
        places = [{"securable_id": id} for id in (self.project, self.acme.organization, "platform")]
        found = []
        for permission, place in [(GET, place) for place in (*places, asset)] + [(UPDATE, places[0]), (READ, asset)]:
            body = {"permission": permission, "page_size": 1000, **place, **as_of}
            reply = await self.api.admin.post("admin/decisions:list-subjects", body)
            found.append((reply.status, reply.json.get("items")))
        asked = [(id, GET, places[0]) for id in self.holders] + [(id, READ, asset) for id in self.holders[::3]]
        for principal, permission, place in asked:
            body = {"permission": permission, "principal_id": principal, **place, **as_of}
            reply = await self.api.admin.post("admin/decisions:explain", body)
            found.append((reply.status, {name: reply.json.get(name) for name in ("decision", "chain", "grants")}))
        checked = await self.api.admin.post("admin/decisions:check", body)
        return [*found, (checked.status, checked.json)]


@pytest.mark.parametrize(
    ("database_url", "seed"),
    [("sqlite", 1), pytest.param("postgresql", 2, marks=pytest.mark.slow)],
    indirect=["database_url"],
)
async def test_as_of_any_moment_the_answer_is_what_it_was(api: Api, time: Time, seed: int) -> None:
    world = World(api, time, seed)
    await world.build()
    moments = [(time.now, await world.answers())]
    for _ in range(STEPS):
        time.pass_by()
        await world.change()
        moments.append((time.now, await world.answers()))
    time.pass_by()
    for n, (moment, expected) in enumerate(moments):
        assert await world.answers(as_of=moment.isoformat()) == expected, (n, world.done)
    assert len({repr(answers) for _, answers in moments}) > 10, "there was something to tell apart"
    assert len(world.done) > 6, world.done


class Asked:
    """Questions about the past, as one caller asks them."""

    def __init__(self, caller: Caller, permission: str, on: str) -> None:
        self.caller = caller
        self.body = {"permission": permission, "securable_id": on}

    async def __call__(self, verb: str, moment: datetime, **body: str) -> Reply:
        asked = self.body | {"as_of": moment.isoformat()} | body
        return await self.caller.post(f"admin/decisions:{verb}", asked)


async def test_each_sees_of_the_past_what_was_in_his_own_organization(api: Api, time: Time) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    ada, eve = await user(api, "ada", one.organization), await user(api, "eve", other.organization)
    await grant(api, ada, GET, one.project)
    time.pass_by()
    before = time.now
    time.pass_by()
    stranger = Asked(other.admin, GET, one.project)
    assert (await stranger("list-subjects", before)).status == 404
    assert (await stranger("explain", before, principal_id=ada)).status == 404
    assert (await stranger("check", before, principal_id=ada)).json["reason"] == "UNKNOWN"
    assert (await Asked(api.caller("ada"), GET, one.project)("list-subjects", before)).status == 403
    own = await Asked(api.caller("ada"), GET, one.project)("explain", before)
    assert own.json["decision"]["reason"] == "GRANTED"
    assert "could then" in own.json["detail"]
    await moved(api, one.project, other.organization)
    admin_of_the_project = await user(api, "pia", other.organization)
    await grant(api, admin_of_the_project, "rol_admin", one.project)
    time.pass_by()
    for caller, id in ((other.admin, other.admin_id), (api.caller("pia"), admin_of_the_project)):
        asked = Asked(caller, GET, one.project)
        assert (await asked("list-subjects", before)).status in (403, 404), "its past is not theirs"
        assert (await asked("explain", before, principal_id=ada)).status in (403, 404)
        # Of the present they learn as much as they may see: pia sees only the own account.
        assert {item["id"] for item in (await asked("list-subjects", time.now)).json["items"]} >= {id}
    asked = Asked(one.admin, GET, one.project)
    assert {item["id"] for item in (await asked("list-subjects", before)).json["items"]} >= {ada, one.admin_id}
    assert (await asked("list-subjects", time.now)).status == 404, "its present is not theirs any more"
    assert (await asked("explain", before, principal_id=eve)).status == 404


async def test_the_documented_questions_are_answered(api: Api, time: Time) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "answer-an-auditor.md").read_text()
    listing, explaining = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    one = await tenant(api, "one")
    ada = await user(api, "ada", one.organization)
    given = await grant(api, ada, "rol_viewer", one.project)
    values = {"securable": one.project, "principal": ada, "moment": time.now.isoformat()}
    time.pass_by()
    assert (await api.admin("DELETE", f"admin/grants/{given}")).status == 204

    async def asked(verb: str, text: str) -> dict[str, Any]:
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return await made(one.admin.post(f"admin/decisions:{verb}", json.loads(text)))

    assert {"id": ada, "kind": "admin.user", "name": "ada"} in (await asked("list-subjects", listing))["items"]
    reported = await asked("explain", explaining)
    assert [(item["grant_id"], item["decides"]) for item in reported["grants"]] == [(given, True)]
    values["moment"] = time.now.isoformat()
    assert (await asked("explain", explaining))["decision"]["reason"] == "NO_GRANT"


@on_both
async def test_who_may_no_longer_ask_may_not_ask_about_when_he_could(api: Api, time: Time) -> None:
    one = await tenant(api, "one")
    ada = await user(api, "ada", one.organization)
    until = (time.now + timedelta(seconds=5)).isoformat()
    await grant(api, ada, "rol_admin", one.organization, expires_at=until)
    asked = Asked(api.caller("ada"), GET, one.project)
    before = time.now
    assert (await asked("list-subjects", before)).status == 200
    time.pass_by()
    assert (await asked("list-subjects", before)).status in (403, 404)


@on_both
async def test_a_moment_without_an_answer_is_refused(api: Api, time: Time) -> None:
    asked = Asked(api.admin, GET, "platform")
    for moment in (time.now + timedelta(seconds=1), time.now - timedelta(days=400)):
        for verb in ("check", "explain", "list-subjects"):
            reply = await asked(verb, moment)
            assert reply.status == 422
            assert reply.json["errors"][0]["pointer"] == "/as_of"
    assert "is before the first event" in reply.json["detail"]
    for text in ("2026-01-02T03:04:05", "yesterday", "1767323045"):
        body = {"permission": GET, "as_of": text}
        assert (await api.admin.post("admin/decisions:list-subjects", body)).status == 422
    time.pass_by()
    later = await user(api, "later")
    missing = await asked("explain", time.now - timedelta(seconds=1), principal_id=later)
    assert missing.status == 404, "the user did not exist yet"
    assert (await asked("explain", time.now, principal_id=later)).status == 200
