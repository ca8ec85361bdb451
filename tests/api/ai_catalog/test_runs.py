"""Runs and what is logged to them: stored once, exact, and seen by those who may see the project."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from api.kernel.platform import open_tables
from tests.api.admin.tenants import tenant
from tests.api.admin.test_projects import ended
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator


async def experiment(api: Api, name: str = "trees") -> str:
    await api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}})
    made = await api.editor.post(
        "ai-catalog/experiments", {"name": name, "project_id": "flights", "spec": {"title": name}}
    )
    assert made.status == 201, made.response.text
    return str(made.json["id"])


async def run(api: Api, **body: Any) -> dict[str, Any]:
    if "experiment_id" not in body:
        body["experiment_id"] = await experiment(api)
    made = await api.editor.post("ai-catalog/runs", body)
    assert made.status == 201, made.response.text
    return dict(made.json)


async def logged(api: Api, id: str, **body: Any) -> dict[str, Any]:
    reply = await api.editor.post(f"ai-catalog/runs/{id}:log-batch", body)
    assert reply.status == 200, reply.response.text
    return dict(reply.json)


async def points(api: Api, id: str, key: str) -> list[tuple[int, Any]]:
    reply = await api.viewer.get(f"ai-catalog/runs/{id}/metric-history", params={"key": key})
    return [(point["step"], point["value"]) for point in reply.json["points"]]


@pytest.mark.effect("ai_catalog_log_batch_run")
async def test_a_repeated_batch_adds_nothing(api: Api) -> None:
    id = (await run(api))["id"]
    batch = {
        "metrics": [
            {"key": "loss", "value": 2, "step": 0, "at_ms": 1},
            {"key": "loss", "value": "NaN", "step": 1, "at_ms": 2},
            {"key": "loss", "value": "-Infinity", "step": -(2**63), "at_ms": 3},
            {"key": "auc", "value": 0.1 + 0.2, "step": 2**63 - 1, "at_ms": 4},
        ],
        "params": [{"key": "depth", "value": "3"}],
        "tags": {"mlflow.note.content": "ünïcode ✓"},
    }
    assert await logged(api, id, **batch) == {"points": 4, "params": 1}
    assert await logged(api, id, **batch) == {"points": 0, "params": 0}
    assert await points(api, id, "loss") == [(-(2**63), "-Infinity"), (0, 2.0), (1, "NaN")]
    seen = (await api.viewer.get(f"ai-catalog/runs/{id}")).json
    assert seen["metrics"]["auc"] | {"at": ""} == {"value": 0.1 + 0.2, "step": 2**63 - 1, "at": ""}
    assert seen["metrics"]["loss"]["value"] == "NaN", "the latest is the highest step"
    assert (seen["params"], seen["tags"]) == ({"depth": "3"}, {"mlflow.note.content": "ünïcode ✓"})


@pytest.mark.effect("ai_catalog_log_batch_run")
async def test_a_changed_parameter_undoes_the_whole_batch(api: Api) -> None:
    id = (await run(api))["id"]
    await logged(api, id, params=[{"key": "depth", "value": "3"}])
    batch = {
        "metrics": [{"key": "loss", "value": 1}],
        "params": [{"key": "rate", "value": "1"}, {"key": "depth", "value": "4"}],
        "tags": {"a": "b"},
    }
    refused = await api.editor.post(f"ai-catalog/runs/{id}:log-batch", batch)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (409, "/params/1/value")
    seen = (await api.viewer.get(f"ai-catalog/runs/{id}")).json
    assert (seen["params"], seen["metrics"], seen["tags"]) == ({"depth": "3"}, {}, {})


@pytest.mark.effect("ai_catalog_log_batch_run")
async def test_the_latest_value_is_that_of_the_highest_step_in_any_order_of_arrival(api: Api) -> None:
    id = (await run(api))["id"]
    arrivals = [(3, 30, 0.3), (5, 10, 0.5), (5, 20, "NaN"), (5, 20, 0.6), (4, 99, 0.4)]
    for step, at_ms, value in arrivals:
        await logged(api, id, metrics=[{"key": "loss", "value": value, "step": step, "at_ms": at_ms}])
    one_batch = (await run(api, experiment_id=await experiment(api, "other")))["id"]
    metrics = [{"key": "loss", "value": value, "step": step, "at_ms": at} for step, at, value in arrivals]
    await logged(api, one_batch, metrics=metrics)
    for found in (id, one_batch):
        latest = (await api.viewer.get(f"ai-catalog/runs/{found}")).json["metrics"]["loss"]
        assert (latest["step"], latest["value"]) == (5, 0.6)


async def test_history_pages_neither_repeat_nor_lose_a_value(api: Api) -> None:
    id = (await run(api))["id"]
    metrics = [{"key": "loss", "value": n / 7, "step": n // 3, "at_ms": n} for n in range(50)]
    await logged(api, id, metrics=metrics)
    seen, token = [], ""
    while True:
        query = {"key": "loss", "page_size": 7, "page_token": token}
        page = (await api.viewer.get(f"ai-catalog/runs/{id}/metric-history", params=query)).json
        seen += [point["value"] for point in page["points"]]
        if not (token := page["next_page_token"]):
            break
    assert seen == [n / 7 for n in range(50)]
    bad = await api.viewer.get(f"ai-catalog/runs/{id}/metric-history", params={"key": "x", "page_token": "1,2"})
    assert bad.status == 400


@on_both
@pytest.mark.effect("ai_catalog_finish_run", "ai_catalog_update_run", "ai_catalog_restore_run")
async def test_the_life_of_a_run(api: Api) -> None:
    id = (await run(api, tags={"a": "1", "b": "2"}, started_at="2026-01-31T12:00:00Z"))["id"]
    path = f"ai-catalog/runs/{id}"
    changed = await api.editor("PATCH", path, json={"name": "Second try", "tags": {"a": None, "c": "3"}})
    assert (changed.json["name"], changed.json["tags"]) == ("Second try", {"b": "2", "c": "3"})
    ended = (await api.editor.post(f"{path}:finish", {"status": "FAILED", "ended_at": "2026-01-31T13:00:00Z"})).json
    assert (ended["status"], ended["ended_at"]) == ("FAILED", "2026-01-31T13:00:00Z")
    assert (await api.editor.post(f"{path}:finish", {"status": "RUNNING"})).json["ended_at"] is None
    assert (await api.editor.post(f"{path}:restore", {})).status == 409
    assert (await api.editor("DELETE", path)).status == 204
    assert (await api.viewer.get(path)).status == 404
    assert (await api.editor.post(f"{path}:log-batch", {"tags": {"x": "y"}})).status == 404
    assert (await api.viewer.get("ai-catalog/runs")).json["items"] == []
    deleted = (await api.viewer.post("ai-catalog/runs:search", {"deleted": True})).json["items"]
    assert [one["id"] for one in deleted] == [id]
    assert (await api.editor.post(f"{path}:restore", {})).json["tags"] == {"b": "2", "c": "3"}
    assert (await api.viewer.get(path)).status == 200


async def test_runs_are_deleted_and_restored_with_their_experiment(api: Api) -> None:
    first = await experiment(api)
    stays, gone = [(await run(api, experiment_id=first))["id"] for _ in range(2)]
    await api.editor("DELETE", f"ai-catalog/runs/{gone}")
    assert (await api.editor("DELETE", f"ai-catalog/experiments/{first}")).status == 204
    assert (await api.viewer.get(f"ai-catalog/runs/{stays}")).status == 404
    assert (await api.editor.post(f"ai-catalog/runs/{stays}:restore", {})).status == 404, "its experiment is deleted"
    second = await experiment(api)
    assert second != first, "the name of a deleted experiment can be used again"
    assert (await api.viewer.post("ai-catalog/runs:search", {"experiments": [second]})).json["items"] == []
    assert (await api.editor.post(f"ai-catalog/experiments/{first}:restore", {})).status == 409
    await api.editor("DELETE", f"ai-catalog/experiments/{second}")
    assert (await api.editor.post(f"ai-catalog/experiments/{first}:restore", {})).status == 200
    assert (await api.viewer.get(f"ai-catalog/runs/{stays}")).status == 200
    assert (await api.viewer.get(f"ai-catalog/runs/{gone}")).status == 404, "it was deleted before"


@on_both
@pytest.mark.effect("ai_catalog_move_run")
async def test_a_run_moves_within_its_project(api: Api) -> None:
    id = (await run(api))["id"]
    other = await experiment(api, "other")
    assert (await api.editor.post(f"ai-catalog/runs/{id}:move", {"experiment_id": other})).status == 200
    found = (await api.viewer.post("ai-catalog/runs:search", {"experiments": [other]})).json["items"]
    assert [one["id"] for one in found] == [id]
    await api.admin.post("admin/projects", {"name": "sales", "spec": {"title": "Sales"}})
    body = {"name": "trees", "project_id": "sales", "spec": {"title": "Trees"}}
    foreign = (await api.admin.post("ai-catalog/experiments", body)).json["id"]
    assert (await api.admin.post(f"ai-catalog/runs/{id}:move", {"experiment_id": foreign})).status == 422


@pytest.mark.effect("ai_catalog_compare_runs")
async def test_a_comparison_names_what_differs(api: Api) -> None:
    first = await experiment(api)
    ids = [(await run(api, experiment_id=first))["id"] for _ in range(2)]
    for n, id in enumerate(ids):
        params = [{"key": "depth", "value": str(n)}, {"key": "seed", "value": "7"}]
        await logged(api, id, params=params, metrics=[{"key": "auc", "value": 0.5}] if n else [])
    compared = (await api.viewer.post("ai-catalog/runs:compare", {"runs": ids})).json
    assert compared["params"] == [
        {"key": "depth", "values": ["0", "1"], "differs": True},
        {"key": "seed", "values": ["7", "7"], "differs": False},
    ]
    assert compared["metrics"] == [{"key": "auc", "values": [None, 0.5], "differs": True}]


@pytest.mark.effect("ai_catalog_log_inputs_run")
async def test_inputs_name_the_exact_version_and_are_hidden_with_their_asset(
    api: Api, orchestrator: FakeOrchestrator
) -> None:
    id = (await run(api))["id"]
    tables = api.app.platform.part(open_tables)
    tables.create_with("flights.gold.delays", pa.table({"x": [1]}))
    first = tables.snapshot("flights.gold.delays").data_version
    tables.append("flights.gold.delays", pa.table({"x": [2]}))
    source = json.dumps({"delta_table_name": "flights.gold.delays", "delta_table_version": 0})
    inputs = [
        {"name": "flights.gold.delays", "digest": "a", "version": "0"},
        {"name": "delays", "digest": "b", "source_type": "delta_table", "source": source},
        {"name": "notes.csv", "digest": "c", "source_type": "local", "tags": {"mlflow.data.context": "training"}},
    ]
    for added in (3, 0):
        reply = await api.editor.post(f"ai-catalog/runs/{id}:log-inputs", {"inputs": inputs})
        assert reply.json == {"inputs": added}, reply.response.text
    seen = (await api.viewer.get(f"ai-catalog/runs/{id}")).json["inputs"]
    assert sorted((one["name"], one["version"]) for one in seen if one["asset"]) == [
        ("delays", first),
        ("flights.gold.delays", first),
    ]
    missing = [{"name": "flights.gold.delays", "digest": "d", "version": "7"}]
    refused = await api.editor.post(f"ai-catalog/runs/{id}:log-inputs", {"inputs": missing})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/inputs/0/version")
    deny = {"principal_id": "viewer", "permission": "ai_catalog.asset.get", "effect": "DENY", "securable_id": "flights"}
    assert (await api.admin.post("admin/grants", deny)).status == 201
    hidden = (await api.viewer.get(f"ai-catalog/runs/{id}")).json["inputs"]
    assert [one["name"] for one in hidden] == ["notes.csv"]


@on_both
async def test_the_summary_and_the_best_run(api: Api) -> None:
    first = await experiment(api)
    path = f"ai-catalog/experiments/{first}"
    assert (await api.viewer.get(f"{path}/best", params={"metric": "auc"})).status == 404
    assert (await api.viewer.get(f"{path}/summary")).json["runs"] == {}
    for n, value in enumerate((0.5, 0.9, "NaN", 0.9)):
        one = (await run(api, experiment_id=first, name=f"run {n}", started_at=f"2026-01-31T0{n}:00:00Z"))["id"]
        await logged(api, one, metrics=[{"key": "auc", "value": value}], params=[{"key": f"p{n % 2}", "value": "1"}])
        if n == 0:
            await api.editor.post(f"ai-catalog/runs/{one}:finish", {})
    best = [
        (await api.viewer.get(f"{path}/best", params={"metric": "auc", "goal": goal})).json for goal in ("max", "min")
    ]
    assert [one["name"] for one in best] == ["run 1", "run 0"], "the oldest of equal ones; NaN never counts"
    summary = (await api.viewer.get(f"{path}/summary")).json
    assert (summary["runs"], summary["params"]) == ({"FINISHED": 1, "RUNNING": 3}, ["p0", "p1"])
    assert summary["metrics"] == [{"key": "auc", "runs": 4, "lowest": 0.5, "highest": 0.9}]


@on_both
async def test_another_tenant_and_a_viewer(api: Api) -> None:
    """A run is as unknown to another organization as one that never was, and a viewer changes nothing."""
    id = (await run(api))["id"]
    other = await tenant(api, "other")
    search = await other.admin.post("ai-catalog/runs:search", {})
    assert (search.status, search.json["items"]) == (200, [])
    for method, path in (("GET", f"runs/{id}"), ("GET", f"runs/{id}/metric-history?key=x"), ("DELETE", f"runs/{id}")):
        assert (await other.admin(method, f"ai-catalog/{path}")).status == 404
    assert (await other.admin.post("ai-catalog/runs:compare", {"runs": [id, id]})).status == 404
    assert (await other.admin.post(f"ai-catalog/runs/{id}:log-batch", {})).status == 404
    assert (await api.viewer.post(f"ai-catalog/runs/{id}:log-batch", {"tags": {"a": "b"}})).status == 403
    assert (await api.viewer.get(f"ai-catalog/runs/{id}")).json["tags"] == {}


async def test_runs_move_and_are_hidden_with_their_project(api: Api) -> None:
    """The kind: rows of a separate table stay with the former organization, or keep its names."""
    id = (await run(api))["id"]
    other = await tenant(api, "other")
    moved = await api.admin.post("admin/projects/flights:move", {"organization_id": other.organization})
    assert moved.status == 202, moved.response.text
    await ended(api, moved.json["id"])
    seen = (await other.admin.get(f"ai-catalog/runs/{id}")).json
    assert (seen["organization_id"], seen["created_by"]) == (other.organization, "former-organization")
