"""Order of SCIM responses: by SQL where it orders like the library, or else by the library's own keys.

Databases order strings differently from the library, which normalizes them and ignores their case. So SQL reads only
the strings of all rows, and complete rows only for the page.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from scim2_models import InvalidCursorException, Resource, SearchRequest
from scim2_models.path import AttributeBinding

from api.kernel.tables import RESOURCE
from api.protocols.scim.filtering import Attribute, Instant, Sortable, name_of
from core.db import UtcDateTime

TextKey = tuple[bool, str, str]
"""Whether there is no value, the value, and the id: the library's key."""


class Describable(Protocol):
    """The model and the attributes of one type of resource."""

    @property
    def model(self) -> type[Resource[Any]]:
        """Returns the model of the resources."""

    def attribute(self, binding: AttributeBinding) -> Attribute | None:
        """Returns an attribute in SQL, or None if the library evaluates it."""


@dataclass(frozen=True)
class SqlOrder:
    """An order by time and id, or by id. A key consists of the values that a row is ordered by."""

    time: sa.ColumnElement[datetime] | None
    descending: bool

    @property
    def select(self) -> sa.Select[Any]:
        """Selects the keys of rows."""
        return sa.select(*self._columns)

    def sorted(self, select: sa.Select[Any], *, back: bool) -> sa.Select[Any]:
        """Returns the select in this order, or in reverse order."""
        down = self.descending is not back
        return select.order_by(*(column.desc() if down else column.asc() for column in self._columns))

    def beyond(self, key: tuple[Any, ...], *, back: bool = False) -> sa.ColumnElement[bool]:
        """Returns the condition for rows after the key, or before it."""
        down = self.descending is not back
        compare = operator.lt if down else operator.gt
        id: sa.ColumnElement[bool] = compare(RESOURCE.c.id, key[-1])
        if self.time is None:
            return id
        anchor = sa.literal(key[0], UtcDateTime)
        return sa.or_(compare(self.time, anchor), sa.and_(self.time == anchor, id))

    def after(self, key: tuple[Any, ...]) -> dict[str, Any]:
        """Returns the position of the page that starts after the key."""
        return {"after": [str(part) for part in key]}

    def before(self, key: tuple[Any, ...]) -> dict[str, Any]:
        """Returns the position of the page that ends before the key."""
        return {"before": [str(part) for part in key]}

    def read(self, position: Any) -> tuple[bool, tuple[Any, ...]]:
        """Returns whether a page is before its key, and the key.

        Raises:
            InvalidCursorException: The position belongs to another order.
        """
        match position, self.time is None:
            case (({"after": [str(id)]} | {"before": [str(id)]}), True):
                return "before" in position, (id,)
            case (({"after": [str(time), str(id)]} | {"before": [str(time), str(id)]}), False):
                return "before" in position, (datetime.fromisoformat(time), id)
        raise InvalidCursorException

    @property
    def _columns(self) -> tuple[sa.ColumnElement[Any], ...]:
        return (RESOURCE.c.id,) if self.time is None else (self.time, RESOURCE.c.id)


@dataclass(frozen=True)
class TextOrder:
    """An order by a string. `texts` has the string of each type of resource, or None for types without it."""

    texts: Sequence[tuple[AttributeBinding, Sortable] | None]
    descending: bool

    def select(self, index: int) -> sa.Select[Any]:
        """Selects the ids, and the columns of the strings, of one type of resource."""
        text = self.texts[index]
        return sa.select(RESOURCE.c.id, *(text[1].columns if text else ()))

    def key(self, index: int, id: str, *parts: Any) -> TextKey:
        """Returns the key of a row of this select."""
        text = self.texts[index]
        value = text[1].value(*parts) if text else None
        if text is None or value is None:
            return True, "", id
        try:
            return False, text[0].comparable(value), id
        except ValueError:  # The value can't be compared, and counts as absent.
            return True, "", id

    def page(
        self, keys: Sequence[TextKey], request: SearchRequest[Any], position: Any
    ) -> tuple[list[str], dict[str, Any] | None, dict[str, Any] | None]:
        """Returns the ids of a page of all keys, and the positions of the next and the previous page.

        Raises:
            InvalidCursorException: The position belongs to another order.
        """
        keys = sorted(keys)
        if request.cursor is None:
            start = request.start_index_0 or 0
            return [key[-1] for key in self._slice(keys, start, request.count)], None, None
        start, count = 0, len(keys) if request.count is None else request.count
        if position is not None:
            back, anchor = self._read(position)
            before, through = bisect_left(keys, anchor), bisect_right(keys, anchor)
            if self.descending:
                before, through = len(keys) - through, len(keys) - before
            start = through
            if back:
                start, count = max(before - count, 0), min(count, before)
        selected = self._slice(keys, start, count)
        after = {"after": list(selected[-1])} if selected and start + len(selected) < len(keys) else None
        return [key[-1] for key in selected], after, {"before": list(selected[0])} if selected and start > 0 else None

    def _slice(self, keys: list[TextKey], start: int, count: int | None) -> list[TextKey]:
        """Returns `count` keys from a position in this order. `keys` are ascending."""
        stop = len(keys) if count is None else min(start + count, len(keys))
        if not self.descending:
            return keys[start:stop]
        return keys[max(len(keys) - stop, 0) : max(len(keys) - start, 0)][::-1]

    def _read(self, position: Any) -> tuple[bool, TextKey]:
        match position:
            case {"after": [bool(missing), str(value), str(id)]} | {"before": [bool(missing), str(value), str(id)]}:
                return "before" in position, (missing, value, id)
        raise InvalidCursorException


def order_of(directories: Sequence[Describable], request: SearchRequest[Any]) -> SqlOrder | TextOrder | None:
    """Returns the order of a request, or None if only the library can order by it."""
    descending = request.sort_by is not None and request.sort_order == SearchRequest.SortOrder.descending
    if request.sort_by is None:
        return SqlOrder(None, descending)
    bindings = [request.sort_binding(directory.model) for directory in directories]
    attributes = [
        directory.attribute(binding) if binding else None
        for directory, binding in zip(directories, bindings, strict=True)
    ]
    if len(directories) == 1 and bindings[0] is not None:
        if name_of(bindings[0])[1] == "id":
            return SqlOrder(None, descending)
        if isinstance(attributes[0], Instant):
            return SqlOrder(attributes[0].element, descending)
    texts: list[tuple[AttributeBinding, Sortable] | None] = []
    for binding, attribute in zip(bindings, attributes, strict=True):
        if binding is None:
            texts.append(None)
        elif isinstance(attribute, Sortable):
            texts.append((binding, attribute))
        else:
            return None
    return TextOrder(texts, descending)
