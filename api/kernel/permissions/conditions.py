"""Conditions of grants: the filter language over what every resource has."""

from __future__ import annotations

import json
from functools import lru_cache

import sqlalchemy as sa

from api.kernel.filtering.filters import Field, FieldType, Filter, parse
from api.kernel.tables import RESOURCE


def _field(type: FieldType, column: sa.ColumnElement[object]) -> Field:
    name = column.key or ""
    return Field(type, column, lambda item: getattr(item, name))


FIELDS = {
    **{name: _field(FieldType.STRING, RESOURCE.c[name]) for name in ("id", "kind", "name", "owner", "state")},
    **{name: _field(FieldType.STRING, RESOURCE.c[name]) for name in ("organization_id", "project_id", "created_by")},
    **{name: _field(FieldType.TIMESTAMP, RESOURCE.c[name]) for name in ("created_at", "updated_at")},
    "labels": Field(FieldType.LABELS, RESOURCE.c.labels, lambda item: _labels(item.labels)),
}
"""Fields that a condition may name."""


def _labels(labels: str | dict[str, str]) -> dict[str, str]:
    """Labels of a resource, or of its row, where they are still text."""
    return dict(json.loads(labels)) if isinstance(labels, str) else labels


@lru_cache(maxsize=1024)
def condition(text: str) -> Filter:
    """The condition of a grant.

    Raises:
        InvalidArgument: it does not parse, or names another field; says where.
    """
    return parse(text, FIELDS)
