"""Stages by approval: another principal approves, gates hold, and every step stays on record."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from core.ports import AssetState, CheckState, Staleness
from core.reports import CheckStatus
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.test_models import file, registered, version
from tests.api.ai_catalog.test_runs import run
from tests.api.ai_catalog.trainings import MODEL, Trainings, listed, project
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller, Reply
from tests.orchestration import AT, FakeOrchestrator
from tests.orchestration import made as materialized


async def versions(api: Api, count: int = 1, **policy: Any) -> list[str]:
    """Registers versions of a model with a policy, and returns their ids."""
    one = await run(api)
    await file(api, one["id"])
    model = await registered(api)
    if policy:
        body = {"spec": {"policy": policy}}
        await made(api.admin("PATCH", f"ai-catalog/registered-models/{model}", json=body))
    return [(await version(api, model, f"runs:/{one['id']}/model"))["id"] for _ in range(count)]


async def act(caller: Caller, id: str, verb: str, **body: Any) -> Reply:
    return await caller.post(f"ai-catalog/model-versions/{id}:{verb}", body)


async def stage(api: Api, id: str) -> str:
    return str((await made(api.viewer.get(f"ai-catalog/model-versions/{id}")))["stage"])


@pytest.mark.effect("ai_catalog_request_stage_model_version", "ai_catalog_approve_model_version")
async def test_another_principal_approves(api: Api) -> None:
    (id,) = await versions(api)
    asked = await made(act(api.editor, id, "request-stage", stage="PRODUCTION", comment="It is better."))
    assert (asked["state"], asked["approvals"], await stage(api, id)) == ("OPEN", 1, "NONE")
    assert (await act(api.editor, id, "approve")).status == 403, "an editor can't approve"
    assert (await act(api.editor, id, "request-stage", stage="STAGING")).status == 409, "one request at a time"
    approved = await made(act(api.admin, id, "approve", comment="Agreed."))
    assert (approved["state"], await stage(api, id)) == ("APPROVED", "PRODUCTION")
    (decision,) = approved["decisions"]
    assert (decision["decision"], decision["comment"], decision["decided_by"]) == ("APPROVED", "Agreed.", "admin")
    (found,) = await listed(api, "stage-requests")
    assert (found, found["requested_by"]) == (approved, "editor")
    assert (await act(api.admin, id, "approve")).status == 409, "there is no open request"
    assert (await act(api.editor, id, "request-stage", stage="PRODUCTION")).status == 409
    assert (await api.editor("DELETE", f"ai-catalog/model-versions/{id}")).status == 409
    await made(act(api.editor, id, "request-stage", stage="ARCHIVED"))
    assert await stage(api, id) == "ARCHIVED", "no approval is needed to leave"


async def test_who_asked_does_not_approve(api: Api) -> None:
    (id,) = await versions(api)
    await made(act(api.admin, id, "request-stage", stage="PRODUCTION"))
    refused = await act(api.admin, id, "approve")
    assert (refused.status, await stage(api, id)) == (403, "NONE")
    body = {"name": "robot", "project_id": "flights", "spec": {}}
    robot = (await made(api.admin.post("admin/service-accounts", body)))["id"]
    await grant(api, robot, "rol_admin", "flights", securable_kind="admin.project")
    key = await made(api.admin.post("admin/api-keys", {"label": "k", "principal_id": robot}))
    refused = await act(Caller(api.app, key["secret"]), id, "approve")
    assert (refused.status, await stage(api, id)) == (403, "NONE"), "its keys are the requester's"
    (model,) = await listed(api, "registered-models")
    body = {"spec": {"policy": {"self_approval": True}}}
    await made(api.admin("PATCH", f"ai-catalog/registered-models/{model['id']}", json=body))
    await made(act(api.admin, id, "approve"))
    assert await stage(api, id) == "PRODUCTION"


async def test_several_approvals_come_from_several_principals(api: Api) -> None:
    (id,) = await versions(api, approvals=2)
    await made(act(api.editor, id, "request-stage", stage="PRODUCTION"))
    assert (await made(act(api.admin, id, "approve")))["state"] == "OPEN"
    assert (await act(api.admin, id, "approve")).status == 409
    ada = await user(api, "ada")
    await grant(api, ada, "rol_admin", "flights", securable_kind="admin.project")
    done = await made(act(api.caller("ada"), id, "approve"))
    assert ([one["decided_by"] for one in done["decisions"]], await stage(api, id)) == (["admin", "ada"], "PRODUCTION")


@pytest.mark.effect("ai_catalog_reject_model_version", "ai_catalog_cancel_request_model_version")
async def test_a_rejected_or_canceled_request_moves_nothing(api: Api) -> None:
    (id,) = await versions(api)
    await made(act(api.editor, id, "request-stage", stage="PRODUCTION"))
    rejected = await made(act(api.admin, id, "reject", comment="It is biased."))
    assert (rejected["state"], rejected["decisions"][0]["comment"]) == ("REJECTED", "It is biased.")
    again = await made(act(api.editor, id, "request-stage", stage="PRODUCTION"))
    assert again["state"] == "OPEN"
    assert (await act(api.admin, id, "cancel-request")).status == 403, "only who asked cancels"
    assert (await made(act(api.editor, id, "cancel-request")))["state"] == "CANCELED"
    assert (await act(api.editor, id, "cancel-request")).status == 409
    assert (await act(api.admin, id, "approve")).status == 409
    assert await stage(api, id) == "NONE"
    assert [one["state"] for one in await listed(api, "stage-requests")] == ["REJECTED", "CANCELED"]


async def test_the_policy_is_changed_by_who_can_approve(api: Api) -> None:
    (id,) = await versions(api)
    (model,) = await listed(api, "registered-models")
    path = f"ai-catalog/registered-models/{model['id']}"
    for policy in ({"stages": []}, {"self_approval": True}, {"approvals": 2}):
        assert (await api.editor("PATCH", path, json={"spec": {"policy": policy}})).status == 403, policy
    body = {"name": "lax", "project_id": "flights", "spec": {"title": "Lax", "policy": {"stages": []}}}
    assert (await api.editor.post("ai-catalog/registered-models", body)).status == 403
    await made(api.editor("PATCH", path, json={"spec": {"description": "Renamed."}}))
    await made(api.admin("PATCH", path, json={"spec": {"policy": {"stages": []}}}))
    await made(act(api.editor, id, "request-stage", stage="PRODUCTION"))
    assert await stage(api, id) == "PRODUCTION"
    for bad in ({"approvals": 0}, {"approvals": 2**63}, {"stages": ["LIVE"]}, {"protected_aliases": ["v1"]}):
        assert (await api.admin("PATCH", path, json={"spec": {"policy": bad}})).status in (400, 422), bad


@on_both
async def test_a_promotion_can_archive_the_others(api: Api) -> None:
    first, second, third = await versions(api, 3, stages=[])
    for id in (first, second):
        await made(act(api.editor, id, "request-stage", stage="PRODUCTION"))
    assert await stage(api, first) == "PRODUCTION"
    await made(act(api.editor, third, "request-stage", stage="PRODUCTION", archive_existing=True))
    assert [await stage(api, id) for id in (first, second, third)] == ["ARCHIVED", "ARCHIVED", "PRODUCTION"]


@on_both
async def test_two_approvers_at_once_move_it_once(api: Api) -> None:
    (id,) = await versions(api)
    await made(act(api.editor, id, "request-stage", stage="PRODUCTION"))
    ada = await user(api, "ada")
    await grant(api, ada, "rol_admin", "flights", securable_kind="admin.project")
    replies = await asyncio.gather(*(act(caller, id, "approve") for caller in (api.admin, api.caller("ada"))))
    assert sorted(reply.status for reply in replies) == [200, 409]
    (found,) = await listed(api, "stage-requests")
    assert (len(found["decisions"]), found["state"]) == (1, "APPROVED")


async def test_a_version_that_fails_a_gate_is_not_promoted(api: Api, orchestrator: FakeOrchestrator) -> None:
    await project(api)
    trainings = Trainings(api, orchestrator)
    trainings.train(1, accepted=False)
    good = trainings.train(2)
    trainings.recorder.catch_up()
    failed, passed = [one["id"] for one in await listed(api, "model-versions")]
    refused = await act(api.editor, failed, "request-stage", stage="STAGING")
    assert (refused.status, refused.json["metadata"]) == (409, {"failed": ["beats_base_rate"]})
    await made(act(api.editor, passed, "request-stage", stage="PRODUCTION"))
    check = CheckState("no_leakage", "", True, CheckStatus.FAILED, AT, "run-2", "leaks", good)
    state = AssetState(Staleness.FRESH, materialization=materialized(good), checks=(check,))
    orchestrator.states[MODEL] = state
    refused = await act(api.admin, passed, "approve")
    assert (refused.status, refused.json["metadata"]) == (409, {"failed": ["no_leakage"]})
    orchestrator.states[MODEL] = dataclasses.replace(state, checks=(dataclasses.replace(check, data_version="x@9"),))
    await made(act(api.admin, passed, "approve"))
    assert await stage(api, passed) == "PRODUCTION"


@on_both
async def test_another_tenant_neither_sees_nor_decides(api: Api) -> None:
    (id,) = await versions(api)
    asked = await made(act(api.editor, id, "request-stage", stage="PRODUCTION"))
    other = await tenant(api, "other")
    for verb, body in (
        ("request-stage", {"stage": "STAGING"}),
        ("approve", {}),
        ("reject", {}),
        ("cancel-request", {}),
    ):
        assert (await act(other.admin, id, verb, **body)).status == 404
        assert (await act(api.viewer, id, verb, **body)).status == 403
    assert (await other.admin.get("ai-catalog/stage-requests")).json["items"] == []
    assert (await other.admin.get(f"ai-catalog/stage-requests/{asked['id']}")).status == 404


@pytest.mark.effect("ai_catalog_rollback_registered_model", "ai_catalog_get_registered_model_alias_history")
async def test_an_alias_goes_back_to_what_it_named_before(api: Api) -> None:
    ids = await versions(api, 3)
    (model,) = await listed(api, "registered-models")
    path = f"ai-catalog/registered-models/{model['id']}"
    for number in (1, 2, 3):
        await made(api.editor.post(f"{path}:set-alias", {"alias": "champion", "version": number}))
    back = await made(api.editor.post(f"{path}:rollback", {}))
    assert back["status"]["aliases"] == {"champion": 2}
    assert (await api.editor("DELETE", f"ai-catalog/model-versions/{ids[2]}")).status == 204
    back = await made(api.editor.post(f"{path}:rollback", {"alias": "champion"}))
    assert back["status"]["aliases"] == {"champion": 1}, "version 3 is deleted"
    history = await made(api.viewer.get(f"{path}/alias-history"))
    assert [(move["version"], move["moved_by"]) for move in history["moves"]] == [
        (number, "editor") for number in (1, 2, 3, 2, 1)
    ]
    now = await made(api.viewer.get(f"{path}/alias-as-of"))
    assert now["version"] == 1
    await made(api.editor.post(f"{path}:remove-alias", {"alias": "champion"}))
    assert (await api.editor.post(f"{path}:rollback", {})).status == 404
    assert (await api.viewer.get(f"{path}/alias-as-of")).status == 404
    history = await made(api.viewer.get(f"{path}/alias-history"))
    assert history["moves"][0]["version"] is None
    await made(api.editor.post(f"{path}:set-alias", {"alias": "fresh", "version": 1}))
    assert (await api.editor.post(f"{path}:rollback", {"alias": "fresh"})).status == 409
    assert (await api.viewer.post(f"{path}:rollback", {})).status == 403


async def test_a_protected_alias_names_only_production(api: Api) -> None:
    first, _ = await versions(api, 2, stages=[], protected_aliases=["champion"])
    (model,) = await listed(api, "registered-models")
    path = f"ai-catalog/registered-models/{model['id']}"
    assert (await api.editor.post(f"{path}:set-alias", {"alias": "champion", "version": 1})).status == 409
    await made(act(api.editor, first, "request-stage", stage="PRODUCTION"))
    await made(api.editor.post(f"{path}:set-alias", {"alias": "champion", "version": 1}))
    await made(api.editor.post(f"{path}:set-alias", {"alias": "candidate", "version": 2}))


class TestMlflow:
    PATH = "/mlflow/api/2.0/mlflow"

    async def transition(self, api: Api, caller: Caller, **body: Any) -> Any:
        path = f"{self.PATH}/model-versions/transition-stage"
        return await caller.http.post(path, json={"name": "price", "version": "1", **body})

    @on_both
    async def test_stages_follow_the_policy(self, api: Api) -> None:
        (id,) = await versions(api)
        staged = await self.transition(api, api.editor, stage="staging", archive_existing_versions=False)
        assert staged.json()["model_version"]["current_stage"] == "Staging"
        asked = await self.transition(api, api.editor, stage="Production")
        (_, waiting) = await listed(api, "stage-requests")
        assert (asked.status_code, asked.json()["error_code"]) == (403, "PERMISSION_DENIED")
        assert waiting["id"] in asked.json()["message"]
        again = await self.transition(api, api.editor, stage="Production")
        assert (again.status_code, again.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert waiting["id"] in again.json()["message"]
        assert len(await listed(api, "stage-requests")) == 2
        assert (await self.transition(api, api.editor, stage="Live")).status_code == 400
        await made(act(api.admin, id, "approve"))
        latest = await api.viewer.http.get(
            f"{self.PATH}/registered-models/get-latest-versions", params={"name": "price", "stages": "Production"}
        )
        assert [one["current_stage"] for one in latest.json()["model_versions"]] == ["Production"]
        none = await api.viewer.http.get(
            f"{self.PATH}/registered-models/get-latest-versions", params={"name": "price", "stages": "None"}
        )
        assert none.json()["model_versions"] == []
