"""Evaluations: results row by row, thresholds as guarded SQL, and a gate that holds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.test_model_stages import act, stage
from tests.api.ai_catalog.test_models import file, registered, version
from tests.api.ai_catalog.test_runs import run
from tests.api.ai_catalog.trainings import FEATURES, Trainings, listed, project
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator
from tests.unit.serving.clinic import visits

RIGHT = {"name": "accuracy", "condition": "avg(CAST(correct AS INTEGER)) > 0.6"}


@pytest.fixture
async def trained(api: Api, orchestrator: FakeOrchestrator) -> list[str]:
    await project(api)
    trainings = Trainings(api, orchestrator)
    for number in (1, 2):
        trainings.train(number)
    trainings.recorder.catch_up()
    return [one["id"] for one in await listed(api, "model-versions")]


async def evaluation(api: Api, *thresholds: dict[str, Any], in_project: str = "clinic", **spec: Any) -> str:
    spec = {"title": "Visits", "dataset": FEATURES, "thresholds": list(thresholds) or [RIGHT], **spec}
    body = {"name": f"visits-{len(await listed(api, 'evaluations'))}", "project_id": in_project, "spec": spec}
    return str((await made(api.admin.post("ai-catalog/evaluations", body)))["id"])


async def ran(api: Api, id: str, version: str, **body: Any) -> dict[str, Any]:
    reply = await api.editor.post(f"ai-catalog/evaluations/{id}:run", {"model_version": version, **body})
    assert reply.status == 200, reply.response.text
    return dict(reply.json)


@pytest.mark.effect(
    "ai_catalog_run_evaluation", "ai_catalog_get_evaluation_run_report", "ai_catalog_get_evaluation_gate"
)
@on_both
async def test_the_platform_evaluates_what_it_trained(api: Api, trained: list[str]) -> None:
    old = {"name": "of_the_old", "condition": "count(*) > 0 AND avg(probability) BETWEEN 0 AND 1", "where": "actual"}
    id = await evaluation(api, RIGHT, old)
    one = await ran(api, id, trained[0])
    assert (one["passed"], one["source"], one["rows"]) == (True, "PLATFORM", visits().height)
    assert one["dataset_version"].endswith("@0")
    assert [(part["name"], part["passed"]) for part in one["thresholds"]] == [("accuracy", True), ("of_the_old", True)]
    assert one["thresholds"][1]["rows"] == int(visits()["relapse"].sum())
    report = await made(
        api.viewer.get(f"ai-catalog/evaluation-runs/{one['id']}/report", params={"where": "NOT correct"})
    )
    assert report["columns"] == ["visit", "actual", "probability", "predicted", "correct"]
    assert all(row[4] is False for row in report["rows"])
    body = {"sql": f"SELECT count(*) AS n FROM {one['results']}"}
    assert (await made(api.editor.post("ai-catalog/queries:run", body)))["rows"] == [[visits().height]]
    gate = await made(api.viewer.get(f"ai-catalog/evaluations/{id}/gate", params={"model_version": trained[0]}))
    assert (gate["passed"], gate["run"]["id"]) == (True, one["id"])
    gate = await made(api.viewer.get(f"ai-catalog/evaluations/{id}/gate", params={"model_version": trained[1]}))
    assert (gate["passed"], gate["run"]) == (False, None)
    lineage = await made(
        api.viewer.get(f"ai-catalog/model-versions/{trained[0]}/lineage", params={"direction": "downstream"})
    )
    assert one["results"] in [node["asset"] for node in lineage["nodes"]]


@on_both
async def test_results_for_the_records_of_an_evaluation_dataset(api: Api, trained: list[str]) -> None:
    place = {"project_id": "clinic"}
    body = {"name": "questions", "spec": {"title": "Questions"}, **place}
    dataset = (await made(api.editor.post("ai-catalog/evaluation-datasets", body)))["id"]
    path = f"ai-catalog/evaluation-datasets/{dataset}"
    sent = {"records": [{"inputs": {"question": text}} for text in ("a", "b")]}
    first = await made(api.editor.post(f"{path}:upsert-records", sent))
    ids = [one["id"] for one in (await made(api.viewer.get(f"{path}/records")))["items"]]
    spec = {"dataset": "", "evaluation_dataset_id": dataset, "accepts_external": True}
    id = await evaluation(api, **spec)
    run = f"ai-catalog/evaluations/{id}:run"
    for results in (
        [],
        [{"record": ids[0], "correct": True}],
        [{"record": "edr_x", "correct": True}],
        [{"record": [1]}],
    ):
        assert (await api.editor.post(run, {"model_version": trained[0], "results": results})).status == 422, results
    results = [{"record": one, "correct": True} for one in ids]
    twice = {"model_version": trained[0], "results": [*results, results[0]]}
    assert (await api.editor.post(run, twice)).status == 422
    one = await ran(api, id, trained[0], results=results)
    assert (one["dataset"], one["dataset_version"]) == (dataset, f"{first['digest']}@1")
    assert (one["rows"], one["source"], one["passed"]) == (2, "EXTERNAL", True)
    report = await made(api.viewer.get(f"ai-catalog/evaluation-runs/{one['id']}/report"))
    assert report["columns"] == ["correct", "record"]
    await made(api.editor.post(f"{path}:upsert-records", {"records": [{"inputs": {"question": "c"}}]}))
    assert (await api.editor.post(run, {"model_version": trained[0], "results": results})).status == 422
    await made(api.admin("PATCH", f"ai-catalog/evaluations/{id}", json={"spec": {"evaluation_dataset_version": 1}}))
    assert (await ran(api, id, trained[0], results=results))["dataset_version"] == f"{first['digest']}@1"
    refused = await api.editor("DELETE", path)
    assert refused.status == 409, "an evaluation uses it"


@pytest.mark.parametrize(
    "spec",
    [
        {"dataset": ""},
        {"evaluation_dataset_id": "questions", "accepts_external": True},
        {"dataset": "", "evaluation_dataset_id": "questions"},
        {"dataset": "", "evaluation_dataset_id": "questions", "accepts_external": True, "where": "true"},
        {"evaluation_dataset_version": 1},
    ],
)
async def test_an_evaluation_has_data_of_one_sort(api: Api, trained: list[str], spec: dict[str, Any]) -> None:
    body = {"name": "questions", "project_id": "clinic", "spec": {"title": "Questions"}}
    await made(api.editor.post("ai-catalog/evaluation-datasets", body))
    spec = {"title": "Visits", "dataset": FEATURES, "thresholds": [RIGHT], **spec}
    refused = await api.admin.post("ai-catalog/evaluations", {"name": "x", "project_id": "clinic", "spec": spec})
    assert refused.status == 422


@on_both
async def test_a_gate_blocks_the_approval(api: Api, trained: list[str]) -> None:
    impossible = {"name": "perfect", "condition": "min(CAST(correct AS INTEGER)) = 1"}
    id = await evaluation(api, impossible)
    (model,) = await listed(api, "registered-models")
    path = f"ai-catalog/registered-models/{model['id']}"
    change = {"spec": {"required_evaluations": [id]}}
    assert (await api.editor("PATCH", path, json=change)).status == 403
    await made(api.admin("PATCH", path, json=change))
    asked = await act(api.editor, trained[0], "request-stage", stage="PRODUCTION")
    assert (asked.status, asked.json["metadata"]) == (409, {"failed": [id]})
    assert (await ran(api, id, trained[0]))["passed"] is False
    asked = await act(api.editor, trained[0], "request-stage", stage="PRODUCTION")
    assert "failed perfect" in asked.json["detail"]
    lax = {"spec": {"thresholds": [RIGHT]}}
    assert (await api.editor("PATCH", f"ai-catalog/evaluations/{id}", json=lax)).status == 403
    await made(api.admin("PATCH", f"ai-catalog/evaluations/{id}", json=lax))
    asked = await act(api.editor, trained[0], "request-stage", stage="PRODUCTION")
    assert "changed since" in asked.json["detail"]
    await ran(api, id, trained[0])
    await made(act(api.editor, trained[0], "request-stage", stage="PRODUCTION"))
    await made(api.admin("PATCH", f"ai-catalog/evaluations/{id}", json={"spec": {"thresholds": [impossible]}}))
    await ran(api, id, trained[0])
    refused = await act(api.admin, trained[0], "approve")
    assert (refused.status, await stage(api, trained[0])) == (409, "NONE")
    await made(act(api.editor, trained[1], "request-stage", stage="STAGING"))
    assert (await api.admin("DELETE", f"ai-catalog/evaluations/{id}")).status == 409, "the model requires it"


@on_both
@pytest.mark.parametrize(
    "condition",
    [
        "1) AS passed, 1 AS counted FROM clinic.features.visits --",
        "(SELECT count(*) FROM clinic.features.visits) > 0",
        "true; DROP TABLE x",
        "correct",
        "read_csv('/etc/passwd') IS NULL",
        "count(*) > ",
        "nosuch > 1",
        "getenv('HOME') = ''",
    ],
)
async def test_a_threshold_reads_nothing_but_the_results(api: Api, trained: list[str], condition: str) -> None:
    id = await evaluation(api, {"name": "bad", "condition": condition})
    reply = await api.editor.post(f"ai-catalog/evaluations/{id}:run", {"model_version": trained[0]})
    assert 400 <= reply.status < 500, reply.response.text
    assert await listed(api, "evaluation-runs") == []


async def test_results_of_other_models_are_sent(api: Api) -> None:
    one = await run(api)
    await file(api, one["id"])
    number = (await version(api, await registered(api), f"runs:/{one['id']}/model"))["id"]
    from tests.lakehouse_tables import SILVER, make_tables

    make_tables(api.app.platform.settings, api.database)
    strict = await evaluation(api, in_project="flights", dataset=SILVER)
    rows = [{"row": n, "correct": n > 0} for n in range(10)]
    refused = await api.editor.post(f"ai-catalog/evaluations/{strict}:run", {"model_version": number, "results": rows})
    assert refused.status == 409
    assert (await api.editor.post(f"ai-catalog/evaluations/{strict}:run", {"model_version": number})).status == 409
    id = await evaluation(api, in_project="flights", dataset=SILVER, accepts_external=True)
    found = await ran(api, id, number, results=rows)
    assert (found["source"], found["rows"], found["passed"]) == ("EXTERNAL", 10, True)
    again = await ran(api, id, number, results=[{"correct": False, "note": "x"}])
    assert again["passed"] is False
    for bad in ([{"a": [1]}], [{"a b": 1}], [{"a": 1}, {"a": "x"}], [{}], [{"a": 2**70}]):
        reply = await api.editor.post(f"ai-catalog/evaluations/{id}:run", {"model_version": number, "results": bad})
        assert 400 <= reply.status < 500, (bad, reply.response.text)


@pytest.mark.effect("ai_catalog_compare_evaluation_runs")
async def test_runs_are_compared(api: Api, trained: list[str]) -> None:
    id = await evaluation(api)
    runs = [(await ran(api, id, one))["id"] for one in trained]
    found = await made(api.viewer.post("ai-catalog/evaluation-runs:compare", {"runs": runs}))
    assert (found["same_data"], found["thresholds"][0]["values"]) == (True, ["passed", "passed"])
    other = (await ran(api, await evaluation(api), trained[0]))["id"]
    assert (await api.viewer.post("ai-catalog/evaluation-runs:compare", {"runs": [runs[0], other]})).status == 400


@on_both
async def test_rows_need_the_right_to_read_the_dataset(api: Api, trained: list[str]) -> None:
    id = await evaluation(api)
    one = await ran(api, id, trained[0])
    ada = await user(api, "ada")
    for permission in ("ai_catalog.evaluation.*", "ai_catalog.evaluation_run.*", "ai_catalog.model_version.*"):
        await grant(api, ada, permission, "clinic", securable_kind="admin.project")
    caller = api.caller("ada")
    seen = await made(caller.get(f"ai-catalog/evaluation-runs/{one['id']}"))
    assert (seen["dataset"], seen["dataset_version"]) == (None, None)
    assert (await caller.get(f"ai-catalog/evaluation-runs/{one['id']}/report")).status == 404
    assert (await caller.post(f"ai-catalog/evaluations/{id}:run", {"model_version": trained[0]})).status == 404
    other = await tenant(api, "other")
    assert (await other.admin.get("ai-catalog/evaluation-runs")).json["items"] == []
    assert (await other.admin.post(f"ai-catalog/evaluations/{id}:run", {"model_version": trained[0]})).status == 404
    assert (await api.viewer.post(f"ai-catalog/evaluations/{id}:run", {"model_version": trained[0]})).status == 403
