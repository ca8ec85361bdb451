"""The public components, which YAML files name as `type` and published definitions as `component`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

from pydantic import ValidationError

from assets.declaration import TableComponent
from assets.findings import place
from core.errors import InvalidPayload

_NAMED = re.compile(r"([a-z][a-z0-9_]*(?:/[^ ]+)*): (.*)", re.DOTALL)
"""Form of a message of a model validator that names an attribute: `path/of/attribute: message`."""

_MODULES = {
    "DatasetComponent": "assets.datasets.component",
    "SqlTransformComponent": "assets.datasets.component",
    "SparkTransformComponent": "assets.datasets.spark",
    "FeatureViewComponent": "assets.features.component",
    "OnlineFeaturesComponent": "assets.features.online",
    "TrainingSetComponent": "assets.features.training_set",
    "ModelTrainingComponent": "assets.models.component",
    "RagIndexComponent": "assets.indexes.component",
    "FederatedTrainingComponent": "assets.rounds.component",
}


class _Components(Mapping[str, type[TableComponent]]):
    """Component classes by name, each imported on first access."""

    def __getitem__(self, name: str) -> type[TableComponent]:
        component: type[TableComponent] = getattr(import_module(_MODULES[name]), name)
        return component

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


COMPONENTS: Mapping[str, type[TableComponent]] = _Components()
"""Public component classes by name."""


def component(name: str, attributes: Mapping[str, Any], *, asset: str | None = None) -> TableComponent:
    """Builds a component from an untrusted definition.

    Attributes are taken literally. Unlike Dagster's loader for YAML, it renders no template in them, because a template
    may run code and read the environment.

    Args:
        name: the class name.
        attributes: the attributes, as in YAML.
        asset: the id of the stored definition, which the attributes must repeat.

    Raises:
        InvalidPayload: the component does not exist, or an attribute is not valid; each fault names its field.
    """
    if name not in _MODULES:
        raise InvalidPayload(
            f"There is no component {name}; choose one of {', '.join(_MODULES)}.",
            errors=[{"pointer": "/component", "detail": "unknown component"}],
        )
    try:
        built = COMPONENTS[name].model_validate(dict(attributes))
    except ValidationError as error:
        faults = [_fault(item, attributes) for item in error.errors(include_url=False, include_context=False)]
        summary = "; ".join(f"{fault['pointer'].removeprefix('/attributes/')}: {fault['detail']}" for fault in faults)
        raise InvalidPayload(f"The attributes of {name} are not valid: {summary}.", errors=faults) from error
    if asset is not None and built.asset != asset:
        raise InvalidPayload(
            f"The definition {asset} declares the asset {built.asset}; both ids must be the same.",
            errors=[{"pointer": "/attributes/asset", "detail": f"must be {asset}"}],
        )
    return built


def _fault(item: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, str]:
    """Returns a fault of pydantic with the pointer to the attribute in the caller's definition."""
    detail = str(item["msg"]).removeprefix("Value error, ")
    path, value, chosen = list[Any](), cast("Any", attributes), False
    for part in item["loc"]:
        # pydantic also names the selected member of a union, which is not an attribute.
        if not chosen and isinstance(value, Mapping) and value.get("kind") == part:
            chosen = True
        elif _has(value, part):
            path.append(part)
            value, chosen = value[part], False
        elif item["type"] == "missing" and part == item["loc"][-1]:
            path.append(part)
    if named := _NAMED.fullmatch(detail):
        path += named[1].split("/")
        detail = named[2]
    return {"pointer": place(*path), "detail": detail}


def _has(value: Any, part: Any) -> bool:
    if isinstance(value, Mapping):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)
