"""Models in the lineage graph: of the platform and of notebooks, and only for those who may see the project."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.test_models import file, registered, version
from tests.api.ai_catalog.test_runs import run
from tests.api.ai_catalog.trainings import FEATURES, MODEL, Trainings, listed, project
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator


@pytest.fixture
async def trainings(api: Api, orchestrator: FakeOrchestrator) -> Trainings:
    await project(api)
    return Trainings(api, orchestrator)


async def graph(caller: Caller, path: str, **params: Any) -> dict[str, Any]:
    return await made(caller.get(f"ai-catalog/{path}", params=params))


async def notebook(api: Api, features: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A run of another program in the project `flights` that read a version of the features, and its model version."""
    one = await run(api)
    body = {"inputs": [{"name": FEATURES, "digest": "abc", "version": features}]}
    await made(api.editor.post(f"ai-catalog/runs/{one['id']}:log-inputs", body))
    logged = {"experiment_id": one["experiment_id"], "run": one["id"], "name": "net"}
    model = await made(api.editor.post("ai-catalog/logged-models", logged))
    await file(api, model["id"])
    await made(api.editor.post(f"ai-catalog/logged-models/{model['id']}:finalize", {}))
    return one, await version(api, await registered(api, "net"), f"models:/{model['id']}")


@pytest.mark.effect("ai_catalog_get_model_version_lineage", "ai_catalog_get_model_version_provenance")
async def test_the_data_and_the_code_behind_a_version(api: Api, trainings: Trainings) -> None:
    trained = trainings.train(1)
    features = trainings.tables.snapshot(FEATURES).data_version
    trainings.recorder.catch_up()
    (one,) = await listed(api, "model-versions")
    found = await graph(api.viewer, f"model-versions/{one['id']}/provenance")
    assert (found["version"], found["run"]["source"]) == (one, "PLATFORM")
    assert (found["training"]["asset"], found["training"]["version"]) == (MODEL, trained)
    (step,) = found["training"]["materializations"]
    assert (step["run"], step["code_version"], step["principal"]) == ("run-1", "7", "editor")
    assert {(node["asset"], node["version"]) for node in found["data"]} == {(MODEL, trained), (FEATURES, features)}
    lineage = await graph(api.viewer, f"model-versions/{one['id']}/lineage")
    kinds = [(node["item"] or {"kind": node["asset"]})["kind"] for node in lineage["nodes"]]
    assert kinds[:2] == ["registered-model", "logged-model"]
    assert set(kinds) == {"registered-model", "logged-model", "run", MODEL, FEATURES}
    refused = await api.viewer.get(f"ai-catalog/model-versions/{one['id']}/lineage", params={"version": "1"})
    assert refused.status == 400


@pytest.mark.effect("ai_catalog_set_alias_registered_model")
async def test_moves_of_an_alias_are_edges(api: Api, trainings: Trainings) -> None:
    for number in (1, 2):
        trainings.train(number)
    trainings.recorder.catch_up()
    first, second = await listed(api, "model-versions")
    path = f"ai-catalog/registered-models/{first['registered_model_id']}:set-alias"
    for number in (1, 2, 2):
        await made(api.editor.post(path, {"alias": "champion", "version": number}))
    for one in (first, second):
        found = await graph(api.viewer, f"model-versions/{one['id']}/lineage", direction="downstream")
        (_, alias) = found["nodes"]
        assert (alias["item"]["alias"], alias["item"]["name"]) == ("champion", MODEL)
        (edge,) = found["edges"]
        assert edge["step"] == "set-alias"
        assert edge["run"].startswith("req_")
    search = {"run": edge["run"]}
    (move,) = (await graph(api.viewer, "assets:search-provenance", **search))["items"]
    assert (move["principal"], move["version"]) == ("editor", "3")


@on_both
async def test_a_table_shows_the_models_that_were_trained_on_it(api: Api, trainings: Trainings) -> None:
    trainings.train(1)
    trainings.recorder.catch_up()
    features = trainings.tables.snapshot(FEATURES).data_version
    one, of_notebook = await notebook(api, features)
    found = await graph(api.viewer, f"assets/{FEATURES}/lineage", direction="downstream")
    items = {(node["item"]["kind"], node["item"]["source"]) for node in found["nodes"] if node["item"]}
    assert items == {("run", "PLATFORM"), ("run", "EXTERNAL"), ("logged-model", None), ("registered-model", None)}
    impact = await graph(api.viewer, f"assets/{FEATURES}/impact")
    models = [(model["name"], model["version"], model["source"], model["asset_version"]) for model in impact["models"]]
    assert models == [("net", 1, "EXTERNAL", features), (MODEL, 1, "PLATFORM", features)]
    explained = await graph(api.viewer, f"assets/{MODEL}/explanation")
    assert explained["models"] == []
    upstream = await graph(api.viewer, f"model-versions/{of_notebook['id']}/provenance")
    assert [(node["asset"], node["version"]) for node in upstream["data"]] == [(FEATURES, features)]
    assert (upstream["run"]["id"], upstream["training"]) == (one["id"], None)
    assert (await api.editor("DELETE", f"ai-catalog/model-versions/{of_notebook['id']}")).status == 204
    impact = await graph(api.viewer, f"assets/{FEATURES}/impact")
    assert [model["name"] for model in impact["models"]] == [MODEL]


