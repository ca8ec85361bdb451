"""The signature of a model: the inputs and the target that training and prediction agree on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Feature:
    """An input of the model, with statistics of the training data. Inputs are numbers and may be missing."""

    name: str
    minimum: float | None
    maximum: float | None
    median: float | None
    missing_share: float
    """Share of training rows without a value."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs in the order of the model's columns, and the table that contains them for known entities."""

    features: tuple[Feature, ...]
    target: str
    """Column that the probability predicts."""
    entity_table: str
    """Feature table that contains the entities."""
    entity_key: tuple[str, ...]
    """Columns of that table that identify an entity."""

    @property
    def names(self) -> list[str]:
        """Names of the inputs, in order."""
        return [feature.name for feature in self.features]

    def to_json(self) -> str:
        """Returns the JSON text that is stored with the model."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Signature:
        """Reads the stored JSON text."""
        stored = json.loads(text)
        return cls(
            features=tuple(Feature(**feature) for feature in stored["features"]),
            target=stored["target"],
            entity_table=stored["entity_table"],
            entity_key=tuple(stored["entity_key"]),
        )


@dataclass(slots=True)
class Instance:
    """An instance to predict: the key of an entity, given values, or both. Given values take precedence."""

    key: tuple[str, ...] | None
    values: dict[str, float]
    """Given inputs; NaN means missing."""
    faults: list[dict[str, str]] = field(default_factory=list)
    """Errors of the instance, each with a JSON pointer."""


def read_instance(signature: Signature, given: Any, pointer: str) -> Instance:
    """Reads an instance from a request. Errors are collected in the result, not raised.

    Args:
        signature: signature of the model.
        given: an object with inputs by name (number, boolean, or null for missing), the key of an entity, or both.
        pointer: JSON pointer of the instance in the request.
    """
    if not isinstance(given, Mapping):
        return Instance(None, {}, [{"pointer": pointer, "detail": "must be an object with inputs by name"}])
    instance = Instance(_key(signature, given), {})
    known = set(signature.names)
    for name, value in given.items():
        at = f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}"
        if name in signature.entity_key:
            if not isinstance(value, str | int) or isinstance(value, bool):
                instance.faults.append(
                    {"pointer": at, "detail": "is part of the entity's key: give text or an integer"}
                )
        elif name not in known:
            instance.faults.append({"pointer": at, "detail": "is not an input of this model"})
        elif (number := _number(value)) is None:
            instance.faults.append(
                {"pointer": at, "detail": f"is {type(value).__name__}; give a finite number, a boolean or null"}
            )
        else:
            instance.values[name] = number
    if instance.key is None and not instance.faults:
        _require_input(signature, given, instance, pointer)
    return instance


def _key(signature: Signature, given: Mapping[str, Any]) -> tuple[str, ...] | None:
    if signature.entity_key and all(column in given for column in signature.entity_key):
        return tuple(str(given[column]) for column in signature.entity_key)
    return None


def _require_input(signature: Signature, given: Mapping[str, Any], instance: Instance, pointer: str) -> None:
    absent = [column for column in signature.entity_key if column not in given]
    if len(absent) < len(signature.entity_key):
        detail = f"the entity's key is incomplete: {', '.join(absent)} is missing"
        instance.faults.append({"pointer": pointer, "detail": detail})
    elif not instance.values:
        detail = f"is empty; give {', '.join(signature.entity_key)} of an entity, or inputs of the model"
        instance.faults.append({"pointer": pointer, "detail": detail})


def _number(value: Any) -> float | None:
    if value is None:
        return math.nan
    # Compared before the conversion, because converting a huge integer raises an OverflowError.
    if isinstance(value, bool | int | float) and -_LARGEST <= value <= _LARGEST:
        return float(value)
    return None


_LARGEST = 3.4028234663852886e38
"""Inputs are 32-bit floats, so larger values aren't representable."""
