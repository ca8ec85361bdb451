"""MLflow's API has the rights, the audit log, and the limits of the REST API: it is no way around them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.admin.tenants import Tenant, tenant
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller

BASE = "/mlflow/api/2.0/mlflow"


async def sent(caller: Caller, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Sends a request. Errors of MLflow aren't problem documents, so the checks of `Reply` don't apply."""
    response = await caller.http.request(method, f"{BASE}/{path}", **options)
    return response.status_code, json.loads(response.content or b"{}")


async def post(caller: Caller, path: str, body: dict[str, Any], workspace: str = "") -> tuple[int, dict[str, Any]]:
    headers = {"x-mlflow-workspace": workspace} if workspace else {}
    return await sent(caller, "POST", path, json=body, headers=headers)


async def prepared(api: Api) -> tuple[Tenant, str, str]:
    """A tenant with an experiment and a run."""
    one = await tenant(api, "one")
    status, made = await post(one.admin, "experiments/create", {"name": "Trees of one"})
    assert status == 200, made
    status, run = await post(one.admin, "runs/create", {"experiment_id": made["experiment_id"]})
    assert status == 200, run
    return one, made["experiment_id"], run["run"]["info"]["run_id"]


@on_both
async def test_another_tenant_sees_nothing(api: Api) -> None:
    one, experiment, run = await prepared(api)
    other = (await tenant(api, "other")).admin
    for path, parameters in (
        ("experiments/get", {"experiment_id": experiment}),
        ("experiments/get-by-name", {"experiment_name": "Trees of one"}),
        ("runs/get", {"run_id": run}),
        ("metrics/get-history", {"run_id": run, "metric_key": "m"}),
        ("metrics/get-history-bulk-interval", {"run_ids": run, "metric_key": "m"}),
    ):
        status, answer = await sent(other, "GET", path, params=parameters)
        assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), path
    for path, body in (
        ("runs/create", {"experiment_id": experiment}),
        ("runs/log-metric", {"run_id": run, "key": "m", "value": 1, "timestamp": 1}),
        ("runs/log-batch", {"run_id": run}),
        ("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": {"name": "x", "digest": "1"}}]}),
        ("runs/set-tag", {"run_id": run, "key": "k", "value": "v"}),
        ("runs/update", {"run_id": run, "status": "FAILED"}),
        ("runs/delete", {"run_id": run}),
        ("experiments/delete", {"experiment_id": experiment}),
        ("experiments/set-experiment-tag", {"experiment_id": experiment, "key": "k", "value": "v"}),
        ("experiments/update", {"experiment_id": experiment, "new_name": "x"}),
    ):
        status, answer = await post(other, path, body)
        assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), (path, answer)
    assert (await post(other, "experiments/search", {}))[1] == {"experiments": []}
    assert (await post(other, "runs/search", {"experiment_ids": [experiment]}))[1] == {"runs": []}
    status, answer = await post(other, "experiments/create", {"name": "x"}, workspace=one.project)
    assert (status, answer["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    found = await other.http.get("/mlflow/api/3.0/mlflow/workspaces")
    assert [one["name"] for one in found.json()["workspaces"]] == ["other_data"]


async def test_a_viewer_changes_nothing_and_the_attempt_is_recorded(api: Api) -> None:
    _, experiment, run = await prepared(api)
    for path, body in (
        ("runs/create", {"experiment_id": experiment}),
        ("runs/log-batch", {"run_id": run, "params": [{"key": "a", "value": "b"}]}),
        ("runs/delete", {"run_id": run}),
        ("experiments/delete", {"experiment_id": experiment}),
    ):
        before = api.last_sequence()
        status, answer = await post(api.viewer, path, body)
        assert (status, answer["error_code"]) == (403, "PERMISSION_DENIED"), path
        assert [event["data"]["outcome"] for event in api.events(after=before)] == ["denied"], path
    seen = (await sent(api.viewer, "GET", "runs/get", params={"run_id": run}))[1]["run"]
    assert seen["data"]["params"] == []


async def test_every_change_is_one_event_of_the_operation(api: Api) -> None:
    one, _, run = await prepared(api)
    before = api.last_sequence()
    await post(one.admin, "runs/log-metric", {"run_id": run, "key": "m", "value": 1, "timestamp": 1})
    (event,) = api.events(after=before)
    assert (event["type"], event["subject"]) == ("ai_catalog.run.logged", run)
    assert event["data"]["action"] == "ai_catalog.run.log_batch"
    before = api.last_sequence()
    await post(one.admin, "runs/create", {"experiment_id": "0"})
    assert [event["type"] for event in api.events(after=before)] == [
        "ai_catalog.run.created",
        "ai_catalog.experiment.created",
    ]


async def test_a_caller_of_several_projects_must_choose_one(api: Api) -> None:
    one, experiment, _ = await prepared(api)
    body = {"name": "second", "organization_id": one.organization, "spec": {"title": "Second"}}
    assert (await api.admin.post("admin/projects", body)).status == 201
    status, answer = await post(one.admin, "experiments/create", {"name": "x"})
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "MLFLOW_WORKSPACE" in answer["message"]
    assert "second" in answer["message"]
    status, made = await post(one.admin, "experiments/create", {"name": "Trees of one"}, workspace="second")
    assert status == 200, "each project has its own names"
    assert made["experiment_id"] != experiment


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b'"x"', b"\xff\xfe", b'{"run_id": 3}', b'{"run_id": null}', b"[" * 100_000, b'{"run_id": "\\u0000"}'],
)
async def test_malformed_bodies(api: Api, body: bytes) -> None:
    one, _, _ = await prepared(api)
    headers = {"content-type": "application/json"}
    response = await one.admin.http.post(f"{BASE}/runs/log-batch", content=body, headers=headers)
    assert response.status_code == 400, response.text
    assert response.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert response.json()["detail"]


