"""The doors to a model that is trained on a table, and to its evaluations."""

from __future__ import annotations

from typing import Any

from tests.api.ai_catalog.doors.door import Ask, asking, door, fake
from tests.api.ai_catalog.policies import Office
from tests.api.ai_catalog.test_evaluations import evaluation, ran
from tests.api.ai_catalog.trainings import FEATURES, MODEL, Trainings, listed, project

PULSE = {"assets": [FEATURES], "masks": [{"column": "pulse", "method": "NULL"}]}
"""Of the features of a model, one is masked."""

PREDICT = f"ai-system/models/{MODEL}:predict"


async def _trained(office: Office) -> Trainings:
    await project(office.api)
    trainings = Trainings(office.api, fake(office))
    trainings.train(1)
    trainings.recorder.catch_up()
    return trainings


def _predicted(name: str, instance: dict[str, Any], evidence: bytes = b"probability") -> None:
    @door(name, "ai_system_predict_model", evidence, refusal=(403, "made from tables"), hides=PULSE)
    async def prepare(office: Office) -> Ask:
        await _trained(office)
        return asking("POST", PREDICT, {"instances": [instance], "explain": True})


_predicted("prediction for a key", {"visit": "v1"})
_predicted("prediction for given inputs", {"age": 50, "dose": 1.0, "pulse": 70})


@door("ranges of the inputs of a model", "ai_system_get_model", b"101.364", applies=True, hides=PULSE)
async def ranges(office: Office) -> Ask:
    await _trained(office)
    return asking("GET", f"ai-system/models/{MODEL}")


@door("ranges of the inputs of models", "ai_system_list_models", b"101.364", applies=True, hides=PULSE)
async def ranges_of_all(office: Office) -> Ask:
    await _trained(office)
    return asking("GET", "ai-system/models")


@door("ranges of the inputs of versions", "ai_system_get_model_versions", b"101.364", applies=True, hides=PULSE)
async def ranges_of_versions(office: Office) -> Ask:
    await _trained(office)
    return asking("GET", f"ai-system/models/{MODEL}/versions")


@door("results of an evaluation", "ai_catalog_get_evaluation_run_report", b"probability", hides=PULSE)
async def results(office: Office) -> Ask:
    await _trained(office)
    (one,) = await listed(office.api, "model-versions")
    run = await ran(office.api, await evaluation(office.api), one["id"])
    return asking("GET", f"ai-catalog/evaluation-runs/{run['id']}/report")
