"""Trainings of the platform become runs, logged models, and model versions: each once, and none twice."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from api.services.ai_catalog.logic import training_rows
from api.services.ai_catalog.logic.training_recorder import TrainingRecorder
from api.services.ai_catalog.model_tables import TRAINING
from core.events import EVENT
from tests.api.admin.tenants import made
from tests.api.ai_catalog.test_models import blobs
from tests.api.ai_catalog.trainings import FEATURES, MODEL, Trainings, listed, project
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator


@pytest.fixture
async def trainings(api: Api, orchestrator: FakeOrchestrator) -> Trainings:
    await project(api)
    return Trainings(api, orchestrator)


async def test_a_training_becomes_a_run_a_logged_model_and_a_version(api: Api, trainings: Trainings) -> None:
    version = trainings.train(1)
    features = trainings.tables.snapshot(FEATURES).data_version
    assert trainings.recorder.catch_up() == 1
    (run,) = await listed(api, "runs")
    assert (run["source"], run["status"], run["created_by"]) == ("PLATFORM", "FINISHED", "editor")
    assert [(one["asset"], one["version"]) for one in run["inputs"]] == [(FEATURES, features)]
    values = {key: metric["value"] for key, metric in run["metrics"].items()}
    assert values == {"auc": 0.9, "broken": "NaN", "rows": 10, "baseline_auc": 0.5, "threshold": 0.4}
    assert run["params"]["seed"] == "1"
    tags = run["tags"]
    assert (tags["headwater.version"], tags["headwater.run"], tags["headwater.code_version"]) == (version, "run-1", "7")
    (experiment,) = await listed(api, "experiments")
    assert (experiment["spec"]["title"], experiment["id"]) == (MODEL, run["experiment_id"])
    (logged,) = await listed(api, "logged-models")
    assert (logged["state"], logged["run_id"], logged["model_type"]) == ("READY", run["id"], "onnx")
    (model,) = await listed(api, "registered-models")
    assert model["spec"]["title"] == MODEL
    (number,) = await listed(api, "model-versions")
    found = {name: number[name] for name in ("registered_model_id", "version", "source", "run_id", "stage", "checks")}
    assert found == {
        "registered_model_id": model["id"],
        "version": 1,
        "source": f"models:/{logged['id']}",
        "run_id": run["id"],
        "stage": "NONE",
        "checks": {"beats_base_rate": True},
    }
    verified = await made(api.viewer.post(f"ai-catalog/model-versions/{number['id']}:verify", {}))
    assert (verified["intact"], verified["files"]) == (True, 5)


@on_both
async def test_nothing_is_recorded_twice(api: Api, trainings: Trainings) -> None:
    for number in range(3):
        trainings.train(number)
    recorders = [TrainingRecorder(api.app.platform) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(TrainingRecorder.catch_up, recorders))
    assert trainings.recorder.catch_up() == 0
    for kind, count in (("runs", 3), ("logged-models", 3), ("experiments", 1), ("registered-models", 1)):
        assert len(await listed(api, kind)) == count, kind
    assert [one["version"] for one in await listed(api, "model-versions")] == [1, 2, 3]
    trainings.train(3)
    assert trainings.recorder.catch_up() == 1
    assert len(await listed(api, "model-versions")) == 4


@pytest.mark.parametrize("place", ["_add_run", "_add_logged_model", "_add_version", "_add_edges", "emit"])
async def test_a_recording_that_is_interrupted_leaves_nothing(
    api: Api, trainings: Trainings, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    trainings.train(1)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training_rows.TrainingRows, place, die)
        with pytest.raises(KeyboardInterrupt):
            trainings.recorder.catch_up()
    kinds = ("runs", "logged-models", "experiments", "registered-models", "model-versions", "artifacts")
    for kind in kinds:
        assert await listed(api, kind) == [], kind
    stored = len(blobs(api))
    assert trainings.recorder.catch_up() == 1
    assert [len(await listed(api, kind)) for kind in kinds] == [1, 1, 1, 1, 1, 5]
    assert len(blobs(api)) <= stored + 1, "the files that were stored are used again, but for the one with the id"


async def test_a_rejected_training_is_recorded_and_not_promoted(api: Api, trainings: Trainings) -> None:
    trainings.train(1)
    trainings.train(2, accepted=False)
    trainings.recorder.catch_up()
    (model,) = await listed(api, "registered-models")
    path = f"ai-catalog/registered-models/{model['id']}:set-alias"
    refused = await api.editor.post(path, {"alias": "champion", "version": 2})
    assert (refused.status, refused.json["metadata"]) == (409, {"failed": ["beats_base_rate"]})
    await made(api.editor.post(path, {"alias": "champion", "version": 1}))
    rejected = (await listed(api, "model-versions"))[1]
    assert rejected["tags"]["headwater.accepted"] == "false"


async def test_what_is_deleted_stays_deleted_and_waits_for_its_restoration(api: Api, trainings: Trainings) -> None:
    trainings.train(1)
    trainings.recorder.catch_up()
    (model,) = await listed(api, "registered-models")
    path = f"ai-catalog/registered-models/{model['id']}"
    assert (await api.editor("DELETE", path)).status == 204
    trainings.train(2)
    assert trainings.recorder.catch_up() == 0
    assert await listed(api, "model-versions") == []
    await made(api.editor.post(f"{path}:restore", {}))
    assert trainings.recorder.catch_up() == 1
    assert [one["version"] for one in await listed(api, "model-versions")] == [1, 2]
    (first, second) = await listed(api, "runs")
    assert (await api.editor("DELETE", f"ai-catalog/runs/{second['id']}")).status == 204
    assert trainings.recorder.catch_up() == 0
    assert [one["id"] for one in await listed(api, "runs")] == [first["id"]]


async def test_a_renamed_model_gets_further_versions(api: Api, trainings: Trainings) -> None:
    trainings.train(1)
    trainings.recorder.catch_up()
    (model,) = await listed(api, "registered-models")
    body = {"name": "relapse", "spec": {"title": "relapse"}}
    await made(api.editor("PATCH", f"ai-catalog/registered-models/{model['id']}", json=body))
    trainings.train(2)
    assert trainings.recorder.catch_up() == 1
    assert {one["registered_model_id"] for one in await listed(api, "model-versions")} == {model["id"]}


async def test_a_project_that_is_not_active_gets_nothing(
    api: Api, orchestrator: FakeOrchestrator, caplog: pytest.LogCaptureFixture
) -> None:
    trainings = Trainings(api, orchestrator)
    trainings.train(1)
    assert trainings.recorder.catch_up() == 0, "the project is not registered"
    id = await project(api)
    await made(api.admin.post(f"admin/projects/{id}:archive", {}))
    assert trainings.recorder.catch_up() == 0
    await made(api.admin.post(f"admin/projects/{id}:unarchive", {}))
    assert trainings.recorder.catch_up() == 1
    assert not caplog.records


@on_both
async def test_a_version_that_is_no_training_is_noted_once(api: Api, trainings: Trainings) -> None:
    trainings.train(1)
    table = trainings.tables.snapshot(MODEL)
    with api.database.write() as connection:
        from lakehouse.lineage import LINEAGE_EDGE

        edge = connection.execute(sa.select(LINEAGE_EDGE).where(LINEAGE_EDGE.c.out_asset == MODEL)).first()
        assert edge is not None
        values = {**edge._mapping, "sequence": None, "out_version": "another-table@0", "run": "run-x"}
        del values["sequence"]
        connection.execute(LINEAGE_EDGE.insert().values(values))
    assert trainings.recorder.catch_up() == 2
    assert trainings.recorder.catch_up() == 0
    with api.database.read() as connection:
        rows = {row.data_version: row for row in connection.execute(sa.select(TRAINING))}
    assert rows[table.data_version].problem == ""
    assert "has no version" in rows["another-table@0"].problem
    assert len(await listed(api, "runs")) == 1


async def test_what_the_platform_measured_does_not_change(api: Api, trainings: Trainings) -> None:
    trainings.train(1)
    trainings.recorder.catch_up()
    (run,) = await listed(api, "runs")
    path = f"ai-catalog/runs/{run['id']}"
    for verb, body in (
        ("log-batch", {"metrics": [{"key": "auc", "value": 1.0, "step": 9}]}),
        ("log-inputs", {"inputs": [{"name": "other", "digest": "1"}]}),
        ("finish", {"status": "FAILED"}),
    ):
        assert (await api.editor.post(f"{path}:{verb}", body)).status == 409, verb
    assert (await made(api.viewer.get(path))) == run
    tagged = await made(api.editor("PATCH", path, json={"tags": {"note": "good"}}))
    assert tagged["tags"]["note"] == "good"


@on_both
async def test_who_recorded_what_is_in_the_audit_log(api: Api, trainings: Trainings) -> None:
    version = trainings.train(1)
    trainings.recorder.catch_up()
    with api.database.read() as connection:
        rows = connection.execute(sa.select(EVENT.c.type, EVENT.c.principal, EVENT.c.data)).all()
    found = [row for row in rows if row.data.get("data_version") == version]
    kinds = ("experiment", "registered_model", "run", "logged_model", "model_version")
    assert [row.type for row in found] == [f"ai_catalog.{kind}.created" for kind in kinds]
    assert {row.principal for row in found} == {"headwater"}


async def test_the_background_task_records(api: Api, trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings.train(1)
    await trainings.recorder._poll()
    assert len(await listed(api, "runs")) == 1
    await trainings.recorder._poll()
    calls: list[int] = []
    monkeypatch.setattr(trainings.recorder, "catch_up", lambda: calls.append(1))
    await trainings.recorder._poll()
    assert calls == [], "nothing was recorded since"
    await trainings.recorder.stop()


@on_both
async def test_the_files_state_the_signature(api: Api, trainings: Trainings) -> None:
    version = trainings.train(1)
    trainings.recorder.catch_up()
    (logged,) = await listed(api, "logged-models")
    root = "/mlflow/api/2.0/mlflow-artifacts/artifacts"
    reply = await api.viewer.get(f"{root}/{logged['experiment_id']}/{logged['id']}/artifacts/MLmodel")
    document = json.loads(reply.response.text)
    assert document["metadata"]["headwater"] == {"asset": MODEL, "version": version, "target": "relapse"}
    assert json.loads(document["signature"]["inputs"])[0]["tensor-spec"] == {"dtype": "float32", "shape": [-1, 3]}
