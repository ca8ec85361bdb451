"""The rows of one training: its run, logged model, and model version, with the edges between them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.storage.store import Stored
from api.services.ai_catalog.artifact_tables import ARTIFACT
from api.services.ai_catalog.kinds.logged_model import LoggedModelState
from api.services.ai_catalog.kinds.run import ExperimentRunStatus, RunSource
from api.services.ai_catalog.logic.file_digests import digest_of
from api.services.ai_catalog.logic.metric_points import add_points
from api.services.ai_catalog.logic.model_lineage import ModelNodes, Recorder
from api.services.ai_catalog.logic.model_metrics import add_model_metrics
from api.services.ai_catalog.logic.run_rows import put
from api.services.ai_catalog.model_tables import LOGGED_MODEL as LOGGED_MODELS
from api.services.ai_catalog.model_tables import MODEL_VERSION as MODEL_VERSIONS
from api.services.ai_catalog.model_tables import RUN_OUTPUT
from api.services.ai_catalog.run_tables import RUN as RUNS
from api.services.ai_catalog.run_tables import RUN_INPUT, RUN_PARAM, RUN_TAG
from core import clock, events
from core.db import insert
from core.ids import is_asset_id, new_id

if TYPE_CHECKING:
    from lakehouse.lineage import Edge
    from serving.registry import ModelRecord

BY = "headwater"
"""Name of the principal of what the platform does by itself."""


@dataclass(frozen=True, slots=True)
class StoredTraining:
    """A training whose files are stored, and the ids of what is recorded of it."""

    training: ModelRecord
    files: Sequence[tuple[str, str, int]]
    """Path, digest, and size of each file, sorted by path."""
    run_id: str
    model_id: str
    version_id: str
    steps: Sequence[Edge]
    """Edges of the step that made the version."""
    by: str
    """Name of the principal that requested the training."""

    @property
    def step(self) -> Edge:
        """An edge of the step, with its run, code, and principal."""
        return self.steps[0]

    @property
    def inputs(self) -> list[Edge]:
        """Edges from what the step read, without the version of the model before."""
        return [edge for edge in self.steps if edge.in_asset and edge.in_asset != self.training.model]


class TrainingRows:
    """The rows of one training, written in a transaction."""

    def __init__(self, connection: Connection, stored: StoredTraining, project: Stored) -> None:
        """Writes to a project, which the transaction has locked."""
        self._connection = connection
        self._stored = stored
        self._training = stored.training
        self._project = project
        self._scope = {"organization_id": project.organization_id, "project_id": project.id}
        self._now = clock.now()
        self._points: list[dict[str, Any]] = []
        self.events: list[events.Event] = []

    def add(self, experiment: str, model: str) -> None:
        """Adds everything to an experiment and a registered model, by their ids."""
        self._add_run(experiment)
        self._add_logged_model(experiment)
        number = self._add_version(model)
        self._add_edges(model, number)

    def _add_run(self, experiment: str) -> None:
        training, run = self._training, self._stored.run_id
        at_ms = round(training.trained_at.timestamp() * 1000)
        values = {
            "id": run,
            **self._scope,
            "experiment_id": experiment,
            "name": f"{training.model.rpartition('.')[2]}-{training.version}",
            "status": ExperimentRunStatus.FINISHED.value,
            "source": RunSource.PLATFORM.value,
            "started_at": training.trained_at,
            "ended_at": max(self._stored.step.at, training.trained_at),
            "created_at": self._now,
            "created_by": self._stored.by,
        }
        connection = self._connection
        connection.execute(RUNS.insert().values(values))
        put(connection, RUN_TAG, run, self._tags())
        put(connection, RUN_PARAM, run, {key: _text(value) for key, value in sorted(training.parameters.items())})
        measured = {**training.metrics, **{f"baseline_{key}": value for key, value in training.baseline.items()}}
        measured["threshold"] = training.threshold
        points = [
            {"run_id": run, "key": key, "step": 0, "at_ms": at_ms, "value": float(value)}
            for key, value in measured.items()
            if isinstance(value, int | float)
        ]
        add_points(connection, points)
        self._points = points
        if inputs := [self._input(run, edge) for edge in self._stored.inputs]:
            connection.execute(insert(connection, RUN_INPUT).on_conflict_do_nothing(), inputs)
        self.emit("ai_catalog.run.created", run)

    @staticmethod
    def _input(run: str, edge: Edge) -> dict[str, Any]:
        known = is_asset_id(edge.in_asset)
        source = {"asset": edge.in_asset, "version": edge.in_version, "columns": list(edge.in_columns)}
        return {
            "run_id": run,
            "name": edge.in_asset,
            "digest": edge.in_version if len(edge.in_version) <= 64 else digest_of([(edge.in_asset, edge.in_version)]),
            "source_type": "headwater",
            "source": json.dumps(source),
            "schema": "",
            "profile": "",
            "tags": {"mlflow.data.context": "training"},
            "asset": edge.in_asset if known else None,
            "version": edge.in_version if known else None,
        }

    def _tags(self) -> dict[str, str]:
        """Returns tags with which MLflow's client finds the training. The facts are in the provenance."""
        training = self._training
        step = self._stored.step
        tags = {
            "mlflow.source.name": training.model,
            "mlflow.source.type": "JOB",
            "mlflow.user": self._stored.by,
            "headwater.asset": training.model,
            "headwater.version": training.data_version,
            "headwater.accepted": str(training.accepted).lower(),
        }
        facts = {"run": step.run, "code_version": step.code_version, "env_digest": step.env_digest}
        tags |= {f"headwater.{name}": value for name, value in facts.items() if value}
        if step.git_sha:
            tags["mlflow.source.git.commit"] = step.git_sha
        return tags

    def _add_logged_model(self, experiment: str) -> None:
        training, connection = self._training, self._connection
        values = {
            "id": self._stored.model_id,
            **self._scope,
            "experiment_id": experiment,
            "run_id": self._stored.run_id,
            "name": training.model.rpartition(".")[2],
            "model_type": training.format,
            "state": LoggedModelState.READY.value,
            "params": {key: _text(value) for key, value in sorted(training.parameters.items())},
            "tags": self._tags(),
            "created_at": self._now,
            "created_by": self._stored.by,
            "updated_at": self._now,
        }
        connection.execute(LOGGED_MODELS.insert().values(values))
        output = {"run_id": self._stored.run_id, "model_id": self._stored.model_id, "step": 0}
        connection.execute(RUN_OUTPUT.insert().values(output))
        created = {"created_at": self._now, "created_by": self._stored.by}
        read = self._stored.inputs[0] if self._stored.inputs else None
        dataset = self._input(self._stored.run_id, read) if read else {"name": "", "digest": ""}
        of_dataset = {"dataset_name": dataset["name"], "dataset_digest": dataset["digest"]}
        measured = [{**point, **of_dataset, "model_id": self._stored.model_id} for point in self._points]
        add_model_metrics(connection, measured)
        artifacts = [
            {
                "id": new_id("art"),
                **self._scope,
                "parent_id": self._stored.model_id,
                "path": path,
                "digest": digest,
                "size": size,
            }
            | created
            for path, digest, size in self._stored.files
        ]
        connection.execute(ARTIFACT.insert(), artifacts)
        self.emit("ai_catalog.logged_model.created", self._stored.model_id)

    def _add_version(self, model: str) -> int:
        training, table = self._training, MODEL_VERSIONS
        numbers = sa.select(sa.func.max(table.c.version)).where(table.c.registered_model_id == model)
        number = (self._connection.execute(numbers).scalar() or 0) + 1
        values = {
            "id": self._stored.version_id,
            **self._scope,
            "registered_model_id": model,
            "version": number,
            "source": f"models:/{self._stored.model_id}",
            "parent_id": self._stored.model_id,
            "path": "",
            "digest": digest_of([(path, digest) for path, digest, _ in self._stored.files]),
            "run_id": self._stored.run_id,
            "stage": "NONE",
            "checks": dict(training.checks),
            "description": "",
            "tags": self._tags(),
            "created_at": self._now,
            "created_by": self._stored.by,
            "updated_at": self._now,
        }
        self._connection.execute(table.insert().values(values))
        facts = {"registered_model_id": model, "version": number, "accepted": training.accepted}
        self.emit("ai_catalog.model_version.created", self._stored.version_id, **facts)
        return number

    def _add_edges(self, model: str, number: int) -> None:
        nodes, step = ModelNodes(self._connection, self._project.id), self._stored.step
        recorder = Recorder(
            self._connection,
            self._stored.by,
            engine=step.engine,
            at=step.at,
            code_version=step.code_version,
            git_sha=step.git_sha,
            env_digest=step.env_digest,
        )
        run, logged = nodes.run(self._stored.run_id), nodes.logged_model(self._stored.model_id)
        by, training = self._stored.run_id, self._training
        recorder.record(by, "read", run, [(edge.in_asset, edge.in_version) for edge in self._stored.inputs])
        recorder.record(by, "train", logged, [run, (training.model, training.data_version)])
        recorder.record(by, "register", nodes.version(model, number), [logged])

    def emit(self, type: str, subject: str, **facts: Any) -> None:
        """Adds an event about something that was made of the training."""
        asset = {"asset": self._training.model, "data_version": self._training.data_version}
        self.events.append(
            events.Event(
                type,
                subject,
                BY,
                asset | facts,
                organization_id=self._project.organization_id,
                project_id=self._project.id,
            )
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
