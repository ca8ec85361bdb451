"""Predictions with their provenance: model version, feature version and explanations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import InvalidPayload
from serving.explanation import METHOD, METHOD_DESCRIPTION, Contribution, occlusion
from serving.loaders import Cache, ServedModel, load
from serving.lookup import FeatureIndex
from serving.signature import Instance, Signature, read_instance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lakehouse.lineage import Edge, Lineage
    from lakehouse.tables import Tables

MAX_INSTANCES = 10_000
_MAX_INDEXES = 2


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result for one instance."""

    probability: float
    label: bool
    """Whether the probability is at least the threshold."""
    key: dict[str, str] | None
    """Key of the entity that was looked up; `None` without a lookup."""
    missing: list[str]
    """Inputs without a value. The median replaces an input that had no missing values in the training data."""
    out_of_range: list[str]
    """Inputs outside the range of the training data, for which the model extrapolates."""
    contributions: list[Contribution] | None
    """Contributions of the inputs, strongest first; `None` unless requested."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Results for a batch of instances, with the versions that produced them."""

    model: str
    model_version: int
    """Table version that contains the training."""
    model_data_version: str
    """Data version of the model: the provenance of every result begins here."""
    digest: str
    """SHA-256 of the model artifact."""
    target: str
    """Column that the probabilities predict."""
    threshold: float
    features_table: str
    features_data_version: str | None
    """Version of the feature table that was read; `None` without a lookup."""
    explanation: dict[str, str] | None
    """Method of the contributions; `None` unless requested."""
    predictions: list[Prediction]


class Predictor:
    """Predicts with the models of one lakehouse. Caches recent models and indexes. Thread-safe; create after a fork."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._indexes: Cache[FeatureIndex] = Cache(_MAX_INDEXES)

    def predict(
        self,
        model: str,
        instances: Sequence[Any],
        *,
        version: int | None = None,
        features_version: int | None = None,
        explain: bool = False,
        pointer: str = "/instances",
    ) -> Predictions:
        """Predicts for a batch of instances.

        Args:
            model: id of the model.
            instances: objects with inputs by name, the key of an entity, or both. Given inputs replace those of the
                feature table. Inputs that are neither given nor in the feature table are missing.
            version: version of the model; by default, the newest that passed its blocking checks.
            features_version: version of the feature table; by default, the newest.
            explain: whether to compute the contribution of each input.
            pointer: JSON pointer of `instances` in the request, for error messages.

        Raises:
            UnknownTable, UnknownVersion, NotFound: the model, version or entity doesn't exist.
            InvalidPayload: an input is unknown or a value is invalid. Each error has a JSON pointer.
            UnknownColumn: the feature table lacks an input of the model.
        """
        if not 1 <= len(instances) <= MAX_INSTANCES:
            raise InvalidPayload(
                f"The request has {len(instances)} instances. Send between 1 and {MAX_INSTANCES}.",
                errors=[{"pointer": pointer, "detail": f"between 1 and {MAX_INSTANCES} instances"}],
            )
        served = load(self._tables, model, version)
        signature = served.record.signature
        parsed = [read_instance(signature, given, f"{pointer}/{n}") for n, given in enumerate(instances)]
        _require_valid(parsed, model, signature)
        index = self._index(signature, features_version) if any(instance.key for instance in parsed) else None
        inputs = _inputs(signature, parsed, index, pointer)
        probabilities = served.probabilities(inputs)
        return Predictions(
            model=model,
            model_version=served.record.version,
            model_data_version=served.record.data_version,
            digest=served.record.digest,
            target=signature.target,
            threshold=served.record.threshold,
            features_table=signature.entity_table,
            features_data_version=index.data_version if index else None,
            explanation={"method": METHOD, "description": METHOD_DESCRIPTION} if explain else None,
            predictions=[
                _prediction(served, instance, row, float(probability), explain=explain)
                for instance, row, probability in zip(parsed, inputs, probabilities, strict=True)
            ],
        )

    def provenance(self, lineage: Lineage, predictions: Predictions) -> list[Edge]:
        """Returns the direct provenance of the model: the inputs, code, engine, run and principal of its training."""
        return lineage.provenance(predictions.model, predictions.model_data_version)

    def _index(self, signature: Signature, version: int | None) -> FeatureIndex:
        snapshot = self._tables.snapshot(signature.entity_table, version=version)
        key = (snapshot.data_version, signature.entity_key, tuple(signature.names))
        return self._indexes.get(key, lambda: FeatureIndex(snapshot, signature.entity_key, signature.names))


def _require_valid(instances: Sequence[Instance], model: str, signature: Signature) -> None:
    faults = [fault for instance in instances for fault in instance.faults]
    if faults:
        first = faults[0]
        raise InvalidPayload(
            f"The instances for {model} have {len(faults)} errors. The first: {first['pointer']} {first['detail']}. "
            f"Send the inputs {', '.join(signature.names)}, or the key {', '.join(signature.entity_key)} of an entity.",
            errors=faults,
        )


def _inputs(
    signature: Signature, instances: Sequence[Instance], index: FeatureIndex | None, pointer: str
) -> NDArray[Any]:
    import numpy as np

    inputs = np.full((len(instances), len(signature.features)), np.nan, dtype=np.float32)
    position = {name: n for n, name in enumerate(signature.names)}
    if index is not None:
        keyed = [(n, instance.key) for n, instance in enumerate(instances) if instance.key is not None]
        for (n, key), row in zip(keyed, index.find([key for _, key in keyed]), strict=True):
            if row is None:
                error = index.not_found(key)
                error.errors.append({"pointer": f"{pointer}/{n}", "detail": "is not in the feature table"})
                raise error
            inputs[n] = index.inputs(row)
    for n, instance in enumerate(instances):
        for name, value in instance.values.items():
            inputs[n, position[name]] = value
    return inputs


def _prediction(
    served: ServedModel, instance: Instance, row: NDArray[Any], probability: float, *, explain: bool
) -> Prediction:
    signature = served.record.signature
    values = list(zip(signature.features, (float(value) for value in row), strict=True))
    return Prediction(
        probability=probability,
        label=probability >= served.record.threshold,
        key=dict(zip(signature.entity_key, instance.key, strict=True)) if instance.key else None,
        missing=[feature.name for feature, value in values if math.isnan(value)],
        out_of_range=[
            feature.name
            for feature, value in values
            if feature.minimum is not None
            and feature.maximum is not None
            and (value < feature.minimum or value > feature.maximum)
        ],
        contributions=occlusion(served, row) if explain else None,
    )
