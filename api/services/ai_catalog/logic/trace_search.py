"""Searches of traces as SQL, in the language of MLflow's `search_traces`."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.derived_names import derived_name
from api.services.ai_catalog.logic.readable_traces import open_traces
from api.services.ai_catalog.logic.run_search import matching
from api.services.ai_catalog.logic.search_language import Comparison, Key, invalid
from api.services.ai_catalog.logic.sorted_pages import SortKey
from api.services.ai_catalog.logic.trace_rows import ASSET, MODEL, PROMPT, RUN
from api.services.ai_catalog.prompt_tables import PROMPT_VERSION
from api.services.ai_catalog.trace_tables import SPAN, TRACE, TRACE_ASSESSMENT, TRACE_LINK, TRACE_METADATA, TRACE_TAG

GROUPS: search_language.Groups = {
    **dict.fromkeys(("tags", "tag"), "tags"),
    **dict.fromkeys(("metadata", "request_metadata"), "metadata"),
    **dict.fromkeys(("attributes", "attribute", "attr", "trace"), ""),
    **{name: name for name in ("span", "feedback", "expectation")},
}
"""What searches of traces compare."""

_ATTRIBUTES: dict[str, sa.Column[Any]] = {
    "id": TRACE.c.id,
    "request_id": TRACE.c.otel_id,
    "trace_id": TRACE.c.otel_id,
    "client_request_id": TRACE.c.client_request_id,
    "name": TRACE.c.name,
    "status": TRACE.c.state,
    "state": TRACE.c.state,
    **dict.fromkeys(("timestamp_ms", "timestamp", "request_time"), TRACE.c.started_at),
    **dict.fromkeys(("execution_time_ms", "execution_time", "duration_ms"), TRACE.c.duration_ms),
    "experiment_id": TRACE.c.experiment_id,
    "user_id": TRACE.c.created_by,
    "total_tokens": TRACE.c.total_tokens,
}
_LINKS = {"run_id": RUN, "model_id": MODEL}
_SPAN = {"name": SPAN.c.name, "type": SPAN.c.type, "status": SPAN.c.status, "model": SPAN.c.model}
_EXISTS = ("IS NULL", "IS NOT NULL")


def condition(unit: Unit, text: str) -> sa.ColumnElement[bool]:
    """Returns the condition for the traces that a filter matches. An empty one matches all.

    Raises:
        InvalidArgument: the filter can't be parsed, or compares something unknown.
    """
    combine = {"and": sa.and_, "or": sa.or_, "not": sa.not_}
    tree = search_language.parse(text, GROUPS)
    return search_language.compile(tree, lambda one: compared(unit, one), combine, sa.true())


def order(texts: list[str]) -> list[SortKey]:
    """Returns the order of traces: the given keys, then the newest start, then the id.

    Raises:
        InvalidArgument: a key can't be parsed or is unknown.
    """
    keys = [part for text in texts for part in _sort_keys(*search_language.parse_order(text, GROUPS))]
    return [*keys, SortKey(TRACE.c.started_at, True), SortKey(TRACE.c.id, False)]


def compared(unit: Unit, comparison: Comparison) -> sa.ColumnElement[bool]:
    """Returns the condition of one comparison. A comparison with something that a trace doesn't have is false."""
    key, dialect = comparison.key, unit.connection.dialect.name
    if key.group in ("tags", "metadata"):
        table = TRACE_TAG if key.group == "tags" else TRACE_METADATA
        found = _with(table, comparison, table.c.value, dialect, table.c.key == key.name)
        return found if key.group == "tags" else sa.and_(found, open_traces(unit))
    if key.group in ("feedback", "expectation"):
        return _assessed(comparison, dialect)
    if key.group == "span":
        return sa.and_(_in_span(comparison, dialect), open_traces(unit))
    if key.name in _LINKS:
        return _with(TRACE_LINK, comparison, TRACE_LINK.c.target, dialect, TRACE_LINK.c.type == _LINKS[key.name])
    if key.name == "asset":
        return _read(unit, comparison)
    if key.name == "prompt":
        return _prompted(comparison)
    if key.name == "text":
        return sa.and_(_with(SPAN, comparison, sa.cast(SPAN.c.content, sa.Text), dialect), open_traces(unit))
    if key.name in ("end_time", "end_time_ms"):
        raise invalid(key.name, "can't be compared: use timestamp_ms and execution_time_ms")
    return matching(_attribute(key), _trace_id(comparison), dialect)


def _with(
    table: sa.Table, comparison: Comparison, column: sa.ColumnElement[Any], dialect: str, *where: sa.ColumnElement[bool]
) -> sa.ColumnElement[bool]:
    """Returns the condition for the traces with a row of a table for which the comparison holds."""
    inside = sa.exists().where(table.c.trace_id == TRACE.c.id, *where)
    if comparison.operator in _EXISTS:
        return inside if comparison.operator == "IS NOT NULL" else sa.not_(inside)
    return inside.where(matching(column, comparison, dialect))


