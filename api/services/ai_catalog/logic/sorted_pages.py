"""Pages of search results in any order: the token of a page holds the sort keys of the last row before it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.services.ai_catalog.logic.run_rows import Row
from core.errors import InvalidArgument


class SortKey(NamedTuple):
    """One part of an order."""

    column: sa.ColumnElement[Any]
    descending: bool


def page_of(
    connection: Connection, select: sa.Select[Any], keys: Sequence[SortKey], size: int, token: str
) -> tuple[Sequence[Row], str | None]:
    """Returns one page of the rows of a statement in the order of these keys, and the token of the next page.

    Raises:
        InvalidArgument: the token is not one of this search.
    """
    select = select.add_columns(*(key.column.label(f"sort_{n}") for n, key in enumerate(keys)))
    if token:
        select = select.where(_after(keys, _position(token, keys)))
    ordered = select.order_by(*(key.column.desc() if key.descending else key.column.asc() for key in keys))
    rows = connection.execute(ordered.limit(size + 1)).all()
    page = rows[:size]
    return page, _token(page[-1], keys) if len(rows) > size else None


def _after(keys: Sequence[SortKey], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Returns the condition for the rows after one with these values of the sort keys."""
    clauses = []
    for n, (column, descending) in enumerate(keys):
        beyond = column < values[n] if descending else column > values[n]
        clauses.append(sa.and_(*(keys[m].column == values[m] for m in range(n)), beyond))
    return sa.or_(*clauses)


def _token(row: Row, keys: Sequence[SortKey]) -> str:
    values = [row._mapping[f"sort_{n}"] for n in range(len(keys))]
    text = json.dumps([value.isoformat() if isinstance(value, datetime) else value for value in values])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _position(token: str, keys: Sequence[SortKey]) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(token))
        if len(values) != len(keys):
            raise ValueError
        return [_typed(value, key.column.type) for value, key in zip(values, keys, strict=True)]
    except (ValueError, TypeError):
        raise InvalidArgument(
            "page_token is not valid for this search. Send next_page_token of the previous page, with the same filter "
            "and order."
        ) from None


def _typed(value: Any, type: sa.types.TypeEngine[Any]) -> Any:
    if isinstance(type, sa.String):
        if not isinstance(value, str):
            raise TypeError
        return value
    if isinstance(type, sa.Integer | sa.Float):
        return float(value) if isinstance(type, sa.Float) else int(value)
    return datetime.fromisoformat(value)
