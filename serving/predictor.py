"""Predictions with everything needed to stand behind them: model version, feature version, reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import InvalidPayload
from serving.explanation import METHOD, METHOD_DESCRIPTION, Contribution, occlusion
from serving.loaders import Kept, ServedModel, load
from serving.lookup import FeatureIndex
from serving.signature import Instance, Signature, read_instance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lakehouse.lineage import Edge, Lineage
    from lakehouse.tables import Tables

MAX_INSTANCES = 10_000
_KEPT_INDEXES = 2


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one instance."""

    probability: float
    label: bool
    """Whether the probability reaches the threshold."""
    key: dict[str, str] | None
    """The entity that was looked up, if one was named."""
    missing: list[str]
    """Inputs without a value. One that was never missing in training is taken at its median."""
    out_of_range: list[str]
    """Inputs outside of what the training data held: the model extrapolates."""
    contributions: list[Contribution] | None
    """Strongest first, if asked for."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers, and which versions gave them."""

    model: str
    model_version: int
    """Table version that holds the training."""
    model_data_version: str
    """The same as lineage names it: start of the provenance of every answer."""
    digest: str
    """SHA-256 of the model that answered."""
    target: str
    """What the probabilities are of."""
    threshold: float
    features_table: str
    features_data_version: str | None
    """Version that entities were looked up in; `None` if none was."""
    explanation: dict[str, str] | None
    """Method of the contributions, if asked for."""
    predictions: list[Prediction]


class Predictor:
    """Predicts with the models of one lakehouse; keeps what it used last. Thread-safe; create it after a fork."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._indexes: Kept[FeatureIndex] = Kept(_KEPT_INDEXES)

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
            instances: each an object with inputs by name, or with the entity's key, or with both: then the given inputs
                replace those looked up (what if?). Inputs that are neither given nor looked up are missing.
            version: version of the model; without it, the newest that passed its blocking checks.
            features_version: version of the feature table to look up in; without it, the newest.
            explain: also say what each input contributed.
            pointer: JSON pointer of `instances` in the caller's request, for errors.

        Raises:
            UnknownTable, UnknownVersion, NotFound: no such model, version or entity.
            InvalidPayload: names every unknown input and wrong value by JSON pointer.
            UnknownColumn: the feature table lacks an input of the model.
        """
        if not 1 <= len(instances) <= MAX_INSTANCES:
            raise InvalidPayload(
                f"{len(instances)} instances were given; give 1 to {MAX_INSTANCES}.",
                errors=[{"pointer": pointer, "detail": f"between 1 and {MAX_INSTANCES} instances"}],
            )
        served = load(self._tables, model, version)
        signature = served.record.signature
        read = [read_instance(signature, given, f"{pointer}/{n}") for n, given in enumerate(instances)]
        _require_sound(read, model, signature)
        index = self._index(signature, features_version) if any(one.key for one in read) else None
        inputs = _inputs(signature, read, index, pointer)
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
                _prediction(served, one, row, float(probability), explain=explain)
                for one, row, probability in zip(read, inputs, probabilities, strict=True)
            ],
        )

    def provenance(self, lineage: Lineage, predictions: Predictions) -> list[Edge]:
        """What stands directly behind answers: the inputs, code, engine, run and principal of the model's training."""
        return lineage.provenance(predictions.model, predictions.model_data_version)

    def _index(self, signature: Signature, version: int | None) -> FeatureIndex:
        snapshot = self._tables.snapshot(signature.entity_table, version=version)
        key = (snapshot.data_version, signature.entity_key, tuple(signature.names))
        return self._indexes.get(key, lambda: FeatureIndex(snapshot, signature.entity_key, signature.names))


def _require_sound(read: Sequence[Instance], model: str, signature: Signature) -> None:
    faults = [fault for one in read for fault in one.faults]
    if faults:
        first = faults[0]
        raise InvalidPayload(
            f"{len(faults)} faults in the instances for {model}; the first: {first['pointer']} {first['detail']}. "
            f"Its inputs: {', '.join(signature.names)}; or look an entity up by {', '.join(signature.entity_key)}.",
            errors=faults,
        )


def _inputs(signature: Signature, read: Sequence[Instance], index: FeatureIndex | None, pointer: str) -> NDArray[Any]:
    import numpy as np

    inputs = np.full((len(read), len(signature.features)), np.nan, dtype=np.float32)
    position = {name: n for n, name in enumerate(signature.names)}
    if index is not None:
        keyed = [(n, one.key) for n, one in enumerate(read) if one.key is not None]
        for (n, key), row in zip(keyed, index.find([key for _, key in keyed]), strict=True):
            if row is None:
                error = index.unknown(key)
                error.errors.append({"pointer": f"{pointer}/{n}", "detail": "no such entity in the feature table"})
                raise error
            inputs[n] = index.inputs(row)
    for n, one in enumerate(read):
        for name, value in one.values.items():
            inputs[n, position[name]] = value
    return inputs


def _prediction(
    served: ServedModel, one: Instance, row: NDArray[Any], probability: float, *, explain: bool
) -> Prediction:
    signature = served.record.signature
    values = list(zip(signature.features, (float(value) for value in row), strict=True))
    return Prediction(
        probability=probability,
        label=probability >= served.record.threshold,
        key=dict(zip(signature.entity_key, one.key, strict=True)) if one.key else None,
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
