"""A model asset of the project `clinic`, its trainings, and what the catalog records of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from api.services.ai_catalog.logic.training_recorder import TrainingRecorder
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from serving.registry import Candidate
from tests.api.admin.tenants import made
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node
from tests.unit.serving.clinic import FEATURES, MODEL, artifact, signature, visits

PROJECT = "clinic"


class Trainings:
    """Trains models on the lakehouse of an API."""

    def __init__(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        orchestrator.nodes[MODEL] = node(MODEL, [FEATURES], kinds=("delta", "onnx", "scikitlearn"))
        orchestrator.nodes[FEATURES] = node(FEATURES)
        self.tables = Tables.from_settings(api.app.platform.settings, api.database)
        self.lineage = Lineage(api.database)
        self.recorder = TrainingRecorder(api.app.platform)
        self.tables.overwrite(FEATURES, visits())

    def train(self, number: int, *, accepted: bool = True, principal: str = "editor") -> str:
        """Trains, and returns the data version."""
        step = Step(
            *(self.tables, self.lineage),
            asset=MODEL,
            run=f"run-{number}",
            step="train",
            code_version="7",
            engine="scikit-learn",
            principal=principal,
        )
        features = step.read(FEATURES)
        candidate = Candidate(
            model_id=f"mdl_{number}",
            artifact=artifact(30 + number),
            signature=signature(visits()),
            threshold=0.4,
            metrics={"auc": 0.9, "broken": float("nan"), "rows": 10},
            baseline={"auc": 0.5},
            checks={"beats_base_rate": accepted},
            parameters={"seed": number, "libraries": {"onnx": "1.0"}},
            features_version=features.data_version,
            trained_rows=visits().height,
            trained_at=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number),
        )
        return step.append(candidate.row(), once=candidate.model_id).data_version


async def project(api: Api, name: str = PROJECT) -> str:
    """Creates a project, and returns its id."""
    return str((await made(api.admin.post("admin/projects", {"name": name, "spec": {"title": name}})))["id"])


async def listed(api: Api, kind: str, **params: Any) -> list[dict[str, Any]]:
    """Returns items of a kind of the catalog, oldest first."""
    items: list[dict[str, Any]] = (await api.viewer.get(f"ai-catalog/{kind}", params=params)).json["items"]
    return sorted(items, key=lambda item: str(item["id"]))
