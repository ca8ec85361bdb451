"""Secrets: versions, uses, rotation, and that no output holds a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors import asking
from connectors.secrets import SECRET_VERSION
from core.db import METADATA
from core.errors import Unavailable
from tests.api.admin.tenants import made
from tests.api.both_databases import on_both
from tests.api.connections.conftest import Project
from tests.remote_postgresql import RemotePostgreSql

CANARY = "canary-7f3b-of-a-password"


@on_both
@pytest.mark.effect(
    "connections_put_version_secret", "connections_roll_back_secret", "connections_destroy_version_secret"
)
async def test_versions_are_put_rolled_back_and_destroyed(project: Project, remote: RemotePostgreSql) -> None:
    connection = await project.connection("orders", remote)
    secret = connection["spec"]["secrets"]["password"]
    path = f"connections/secrets/{secret}"
    editor = project.api.editor

    async def passes() -> bool:
        result = await made(editor.post(f"connections/connections/{connection['id']}:test", {}))
        return bool(result["passed"])

    assert await passes()
    changed = await made(editor.post(f"{path}:put-version", {"value": "another"}))
    assert changed["status"] == {"current_version": 2}
    assert not await passes()
    assert (await made(editor.post(f"{path}:roll-back", {"version": 1})))["status"] == {"current_version": 1}
    assert await passes()
    assert (await editor.post(f"{path}:destroy-version", {"version": 1})).status == 409
    await made(editor.post(f"{path}:destroy-version", {"version": 2}))
    assert (await editor.post(f"{path}:roll-back", {"version": 2})).status == 409
    assert (await editor.post(f"{path}:roll-back", {"version": 3})).status == 404
    versions = (await project.api.viewer.get(f"{path}/versions")).json["items"]
    assert [(one["version"], one["current"], one["destroyed_at"] is None) for one in versions] == [
        (2, False, False),
        (1, True, True),
    ]
    with project.api.database.read() as database:
        (row,) = database.execute(sa.select(SECRET_VERSION).where(SECRET_VERSION.c.number == 2))
    assert (row.sealed_key, row.sealed_value) == (None, None)


@on_both
async def test_uses_and_users_of_a_secret_are_listed(project: Project, remote: RemotePostgreSql) -> None:
    connection = await project.connection("orders", remote)
    secret = connection["spec"]["secrets"]["password"]
    editor, path = project.api.editor, f"connections/connections/{connection['id']}"
    await made(editor.post(f"{path}:test", {}))
    await made(editor.post(f"{path}:discover", {}))
    uses = (await editor.get(f"connections/secrets/{secret}/accesses")).json["items"]
    assert [(one["purpose"], one["version"], one["connection_id"]) for one in uses] == [
        ("discover", 1, connection["id"]),
        ("test", 1, connection["id"]),
    ]
    older = (await editor.get(f"connections/secrets/{secret}/accesses", params={"before": uses[0]["id"]})).json["items"]
    assert older == uses[1:]
    used = (await editor.get(f"connections/secrets/{secret}/where-used")).json
    assert used == {
        "connections": [{"connection_id": connection["id"], "name": "orders", "fields": ["password"]}],
        "storage_credentials": [],
        "hidden": 0,
    }
    refused = await editor("DELETE", f"/api/v1/connections/secrets/{secret}")
    assert (refused.status, "orders" in refused.json["detail"]) == (409, True)
    assert (await editor("DELETE", f"/api/v1/{path}")).status == 204
    assert (await editor("DELETE", f"/api/v1/connections/secrets/{secret}")).status == 204


@on_both
@pytest.mark.effect("connections_rotate_credential_connection")
async def test_a_rotation_changes_the_password_at_the_server(
    project: Project, remote: RemotePostgreSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await project.connection("orders", remote)
    path = f"connections/connections/{connection['id']}"
    editor = project.api.editor
    rotated = await made(editor.post(f"{path}:rotate-credential", {"field": "password"}))
    assert (rotated["version"], rotated["resumed"]) == (2, False)
    assert (await made(editor.post(f"{path}:test", {})))["passed"] is True
    former = {"project_id": project.id, "connector": "postgresql", "config": remote.config}
    result = await made(
        editor.post("connections/connections:test-draft", former | {"values": {"password": remote.password}})
    )
    assert [step["reason"] for step in result["steps"] if step["reason"]] == ["WRONG_CREDENTIAL"]

    # The server got a password, and the platform ended before it knew.
    real = asking.rotate

    async def interrupted(*arguments: Any) -> None:
        await real(*arguments)
        raise Unavailable("The process ended.")

    monkeypatch.setattr(asking, "rotate", interrupted)
    assert (await editor.post(f"{path}:rotate-credential", {"field": "password"})).status == 503
    monkeypatch.setattr(asking, "rotate", real)
    resumed = await editor.post(f"{path}:rotate-credential", {"field": "password"})
    assert (resumed.json["version"], resumed.json["resumed"]) == (3, True)
    assert (await made(editor.post(f"{path}:test", {})))["passed"] is True


async def test_no_output_and_no_table_holds_the_value(
    project: Project, remote: RemotePostgreSql, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await project.connection("orders", remote, password=CANARY)
    secret = connection["spec"]["secrets"]["password"]
    api = project.api
    texts = []
    for verb in ("test", "discover", "rotate-credential"):
        body = {"field": "password"} if verb == "rotate-credential" else {}
        texts.append((await api.editor.post(f"connections/connections/{connection['id']}:{verb}", body)).response.text)
    draft = {"project_id": project.id, "connector": "postgresql", "values": {"password": CANARY}}
    for config in (remote.config, remote.config | {"host": CANARY}, remote.config | {"port": CANARY}):
        texts += [
            (await api.editor.post("connections/connections:test-draft", draft | {"config": config})).response.text
        ]
    for path in (f"secrets/{secret}", f"connections/{connection['id']}"):
        for part in ("", "/revisions", "/revisions/1", "/versions", "/accesses", "/tests", "/where-used"):
            texts.append((await api.admin.get(f"connections/{path}{part}")).response.text)
    for kind in ("secrets", "connections"):
        texts.append((await api.admin.get(f"connections/{kind}")).response.text)
        texts.append((await api.admin.get(f"connections/{kind}:export")).response.text)
    texts.append((await api.admin.get("admin/audit-events", params={"page_size": 1000})).response.text)
    texts.append(caplog.text)
    with api.database.read() as database:
        for table in METADATA.sorted_tables:
            texts += [json.dumps([str(value) for value in row]) for row in database.execute(table.select())]
    assert [text[:200] for text in texts if CANARY in text] == []
    files = [file for file in tmp_path.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()]
    assert files == []


@on_both
async def test_one_damaged_secret_breaks_only_its_connection(project: Project, remote: RemotePostgreSql) -> None:
    good, bad = await project.connection("good", remote), await project.connection("bad", remote)
    damaged = SECRET_VERSION.c.secret_id == bad["spec"]["secrets"]["password"]
    with project.api.database.write() as database:
        database.execute(SECRET_VERSION.update().where(damaged).values(sealed_key="v1.00000000.AAAA"))
    listed = (await project.api.editor.get("connections/connections")).json["items"]
    assert {one["name"] for one in listed} == {"good", "bad"}
    assert (await made(project.api.editor.post(f"connections/connections/{good['id']}:test", {})))["passed"] is True
    refused = await project.api.editor.post(f"connections/connections/{bad['id']}:test", {})
    assert (refused.status, refused.json["reason"]) == (503, "UNAVAILABLE")
    assert (await project.api.editor("DELETE", f"/api/v1/connections/connections/{bad['id']}")).status == 204
