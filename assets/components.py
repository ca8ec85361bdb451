"""The public components: what a YAML file names as `type` and a published definition as `component`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from assets.declaration import TableComponent
from core.errors import InvalidPayload

_MODULES = {
    "DatasetComponent": "assets.datasets.component",
    "SqlTransformComponent": "assets.datasets.component",
    "SparkTransformComponent": "assets.datasets.spark",
    "FeatureViewComponent": "assets.features.component",
    "ModelTrainingComponent": "assets.models.component",
    "RagIndexComponent": "assets.indexes.component",
    "FederatedTrainingComponent": "assets.rounds.component",
}


class _Components(Mapping[str, type[TableComponent]]):
    """Component classes by name, each imported when it is first asked for."""

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
    """Builds a component from a definition that came from outside.

    Attributes are taken literally: unlike Dagster's own loading of YAML, no template in them is rendered, for a
    template may run code and read the environment.

    Args:
        name: the class name.
        attributes: what would stand under `attributes` in YAML.
        asset: the id the definition is stored under, which the attributes must repeat.

    Raises:
        InvalidPayload: no such component, or attributes that it does not have; each fault names its field.
    """
    if name not in _MODULES:
        raise InvalidPayload(
            f"There is no component {name}; choose one of {', '.join(_MODULES)}.",
            errors=[{"pointer": "/component", "detail": "unknown component"}],
        )
    try:
        built = COMPONENTS[name].model_validate(dict(attributes))
    except ValidationError as error:
        faults = [_fault(item) for item in error.errors(include_url=False, include_context=False)]
        summary = "; ".join(f"{fault['pointer'].removeprefix('/attributes/')}: {fault['detail']}" for fault in faults)
        raise InvalidPayload(f"The attributes of {name} are not valid: {summary}.", errors=faults) from error
    if asset is not None and built.asset != asset:
        raise InvalidPayload(
            f"The definition {asset} declares the asset {built.asset}; both must be the same.",
            errors=[{"pointer": "/attributes/asset", "detail": f"must be {asset}"}],
        )
    return built


def _fault(item: Mapping[str, Any]) -> dict[str, str]:
    path = "/".join(str(part) for part in item["loc"])
    return {"pointer": f"/attributes/{path}", "detail": str(item["msg"]).removeprefix("Value error, ")}
