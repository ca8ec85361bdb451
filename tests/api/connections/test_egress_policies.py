"""Egress policies: they bind every connect of the connections of a project, and only refuse more than the operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.admin.tenants import grant, made, user
from tests.api.both_databases import on_both
from tests.api.connections.conftest import Project
from tests.api.connections.test_connections import PASSED, states
from tests.api_process import running
from tests.orchestration import FakeOrchestrator
from tests.remote_postgresql import RemotePostgreSql


async def policy(project: Project, name: str, **spec: Any) -> dict[str, Any]:
    """Creates a policy."""
    body = {"name": name, "spec": {"title": name, **spec}}
    return await made(project.api.admin.post("connections/egress-policies", body))


@on_both
async def test_a_policy_binds_saved_connections_and_drafts(project: Project, remote: RemotePostgreSql) -> None:
    connection = await project.connection("shop", remote)
    path, editor = f"connections/connections/{connection['id']}", project.api.editor
    assert states(await made(editor.post(f"{path}:test", {}))) == PASSED
    denied = await policy(project, "no-loopback", denied=["127.0.0.0/8"])
    refused = await made(editor.post(f"{path}:test", {}))
    assert states(refused)["resolve"] == "EGRESS_DENIED"
    assert denied["id"] in refused["steps"][0]["detail"]
    assert (await editor.post(f"{path}:discover", {})).json["metadata"] == {"cause": "EGRESS_DENIED"}
    draft = {"project_id": project.id, "connector": "postgresql", "config": remote.config}
    drafted = await made(editor.post("connections/connections:test-draft", draft | {"values": {"password": "x"}}))
    assert states(drafted)["resolve"] == "EGRESS_DENIED"
    assert (await project.api.admin("DELETE", f"/api/v1/connections/egress-policies/{denied['id']}")).status == 204
    assert states(await made(editor.post(f"{path}:test", {}))) == PASSED


@pytest.mark.parametrize(
    ("spec", "passes"),
    [
        ({"allowed": ["127.0.0.0/8"]}, True),
        ({"allowed": ["10.0.0.0/8"]}, False),
        ({"allowed": ["127.0.0.0/8"], "denied": ["127.0.0.1/32"]}, False),
        ({"ports": [1]}, False),
        ({"denied": ["::/0"]}, True),
    ],
)
async def test_all_policies_apply_to_addresses_and_ports(
    project: Project, remote: RemotePostgreSql, spec: dict[str, Any], passes: bool
) -> None:
    connection = await project.connection("shop", remote)
    await policy(project, "wide", allowed=["0.0.0.0/0"])
    await policy(project, "narrow", **spec)
    result = await made(project.api.editor.post(f"connections/connections/{connection['id']}:test", {}))
    assert result["passed"] is passes


async def test_a_policy_can_be_for_some_projects(project: Project, remote: RemotePostgreSql) -> None:
    other = (await made(project.api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    one = await policy(project, "mine", denied=["127.0.0.0/8"], projects=[project.id])
    for place, reason in ((project.id, "EGRESS_DENIED"), (other, "PASSED")):
        draft = {"project_id": place, "connector": "postgresql", "config": remote.config, "values": {"password": "x"}}
        result = await made(project.api.admin.post("connections/connections:test-draft", draft))
        assert states(result)["resolve"] == reason
    assert one["spec"]["projects"] == [project.id]


@pytest.mark.effect("connections_evaluate_egress_policies")
async def test_a_target_is_evaluated_without_its_addresses(project: Project, remote: RemotePostgreSql) -> None:
    path = "connections/egress-policies:evaluate"
    target = {"project_id": project.id, "host": "127.0.0.1", "port": remote.port}
    assert (await made(project.api.admin.post(path, target))) == {"allowed": True, "reason": "", "policies": []}
    ports = await policy(project, "ports", ports=[5432])
    networks = await policy(project, "networks", denied=["127.0.0.0/8"])
    verdict = await made(project.api.admin.post(path, target | {"host": "localhost"}))
    assert (verdict["allowed"], verdict["reason"]) == (False, "POLICY")
    assert set(verdict["policies"]) == {ports["id"], networks["id"]}
    assert "127.0.0.1" not in str(verdict)
    unknown = await made(project.api.admin.post(path, target | {"host": "host.invalid"}))
    assert unknown["reason"] == "UNKNOWN_HOST"
    editor = project.api.editor
    assert (await editor.post(path, target)).status == 403
    assert (await editor.get("connections/egress-policies")).status in (200, 403)
    body = {"name": "open", "spec": {"title": "Open", "allowed": ["0.0.0.0/0"]}}
    assert (await editor.post("connections/egress-policies", body)).status == 403
    outsider = await user(project.api, "outsider")
    other = (await made(project.api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    await grant(project.api, outsider, "rol_admin", other)
    assert (await project.api.caller("outsider").post(path, target)).status in (403, 404, 422)


async def test_no_policy_allows_what_the_operator_refuses(tmp_path: Path, orchestrator: FakeOrchestrator) -> None:
    async with running(tmp_path, orchestrator) as api:
        id = (await made(api.admin.post("admin/projects", {"name": "sales", "spec": {"title": "Sales"}})))["id"]
        project = Project(api, id)
        await policy(project, "open", allowed=["127.0.0.0/8"])
        target = {"project_id": id, "host": "127.0.0.1", "port": 5432}
        verdict = await made(api.admin.post("connections/egress-policies:evaluate", target))
        assert verdict == {"allowed": False, "reason": "PLATFORM", "policies": []}
        config = {"host": "127.0.0.1", "database": "x", "user": "x"}
        draft = {"project_id": id, "connector": "postgresql", "config": config}
        result = await made(api.editor.post("connections/connections:test-draft", draft))
        assert states(result)["resolve"] == "EGRESS_DENIED"


async def test_a_policy_that_is_not_valid_is_refused(project: Project) -> None:
    for spec in ({}, {"allowed": ["10.0.0.1/8"]}, {"denied": ["x"]}, {"ports": [0]}):
        body = {"name": "bad", "spec": {"title": "Bad", **spec}}
        assert (await project.api.admin.post("connections/egress-policies", body)).status == 422