async def test_the_explanation_of_a_version_names_its_models(api: Api, trainings: Trainings) -> None:
    trainings.train(1)
    trainings.recorder.catch_up()
    bronze = trainings.tables.snapshot(FEATURES).data_version
    from tests.api.ai_catalog.provenance_tables import step

    derived = step(trainings.tables, trainings.lineage, FEATURES, "run-z")
    derived.overwrite(trainings.tables.snapshot(FEATURES).to_arrow().slice(0, 2000))
    trainings.train(2)
    trainings.recorder.catch_up()
    newest = await graph(api.viewer, f"assets/{FEATURES}/explanation")
    assert [model["version"] for model in newest["models"]] == [2]
    assert newest["text"].endswith(f"Models that were trained on it: version 2 of {MODEL}.")
    assert newest["version"] != bronze


@on_both
async def test_who_cannot_see_the_project_sees_neither_node_nor_count(api: Api, trainings: Trainings) -> None:
    trainings.train(1)
    trainings.recorder.catch_up()
    features = trainings.tables.snapshot(FEATURES).data_version
    await notebook(api, features)
    ada = await user(api, "ada")
    caller = api.caller("ada")
    await grant(api, ada, "ai_catalog.asset.*", FEATURES, securable_kind="ai_catalog.asset")
    found = await graph(caller, f"assets/{FEATURES}/lineage", direction="downstream")
    assert ([node["asset"] for node in found["nodes"]], found["edges"], found["truncated"]) == ([FEATURES], [], False)
    impact = await graph(caller, f"assets/{FEATURES}/impact")
    assert (impact["assets"], impact["models"], impact["truncated"]) == ([], [], False)
    await grant(api, ada, "rol_viewer", "flights", securable_kind="admin.project")
    found = await graph(caller, f"assets/{FEATURES}/lineage", direction="downstream")
    assert {node["item"]["kind"] for node in found["nodes"] if node["item"]} == {
        "run",
        "logged-model",
        "registered-model",
    }
    assert len(found["nodes"]) == 4
    impact = await graph(caller, f"assets/{FEATURES}/impact")
    assert [model["name"] for model in impact["models"]] == ["net"]
    one = {"id": impact["models"][0]["version_id"]}
    reply = await graph(caller, f"model-versions/{one['id']}/provenance")
    assert [node["asset"] for node in reply["data"]] == [FEATURES]
    other = await tenant(api, "other")
    assert (await other.admin.get(f"ai-catalog/model-versions/{one['id']}/provenance")).status == 404
    assert (await other.admin.get(f"ai-catalog/model-versions/{one['id']}/lineage")).status == 404


async def test_the_data_behind_a_model_is_hidden_from_who_may_not_see_it(api: Api, trainings: Trainings) -> None:
    trainings.train(1)
    trainings.recorder.catch_up()
    _, one = await notebook(api, trainings.tables.snapshot(FEATURES).data_version)
    ada = await user(api, "ada")
    await grant(api, ada, "rol_viewer", "flights", securable_kind="admin.project")
    reply = await api.caller("ada").get(f"ai-catalog/model-versions/{one['id']}/provenance")
    assert reply.json["data"] == []
    assert FEATURES not in reply.response.text


async def test_a_claim_cannot_forge_a_node(api: Api, trainings: Trainings) -> None:
    """The names of inputs are data: one that looks like a node is no node, and one without a version is no edge."""
    trainings.train(1)
    trainings.recorder.catch_up()
    (real,) = await listed(api, "registered-models")
    one = await run(api)
    names = [f"registered-model:clinic:{real['id']}", f"run:clinic:{one['id']}", "external:clinic:xds_1", MODEL]
    body = {"inputs": [{"name": name, "digest": "1"} for name in names]}
    await made(api.editor.post(f"ai-catalog/runs/{one['id']}:log-inputs", body))
    (trained,) = await listed(api, "model-versions")
    found = await graph(api.viewer, f"model-versions/{trained['id']}/lineage", direction="downstream")
    assert len(found["nodes"]) == 1
    body = {"inputs": [{"name": MODEL, "digest": "2", "version": "99"}]}
    assert (await api.editor.post(f"ai-catalog/runs/{one['id']}:log-inputs", body)).status == 422
