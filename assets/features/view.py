"""The declaration of a feature view: its sources, when each of their facts became known, and the features.

Expressions are SQL over the columns of one row, such as `dep_delay > 15`. They are parsed when the view is computed,
because parsing needs Polars, whose threads must not run in the zygote.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal, Self

import dagster as dg
from pydantic import AfterValidator, BaseModel, Field, model_validator

from assets.declaration import AssetId
from core.errors import InvalidArgument
from lakehouse.files.options import require_zone

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_AGGREGATE = re.compile(r"(AVG|SUM|COUNT)\((.+)\)", re.IGNORECASE | re.DOTALL)
_MAX_DAYS = 36_500
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def duration(text: str) -> timedelta:
    """Parses a duration such as `30m`, `2h` or `28d`.

    Raises:
        ValueError: the text has another form, or the duration is too long.
    """
    if not re.fullmatch(r"[1-9][0-9]*[mhd]", text):
        raise ValueError(f"{text!r} is not a duration; write 30m, 2h or 28d")
    number = int(text[:-1]) if len(text) < 12 else _MAX_DAYS * 1440
    if (parsed := timedelta(**{_UNITS[text[-1]]: min(number, _MAX_DAYS * 1440)})) >= timedelta(_MAX_DAYS):
        raise ValueError(f"{text!r} is too long; a duration is shorter than {_MAX_DAYS} days")
    return parsed


def _duration(text: str) -> str:
    duration(text)
    return text


def _aggregate(text: str) -> str:
    aggregate(text)
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a valid column name; use lower-case letters, digits and underscores")
    return text


def aggregate(text: str) -> tuple[str, str]:
    """Splits `AVG(dep_delay > 15)` into `AVG` and `dep_delay > 15`; `COUNT(*)` counts the constant 1.

    Raises:
        ValueError: the text has another form.
    """
    if text.strip().upper() == "COUNT(*)":
        return "COUNT", "1"
    if not (match := _AGGREGATE.fullmatch(text.strip())) or match[2].strip() == "*":
        raise ValueError(f"{text!r} is not an aggregate; write AVG(x), SUM(x), COUNT(x) or COUNT(*)")
    return match[1].upper(), match[2].strip()


def _zone(text: str) -> str:
    try:
        require_zone(text)
    except InvalidArgument as error:
        raise ValueError(error.detail) from error
    return text


TimeZone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, AfterValidator(_name)]
Duration = Annotated[str, AfterValidator(_duration)]
Expression = Annotated[str, Field(min_length=1)]
Aggregate = Annotated[str, AfterValidator(_aggregate)]


class Source(dg.Model):
    """A table, and when each part of its rows became known."""

    table: AssetId
    columns: list[str] = Field(
        min_length=1, description="Columns that are known in advance, such as a published schedule."
    )
    facts: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Columns that become known at an instant, by the column with that instant. Before it, all are "
        "missing.",
    )
    known_at: Expression | None = Field(
        None,
        description="SQL expression of the instant from which the row is known. By default, rows are known in advance.",
    )

    @property
    def fact_columns(self) -> list[str]:
        """Columns that are unknown at first: the instants, and the columns that become known at them."""
        return [column for at, revealed in self.facts.items() for column in (at, *revealed)]

    @property
    def read_columns(self) -> list[str]:
        """All columns that are read from the table."""
        return list(dict.fromkeys([*self.columns, *self.fact_columns]))


class Entity(dg.Model):
    """Entity of the feature table, one per row, and the time of its prediction."""

    source: str = Field(description="Source with one row per entity.")
    timestamp: str = Field(description="Column with the instant of the event, known in advance.")
    offset: Duration | None = Field(None, description="Time between the prediction and the event.")
    columns: dict[Name, Expression] = Field(
        min_length=1, description="Key, labels, and other columns that are not features."
    )


class RowGroup(dg.Model):
    """Features of the entity's row, from columns known in advance. `local_time` is its timestamp in the time zone."""

    kind: Literal["row"] = "row"
    name: Name
    features: dict[Name, Expression] = Field(min_length=1)


