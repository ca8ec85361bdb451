"""What a version tells: its card, its signature, and its differences from other versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.admin.tenants import made, tenant
from tests.api.ai_catalog.test_models import file, registered, version
from tests.api.ai_catalog.test_runs import logged, run
from tests.api.ai_catalog.trainings import FEATURES, MODEL, Trainings, listed, project
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator

SIGNATURE = {
    "inputs": json.dumps([{"type": "double", "name": "x", "required": True}]),
    "outputs": json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]),
}


async def trained(api: Api, orchestrator: FakeOrchestrator, count: int = 1) -> list[str]:
    await project(api)
    trainings = Trainings(api, orchestrator)
    for number in range(1, count + 1):
        trainings.train(number)
    trainings.recorder.catch_up()
    return [one["id"] for one in await listed(api, "model-versions")]


async def of_notebook(api: Api, mlmodel: str) -> str:
    one = await run(api)
    await logged(api, one["id"], metrics=[{"key": "auc", "value": 0.7}], params=[{"key": "depth", "value": "3"}])
    await file(api, one["id"], "net/MLmodel", mlmodel)
    await file(api, one["id"], "net/plots/roc.svg", "<svg/>")
    return str((await version(api, await registered(api, "net"), f"runs:/{one['id']}/net"))["id"])


async def part(api: Api, id: str, name: str, **params: Any) -> dict[str, Any]:
    return await made(api.viewer.get(f"ai-catalog/model-versions/{id}/{name}", params=params))


@on_both
@pytest.mark.effect("ai_catalog_get_model_version_card", "ai_catalog_write_card_model_version")
async def test_a_card_has_facts_and_a_text_with_a_history(api: Api, orchestrator: FakeOrchestrator) -> None:
    (id,) = await trained(api, orchestrator)
    card = await part(api, id, "card")
    assert (card["model"], card["written"], card["revisions"]) == (MODEL, None, 0)
    assert card["facts"]["run"]["metrics"]["auc"]["value"] == 0.9
    assert {one["asset"] for one in card["facts"]["data"]} == {MODEL, FEATURES}
    path = f"ai-catalog/model-versions/{id}:write-card"
    first = await made(api.editor.post(path, {"text": "Not for children.", "revision": 0}))
    assert (first["revision"], first["written_by"]) == (1, "editor")
    stale = await api.admin.post(path, {"text": "Other.", "revision": 0})
    assert (stale.status, stale.json["metadata"]) == (409, {"revision": 1})
    await made(api.admin.post(path, {"text": "Not for children, nor adults.", "revision": 1}))
    card = await part(api, id, "card")
    assert (card["written"]["text"], card["revisions"]) == ("Not for children, nor adults.", 2)
    assert (await part(api, id, "card", revision=1))["written"] == first
    assert (await api.viewer.get(f"ai-catalog/model-versions/{id}/card", params={"revision": 9})).status == 404
    assert (await api.viewer.post(path, {"text": "x"})).status == 403
    assert (await (await tenant(api, "other")).admin.get(f"ai-catalog/model-versions/{id}/card")).status == 404


@pytest.mark.effect("ai_catalog_get_model_version_signature", "ai_catalog_get_logged_model_signature")
async def test_signatures_come_from_the_files(api: Api, orchestrator: FakeOrchestrator) -> None:
    (id,) = await trained(api, orchestrator)
    stated = await part(api, id, "signature")
    assert stated["source"] == "MLMODEL"
    assert stated["inputs"] == [{"name": "", "type": "float32", "shape": [-1, 3], "required": None}]
    (model,) = await listed(api, "logged-models")
    assert (await made(api.viewer.get(f"ai-catalog/logged-models/{model['id']}/signature"))) == stated
    other = await of_notebook(api, json.dumps({"signature": SIGNATURE}))
    stated = await part(api, other, "signature")
    assert stated["inputs"] == [{"name": "x", "type": "double", "shape": None, "required": True}]
    assert stated["outputs"] == [{"name": "", "type": "float32", "shape": [-1, 2], "required": None}]


async def test_the_onnx_graph_states_the_signature_without_an_mlmodel(api: Api, orchestrator: FakeOrchestrator) -> None:
    from api.services.ai_catalog.kinds.artifact import open_blobs
    from api.services.ai_catalog.logic.model_signatures import signature_of

    await trained(api, orchestrator)
    files = [one for one in await listed(api, "artifacts") if one["path"] == "model.onnx"]
    pairs = [("model/model.onnx", files[0]["digest"])]
    stated = signature_of(open_blobs(api.app.platform), files[0]["project_id"], pairs, "model")
    assert stated.source == "ONNX"
    assert [(one.name, one.type, one.shape) for one in stated.inputs] == [("features", "float", [-1, 3])]
    assert [(one.name, one.type) for one in stated.outputs] == [("label", "int64"), ("probabilities", "float")]


@pytest.mark.parametrize(
    "text",
    [
        "signature: {inputs: '[{]', outputs: 3}",
        "signature: !!python/object/apply:os.system ['touch /tmp/never']",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "[" * 5000,
        "\t",
        'signature: {inputs: \'[{"name": 7, "type": null, "shape": [1.5]}]\'}',
    ],
)
async def test_a_file_that_is_no_mlmodel_states_nothing(api: Api, text: str) -> None:
    stated = await part(api, await of_notebook(api, text), "signature")
    assert all(field == {"name": "", "type": "", "shape": None, "required": None} for field in stated["inputs"])


@on_both
@pytest.mark.effect("ai_catalog_compare_model_versions")
async def test_versions_are_compared_side_by_side(api: Api, orchestrator: FakeOrchestrator) -> None:
    first, second = await trained(api, orchestrator, 2)
    other = await of_notebook(api, json.dumps({"signature": SIGNATURE}))
    body = {"versions": [first, second, other]}
    found = await made(api.viewer.post("ai-catalog/model-versions:compare", body))
    assert [one["id"] for one in found["versions"]] == [first, second, other]
    by_key = {one["key"]: one for one in found["params"]}
    assert (by_key["seed"]["values"], by_key["seed"]["differs"]) == (["1", "2", None], True)
    by_key = {one["key"]: one["values"] for one in found["metrics"]}
    assert by_key["auc"] == [0.9, 0.9, 0.7]
    assert [[one["asset"] for one in some] for some in found["inputs"]] == [[FEATURES], [FEATURES], []]
    (check,) = found["checks"]
    assert check["values"] == ["passed", "passed", None]
    fields = {one["key"]: one["values"] for one in found["fields"]}
    assert fields["input x"] == [None, None, "double"]
    hidden = await (await tenant(api, "other")).admin.post("ai-catalog/model-versions:compare", body)
    assert hidden.status == 404
    assert (await api.viewer.post("ai-catalog/model-versions:compare", {"versions": [first]})).status == 422


async def test_plots_are_on_the_card(api: Api) -> None:
    card = await part(api, await of_notebook(api, "{}"), "card")
    assert [plot["path"] for plot in card["plots"]] == ["net/plots/roc.svg"]
