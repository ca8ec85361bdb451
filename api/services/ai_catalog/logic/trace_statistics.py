"""Statistics of traces, spans, and assessments as SQL: counts, sums, and percentiles by dimensions and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.run_search import matching
from api.services.ai_catalog.logic.search_language import Comparison, Key, invalid
from api.services.ai_catalog.logic.trace_search import GROUPS, compared
from api.services.ai_catalog.trace_tables import SPAN, TRACE, TRACE_ASSESSMENT, TRACE_METADATA
from core.errors import InvalidArgument

TIME = "time_bucket"
"""The dimension with the start of the interval of time."""

_GROUPS = {**GROUPS, "assessment": "assessment"}


@dataclass(frozen=True, slots=True)
class View:
    """What is counted: rows of a table, their numbers, and the dimensions by which they are grouped."""

    rows: sa.FromClause
    counts: Mapping[str, sa.ColumnElement[Any]]
    """Metrics that can only be counted."""
    numbers: Mapping[str, sa.ColumnElement[Any]]
    dimensions: Mapping[str, sa.ColumnElement[Any]]
    group: str
    """Group of the keys in filters that are about the rows themselves."""
    keys: Mapping[str, sa.ColumnElement[Any]]


_SESSION = (
    sa.select(TRACE_METADATA.c.value)
    .where(TRACE_METADATA.c.trace_id == TRACE.c.id, TRACE_METADATA.c.key == "mlflow.trace.session")
    .scalar_subquery()
)
_SPANS, _ASSESSMENTS = SPAN.c, TRACE_ASSESSMENT.c
VIEWS = {
    "TRACES": View(
        rows=TRACE,
        counts={"trace_count": TRACE.c.id, "session_count": _SESSION},
        numbers={
            "latency": TRACE.c.duration_ms,
            **{name: TRACE.c[name] for name in ("input_tokens", "output_tokens", "total_tokens")},
        },
        dimensions={"trace_name": TRACE.c.name, "trace_status": TRACE.c.state},
        group="",
        keys={},
    ),
    "SPANS": View(
        rows=SPAN.join(TRACE, TRACE.c.id == _SPANS.trace_id),
        counts={"span_count": _SPANS.span_id},
        numbers={
            "latency": (_SPANS.ended_ns - _SPANS.started_ns) / sa.literal(1e6, sa.Double),
            **{name: SPAN.c[name] for name in ("input_cost", "output_cost", "total_cost")},
        },
        dimensions={
            "span_name": _SPANS.name,
            "span_type": _SPANS.type,
            "span_status": _SPANS.status,
            "span_model_name": _SPANS.model,
            "span_model_provider": _SPANS.provider,
        },
        group="span",
        keys={"name": _SPANS.name, "type": _SPANS.type, "status": _SPANS.status},
    ),
    "ASSESSMENTS": View(
        rows=TRACE_ASSESSMENT.join(TRACE, TRACE.c.id == _ASSESSMENTS.trace_id),
        counts={"assessment_count": _ASSESSMENTS.id},
        numbers={"assessment_value": _ASSESSMENTS.number},
        dimensions={
            "assessment_name": _ASSESSMENTS.name,
            "assessment_value": sa.cast(_ASSESSMENTS.value, sa.Text),
        },
        group="assessment",
        keys={"name": _ASSESSMENTS.name, "type": sa.func.lower(_ASSESSMENTS.type, type_=sa.String)},
    ),
}


@dataclass(frozen=True, slots=True)
class Aggregation:
    """How values are combined: `COUNT`, `SUM`, `AVG`, `MIN`, `MAX`, or `PERCENTILE`."""

    type: str
    percentile: float | None = None

    @property
    def label(self) -> str:
        """Returns the name of the result, as MLflow writes it."""
        return self.type if self.percentile is None else f"P{float(self.percentile)}"


Point = tuple[dict[str, str], dict[str, float]]
"""The dimensions of a group, and the value of each aggregation."""


def statistics(
    unit: Unit,
    view: View,
    metric: str,
    aggregations: Sequence[Aggregation],
    dimensions: Sequence[str],
    where: Sequence[sa.ColumnElement[bool]],
    seconds: int | None,
) -> list[Point]:
    """Returns the aggregations of a metric for each group of rows.

    Args:
        unit: the unit of work.
        view: what is counted.
        metric: name of the metric.
        aggregations: how its values are combined.
        dimensions: names of the dimensions that form the groups.
        where: conditions for the traces and rows that count.
        seconds: length of the intervals of time that form groups as well. None for no intervals.

    Raises:
        InvalidArgument: the view has no such metric or dimension, or the metric can't be combined like this.
    """
    value = _metric(view, metric, aggregations)
    columns = [_dimension(view, name).label(f"by_{n}") for n, name in enumerate(dimensions)]
    if seconds is not None:
        columns.append(_interval(unit, view, seconds).label(f"by_{len(columns)}"))
    base = sa.select(*columns, value.label("value")).select_from(view.rows).where(*where).subquery()
    keys = [base.c[column.name] for column in columns]
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    plain = [one for one in aggregations if one.percentile is None]
    if plain:
        results = [_combined(base.c.value, one.type, metric) for one in plain]
        for row in unit.connection.execute(sa.select(*keys, *results).group_by(*keys)):
            values = zip(plain, row[len(keys) :], strict=True)
            found[tuple(row[: len(keys)])] = {one.label: float(result) for one, result in values if result is not None}
    for one in aggregations:
        if one.percentile is not None:
            for row in unit.connection.execute(_percentile(base, keys, one.percentile)):
                found.setdefault(tuple(row[: len(keys)]), {})[one.label] = float(row[-1])
    names = [*dimensions, *([TIME] if seconds is not None else [])]
    return [
        ({name: _text(name, part) for name, part in zip(names, group, strict=True) if part is not None}, values)
        for group, values in sorted(found.items(), key=lambda item: [str(part) for part in item[0]])
        if values
    ]


def filtered(unit: Unit, view: View, text: str) -> sa.ColumnElement[bool]:
    """Returns the condition of a filter. Keys such as `span.name` are about the counted rows themselves.

    Raises:
        InvalidArgument: the filter can't be parsed, or compares something unknown.
    """

    def condition(one: Comparison) -> sa.ColumnElement[bool]:
        key = one.key
        if key.group and key.group == view.group:
            if key.name not in view.keys:
                raise invalid(str(key), f"is not a key: use {', '.join(view.keys)}")
            return matching(view.keys[key.name], one, unit.connection.dialect.name)
        word, _, rest = key.name.partition(".")
        if not key.group and rest and word in ("tag", "metadata"):
            # MLflow's `trace.tag.team` is `tags.team` in searches.
            key = Key("tags" if word == "tag" else word, rest)
        if key.group == "assessment":
            raise invalid(str(key), "can be compared in statistics of assessments only")
        return compared(unit, Comparison(key, one.operator, one.value))

    combine = {"and": sa.and_, "or": sa.or_, "not": sa.not_}
    return search_language.compile(search_language.parse(text, _GROUPS), condition, combine, sa.true())


def _metric(view: View, metric: str, aggregations: Sequence[Aggregation]) -> sa.ColumnElement[Any]:
    if metric in view.counts:
        if any(one.type != "COUNT" for one in aggregations):
            raise InvalidArgument(f"{metric} can only be combined by COUNT.")
        return view.counts[metric]
    if metric not in view.numbers:
        known = ", ".join((*view.counts, *view.numbers))
        raise InvalidArgument(f"{metric!r} is not a metric of this view. Metrics are {known}.")
    return view.numbers[metric]


def _dimension(view: View, name: str) -> sa.ColumnElement[Any]:
    if name not in view.dimensions:
        known = ", ".join(view.dimensions)
        raise InvalidArgument(f"{name!r} is not a dimension of this view. Dimensions are {known}.")
    return view.dimensions[name]


def _interval(unit: Unit, view: View, seconds: int) -> sa.ColumnElement[Any]:
    """Returns the start of the interval of a row, in seconds since 1970."""
    if view.group == "span":
        return _SPANS.started_ns // (seconds * 1_000_000_000) * seconds
    time: sa.ColumnElement[Any] = sa.extract("epoch", TRACE.c.started_at)
    if unit.connection.dialect.name == "postgresql":
        time = sa.func.floor(time)
    return sa.cast(time, sa.BigInteger) // seconds * seconds


def _combined(value: sa.ColumnElement[Any], type: str, metric: str) -> sa.ColumnElement[Any]:
    if type == "COUNT":
        return sa.func.count(value.distinct() if metric == "session_count" else value)
    combine: dict[str, Callable[..., sa.ColumnElement[Any]]] = {
        "SUM": sa.func.sum,
        "AVG": sa.func.avg,
        "MIN": sa.func.min,
        "MAX": sa.func.max,
    }
    return combine[type](value)


def _percentile(base: sa.Subquery, keys: Sequence[sa.ColumnElement[Any]], percentile: float) -> sa.Select[Any]:
    """Returns the percentile of each group, interpolated between the two nearest values.

    SQLite has no function for it. Each value gets a weight by the distance of its rank from that of the percentile.
    """
    ranked = (
        sa.select(
            *keys,
            base.c.value,
            (sa.func.row_number().over(partition_by=keys or None, order_by=base.c.value) - 1).label("rank"),
            sa.func.count().over(partition_by=keys or None).label("rows"),
        )
        .where(base.c.value.is_not(None))
        .subquery()
    )
    position = (ranked.c.rows - 1) * sa.literal(percentile / 100, sa.Double)
    distance = sa.func.abs(ranked.c.rank - position)
    groups = [ranked.c[key.name] for key in keys]
    weighted = sa.func.sum(ranked.c.value * (1 - distance))
    return sa.select(*groups, weighted).where(distance < 1).group_by(*groups)


def _text(name: str, part: Any) -> str:
    return datetime.fromtimestamp(int(part), UTC).isoformat() if name == TIME else str(part)
