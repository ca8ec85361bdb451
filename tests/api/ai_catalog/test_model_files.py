"""Downloads, scans, and metrics of models."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.test_models import blobs, file, registered, version
from tests.api.ai_catalog.test_runs import experiment, run
from tests.api.ai_catalog.trainings import FEATURES, Trainings, listed, project
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator


class Danger:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return eval, ("open('never', 'w')",)


async def upload(api: Api, model: dict[str, Any], path: str, content: bytes) -> None:
    root = "/mlflow/api/2.0/mlflow-artifacts/artifacts"
    address = f"{root}/{model['experiment_id']}/{model['id']}/artifacts/{path}"
    assert (await api.editor("PUT", address, content=content)).status == 200


async def pending(api: Api, **body: Any) -> dict[str, Any]:
    first = await experiment(api, f"models-{len(await listed(api, 'experiments'))}")
    return await made(api.editor.post("ai-catalog/logged-models", {"experiment_id": first, **body}))


@on_both
@pytest.mark.effect("ai_catalog_get_model_version_download")
async def test_a_version_is_one_archive(api: Api) -> None:
    one = await run(api)
    files = {"net/MLmodel": "flavors: {}", "net/data/weights.txt": "1 2 3"}
    for path, text in files.items():
        await file(api, one["id"], path, text)
    number = await version(api, await registered(api), f"runs:/{one['id']}/net")
    address = f"ai-catalog/model-versions/{number['id']}/download"
    reply = await api.viewer.get(address)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/octet-stream")
    with zipfile.ZipFile(io.BytesIO(reply.response.content)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == files
        assert archive.testzip() is None
    assert (await api.viewer.get(address)).response.content == reply.response.content, "it is deterministic"
    assert (await (await tenant(api, "other")).admin.get(address)).status == 404
    for blob in blobs(api):
        blob.write_bytes(b"changed")
    changed = await api.viewer.get(address)
    assert (changed.status, changed.reason) == (409, "TABLE_DAMAGED")


@pytest.mark.effect("ai_catalog_scan_logged_model")
async def test_a_scan_finds_what_would_run(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = await pending(api)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Danger()))
    contents = {
        "bad.pkl": pickle.dumps(Danger()),
        "hidden.txt": pickle.dumps(Danger()),
        "torch.pt": packed.getvalue(),
        "good.pkl": pickle.dumps({"a": [1, 2]}),
        "notes.md": b"# Notes\n",
        "empty": b"",
        "noise.bin": bytes(range(256)) * 10,
    }
    for path, content in contents.items():
        await upload(api, model, path, content)
    found = await made(api.viewer.post(f"ai-catalog/logged-models/{model['id']}:scan", {}))
    verdicts = {one["path"]: one["verdict"] for one in found["files"]}
    assert (found["verdict"], found["scanner"].split()[0]) == ("DANGEROUS", "picklescan")
    assert {path for path, verdict in verdicts.items() if verdict == "DANGEROUS"} == {
        "bad.pkl",
        "hidden.txt",
        "torch.pt",
    }
    assert (verdicts["good.pkl"], verdicts["notes.md"]) == ("CLEAN", "CLEAN")
    (danger,) = next(one["imports"] for one in found["files"] if one["path"] == "bad.pkl")
    assert (danger["name"], danger["verdict"]) == ("eval", "DANGEROUS")
    assert not (tmp_path / "never").exists()
    other = await tenant(api, "other")
    assert (await other.admin.post(f"ai-catalog/logged-models/{model['id']}:scan", {})).status == 404


async def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(api: Api) -> None:
    model = await pending(api)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.pkl", "w") as entry:
        for _ in range(600):
            entry.write(b"0" * 1_000_000)
    await upload(api, model, "bomb.pt", bomb.getvalue())
    found = await made(api.viewer.post(f"ai-catalog/logged-models/{model['id']}:scan", {}))
    assert (found["verdict"], found["files"][0]["verdict"]) == ("TOO_LARGE", "TOO_LARGE")


@on_both
@pytest.mark.effect("ai_catalog_log_metrics_logged_model", "ai_catalog_get_logged_model_metrics")
async def test_metrics_name_the_dataset_that_they_were_measured_on(api: Api) -> None:
    model = await pending(api)
    path = f"ai-catalog/logged-models/{model['id']}"
    metrics = [
        {"key": "auc", "value": 0.7, "step": 1, "at_ms": 1, "dataset_name": "train", "dataset_digest": "a"},
        {"key": "auc", "value": 0.8, "step": 2, "at_ms": 2, "dataset_name": "train", "dataset_digest": "a"},
        {"key": "auc", "value": "NaN", "step": -(2**63), "at_ms": 3, "dataset_name": "test", "dataset_digest": "b"},
        {"key": "auc", "value": 1, "at_ms": 4},
    ]
    assert (await made(api.editor.post(f"{path}:log-metrics", {"metrics": metrics})))["points"] == 4
    assert (await made(api.editor.post(f"{path}:log-metrics", {"metrics": metrics})))["points"] == 0
    items = (await made(api.viewer.get(f"{path}/metrics")))["items"]
    found = [(one["dataset_name"], one["value"], one["step"]) for one in items]
    assert found == [("", 1.0, 0), ("test", "NaN", -(2**63)), ("train", 0.8, 2)]
    assert (await api.viewer.post(f"{path}:log-metrics", {"metrics": metrics})).status == 403
    assert (await (await tenant(api, "other")).admin.get(f"{path}/metrics")).status == 404
    for bad in (
        {"value": 2**63, "step": 2**63},
        {"value": 1, "key": "x" * 251},
        {"value": 1, "dataset_name": "n" * 501},
    ):
        body = {"metrics": [{"key": "a", **bad}]}
        assert (await api.editor.post(f"{path}:log-metrics", body)).status in (400, 422), bad


@on_both
async def test_metrics_of_a_training_name_the_version_of_the_features(api: Api, orchestrator: FakeOrchestrator) -> None:
    await project(api)
    trainings = Trainings(api, orchestrator)
    trainings.train(1)
    trainings.recorder.catch_up()
    features = trainings.tables.snapshot(FEATURES).data_version
    (model,) = await listed(api, "logged-models")
    path = f"ai-catalog/logged-models/{model['id']}/metrics"
    items = {one["key"]: one for one in (await made(api.viewer.get(path)))["items"]}
    assert (items["auc"]["value"], items["auc"]["asset"], items["auc"]["version"]) == (0.9, FEATURES, features)
    ada = await user(api, "ada")
    await grant(api, ada, "ai_catalog.logged_model.*", "clinic", securable_kind="admin.project")
    hidden = await api.caller("ada").get(path)
    assert FEATURES not in hidden.response.text
    assert {one["key"] for one in hidden.json["items"]} == set(items)
    forged = {"metrics": [{"key": "auc", "value": 1}]}
    assert (await api.editor.post(path.replace("/metrics", ":log-metrics"), forged)).status == 409
