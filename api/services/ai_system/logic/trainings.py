"""Versions of a model, which its table contains."""

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
    """An input of a model, with statistics of the training data."""

    name: str
    """Name of the input."""

    minimum: float | None
    """Smallest value in the training data."""

    maximum: float | None
    """Largest value in the training data."""

    median: float | None
    """Median in the training data."""

    missing_share: float
    """Share of training rows without a value, from 0 to 1."""


class ModelVersion(Model):
    """A version of a model."""

    version: int
    """Table version that contains it."""

    data_version: str
    """Data version of the model."""

    digest: str
    """SHA-256 of the artifact."""

    format: str
    """Format of the artifact."""

    accepted: bool
    """Whether it passed every blocking check. If not, it only serves requests that name it."""

    checks: dict[str, bool]
    """Whether each blocking check passed, by name."""

    metrics: dict[str, Any]
    """Metrics on the evaluation rows."""

    baseline: dict[str, Any]
    """The same metrics of the baseline that it must beat."""

    target: str
    """Target of the probabilities."""

    threshold: float
    """Probability from which a prediction is positive."""

    inputs: list[ModelInput]
    """Inputs in order."""

    entity_table: str
    """Id of the feature table in which entities are looked up."""

    entity_key: list[str]
    """Columns that identify an entity."""

    features_version: str
    """Data version of the features that it was trained on."""

    parameters: dict[str, Any]
    """Algorithm, parameters, splits, seed, and library versions."""

    trained_rows: int
    """Number of rows that it was trained on."""

    trained_at: datetime
    """Time of the training."""


def open_predictor(platform: Platform) -> Predictor:
    """Returns the predictor of this process. It keeps the models loaded that it used last."""
    from serving.predictor import Predictor

    return Predictor(platform.part(open_tables))


def serving(platform: Platform, model: str) -> ModelVersion | None:
    """Returns the version that serves predictions, or None if there is none."""
    from serving.registry import find

    try:
        return _version(find(platform.part(open_tables), model))
    except NotFound:
        return None


def newest_first(platform: Platform, model: str, before: str, page_size: int) -> tuple[list[ModelVersion], str | None]:
    """Returns versions older than `before` (empty for all), and the token of the next page."""
    page: list[ModelVersion] = []
    for training in _trainings(platform, model, before):
        if len(page) == page_size:
            return page, str(page[-1].version)
        page.append(training)
    return page, None


def _trainings(platform: Platform, model: str, before: str) -> Iterator[ModelVersion]:
    from serving.registry import find

    tables = platform.part(open_tables)
    version = versions.number(before) - 1 if before else tables.snapshot(model).version
    while version >= 0:
        try:
            record = find(tables, model, version)
        except NotFound:
            return  # Older versions contain no model.
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
