"""The base class of all components: their common attributes, and the Dagster asset spec that results from them.

Attributes are taken literally. No template in them is rendered, because definitions also arrive over REST.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import dagster as dg
from dagster_shared.check import CheckError
from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, model_validator

from assets.datasets.rules import Check
from core.ids import asset_key, is_asset_id
from lakehouse.comparison import COMPARISON_KEY, Comparison

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.findings import Findings

GENERATION = "1"
"""Part of every code version. Raise it when components compute another result from the same attributes."""

_OWNER = re.compile(r"team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+")
_DESCRIPTIVE = frozenset({"asset", "description", "owners", "automation", "checks", "drift", "partitions"})
"""Attributes that do not determine the content of a row. Partitions determine which rows a run replaces."""


def _asset_id(text: str) -> str:
    if not is_asset_id(text):
        raise ValueError("must be three lower-case names joined by dots, such as flights.gold.daily_cancellations")
    return text


def _owners(owners: list[str]) -> list[str]:
    if wrong := [owner for owner in owners if not _OWNER.fullmatch(owner)]:
        raise ValueError(f"{wrong[0]!r} is neither an email address nor team:<name>")
    return owners


def _automation(text: str | None) -> str | None:
    if text is not None:
        automation_condition(text)
    return text


def _number_fault(value: Any, *path: str) -> str | None:
    """Returns the fault of the first number that no engine can store: one that is not finite, or beyond 64 bits."""
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    if fault := next((fault for key, part in parts if (fault := _number_fault(part, *path, str(key)))), None):
        return fault
    if isinstance(value, float) and not math.isfinite(value):
        return f"{'/'.join(path)}: {value} is not a finite number"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return f"{'/'.join(path)}: does not fit in a 64-bit integer"
    return None


AssetId = Annotated[str, AfterValidator(_asset_id)]
"""Id of an asset: project, schema, and table."""

Automation = Annotated[str | None, AfterValidator(_automation)]
"""When an asset is materialized automatically."""


class TableComponent(dg.Component, dg.Model, dg.Resolvable):
    """Declaration of one asset and its Delta table, which has the same name."""

    asset: AssetId = Field(description="Id of the asset and of its table: project.schema.table.")
    description: str = Field(min_length=1, description="Meaning of a row and purpose of the table.")
    owners: Annotated[list[str], AfterValidator(_owners)] = Field(
        default_factory=lambda: ["team:data"], description="Owners of the asset: email addresses or team:<name>."
    )
    automation: Automation = Field(
        None,
        description="When the asset is materialized automatically: a cron line (UTC), or `eager` for every change of "
        "an input.",
    )
    checks: list[Check] = Field(
        default_factory=list, description="Rules that every version of the table is checked against."
    )

    _folder: Path | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, attributes: Any) -> Any:
        if fault := _number_fault(attributes):
            raise ValueError(fault)
        return attributes

    @classmethod
    def model(cls) -> type[BaseModel]:
        """Returns this class: attributes are strict and contain no template strings of Dagster."""
        return cls

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """Returns the validated attributes, which are the component."""
        assert isinstance(model, cls)
        return model

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Loads the component, and stores the folder of its YAML file, which published definitions do not have."""
        component = super().load(attributes, context)
        component._folder = context.path if context.path.is_dir() else context.path.parent
        return component

    @property
    def folder(self) -> Path | None:
        """Folder of the YAML file; `None` for a published definition."""
        return self._folder

    @property
    def op_name(self) -> str:
        """Name of the asset's step."""
        return self.asset.replace(".", "__")

    def appended(self) -> "Mapping[str, pa.Schema]":
        """Returns the schemas of the tables to which a run appends rows, by table id; by default none.

        A publication compares them with the existing tables. Tables that every run replaces are not included.
        """
        return {}

    def comparison(self) -> Comparison:
        """Returns the rules by which two results of the asset are equal. By default, all rows of the table count."""
        return Comparison()

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Compares the attributes with the tables that exist, and records faults and attributes that were not checked.

        Returns the columns of the table of the asset, or `None` if only a run determines them.
        """
        raise NotImplementedError

    def code_version(self, *code: str) -> str:
        """Returns the digest of everything that determines the content of the table. Every process computes the same.

        Args:
            code: further code that the content depends on, such as the text of a SQL file.
        """
        deciding = self.model_dump(mode="json", exclude=set(_DESCRIPTIVE))
        text = json.dumps([type(self).__name__, GENERATION, deciding, code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def spec(
        self,
        *,
        kinds: Iterable[str],
        deps: Iterable[str] = (),
        code: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> dg.AssetSpec:
        """Returns the Dagster asset spec of this declaration.

        Args:
            kinds: engines and formats of the asset, in addition to `delta`.
            deps: ids of the input assets.
            code: further code for `code_version`.
            metadata: definition metadata.
        """
        return dg.AssetSpec(
            key=asset_key(self.asset),
            deps=[dg.AssetKey(asset_key(dep)) for dep in deps],
            description=self.description,
            owners=self.owners,
            group_name=asset_key(self.asset)[1],
            kinds={"delta", *kinds},
            code_version=self.code_version(*code),
            automation_condition=automation_condition(self.automation),
            metadata={COMPARISON_KEY: self.comparison().to_json(), **(metadata or {})},
        )


def eager(only: dg.AssetSelection | None = None) -> dg.AutomationCondition[Any]:
    """Returns Dagster's `eager` by data version: an input that was materialized without a change triggers nothing.

    Args:
        only: the inputs whose changes trigger a run; all by default.
    """
    # `any_deps_match` spelled out: `replace` treats all conditions without parameters as equal.
    conditions = dg.AutomationCondition
    changed = conditions.any_deps_match(
        (conditions.data_version_changed() & ~conditions.executed_with_root_target()) | conditions.will_be_requested()
    )
    counted = changed if only is None else changed.allow(only)
    # Of an input with partitions, one is enough: those of the future or of failed runs may never come.
    missing = ~conditions.all_deps_match(~conditions.missing() | conditions.will_be_requested())
    return (
        conditions.eager()
        .replace("any_deps_updated", counted.with_label("any_deps_changed"))
        .replace("any_deps_missing", missing.with_label("any_deps_missing"))
    )


def automation_condition(text: str | None) -> dg.AutomationCondition[Any] | None:
    """Returns the automation condition of the attribute `automation`.

    `eager` reacts to the data versions of the inputs: a materialization that keeps the data version triggers nothing.
    It waits until the blocking checks of all inputs have passed.

    Raises:
        ValueError: the text is neither `eager` nor a cron line.
    """
    if text is None:
        return None
    if text == "eager":
        condition = eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()
        return condition.with_label("eager, once the checks of all inputs have passed")
    try:
        return dg.AutomationCondition.on_cron(text)
    except CheckError as error:
        raise ValueError(f"{text!r} is neither `eager` nor a cron line such as `0 6 * * *`") from error
