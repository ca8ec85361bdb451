"""Conditions of grants: filters over the fields of every resource."""

from __future__ import annotations

import json
from functools import lru_cache

import sqlalchemy as sa

from api.kernel.filtering.filters import Field, FieldType, Filter, parse
from api.kernel.tables import RESOURCE
from core.errors import InvalidArgument


def _field(type: FieldType, column: sa.ColumnElement[object]) -> Field:
    name = column.key or ""
    return Field(type, column, lambda item: getattr(item, name))


FIELDS = {
    **{name: _field(FieldType.STRING, RESOURCE.c[name]) for name in ("id", "kind", "name", "owner", "state")},
    **{name: _field(FieldType.STRING, RESOURCE.c[name]) for name in ("organization_id", "project_id", "created_by")},
    **{name: _field(FieldType.TIMESTAMP, RESOURCE.c[name]) for name in ("created_at", "updated_at")},
    "labels": Field(FieldType.LABELS, RESOURCE.c.labels, lambda item: _labels(item.labels)),
}
"""Fields of every resource that filters can use."""

CONDITION_FIELDS = {name: field for name, field in FIELDS.items() if name != "created_by"}
"""Fields that conditions can use. `created_by` is not one, because another principal may have that name later."""


def _labels(labels: str | dict[str, str]) -> dict[str, str]:
    """Returns the labels of a resource, or of its row, in which they are JSON text."""
    return dict(json.loads(labels)) if isinstance(labels, str) else labels


@lru_cache(maxsize=1024)
def condition(text: str) -> Filter:
    """Parses the condition of a grant.

    Raises:
        InvalidArgument: the condition is not valid, or uses another field. The error has the position.
    """
    return parse(text, CONDITION_FIELDS)


@lru_cache(maxsize=1024)
def stored_condition(text: str) -> Filter | None:
    """Parses the condition of a stored grant. Returns None if this release does not accept it."""
    try:
        return condition(text)
    except InvalidArgument:
        return None
