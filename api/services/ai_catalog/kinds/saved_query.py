"""Saved queries: statements that a project shares, with the chart of their result."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.lake.names import AssetId, ColumnName
from api.kernel.lake.versions import Version


class ChartForm(StrEnum):
    """The form of a chart."""

    LINE = "LINE"
    BAR = "BAR"
    SCATTER = "SCATTER"
    HEAT_MAP = "HEAT_MAP"


ChartColumn = Annotated[ColumnName, Field(min_length=1)]


class QueryChart(Spec):
    """How the result of a query is drawn."""

    form: Annotated[ChartForm, Field(strict=False)]
    """LINE, BAR, SCATTER, or HEAT_MAP."""

    x: ChartColumn
    """Column of the horizontal axis."""

    y: Annotated[list[ChartColumn], Field(min_length=1, max_length=20)]
    """Columns of the vertical axis. A HEAT_MAP has exactly one."""

    series: ColumnName = ""
    """Column of which each value becomes a separate series. By default each column of `y` is one series."""

    value: ColumnName = ""
    """For a HEAT_MAP: the column whose numbers become colors."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.value) != (self.form is ChartForm.HEAT_MAP):
            raise ValueError("needs value for the form HEAT_MAP, and for no other")
        if len(self.y) > 1 and (self.form is ChartForm.HEAT_MAP or self.series):
            raise ValueError("needs exactly one column y for a HEAT_MAP or with series")
        return self


class SavedQuerySpec(Spec):
    """A statement, and the chart of its result."""

    title: Title
    """Display name."""

    description: Text = ""
    """What the result shows."""

    sql: Annotated[str, Field(min_length=1, max_length=100_000)]
    """The statement, as for `POST /queries:run`. It is checked when it runs, with the rights of the caller."""

    versions: Annotated[dict[AssetId, Version], Field(max_length=100)] = {}
    """Versions to read, by asset id. By default the newest version of each table."""

    chart: QueryChart | None = None
    """Chart of the result. Null for a table."""


class SavedQuery(Resource[SavedQuerySpec, NoStatus]):
    """A statement that everyone in a project can open and run, each with their own rights to the tables."""


SAVED_QUERY = ResourceKind(
    SavedQuery, plural="saved-queries", prefix="sqy", level=Level.PROJECT, filter_by=("spec.title",)
)
