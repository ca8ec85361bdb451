"""What a feature view declares: its sources, when each of their facts became known, and the features made of them.

Expressions are SQL over the columns of one row, as in `dep_delay > 15`. They are parsed when the view is computed:
parsing needs Polars, whose threads must not run in the process that the warm launcher forks from.
"""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

import dagster as dg
from pydantic import AfterValidator, BaseModel, Field, model_validator

from assets.declaration import AssetId

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_AGGREGATE = re.compile(r"(AVG|SUM|COUNT)\((.+)\)", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def duration(text: str) -> timedelta:
    """Reads `30m`, `2h` or `28d`.

    Raises:
        ValueError: another form.
    """
    if not re.fullmatch(r"[1-9][0-9]*[mhd]", text):
        raise ValueError(f"{text!r} is no duration; write 30m, 2h or 28d")
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def _duration(text: str) -> str:
    duration(text)
    return text


def _aggregate(text: str) -> str:
    aggregate(text)
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no column name; use lower-case letters, digits and underscores")
    return text


def aggregate(text: str) -> tuple[str, str]:
    """Splits `AVG(dep_delay > 15)` into `AVG` and `dep_delay > 15`; `COUNT(*)` counts the constant 1.

    Raises:
        ValueError: no such form.
    """
    if text.strip().upper() == "COUNT(*)":
        return "COUNT", "1"
    if not (match := _AGGREGATE.fullmatch(text.strip())) or match[2].strip() == "*":
        raise ValueError(f"{text!r} is no aggregate; write AVG(x), SUM(x), COUNT(x) or COUNT(*)")
    return match[1].upper(), match[2].strip()


Name = Annotated[str, AfterValidator(_name)]
Duration = Annotated[str, AfterValidator(_duration)]
Expression = Annotated[str, Field(min_length=1)]
Aggregate = Annotated[str, AfterValidator(_aggregate)]


class Source(dg.Model):
    """A table, and when each part of its rows became known."""

    table: AssetId
    columns: list[str] = Field(
        min_length=1, description="Columns known from the start of the row, such as a published schedule."
    )
    facts: dict[str, list[str]] = Field(
        default_factory=dict,
        description="A column with an instant, and the columns that become known then. Before it, all are missing.",
    )
    known_at: Expression | None = Field(
        None, description="The instant from which the whole row is known. Without it, rows are known ahead."
    )

    @property
    def fact_columns(self) -> list[str]:
        """Columns that are unknown at first: the instants and what they reveal."""
        return [column for at, revealed in self.facts.items() for column in (at, *revealed)]

    @property
    def read_columns(self) -> list[str]:
        """Every column taken from the table."""
        return list(dict.fromkeys([*self.columns, *self.fact_columns]))


class Entity(dg.Model):
    """What a row of the feature table stands for, and when its prediction is made."""

    source: str = Field(description="Source with one row per entity.")
    timestamp: str = Field(description="Column with the instant of the event, known ahead.")
    offset: Duration | None = Field(None, description="How long before the event the prediction is made.")
    columns: dict[Name, Expression] = Field(
        min_length=1, description="Key, labels and whatever else travels along; never features."
    )


class RowGroup(dg.Model):
    """Features of the entity's own row, from columns known ahead. `local_time` is its timestamp on the local clock."""

    kind: Literal["row"] = "row"
    name: Name
    features: dict[Name, Expression] = Field(min_length=1)


class AsOfGroup(dg.Model):
    """Features of the newest row of a source that was known by the time of prediction."""

    kind: Literal["asof"] = "asof"
    name: Name
    source: str
    by: list[str] = Field(min_length=1, description="Columns that a source row shares with the entity.")
    max_age: Duration | None = Field(None, description="How old the row may be; an older one counts as missing.")
    features: dict[Name, Expression] = Field(min_length=1)


class WindowGroup(dg.Model):
    """Aggregates over the events that were known in a window of time."""

    kind: Literal["window"] = "window"
    name: Name
    source: str
    at: str | None = Field(None, description="Column with the instant of the event; by default `known_at`.")
    by: list[str] = Field(min_length=1, description="Columns that an event shares with the entity.")
    until: Literal["prediction", "day_start"] = Field(
        "prediction", description="End of the window: the prediction, or the local midnight before it."
    )
    span: Literal["day"] | Duration | None = Field(
        None, description="Length of the window, or `day` for since local midnight. Without it, everything before."
    )
    features: dict[Name, Aggregate] = Field(min_length=1)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.until == "day_start" and self.span == "day":
            raise ValueError("a window until the start of the day cannot span that day")
        return self


class BacklogGroup(dg.Model):
    """What began since local midnight and was not finished at the time of prediction."""

    kind: Literal["backlog"] = "backlog"
    name: Name
    source: str
    opened: str = Field(description="Column with the instant of the beginning.")
    closed: str = Field(description="Column with the instant of the end; missing while it is not known.")
    by: list[str] = Field(min_length=1)
    count: Name = Field(description="Feature: how many are open.")
    age_minutes: Name = Field(description="Feature: mean time since their beginning, in minutes.")

    @property
    def features(self) -> list[str]:
        """Names of the two features."""
        return [self.count, self.age_minutes]


Group = Annotated[RowGroup | AsOfGroup | WindowGroup | BacklogGroup, Field(discriminator="kind")]


class FeatureView(BaseModel):
    """Features of an entity, each from what was known when the prediction was due."""

    sources: dict[Name, Source] = Field(min_length=1)
    entity: Entity
    groups: list[Group] = Field(min_length=1)
    time_zone: str = Field("UTC", description="IANA time zone whose midnights divide the days.")

    @property
    def features(self) -> list[str]:
        """Names of all features, in the order of the groups."""
        return [feature for group in self.groups for feature in group.features]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        evidence = [evidence_column(group.name) for group in self.groups if group.kind != "row"]
        names = [*self.entity.columns, "predicted_at", *self.features, *evidence]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"column {twice[0]!r} is declared twice")
        entity = self._source(self.entity.source)
        if self.entity.timestamp not in entity.columns:
            raise ValueError(f"entity timestamp {self.entity.timestamp!r} is no column known ahead")
        for group in self.groups:
            if group.kind != "row":
                self._check_group(group, entity)
        return self

    def _source(self, name: str) -> Source:
        if name not in self.sources:
            raise ValueError(f"source {name!r} is not declared; declared: {', '.join(self.sources)}")
        return self.sources[name]

    def _check_group(self, group: AsOfGroup | WindowGroup | BacklogGroup, entity: Source) -> None:
        source = self._source(group.source)
        needed = [(column, source.columns, "of its source") for column in group.by]
        needed += [(column, entity.columns, "of the entity known ahead") for column in group.by]
        match group:
            case AsOfGroup() | WindowGroup(at=None):
                if source.known_at is None:
                    raise ValueError(f"group {group.name!r} needs `known_at` on source {group.source!r}")
            case WindowGroup():
                needed.append((str(group.at), source.read_columns, "of its source"))
            case BacklogGroup():
                needed += [(column, source.read_columns, "of its source") for column in (group.opened, group.closed)]
        for column, columns, whose in needed:
            if column not in columns:
                raise ValueError(f"group {group.name!r}: {column!r} is no column {whose} ({', '.join(columns)})")


def evidence_column(group: str) -> str:
    """Column with the newest instant of anything a group of features used."""
    return f"{group}_seen_at"