def _assessed(comparison: Comparison, dialect: str) -> sa.ColumnElement[bool]:
    key, columns = comparison.key, TRACE_ASSESSMENT.c
    where = (columns.type == key.group.upper(), columns.name == key.name, columns.valid)
    if comparison.operator in ("<", "<=", ">", ">="):
        return _with(TRACE_ASSESSMENT, comparison, columns.number, dialect, *where)
    text: sa.ColumnElement[Any] = sa.cast(columns.value, sa.Text)
    if isinstance(comparison.value, str) and comparison.operator in ("=", "!="):
        # A text in a filter means the same text, number, or truth value in JSON.
        same = text.in_(
            [comparison.value, json.dumps(comparison.value), json.dumps(comparison.value, ensure_ascii=False)]
        )
        return sa.exists().where(
            columns.trace_id == TRACE.c.id, *where, same if comparison.operator == "=" else sa.not_(same)
        )
    if isinstance(comparison.value, float):
        return _with(TRACE_ASSESSMENT, comparison, columns.number, dialect, *where)
    return _with(TRACE_ASSESSMENT, comparison, text, dialect, *where)


def _in_span(comparison: Comparison, dialect: str) -> sa.ColumnElement[bool]:
    name = comparison.key.name
    if name == "content":
        return _with(SPAN, comparison, sa.cast(SPAN.c.content, sa.Text), dialect)
    if name in _SPAN:
        return _with(SPAN, comparison, _SPAN[name], dialect)
    if not name.startswith("attributes.") or '"' in name:
        raise invalid(
            f"span.{name}", "is not a part of spans. Parts are name, type, status, content, attributes.<name>"
        )
    value = SPAN.c.content[("attributes", name.removeprefix("attributes."))].as_string()
    return _with(SPAN, comparison, sa.cast(value, sa.Text), dialect)


def _read(unit: Unit, comparison: Comparison) -> sa.ColumnElement[bool]:
    """Returns the condition for traces that read an asset, which is false for one that the caller can't see."""
    asset = comparison.text()
    if comparison.operator != "=":
        raise invalid("asset", "can only be compared by =")
    if not unit.allows(READ_ASSET, asset_securable(unit.platform, asset)):
        return sa.false()
    columns = TRACE_LINK.c
    return sa.exists().where(columns.trace_id == TRACE.c.id, columns.type == ASSET, columns.target == asset)


def _prompted(comparison: Comparison) -> sa.ColumnElement[bool]:
    """Returns the condition for traces that used a version of a prompt, `<title or name>/<number>`."""
    name, _, number = comparison.text().rpartition("/")
    if comparison.operator != "=" or not name or not number.isdigit() or len(number) > 9:
        raise invalid("prompt", "can only be compared by = with a name and a version, such as 'summary/1'")
    prompts = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.project_id == TRACE.c.project_id, RESOURCE.c.name == derived_name(name)
    )
    versions = sa.select(PROMPT_VERSION.c.id).where(
        PROMPT_VERSION.c.prompt_id.in_(prompts), PROMPT_VERSION.c.version == int(number)
    )
    columns = TRACE_LINK.c
    return sa.exists().where(columns.trace_id == TRACE.c.id, columns.type == PROMPT, columns.target.in_(versions))


def _trace_id(comparison: Comparison) -> Comparison:
    """Returns a comparison with MLflow's id of a trace as one with that of OpenTelemetry."""
    if comparison.key.name not in ("request_id", "trace_id"):
        return comparison
    value = comparison.value
    texts = value if isinstance(value, tuple) else (value,)
    plain = tuple(text.removeprefix("tr-") if isinstance(text, str) else text for text in texts)
    return Comparison(comparison.key, comparison.operator, plain if isinstance(value, tuple) else plain[0])


def _attribute(key: Key) -> sa.Column[Any]:
    if key.name not in _ATTRIBUTES:
        known = ", ".join((*_ATTRIBUTES, *_LINKS, "asset", "prompt", "text"))
        raise invalid(key.name, f"is not an attribute of traces. Attributes are {known}")
    return _ATTRIBUTES[key.name]


def _sort_keys(key: Key, descending: bool) -> list[SortKey]:
    if key.group:
        raise invalid(str(key), "can't be ordered by")
    column = _attribute(key)
    if column is TRACE.c.started_at:
        return [SortKey(column, descending)]
    empty: Any = "" if isinstance(column.type, sa.String) else 0
    return [
        SortKey(sa.case((column.is_(None), 1), else_=0), False),
        SortKey(sa.func.coalesce(column, empty, type_=column.type), descending),
    ]
