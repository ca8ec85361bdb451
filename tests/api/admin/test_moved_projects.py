"""After a move, neither organization can read of the other's people, and nothing reaches across.

The kind: a project changes hands, and what belongs to it (rights elsewhere, memberships, webhooks, owners, names in
history) still leads into the organization that it left. What either organization can read is found in the registry:
every list, item, part, export and event.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.kinds.endpoint import Answer, Shape
from api.kernel.kinds.registry import Registry
from api.kernel.operations import store as operations
from api.kernel.operations.store import OperationState, Origin
from api.kernel.permissions.projects import FORMER
from api.kernel.tables import MEMBER, OPERATION, RESOURCE
from api.main import SERVICES
from api.services.admin.logic import moving
from core import clock
from core.definitions import DEFINITION
from core.runs import Launch
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api.admin.test_projects import move
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller

READS = [
    one
    for one in Registry(SERVICES).endpoints
    if one.method == "GET" and not one.public and one.answer is not Answer.STREAM
]


@dataclass
class House:
    """An organization whose people have worked in its project."""

    tenant: Tenant
    people: list[str]
    """Ids and names of its users and groups."""

    bot: str = ""
    program: Caller | None = None
    ended: dict[str, Any] = field(default_factory=dict)
    """What a move of the project ends, as the preview names it."""


async def house(api: Api, name: str) -> House:
    one = await tenant(api, name)
    found = House(one, [one.admin_id, f"{name}-admin"])
    worker, team = await user(api, f"{name}-worker", one.organization), f"{name}-team"
    body = {"name": team, "organization_id": one.organization, "spec": {"title": "Team"}}
    group = (await made(one.admin.post("admin/groups", body)))["id"]
    found.people += [worker, f"{name}-worker", group, team]
    bot = {"name": "bot", "project_id": one.project, "spec": {"description": "Nightly"}}
    found.bot = (await made(one.admin.post("admin/service-accounts", bot)))["id"]
    change = {"labels": {"stage": "test"}, "owner": worker}
    await made(one.admin("PATCH", f"admin/service-accounts/{found.bot}", json=change))
    await made(one.admin("PATCH", f"admin/projects/{one.project}", json={"spec": {"description": "Ours"}}))
    key = await made(one.admin.post("admin/api-keys", {"label": "nightly", "principal_id": found.bot}))
    found.program = Caller(api.app, key["secret"])
    await made(one.admin.post(f"admin/groups/{group}:add-members", {"members": [found.bot]}))
    given = [
        await _given(one, worker, "rol_editor", one.project),
        await _given(one, group, "rol_viewer", one.project),
        await _given(one, found.bot, "rol_editor", one.organization),
    ]
    await _given(one, found.bot, "rol_viewer", one.project)
    hook = {"url": "https://hooks.example.org/a", "project_id": one.project}
    whole = {"name": f"{name}-hook", "organization_id": one.organization, "spec": hook}
    found.ended = {
        "lost_grants": sorted(given),
        "lost_memberships": [(group, found.bot)],
        "disabled_webhooks": [(await made(one.admin.post("admin/webhook-endpoints", whole)))["id"]],
        "blocked_definitions": [f"{name}_data.gold.ours"],
    }
    return found


async def _given(one: Tenant, holder: str, role: str, on: str) -> str:
    body = {"principal_id": holder, "role_id": role, "securable_id": on}
    return str((await made(one.admin.post("admin/grants", body)))["id"])


def fill_project(api: Api, one: House, name: str) -> None:
    """A live and a retired definition and an operation, as its admin would have made them."""
    now, admin = clock.now(), one.tenant.admin_id
    with api.database.write() as connection:
        for asset, retired in (("ours", {}), ("former", {"retired_at": now, "retired_by": f"{name}-admin"})):
            connection.execute(
                DEFINITION.insert().values(
                    asset_id=f"{name}_data.gold.{asset}",
                    project=f"{name}_data",
                    component="SqlTransformComponent",
                    attributes={},
                    published_component="SqlTransformComponent",
                    published_attributes={},
                    published_at=now,
                    published_by=f"{name}-admin",
                    published_by_id=admin,
                    published_reads=[],
                    revision=1,
                    created_at=now,
                    created_by=f"{name}-admin",
                    updated_at=now,
                    **retired,
                )
            )
        values: dict[str, Any] = {column.name: None for column in OPERATION.c}
        values |= {"id": f"op_{name}", "action": "ai_catalog.asset.materialize", "subject": f"{name}_data.gold.ours"}
        values |= {"organization_id": one.tenant.organization, "project_id": one.tenant.project}
        values |= {"principal": f"{name}-admin", "principal_id": admin, "request_id": "req", "executor": "LAUNCH"}
        values |= {"state": "SUCCEEDED", "assets": [], "partitions": [], "config": {}, "stages": 1, "stage": 1}
        values |= {"launched_stage": 1, "runs": [], "done": 1, "total": 1, "produced": []}
        connection.execute(OPERATION.insert().values(**values | {"created_at": now, "updated_at": now}))


async def everything(api: Api, caller: Caller) -> str:
    """All that a caller can read, by every reading operation of the registry."""
    ids: dict[str, set[str]] = {}
    texts: list[str] = []
    queries = ({}, {"show_deleted": "true"}, {"show_retired": "true"}, {"page_size": "1000"})
    for endpoint, query in itertools.product(READS, queries):
        if endpoint.shape not in (Shape.LIST, Shape.COLLECTION_READ):
            continue
        reply = await caller.get(endpoint.path, params=query)
        assert reply.status < 500, reply.response.text
        if reply.status == 200:
            texts.append(reply.response.text)
            if endpoint.shape is Shape.LIST:
                ids.setdefault(endpoint.kind.full_name, set()).update(item["id"] for item in reply.json["items"])
    assert len(ids) > 8, "the walk sees next to nothing"
    for endpoint in READS:
        for id in sorted(ids.get(endpoint.kind.full_name, ())) if endpoint.shape.on_item else ():
            parts = [str(n) for n in range(1, 8)] if endpoint.shape is Shape.PART_ITEM else [""]
            for part in parts:
                path = endpoint.path.replace(f"{{{endpoint.kind.name}}}", id).replace(f"{{{endpoint.part}}}", part)
                reply = await caller.get(path)
                assert reply.status < 500, reply.response.text
                if reply.status == 200:
                    texts.append(reply.response.text)
    return "\n".join(texts)


@on_both
@pytest.mark.effect("admin_move_project", "admin_preview_move_project")
async def test_neither_side_reads_of_the_others_people(api: Api) -> None:
    one, other = await house(api, "one"), await house(api, "other")
    fill_project(api, one, "one")
    reader = await user(api, "other-reader", other.tenant.organization)
    other.people += [reader, "other-reader"]
    audit = {"filter": f'subject == "{one.bot}"', "page_size": "1000"}
    before = (await made(one.tenant.admin.get("admin/audit-events", params=audit)))["items"]
    body = {"organization_id": other.tenant.organization}
    preview = await made(api.admin.post(f"admin/projects/{one.tenant.project}:preview-move", body))
    assert preview["movable"], preview
    previewed = {name: preview[name] for name in one.ended}
    previewed["lost_grants"] = sorted(row["grant_id"] for row in previewed["lost_grants"])
    previewed["lost_memberships"] = [(row["group_id"], row["member_id"]) for row in previewed["lost_memberships"]]
    assert previewed == one.ended
    operation = await move(api, one.tenant.project, other.tenant.organization)
    assert operation["state"] == "SUCCEEDED", operation
    result = operation["result"]
    assert sorted(result["revoked_grants"]) == previewed["lost_grants"]
    assert [tuple(pair) for pair in result["ended_memberships"]] == previewed["lost_memberships"]
    assert result["disabled_webhooks"] == previewed["disabled_webhooks"]
    assert result["blocked_definitions"] == previewed["blocked_definitions"]

    # A user who has rights on the project alone reads no more of its history than the organization does.
    await made(other.tenant.admin.post("admin/grants", _on(reader, one.tenant.project, "rol_admin")))
    await made(other.tenant.admin.post("admin/grants", _on(reader, one.bot, "rol_admin")))
    for caller in (other.tenant.admin, api.caller("other-reader")):
        text = await everything(api, caller)
        assert one.tenant.project in text
        assert one.bot in text
        assert [word for word in (*one.people, one.tenant.organization) if word in text] == []
    text = await everything(api, one.tenant.admin)
    assert [word for word in other.people if word in text] == []

    after = (await made(one.tenant.admin.get("admin/audit-events", params=audit)))["items"]
    assert after[-len(before) :] == before, "the former organization keeps the record of what it did"
    changed = await made(other.tenant.admin("PATCH", f"admin/service-accounts/{one.bot}", json={"labels": {"a": "b"}}))
    assert (changed["updated_by"], changed["owner"]) == ("other-admin", other.tenant.organization)
    history = (await made(other.tenant.admin.get(f"admin/service-accounts/{one.bot}/revisions")))["items"]
    assert [row["by"] for row in history] == ["other-admin", FORMER]
    assert history[1]["changes"] == []


@on_both
async def test_its_service_accounts_leave_everything_behind(api: Api) -> None:
    one, other = await house(api, "one"), await house(api, "other")
    elsewhere = await grant(api, one.bot, "rol_viewer", "platform")
    denied = await grant(api, one.bot, "admin.grant.*", "platform", effect="DENY")
    program = one.program
    assert program
    assert (await program.get(f"admin/organizations/{one.tenant.organization}")).status == 200
    await move(api, one.tenant.project, other.tenant.organization)
    # What a saga changes works within a second, as in any other process.
    while (reply := await program.get(f"admin/organizations/{one.tenant.organization}")).status == 200:
        await asyncio.sleep(0.05)
    assert reply.status == 401, "its key has ended"
    key = await made(other.tenant.admin.post("admin/api-keys", {"label": "new", "principal_id": one.bot}))
    program = Caller(api.app, key["secret"])
    assert (await program.get(f"admin/projects/{one.tenant.project}")).status == 200
    assert (await program.get(f"admin/organizations/{one.tenant.organization}")).status == 404
    assert (await program.get(f"admin/projects/{other.tenant.project}")).status == 404
    assert (await api.admin.get(f"admin/grants/{elsewhere}")).status == 404
    assert (await api.admin.get(f"admin/grants/{denied}")).status == 200
    with api.database.read() as connection:
        memberships = sa.select(MEMBER.c.group_id).where(MEMBER.c.member_id == one.bot)
        assert connection.execute(memberships).all() == []
        row = connection.execute(sa.select(DEFINITION.c.asset_id).where(DEFINITION.c.published_by_id == FORMER)).all()
        hooks = sa.select(RESOURCE.c.status).where(RESOURCE.c.id == one.ended["disabled_webhooks"][0])
        assert connection.execute(hooks).scalar_one()["state"] == "DISABLED"
    assert row == []
    removed = [one for one in api.events("admin.group.members_removed") if one["data"].get("action")]
    assert [json.dumps(event["data"]["removed"]) for event in removed] == [json.dumps([one.bot])]


async def test_who_had_it_sees_it_again_when_it_comes_back(api: Api) -> None:
    one, other = await house(api, "one"), await house(api, "other")
    await move(api, one.tenant.project, other.tenant.organization)
    await made(other.tenant.admin("PATCH", f"admin/service-accounts/{one.bot}", json={"labels": {"x": "theirs"}}))
    await move(api, one.tenant.project, one.tenant.organization)
    text = await everything(api, one.tenant.admin)
    assert "one-worker" in text
    assert [word for word in other.people if word in text] == []
    text = await everything(api, other.tenant.admin)
    assert [word for word in one.people if word in text] == []


def _on(holder: str, securable: str, role: str) -> dict[str, str]:
    return {"principal_id": holder, "securable_id": securable, "role_id": role}


@on_both
@pytest.mark.parametrize("state", list(OperationState))
async def test_a_move_waits_for_what_runs_in_the_project_and_for_nothing_else(api: Api, state: OperationState) -> None:
    one = await tenant(api, "one")
    origin = Origin("a.b.c", "x", "ada", "usr", "req", one.organization, one.project)
    with api.database.write() as connection:
        for id, project in (("op_in", one.project), ("op_self", one.project), ("op_out", "prj_other")):
            moved_origin = replace(origin, project_id=project)
            operations.insert(connection, id, Launch(("a.b.c",), ()), stages=1, origin=moved_origin)
        connection.execute(OPERATION.update().values(state=state.value))
    input = moving.ProjectMove(project_id=one.project, organization_id="org_other", state="ACTIVE")
    step: Any = SimpleNamespace(input=input, operation="op_self", platform=api.app.platform)
    assert list(moving._running(step)) == ([] if state.final else ["op_in"])
