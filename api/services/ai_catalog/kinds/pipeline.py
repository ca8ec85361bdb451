"""Pipelines: named selections of assets with parameters and a schedule. A published pipeline is a job in Dagster."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId
from api.kernel.models import Request
from api.kernel.references import RefersTo
from core.errors import Conflict, InvalidPayload
from core.pipelines import CatchUp, Overlap

PipelineReference = Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.pipeline",))]
"""A pipeline."""

Value = Annotated[str, Field(max_length=200)] | int | float | bool
"""A value of a parameter."""


class PipelineState(StrEnum):
    """State of a pipeline. PUBLISHED: it is a job in Dagster, as it was when it was published."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"


class ParameterType(StrEnum):
    """Type of a parameter."""

    STRING = "STRING"
    INTEGER = "INTEGER"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"


_TYPES: dict[ParameterType, tuple[type, ...]] = {
    ParameterType.STRING: (str,),
    ParameterType.INTEGER: (int,),
    ParameterType.NUMBER: (int, float),
    ParameterType.BOOLEAN: (bool,),
}


class ParameterTarget(Request):
    """A field of the config of an asset, which gets the value of a parameter."""

    asset: AssetId
    """Id of the asset."""

    field: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
    """Name of the field."""


class PipelineParameter(Request):
    """A parameter of a pipeline."""

    type: Annotated[ParameterType, Field(strict=False)] = ParameterType.STRING
    """Type of its values."""

    description: Annotated[Text, Field(max_length=500)] = ""
    """Meaning of the parameter."""

    default: Value | None = None
    """Value of runs that give none. Without it, each run must give a value."""

    allowed: Annotated[list[Value], Field(max_length=20)] = []
    """Allowed values. By default all values of the type."""

    targets: Annotated[list[ParameterTarget], Field(min_length=1, max_length=10)]
    """Fields that get the value."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for value in self.allowed:
            if not self.accepts_type(value):
                raise ValueError(f"allowed has a value that is not of type {self.type}")
        if self.default is not None and (fault := self.fault_of(self.default)):
            raise ValueError(f"default {fault}")
        return self

    def accepts_type(self, value: object) -> bool:
        """Returns whether a value has the type. A boolean is no number."""
        return isinstance(value, _TYPES[self.type]) and (
            self.type is ParameterType.BOOLEAN or not isinstance(value, bool)
        )

    def fault_of(self, value: object) -> str:
        """Returns why a value is not accepted; an empty text if it is."""
        if not self.accepts_type(value):
            return f"is not of type {self.type}"
        if self.allowed and value not in self.allowed:
            return "is not one of the allowed values"
        return ""


def _cron(text: str) -> str:
    from cronsim import CronSim, CronSimError  # only for this kind

    try:
        next(CronSim(text, datetime(2000, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError("is not a cron expression with five fields, such as `0 6 * * 1-5`") from error
    return text


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("is not a time zone, such as `Europe/Berlin`") from error
    return name


class PipelineSchedule(Request):
    """Times at which a pipeline runs with the default values of its parameters."""

    cron: Annotated[str, Field(pattern=r"^\S+( \S+){4}$", max_length=100), AfterValidator(_cron)]
    """Cron expression with five fields: minute, hour, day of the month, month, and day of the week."""

    timezone: Annotated[str, Field(max_length=64), AfterValidator(_timezone)] = "UTC"
    """IANA time zone of the expression. A time that a change of the clocks skips runs at the end of the gap."""

    catch_up: Annotated[CatchUp, Field(strict=False)] = CatchUp.LATEST
    """What happens to times that passed while the platform was down: one run for the LATEST of them, or SKIP."""


class PipelineSpec(Spec):
    """A selection of assets, and when and how they are materialized."""

    title: Title
    """Display name."""

    description: Text = ""
    """Purpose of the pipeline."""

    assets: Annotated[list[AssetId], Field(max_length=500)] = []
    """Ids of published assets of the project. A run materializes all of them, in the order of their inputs."""

    selection: Annotated[str, Field(max_length=1000, examples=["group:gold and kind:sql"])] = ""
    """Instead of `assets`: a selection in Dagster's language by key, group, kind, owner, or tag. When the pipeline is
    published, it selects among the published assets of the project that the publisher can see."""

    parameters: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")], PipelineParameter], Field(max_length=20)
    ] = {}
    """Parameters by name."""

    schedule: PipelineSchedule | None = None
    """Times at which it runs. Without a schedule, it runs on request only."""

    overlap: Annotated[Overlap, Field(strict=False)] = Overlap.QUEUE
    """What happens to a run that is due while another one is active: it waits (QUEUE), doesn't start (SKIP), or runs at
    the same time (PARALLEL)."""

    retries: Annotated[int, Field(ge=0, le=10)] = 0
    """How often a failed step is repeated within its run."""

    retry_delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """Time before a step is repeated, in seconds."""

    @model_validator(mode="after")
    def _schedulable(self) -> Self:
        if len(set(self.assets)) < len(self.assets):
            raise ValueError("assets has an id twice")
        missing = sorted(name for name, item in self.parameters.items() if item.default is None)
        if self.schedule and missing:
            raise ValueError(f"a pipeline with a schedule needs a default for each parameter: {', '.join(missing)}")
        return self


class PipelineStatus(Status):
    """The publication of a pipeline."""

    state: PipelineState = PipelineState.DRAFT
    """Whether it is a job in Dagster."""

    published_generation: int | None = None
    """Generation of the spec that is published. A later generation is a draft. Null if it is not published."""

    published_at: datetime | None = None
    """Time of the last publication. Null before it."""


class Pipeline(Resource[PipelineSpec, PipelineStatus]):
    """A named selection of assets with parameters and a schedule. A published pipeline is a job in Dagster."""


PIPELINE = ResourceKind(
    Pipeline,
    plural="pipelines",
    prefix="pln",
    level=Level.PROJECT,
    filter_by=("spec.title", "spec.assets", "status.state"),
)


@PIPELINE.validate
def require_one_selection(unit: Unit, pipeline: Pipeline, before: Pipeline | None) -> None:
    """Refuses a pipeline without assets, and one that names assets in two ways."""
    if bool(pipeline.spec.assets) == bool(pipeline.spec.selection):
        fault = {"pointer": "/spec/assets", "detail": "needs either assets or selection"}
        raise InvalidPayload("A pipeline needs either assets or a selection.", errors=[fault])


@PIPELINE.before("delete")
def refuse_published(unit: Unit, pipeline: Pipeline) -> None:
    """Refuses to delete a published pipeline, because its schedule would continue."""
    if pipeline.status.state is PipelineState.PUBLISHED:
        raise Conflict(f"{pipeline.name} is published. Unpublish it first.")
