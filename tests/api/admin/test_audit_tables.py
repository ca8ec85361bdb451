"""The copy of the audit trail in the lakehouse: complete, never doubled, and true of any moment of the past."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.platform import open_tables
from api.services.admin.logic import audit_tables
from api.services.admin.logic.audit_tables import AuditTables
from core import clock
from core.audit import EVENTS, GRANTS, MEMBERS, RESOURCES
from core.errors import WriteConflict
from core.events import EVENT
from lakehouse.query import Query
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "answer-an-auditor.md").read_text()
WHO_COULD, WHAT_DID, LAST = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
PERMISSION = "admin.project.get"


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncIterator[Api]:
    async with running(tmp_path, FakeOrchestrator(), database_url=database_url) as started:
        yield started


def copied(api: Api) -> AuditTables:
    platform = api.app.platform
    return AuditTables(platform.database, platform.part(open_tables), platform.permissions)


def asked(api: Api, statement: str, **values: str) -> list[dict[str, Any]]:
    for name, value in values.items():
        statement = statement.replace(f"{{{name}}}", value)
    rows: list[dict[str, Any]] = Query(api.app.platform.part(open_tables)).sql(statement).table.to_pylist()
    return rows


def complete(api: Api) -> None:
    """Each event is in the copy once, with its own hash."""
    with api.database.read() as connection:
        rows = connection.execute(sa.select(EVENT.c.sequence, EVENT.c.hash).order_by(EVENT.c.sequence)).all()
    found = asked(api, f"SELECT sequence, hash FROM {EVENTS} ORDER BY sequence")
    assert [(row["sequence"], row["hash"]) for row in found] == [tuple(row) for row in rows]


class History:
    """Moments, and who could then see the project as the platform itself decided."""

    def __init__(self, api: Api, project: str) -> None:
        self.api = api
        self.project = project
        self.moments: list[tuple[datetime, set[str]]] = []

    async def note(self, *, later: timedelta = timedelta()) -> None:
        """Asks the platform now, or at a later time."""
        moment = clock.now() + later
        clock.freeze(lambda: moment)
        body = {"permission": PERMISSION, "securable_id": self.project, "page_size": 1000}
        reply = await made(self.api.admin.post("admin/decisions:list-subjects", body))
        clock.freeze(None)
        holders = {item["id"] for item in reply["items"] if item["id"][:3] in ("usr", "sva")}
        with self.api.database.read() as connection:
            active = connection.execute(sa.text("SELECT id FROM principal WHERE state = 'ACTIVE'")).scalars().all()
        self.moments.append((moment, holders & set(active)))

    def check(self) -> None:
        """The one query says the same of every moment."""
        for n, (moment, expected) in enumerate(self.moments):
            rows = asked(self.api, WHO_COULD, permission=PERMISSION, securable=self.project, moment=moment.isoformat())
            assert {row["id"] for row in rows} == expected, n
        assert len({frozenset(found) for _, found in self.moments}) > 5, "there was something to tell apart"


@on_both
async def test_who_could_read_it_at_any_moment_is_one_query(api: Api) -> None:
    acme = await tenant(api, "acme")
    history = History(api, acme.project)
    await history.note()
    ada, bob, eve = [await user(api, name, acme.organization) for name in ("ada", "bob", "eve")]
    body = {"organization_id": acme.organization}
    inner, outer = [
        (await made(api.admin.post("admin/groups", body | {"name": name, "spec": {"title": name}})))["id"]
        for name in ("inner", "outer")
    ]
    role = {"name": "looker", "organization_id": acme.organization, "spec": {"title": "x", "permissions": ["*.*.get"]}}
    looker = (await made(api.admin.post("admin/roles", role)))["id"]
    await history.note()
    direct = await grant(api, ada, looker, acme.project)
    await history.note()
    assert copied(api).catch_up() > 0, "what comes later is added to what is there"

    async def change(path: str, method: str = "POST", **body: Any) -> None:
        reply = await api.admin(method, path, json=body)
        assert reply.status < 300, reply.response.text
        await history.note()

    await change(f"admin/groups/{outer}:add-members", members=[inner])
    await change(f"admin/groups/{inner}:add-members", members=[bob])
    all_users = await grant(api, outer, "rol_viewer", acme.organization)
    await history.note()
    no = await grant(api, eve, PERMISSION, acme.project, effect="DENY")
    await change(f"admin/groups/{outer}:add-members", members=[eve])
    await change(f"admin/grants/{no}", "DELETE")
    await change(f"admin/roles/{looker}", "PATCH", spec={"permissions": ["admin.user.*"]})
    await change(f"admin/roles/{looker}", "PATCH", spec={"permissions": ["*"], "denied": ["admin.project.*"]})
    await change(f"admin/grants/{direct}", "DELETE")
    soon = (clock.now() + timedelta(minutes=10)).isoformat()
    await grant(api, ada, PERMISSION, acme.project, expires_at=soon)
    await history.note()
    await change("admin/users/bob:suspend")
    await change("admin/users/bob:activate")
    await change(f"admin/groups/{inner}:remove-members", members=[bob])
    await change(f"admin/groups/{inner}:add-members", members=[bob])
    await change(f"admin/groups/{inner}", "DELETE")
    await change(f"admin/groups/{inner}:restore")
    await change("admin/users/eve", "DELETE")
    await change(f"admin/grants/{all_users}", "DELETE")
    await history.note(later=timedelta(minutes=11))
    copied(api).catch_up()
    complete(api)
    history.check()
    rows = asked(api, WHAT_DID, principal=acme.admin_id, moment="2020-01-01T00:00:00+00")
    assert all(row["subject"] for row in rows)


class Dying:
    """A write of the lakehouse that ends its process: at odd points before it is done, at even ones after."""

    def __init__(self, point: int, write: Any) -> None:
        self.point = point
        self.write = write
        self.count = 0

    def __get__(self, tables: Any, owner: Any) -> Any:
        return partial(self, tables)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.count += 2
        if self.count - 1 == self.point:
            raise InterruptedError
        commit = self.write(*arguments, **options)
        if self.count == self.point:
            raise InterruptedError
        return commit


async def test_nothing_happened_nothing_is_written(api: Api) -> None:
    copied(api).catch_up()
    tables = api.app.platform.part(open_tables)
    before = {name: tables.snapshot(name).version for name in (EVENTS, GRANTS, MEMBERS, RESOURCES)}
    assert copied(api).catch_up() == 0
    assert {name: tables.snapshot(name).version for name in before} == before


async def test_ended_at_any_point_it_goes_on_without_loss_or_double(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_tables, "BATCH_SIZE", 3)
    for point in range(1, 40):
        await user(api, f"user{point}")
        with monkeypatch.context() as patch:
            patch.setattr(Tables, "_write", Dying(point, Tables._write))
            try:
                copied(api).catch_up()
            except InterruptedError:
                pass
            else:
                break
    else:
        pytest.fail("no point was beyond the end")
    assert point > 4
    complete(api)
    doubled = asked(api, f"SELECT id, version FROM {RESOURCES} GROUP BY ALL HAVING count(*) > 1")
    assert doubled == []
    names = {row["name"] for row in asked(api, f"SELECT name FROM {RESOURCES} WHERE kind = 'admin.user'")}
    assert {f"user{n}" for n in range(1, point + 1)} <= names


@on_both
async def test_two_at_once_add_nothing_twice(api: Api) -> None:
    copied(api).catch_up()
    for n in range(20):
        await user(api, f"user{n}")
    refused = []

    def run() -> None:
        try:
            copied(api).catch_up()
        except WriteConflict as error:
            refused.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) < 4
    copied(api).catch_up()
    complete(api)
    [last] = asked(api, LAST)
    assert last["last"] == last["rows"]
    assert last["hash"] == api.events()[-1]["hash"]


async def test_an_upgrade_that_gives_a_role_more_is_told(api: Api) -> None:
    platform = api.app.platform
    copied(api).catch_up()
    extra = {**platform.permissions, "new.thing.get": platform.permissions[PERMISSION]}
    assert AuditTables(platform.database, platform.part(open_tables), extra).catch_up() >= 1
    rows = asked(api, WHO_COULD, permission="new.thing.get", securable="platform", moment=clock.now().isoformat())
    assert "viewer" in {row["name"] for row in rows}
    assert AuditTables(platform.database, platform.part(open_tables), extra).catch_up() == 0


async def test_a_running_platform_copies_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path, FakeOrchestrator(), HEADWATER_AUDIT_MIRROR_SECONDS="1") as api:
        tables = api.app.platform.part(open_tables)
        async with asyncio.timeout(60):
            while not tables.exists(RESOURCES):
                await asyncio.sleep(0.1)
        name = "later"
        await user(api, name)
        async with asyncio.timeout(60):
            while not asked(api, f"SELECT id FROM {RESOURCES} WHERE name = '{name}'"):
                await asyncio.sleep(0.1)
