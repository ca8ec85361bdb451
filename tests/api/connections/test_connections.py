"""Connections: tested step by step, listed, copied, disabled; the rights that they need; and where they may lead."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.api.admin.tenants import grant, made, user
from tests.api.both_databases import on_both
from tests.api.connections.conftest import Project
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator
from tests.remote_postgresql import RemotePostgreSql
from tests.s3_store import s3_client, s3_store


def states(result: dict[str, Any]) -> dict[str, str]:
    """The outcome of each step: its reason if it failed."""
    return {step["name"]: step["reason"] or step["state"] for step in result["steps"]}


PASSED = {"resolve": "PASSED", "connect": "PASSED", "log_in": "PASSED", "read": "PASSED"}


@on_both
@pytest.mark.effect("connections_test_connection")
async def test_a_database_is_tested_step_by_step(project: Project, remote: RemotePostgreSql) -> None:
    connection = await project.connection("orders", remote)
    path = f"connections/connections/{connection['id']}"
    result = await made(project.api.editor.post(f"{path}:test", {}))
    assert states(result) == PASSED, result
    assert result["passed"] is True
    wrong = await project.connection("wrong", remote, password="not the password")
    failed = await made(project.api.editor.post(f"connections/connections/{wrong['id']}:test", {}))
    assert failed["passed"] is False
    assert states(failed) == PASSED | {"log_in": "WRONG_CREDENTIAL", "read": "SKIPPED"}
    (stored,) = (await project.api.viewer.get(f"{path}/tests")).json["items"]
    assert (stored["passed"], stored["by"], stored["steps"]) == (True, "editor", result["steps"])


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({"database": "missing"}, {"log_in": "UNKNOWN_DATABASE", "read": "SKIPPED"}),
        ({"tls": "verify-full"}, {"log_in": "TLS_FAILED", "read": "SKIPPED"}),
        (
            {"host": "host.invalid"},
            {"resolve": "UNKNOWN_HOST"} | dict.fromkeys(["connect", "log_in", "read"], "SKIPPED"),
        ),
    ],
)
@pytest.mark.effect("connections_test_draft_connections")
async def test_a_draft_names_the_step_and_the_reason(
    project: Project, remote: RemotePostgreSql, change: dict[str, Any], failing: dict[str, str]
) -> None:
    draft = {
        "project_id": project.id,
        "connector": "postgresql",
        "config": remote.config | change,
        "values": {"password": remote.password},
    }
    result = await made(project.api.editor.post("connections/connections:test-draft", draft))
    assert states(result) == PASSED | failing
    assert (await project.api.viewer.post("connections/connections:test-draft", draft)).status == 403
    assert (await project.api.editor.get("connections/connections")).json["items"] == []


async def test_a_port_that_answers_nothing_is_refused_or_ended(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = {"host": "127.0.0.1", "port": port, "database": "x", "user": "x", "tls": "disable"}
        draft = {"project_id": project.id, "connector": "postgresql", "config": config}
        result = await made(project.api.editor.post("connections/connections:test-draft", draft))
        assert states(result)["connect"] == "PASSED"
        assert states(result)["log_in"] in ("LOGIN_FAILED", "DEADLINE_EXCEEDED")
    result = await made(project.api.editor.post("connections/connections:test-draft", draft))
    assert states(result) == {"resolve": "PASSED", "connect": "HOST_REFUSED", "log_in": "SKIPPED", "read": "SKIPPED"}


@pytest.mark.effect("connections_discover_connection")
async def test_tables_are_listed_in_pages_with_columns_and_keys(project: Project, remote: RemotePostgreSql) -> None:
    connection = await project.connection("orders", remote)
    engine = sa.create_engine(remote.url, poolclass=sa.pool.NullPool)
    with engine.begin() as server:
        server.exec_driver_sql(
            "CREATE TABLE orders (id bigint PRIMARY KEY, at timestamptz NOT NULL, total numeric(9,2))"
        )
        server.exec_driver_sql("CREATE VIEW daily AS SELECT at::date AS day, sum(total) FROM orders GROUP BY 1")
        server.exec_driver_sql('CREATE SCHEMA "odd.name"')
        server.exec_driver_sql('CREATE TABLE "odd.name"."a.b" (x int)')
        server.exec_driver_sql(f'GRANT USAGE ON SCHEMA "odd.name" TO {remote.user}')
        server.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {remote.user}")
    path = f"connections/connections/{connection['id']}:discover"
    found, token = [], ""
    for _ in range(3):
        page = await made(project.api.editor.post(path, {"page_size": 1, "page_token": token}))
        found += page["items"]
        token = page["next_page_token"]
    assert token is None
    assert [(item["path"], item["kind"], item["key"]) for item in found] == [
        (["odd.name", "a.b"], "table", []),
        (["public", "daily"], "view", []),
        (["public", "orders"], "table", ["id"]),
    ]
    assert found[2]["columns"] == [
        {"name": "id", "type": "BIGINT", "nullable": False},
        {"name": "at", "type": "TIMESTAMP WITH TIME ZONE", "nullable": False},
        {"name": "total", "type": "NUMERIC(9, 2)", "nullable": True},
    ]
    below = await made(project.api.editor.post(path, {"below": ["odd.name"]}))
    assert [item["path"] for item in below["items"]] == [["odd.name", "a.b"]]
    refused = await project.api.editor.post(path, {"below": ["missing"]})
    assert (refused.status, refused.json["metadata"]) == (409, {"cause": "UNKNOWN_SCHEMA"})
    assert (await project.api.viewer.post(path, {})).status == 403


async def test_a_bucket_is_tested_and_listed(project: Project) -> None:
    with s3_store("sales") as options:
        client: Any = s3_client(options)
        for key in ("2026/a.parquet", "2026/01/b.parquet", "top.csv"):
            client.put_object(Bucket="sales", Key=key, Body=b"12345")
        config = {
            "bucket": "sales",
            "endpoint": options["AWS_ENDPOINT_URL"],
            "path_style": True,
            "access_key_id": options["AWS_ACCESS_KEY_ID"],
        }
        secret = await project.secret("key", options["AWS_SECRET_ACCESS_KEY"])
        draft = project.draft("lake", "s3", config, {"secret_access_key": secret})
        connection = await made(project.api.editor.post("connections/connections", draft))
        path = f"connections/connections/{connection['id']}"
        assert states(await made(project.api.editor.post(f"{path}:test", {}))) == PASSED
        top = (await made(project.api.editor.post(f"{path}:discover", {})))["items"]
        assert [(item["path"], item["kind"], item["size"]) for item in top] == [
            (["2026"], "folder", None),
            (["top.csv"], "object", 5),
        ]
        (folder, file) = (await made(project.api.editor.post(f"{path}:discover", {"below": ["2026"]})))["items"]
        assert (folder["path"], file["path"], file["kind"]) == (["2026", "01"], ["2026", "a.parquet"], "object")
        assert file["version"] == client.head_object(Bucket="sales", Key="2026/a.parquet")["ETag"].strip('"')
        missing = {"project_id": project.id, "connector": "s3", "config": config | {"bucket": "missing"}}
        draft_test = missing | {"secrets": {"secret_access_key": secret}}
        result = await made(project.api.editor.post("connections/connections:test-draft", draft_test))
        assert states(result)["log_in"] == "UNKNOWN_BUCKET"
        client.close()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"config": {"password": "literal"}}, "/spec/config/password"),
        ({"config": {"port": "5432"}}, "/spec/config/port"),
        ({"config": {"options": {"ssl_library": "x"}}}, "/spec/config/options/ssl_library/[key]"),
        ({"config": {"options": {"search_path": "a' -c x=y"}}}, "/spec/config/options/search_path"),
        ({"config": {"service": "x"}}, "/spec/config/service"),
        ({"connector": "oracle"}, "/spec/connector"),
        ({"secrets": {"user": "sec_06e1xq0000exampe0000000000"}}, "/spec/secrets/user"),
    ],
)
async def test_a_configuration_that_does_not_fit_is_refused_at_its_field(
    project: Project, change: dict[str, Any], pointer: str
) -> None:
    spec = {
        "title": "Orders",
        "connector": change.get("connector", "postgresql"),
        "config": {"host": "db.example.org", "database": "x", "user": "x"} | change.get("config", {}),
        "secrets": change.get("secrets", {}),
    }
    body = {"name": "orders", "project_id": project.id, "spec": spec}
    refused = await project.api.editor.post("connections/connections", body)
    assert refused.status == 422
    assert [error["pointer"] for error in refused.json["errors"]] == [pointer]
    assert "literal" not in refused.response.text


@pytest.mark.effect("connections_disable_connection", "connections_enable_connection")
async def test_nothing_connects_through_a_disabled_connection(project: Project, remote: RemotePostgreSql) -> None:
    connection = await project.connection("orders", remote)
    path = f"connections/connections/{connection['id']}"
    await made(project.api.editor.post(f"{path}:disable", {}))
    for verb in ("test", "discover", "rotate-credential"):
        body = {"field": "password"} if verb == "rotate-credential" else {}
        refused = await project.api.editor.post(f"{path}:{verb}", body)
        assert (refused.status, "disabled" in refused.json["detail"]) == (409, True)
    await made(project.api.editor.post(f"{path}:enable", {}))
    assert (await made(project.api.editor.post(f"{path}:test", {})))["passed"] is True


@pytest.mark.effect("connections_clone_connection")
async def test_a_copy_leads_to_the_same_system(project: Project, remote: RemotePostgreSql) -> None:
    connection = await project.connection("orders", remote)
    copy = await made(project.api.editor.post(f"connections/connections/{connection['id']}:clone", {"name": "again"}))
    assert copy["id"] != connection["id"]
    assert copy["spec"] == connection["spec"]
    assert (await made(project.api.editor.post(f"connections/connections/{copy['id']}:test", {})))["passed"] is True


async def test_a_secret_is_used_only_by_those_who_may_replace_it(project: Project, remote: RemotePostgreSql) -> None:
    """Who chooses the host sees what is sent to it."""
    api = project.api
    secret = await project.secret("password", remote.password)
    other = (await made(api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    mallory = await user(api, "mallory")
    await grant(api, mallory, "rol_editor", other)
    await grant(api, mallory, "rol_viewer", project.id)
    config = remote.config
    for place, expected in ((other, 422), (project.id, 403)):
        draft = {"project_id": place, "connector": "postgresql", "config": config, "secrets": {"password": secret}}
        assert (await api.caller("mallory").post("connections/connections:test-draft", draft)).status == expected
        body = project.draft("mine", "postgresql", config, {"password": secret}) | {"project_id": place}
        assert (await api.caller("mallory").post("connections/connections", body)).status == expected
    # A user who may change connections, but not secrets, can't send a secret to another host.
    connection = await project.connection("orders", remote)
    for permission in ("connections.connection.*", "connections.secret.get"):
        await grant(api, mallory, permission, project.id)
    path = f"/api/v1/connections/connections/{connection['id']}"
    moved = await api.caller("mallory")("PATCH", path, json={"spec": {"config": config | {"host": "evil.example"}}})
    assert moved.status == 403
    renamed = await api.caller("mallory")("PATCH", path, json={"spec": {"title": "Renamed"}})
    assert renamed.status == 200
    assert (
        await api.caller("mallory").post(f"connections/connections/{connection['id']}:clone", {"name": "x"})
    ).status == 403


async def test_private_addresses_are_refused_by_default(tmp_path: Path, orchestrator: FakeOrchestrator) -> None:
    async with running(tmp_path, orchestrator) as api:
        project = (await made(api.admin.post("admin/projects", {"name": "sales", "spec": {"title": "Sales"}})))["id"]
        for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "::1", "::ffff:127.0.0.1", "169.254.169.254"):
            config = {"host": host, "database": "x", "user": "x"}
            draft = {"project_id": project, "connector": "postgresql", "config": config}
            result = await made(api.editor.post("connections/connections:test-draft", draft))
            assert states(result)["resolve"] == "EGRESS_DENIED", host
        for endpoint in ("http://127.0.0.1:9000", "http://[::1]:9000", "http://169.254.169.254"):
            s3 = {"bucket": "sales", "endpoint": endpoint, "path_style": True, "access_key_id": "x"}
            draft = {"project_id": project, "connector": "s3", "config": s3, "values": {"secret_access_key": "y"}}
            result = await made(api.editor.post("connections/connections:test-draft", draft))
            assert states(result)["resolve"] == "EGRESS_DENIED", endpoint


async def test_another_tenant_sees_no_connection(api: Api, project: Project, remote: RemotePostgreSql) -> None:
    connection = await project.connection("orders", remote)
    outsider = await user(api, "outsider")
    other = (await made(api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    await grant(api, outsider, "rol_admin", other)
    path = f"connections/connections/{connection['id']}"
    for verb in ("test", "discover", "clone", "disable"):
        body = {"name": "x"} if verb == "clone" else {}
        assert (await api.caller("outsider").post(f"{path}:{verb}", body)).status == 404
    assert (await api.caller("outsider").get(f"{path}/tests")).status == 404
