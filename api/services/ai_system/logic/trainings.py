"""Versions of a model: the trainings in its table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from api.kernel.lake import versions
from api.kernel.models import Model
from api.kernel.platform import Platform, open_tables
from core.errors import NotFound

if TYPE_CHECKING:
    from serving.predictor import Predictor
    from serving.registry import ModelRecord


class ModelInput(Model):
    """An input of a model, with what the training data held."""

    name: str
    """Its name."""

    minimum: float | None
    """Smallest value in training."""

    maximum: float | None
    """Largest value in training."""

    median: float | None
    """Median in training."""

    missing_share: float
    """Share of the training rows without a value."""


class ModelVersion(Model):
    """One training."""

    version: int
    """Table version that holds it."""

    data_version: str
    """The same as lineage names it."""

    digest: str
    """SHA-256 of the artifact."""

    format: str
    """Format of the artifact."""

    accepted: bool
    """Whether it passed every blocking check; otherwise it answers only when asked for by version."""

    checks: dict[str, bool]
    """Verdict of each blocking check."""

    metrics: dict[str, Any]
    """How it did on the rows it was judged by."""

    baseline: dict[str, Any]
    """The same metrics of the base rate it has to beat."""

    target: str
    """What its probabilities are of."""

    threshold: float
    """Probability from which a prediction is positive."""

    inputs: list[ModelInput]
    """Inputs in order."""

    entity_table: str
    """Feature table that entities are looked up in."""

    entity_key: list[str]
    """Columns that identify an entity."""

    features_version: str
    """Data version of the features it was trained on."""

    parameters: dict[str, Any]
    """Algorithm, parameters, splits, seed and library versions."""

    trained_rows: int
    """Rows it was trained on."""

    trained_at: datetime
    """When it was trained."""


def open_predictor(platform: Platform) -> Predictor:
    """The process's predictor: models it used last stay loaded."""
    from serving.predictor import Predictor

    return Predictor(platform.part(open_tables))


def serving(platform: Platform, model: str) -> ModelVersion | None:
    """The training that answers; None while there is none."""
    from serving.registry import find

    try:
        return _version(find(platform.part(open_tables), model))
    except NotFound:
        return None


def newest_first(platform: Platform, model: str, before: str, most: int) -> tuple[list[ModelVersion], str | None]:
    """Trainings older than the version `before` (empty: all), and the token of the next page."""
    found: list[ModelVersion] = []
    for training in _trainings(platform, model, before):
        if len(found) == most:
            return found, str(found[-1].version)
        found.append(training)
    return found, None


def _trainings(platform: Platform, model: str, before: str) -> Iterator[ModelVersion]:
    from serving.registry import find

    tables = platform.part(open_tables)
    version = versions.number(before) - 1 if before else tables.snapshot(model).version
    while version >= 0:
        try:
            record = find(tables, model, version)
        except NotFound:
            return  # older versions hold no training
        yield _version(record)
        version = record.version - 1


def _version(record: ModelRecord) -> ModelVersion:
    signature = record.signature
    return ModelVersion(
        version=record.version,
        data_version=record.data_version,
        digest=record.digest,
        format=record.format,
        accepted=record.accepted,
        checks=dict(record.checks),
        metrics=dict(record.metrics),
        baseline=dict(record.baseline),
        target=signature.target,
        threshold=record.threshold,
        inputs=[ModelInput.model_validate(feature, from_attributes=True) for feature in signature.features],
        entity_table=signature.entity_table,
        entity_key=list(signature.entity_key),
        features_version=record.features_version,
        parameters=dict(record.parameters),
        trained_rows=record.trained_rows,
        trained_at=record.trained_at,
    )
