"""Models over REST: a real ONNX model on a real feature table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from serving.registry import Candidate
from tests.api.admin.tenants import grant, user
from tests.api.ai_catalog.provenance_tables import released
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node
from tests.unit.serving.clinic import FEATURES, MODEL, artifact, estimator, matrix, signature, visits

PATH = f"ai-system/models/{MODEL}"


def train(tables: Tables, lineage: Lineage, number: int, *, accepted: bool) -> None:
    step = Step(
        *(tables, lineage),
        asset=MODEL,
        run=f"run-{number}",
        step="train",
        code_version="1",
        engine="scikit-learn",
        principal="editor",
    )
    features = step.read(FEATURES)
    candidate = Candidate(
        model_id=f"mdl_{number}",
        artifact=artifact(30 + number),
        signature=signature(visits()),
        threshold=0.4,
        metrics={"auc": 0.9, "broken": float("nan")},
        baseline={"auc": 0.5},
        checks={"beats_base_rate": accepted},
        parameters={"seed": number},
        features_version=features.data_version,
        trained_rows=visits().height,
        trained_at=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number),
    )
    step.append(candidate.row(), once=candidate.model_id)


@pytest.fixture
def trained(api: Api, orchestrator: FakeOrchestrator) -> None:
    """Three trainings, of which the newest did not pass its check."""
    orchestrator.nodes[MODEL] = node(MODEL, [FEATURES], kinds=("delta", "onnx", "scikitlearn"))
    tables, lineage = Tables.from_settings(api.app.platform.settings, api.database), Lineage(api.database)
    tables.overwrite(FEATURES, visits())
    for number, accepted in enumerate((True, True, False)):
        train(tables, lineage, number, accepted=accepted)


@pytest.mark.usefixtures("trained")
class TestModels:
    async def test_get_tells_which_training_answers(self, api: Api) -> None:
        model = (await api.viewer.get(PATH)).json
        assert (model["serving"]["version"], model["serving"]["accepted"]) == (1, True)
        assert [given["name"] for given in model["serving"]["inputs"]] == ["age", "dose", "pulse"]
        assert model["serving"]["metrics"] == {"auc": 0.9, "broken": None}, "NaN is no JSON"
        assert [item["id"] for item in (await api.viewer.get("ai-system/models")).json["items"]] == [MODEL]

    @pytest.mark.effect("ai_system_get_model_versions")
    async def test_versions_hold_every_training_newest_first(self, api: Api) -> None:
        first = (await api.viewer.get(f"{PATH}/versions", params={"page_size": 2})).json
        params = {"page_token": first["next_page_token"]}
        rest = (await api.viewer.get(f"{PATH}/versions", params=params)).json
        found = [(item["version"], item["accepted"]) for item in first["items"] + rest["items"]]
        assert found == [(2, False), (1, True), (0, True)]
        assert rest["next_page_token"] is None

    @pytest.mark.effect("ai_system_predict_model")
    async def test_predicts_what_the_trained_model_predicts(self, api: Api) -> None:
        reply = await api.viewer.post(f"{PATH}:predict", {"instances": [{"visit": "v1"}, {"visit": "v2"}]})
        expected = estimator(31).predict_proba(matrix(visits()[1:3]))[:, 1]
        found = [prediction["probability"] for prediction in reply.json["predictions"]]
        assert found == pytest.approx(list(expected), abs=1e-5)
        assert reply.json["model_version"] == 1
        assert reply.json["features_data_version"].endswith("@0")

    async def test_given_inputs_replace_those_looked_up_and_are_explained(self, api: Api) -> None:
        body = {"instances": [{"visit": "v1", "age": 89}], "explain": True, "version": "0"}
        reply = (await api.viewer.post(f"{PATH}:predict", body)).json
        (prediction,) = reply["predictions"]
        assert (reply["model_version"], prediction["key"]) == (0, {"visit": "v1"})
        assert prediction["contributions"][0]["feature"] == "age"
        assert prediction["contributions"][0]["value"] == 89

    @pytest.mark.parametrize(
        ("instance", "pointer"),
        [({"agee": 1}, "/instances/0/agee"), ({"age": "old"}, "/instances/0/age"), ({}, "/instances/0")],
    )
    async def test_a_wrong_instance_is_refused_by_its_place(
        self, api: Api, instance: dict[str, Any], pointer: str
    ) -> None:
        reply = await api.viewer.post(f"{PATH}:predict", {"instances": [instance]})
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, pointer)

    async def test_unknown_versions_and_entities_are_named(self, api: Api) -> None:
        for body in ({"instances": [{"visit": "v1"}], "version": "9"}, {"instances": [{"visit": "absent"}]}):
            reply = await api.viewer.post(f"{PATH}:predict", body)
            assert reply.status == 404, reply.json

    @pytest.mark.effect("ai_system_get_model_provenance")
    async def test_the_answer_leads_to_the_data_behind_it(self, api: Api) -> None:
        answer = (await api.viewer.post(f"{PATH}:predict", {"instances": [{"visit": "v1"}]})).json
        params = {"version": answer["model_data_version"]}
        (materialization,) = (await api.viewer.get(f"{PATH}/provenance", params=params)).json["materializations"]
        assert (materialization["run"], materialization["principal"]) == ("run-1", "editor")
        assert FEATURES in [given["asset"] for given in materialization["inputs"]]


@pytest.mark.effect("ai_system_predict_model")
@pytest.mark.usefixtures("trained")
async def test_a_model_needs_the_right_to_read_its_training_data_or_a_release(
    api: Api, orchestrator: FakeOrchestrator
) -> None:
    orchestrator.nodes[FEATURES] = node(FEATURES)
    ada = await user(api, "ada")
    for right in ("ai_catalog.asset.get", "ai_system.model.*"):
        await grant(api, ada, right, MODEL, securable_kind="ai_catalog.asset")
    body = {"instances": [{"age": 50, "dose": 1, "pulse": 70}]}
    refused = await api.caller("ada").post(f"{PATH}:predict", body)
    assert (refused.status, FEATURES in refused.response.text) == (403, False)
    await released(api, FEATURES, MODEL)
    assert (await api.caller("ada").post(f"{PATH}:predict", body)).status == 200


@pytest.mark.usefixtures("trained")
@pytest.mark.effect("ai_system_get_model_versions", "ai_system_get_model_provenance")
async def test_who_may_not_see_the_model_learns_nothing_of_its_trainings(api: Api) -> None:
    ada = await user(api, "ada")
    caller = api.caller("ada")
    for part in ("versions", "provenance"):
        assert (await caller.get(f"{PATH}/{part}")).status in (403, 404)
        assert (await api.viewer.get(f"ai-system/models/flights.bronze.flights/{part}")).status == 404
    await grant(api, ada, "ai_system.model.*", "org_default")
    seen = await caller.get(f"{PATH}/provenance")
    assert FEATURES not in seen.response.text, "the features are an asset that the caller may not see"
    assert (await api.viewer.get(f"{PATH}/provenance", params={"version": "other@7"})).status == 404
    assert (await api.viewer.get(f"{PATH}/versions", params={"page_token": "not-ours"})).status == 400


async def test_a_model_before_its_first_training(api: Api, orchestrator: FakeOrchestrator) -> None:
    orchestrator.nodes[MODEL] = node(MODEL, kinds=("onnx",))
    assert (await api.viewer.get(PATH)).json["serving"] is None
    assert (await api.viewer.post(f"{PATH}:predict", {"instances": [{"age": 1}]})).status == 404
    assert (await api.viewer.get(f"{PATH}/versions")).status == 404


async def test_an_asset_that_is_no_model_is_not_found_here(api: Api) -> None:
    assert (await api.viewer.get("ai-system/models/flights.bronze.flights")).status == 404
