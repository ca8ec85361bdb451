"""Runs, logged models, and versions of models are reproduced by their ids, as the asset version behind them.

The kind: an id that leads to another version, a run for a caller without the rights on the asset, and an external run
whose answer names hidden data or promises what nothing can repeat.
"""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, user
from tests.api.ai_catalog.trainings import FEATURES, MODEL, Trainings, listed, project
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator

KINDS = ("runs", "logged-models", "model-versions")


@pytest.fixture
async def trainings(api: Api, orchestrator: FakeOrchestrator) -> Trainings:
    await project(api)
    return Trainings(api, orchestrator)


async def trained(api: Api, trainings: Trainings) -> str:
    """Two trainings that the catalog recorded. Returns the data version of the first one."""
    first = trainings.train(1)
    trainings.train(2)
    trainings.recorder.catch_up()
    return first


@on_both
@pytest.mark.effect(
    "ai_catalog_get_run_reproduce_plan",
    "ai_catalog_get_logged_model_reproduce_plan",
    "ai_catalog_get_model_version_reproduce_plan",
)
@pytest.mark.parametrize("kind", KINDS)
async def test_the_plan_is_that_of_the_version_behind_it(api: Api, trainings: Trainings, kind: str) -> None:
    version = await trained(api, trainings)
    first = (await listed(api, kind))[0]["id"]
    found = await made(api.viewer.get(f"ai-catalog/{kind}/{first}/reproduce-plan"))
    features = trainings.tables.snapshot(FEATURES).data_version
    assert (found["plan"]["asset"], found["plan"]["version"], found["plan"]["run"]) == (MODEL, version, "run-1")
    assert found["inputs"] == {FEATURES: features} == found["plan"]["inputs"]
    assert not found["possible"], "the code of the asset has another version now"


@pytest.mark.effect(
    "ai_catalog_reproduce_run", "ai_catalog_reproduce_logged_model", "ai_catalog_reproduce_model_version"
)
@pytest.mark.parametrize("kind", KINDS)
async def test_it_launches_the_version_behind_it(
    api: Api, trainings: Trainings, orchestrator: FakeOrchestrator, kind: str
) -> None:
    version = await trained(api, trainings)
    path = f"ai-catalog/{kind}/{(await listed(api, kind))[0]['id']}:reproduce"
    assert (await api.viewer.post(path, {})).status == 403
    operation = await api.editor.post(path, {})
    assert operation.status == 202, operation.response.text
    assert (orchestrator.launches[-1].job, orchestrator.launches[-1].assets) == ("reproduce", (MODEL,))
    (stored,) = (await made(api.viewer.get("ai-catalog/reproductions")))["items"]
    assert (stored["asset"], stored["version"], stored["operation_id"]) == (MODEL, version, operation.json["id"])


async def external(api: Api, project_id: str) -> dict[str, Any]:
    """A run of an external program, with its input and commit."""
    body = {"name": "sizes", "project_id": project_id, "spec": {"title": "Sizes"}}
    experiment = await made(api.editor.post("ai-catalog/experiments", body))
    tags = {"mlflow.source.git.commit": "abc123"}
    run = await made(api.editor.post("ai-catalog/runs", {"experiment_id": experiment["id"], "tags": tags}))
    inputs = {"inputs": [{"name": FEATURES, "digest": "1", "version": "0"}]}
    await made(api.editor.post(f"ai-catalog/runs/{run['id']}:log-inputs", inputs))
    return run


@on_both
async def test_an_external_run_tells_what_is_known(api: Api, orchestrator: FakeOrchestrator) -> None:
    place = await project(api)
    tables: Tables = Trainings(api, orchestrator).tables
    run = await external(api, place)
    path = f"ai-catalog/runs/{run['id']}"
    found = await made(api.viewer.get(f"{path}/reproduce-plan"))
    known = {FEATURES: tables.snapshot(FEATURES).data_version}
    assert (found["possible"], found["plan"], found["inputs"], found["git_sha"]) == (False, None, known, "abc123")
    refused = await api.editor.post(f"{path}:reproduce", {})
    assert (refused.status, refused.json["metadata"]["verdict"]) == (409, "NOT_REPRODUCIBLE")
    assert (refused.json["metadata"]["inputs"], orchestrator.launches) == (known, [])
    await user(api, "dora")
    with_runs = await made(api.admin.get("admin/users/dora"))
    await grant(api, with_runs["id"], "ai_catalog.run.*", place)
    hidden = await api.caller("dora").get(f"{path}/reproduce-plan")
    assert (hidden.status, hidden.json["inputs"]) == (200, {})
    assert FEATURES not in (await api.caller("dora").post(f"{path}:reproduce", {})).response.text


async def test_a_hidden_asset_is_as_if_the_run_were_external(api: Api, trainings: Trainings) -> None:
    await trained(api, trainings)
    run = (await listed(api, "runs"))[0]
    dora = await user(api, "dora")
    await grant(api, dora, "ai_catalog.run.*", run["project_id"])
    found = await made(api.caller("dora").get(f"ai-catalog/runs/{run['id']}/reproduce-plan"))
    assert (found["plan"], found["inputs"]) == (None, {})
    assert (await api.caller("dora").post(f"ai-catalog/runs/{run['id']}:reproduce", {})).status == 409
