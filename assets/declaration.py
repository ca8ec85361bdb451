"""What every component declares about the asset it makes, and how that becomes a Dagster asset spec.

Attributes are validated as they are: no template is rendered in them, because definitions also arrive over REST.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import dagster as dg
from dagster_shared.check import CheckError
from pydantic import AfterValidator, BaseModel, Field, PrivateAttr

from assets.datasets.checks import Check
from core.ids import asset_key, is_asset_id

GENERATION = "1"
"""Part of every code version: raise it when generated assets compute something else from the same attributes."""

_OWNER = re.compile(r"team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+")
_DESCRIPTIVE = frozenset({"asset", "description", "owners", "automation", "checks"})


def _asset_id(text: str) -> str:
    if not is_asset_id(text):
        raise ValueError("must be three lower-case names joined by dots, as flights.gold.daily_cancellations")
    return text


def _owners(owners: list[str]) -> list[str]:
    if wrong := [owner for owner in owners if not _OWNER.fullmatch(owner)]:
        raise ValueError(f"{wrong[0]!r} is neither an e-mail address nor team:<name>")
    return owners


def _automation(text: str | None) -> str | None:
    if text is not None:
        automation_condition(text)
    return text


AssetId = Annotated[str, AfterValidator(_asset_id)]
"""An asset's id: project, schema and table."""


class TableComponent(dg.Component, dg.Model, dg.Resolvable):
    """Declares one asset backed by one Delta table of the same name."""

    asset: AssetId = Field(description="Id of the asset and of its table: project.schema.table.")
    description: str = Field(min_length=1, description="What a row is and what the table is for.")
    owners: Annotated[list[str], AfterValidator(_owners)] = Field(
        default_factory=lambda: ["team:data"], description="E-mail addresses or team:<name>."
    )
    automation: Annotated[str | None, AfterValidator(_automation)] = Field(
        None, description="When to materialize unasked: a cron line (UTC), or `eager` for whenever an input changed."
    )
    checks: list[Check] = Field(default_factory=list, description="What must be true of the table.")

    _folder: Path | None = PrivateAttr(None)

    @classmethod
    def model(cls) -> type[BaseModel]:
        """The attributes are this class itself: strict, and without Dagster's template strings."""
        return cls

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: BaseModel) -> Self:
        """Takes the validated attributes as the component."""
        assert isinstance(model, cls)
        return model

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Remembers the folder of the YAML file, which published definitions do not have."""
        component = super().load(attributes, context)
        component._folder = context.path if context.path.is_dir() else context.path.parent
        return component

    @property
    def folder(self) -> Path | None:
        """Folder of the YAML file this was read from; `None` for a definition that came over REST."""
        return self._folder

    @property
    def op_name(self) -> str:
        """Name of the asset's step."""
        return self.asset.replace(".", "__")

    def code_version(self, *more: str) -> str:
        """Digest of everything that decides the table's content; the same in every process.

        Args:
            more: further code the content depends on, such as the text of a SQL file.
        """
        deciding = self.model_dump(mode="json", exclude=set(_DESCRIPTIVE))
        text = json.dumps([type(self).__name__, GENERATION, deciding, more], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def spec(
        self,
        *,
        kinds: Iterable[str],
        deps: Iterable[str] = (),
        code: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> dg.AssetSpec:
        """The Dagster asset spec of this declaration.

        Args:
            kinds: engines and formats shown on the asset besides `delta`.
            deps: ids of the assets it is made from.
            code: further code for `code_version`.
            metadata: definition metadata.
            more: anything else `AssetSpec` takes.
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
            metadata=dict(metadata or {}),
            **more,
        )


def automation_condition(text: str | None) -> dg.AutomationCondition[Any] | None:
    """Builds the condition from its YAML form.

    `eager` waits until the blocking checks of every input have passed.

    Raises:
        ValueError: neither `eager` nor a cron line.
    """
    if text is None:
        return None
    if text == "eager":
        condition = dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()
        return condition.with_label("eager, once the checks of all inputs have passed")
    try:
        return dg.AutomationCondition.on_cron(text)
    except CheckError as error:
        raise ValueError(f"{text!r} is neither `eager` nor a cron line such as `0 6 * * *`") from error