@pytest.mark.parametrize(
    "batch",
    [
        {"metrics": [3]},
        {"metrics": {"key": "m"}},
        {"metrics": [{"key": "m", "value": "low", "timestamp": 1}]},
        {"metrics": [{"key": "m", "value": 1, "timestamp": 2**63}]},
        {"metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": 2**63}]},
        {"metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": 0.5}]},
        {"metrics": [{"value": 1}]},
        {"metrics": [{"key": "m" * 251, "value": 1, "timestamp": 1}]},
        {"params": [{"key": "p", "value": "x" * 6001}]},
        {"params": [{"key": "p", "value": 3}]},
        {"tags": [{"key": 3}]},
        {"tags": [{"key": "t", "value": "x" * 1_000_000}]},
    ],
)
async def test_invalid_batches_store_nothing(api: Api, batch: dict[str, Any]) -> None:
    one, _, run = await prepared(api)
    good = {"metrics": [{"key": "good", "value": 1, "timestamp": 1}], "tags": [{"key": "good", "value": "1"}]}
    merged = {
        key: (batch.get(key) if isinstance(batch.get(key), dict) else [*good.get(key, []), *batch.get(key, [])])
        for key in ("metrics", "params", "tags")
    }
    status, answer = await post(one.admin, "runs/log-batch", {"run_id": run, **merged})
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
    seen = (await sent(one.admin, "GET", "runs/get", params={"run_id": run}))[1]["run"]["data"]
    assert (seen["metrics"], seen["params"], [tag["key"] for tag in seen["tags"]]) == ([], [], ["mlflow.runName"])


@on_both
async def test_integers_beyond_their_column_are_refused(api: Api) -> None:
    """The kind: protocol buffers write integers as texts, which the check of numbers in the body does not see."""
    one, experiment, run = await prepared(api)
    status, answer = await post(one.admin, "logged-models", {"experiment_id": experiment})
    assert status == 200, answer
    model = answer["model"]["info"]["model_id"]
    assert (await post(one.admin, "registered-models/create", {"name": "m"}))[0] == 200
    for step in ("x", str(2**63), 0.5, [1]):
        outputs = {"run_id": run, "models": [{"model_id": model, "step": step}]}
        assert (await post(one.admin, "runs/outputs", outputs))[0] == 400, step
    for number in (2**31, 2**62, -1, 0):
        parameters = {"name": "m", "version": str(number)}
        assert (await sent(one.admin, "GET", "model-versions/get", params=parameters))[0] == 404, number
    alias = {"name": "m", "alias": "champion", "version": str(2**31)}
    assert (await post(one.admin, "registered-models/alias", alias))[0] == 400
    interval = {"run_ids": run, "metric_key": "m", "start_step": str(2**63)}
    assert (await sent(one.admin, "GET", "metrics/get-history-bulk-interval", params=interval))[0] == 400


@on_both
async def test_an_unknown_endpoint_is_named(api: Api) -> None:
    response = await api.viewer.http.get("/mlflow/api/2.0/mlflow/nothing")
    assert (response.status_code, response.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert (await api.anonymous.http.get("/mlflow/version")).status_code == 401