class AsOfGroup(dg.Model):
    """Features of the newest row of a source that was known at the time of the prediction."""

    kind: Literal["asof"] = "asof"
    name: Name
    source: str
    by: list[str] = Field(min_length=1, description="Columns that a source row shares with the entity.")
    max_age: Duration | None = Field(None, description="Maximum age of the row. An older row counts as missing.")
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
        None, description="Length of the window, or `day` for the time since local midnight. By default unlimited."
    )
    features: dict[Name, Aggregate] = Field(min_length=1)

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.until == "day_start" and self.span == "day":
            raise ValueError("a window until the start of the day cannot span that day")
        return self


class BacklogGroup(dg.Model):
    """Count and age of the events that began since local midnight and were open at the time of the prediction."""

    kind: Literal["backlog"] = "backlog"
    name: Name
    source: str
    opened: str = Field(description="Column with the instant of the beginning.")
    closed: str = Field(description="Column with the instant of the end; missing while it is not known.")
    by: list[str] = Field(min_length=1)
    count: Name = Field(description="Feature: number of open events.")
    age_minutes: Name = Field(description="Feature: mean time since the beginning of the open events, in minutes.")

    @property
    def features(self) -> list[str]:
        """Names of the two features."""
        return [self.count, self.age_minutes]


Group = Annotated[RowGroup | AsOfGroup | WindowGroup | BacklogGroup, Field(discriminator="kind")]


class FeatureView(BaseModel):
    """Features of an entity, each computed from what was known when the prediction was due."""

    sources: dict[Name, Source] = Field(min_length=1)
    entity: Entity
    groups: list[Group] = Field(min_length=1)
    time_zone: TimeZone = Field("UTC", description="IANA time zone that determines the local midnights.")

    @property
    def features(self) -> list[str]:
        """Names of all features, in the order of the groups."""
        return [feature for group in self.groups for feature in group.features]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        taken = {"predicted_at"}
        for pointer, name in self._result_columns():
            if name in taken:
                raise ValueError(f"{pointer}: column {name!r} is declared twice")
            taken.add(name)
        entity = self._source(self.entity.source, "entity/source")
        if self.entity.timestamp not in entity.columns:
            raise ValueError(f"entity/timestamp: {self.entity.timestamp!r} is not a column known in advance")
        for number, group in enumerate(self.groups):
            if group.kind != "row":
                self._check_group(group, entity, f"groups/{number}")
        return self

    def _result_columns(self) -> Iterator[tuple[str, str]]:
        """Yields the columns of the feature table, each with the pointer to the attribute that names it."""
        for name in self.entity.columns:
            yield f"entity/columns/{name}", name
        for number, group in enumerate(self.groups):
            pointer = f"groups/{number}"
            if group.kind == "backlog":
                yield from ((f"{pointer}/count", group.count), (f"{pointer}/age_minutes", group.age_minutes))
            else:
                yield from ((f"{pointer}/features/{name}", name) for name in group.features)
            if group.kind != "row":
                yield f"{pointer}/name", evidence_column(group.name)

    def _source(self, name: str, pointer: str) -> Source:
        if name not in self.sources:
            raise ValueError(f"{pointer}: source {name!r} is not declared; declared: {', '.join(self.sources)}")
        return self.sources[name]

    def _check_group(self, group: AsOfGroup | WindowGroup | BacklogGroup, entity: Source, pointer: str) -> None:
        source = self._source(group.source, f"{pointer}/source")
        needed = [("by", column, source.columns, "of its source") for column in group.by]
        needed += [("by", column, entity.columns, "of the entity known in advance") for column in group.by]
        match group:
            case AsOfGroup() | WindowGroup(at=None):
                if source.known_at is None:
                    raise ValueError(f"{pointer}/source: group {group.name!r} needs `known_at` on {group.source!r}")
            case WindowGroup():
                needed.append(("at", str(group.at), source.read_columns, "of its source"))
            case BacklogGroup():
                read = source.read_columns
                needed += [
                    ("opened", group.opened, read, "of its source"),
                    ("closed", group.closed, read, "of its source"),
                ]
        for attribute, column, columns, owner in needed:
            if column not in columns:
                detail = f"group {group.name!r}: {column!r} is not a column {owner} ({', '.join(columns)})"
                raise ValueError(f"{pointer}/{attribute}: {detail}")


def evidence_column(group: str) -> str:
    """Returns the name of the column with the newest instant that a group of features used."""
    return f"{group}_seen_at"
