"""Lists with keyset pagination, order, and filters over declared fields (see `api.kernel.filtering.filters`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.filtering.filters import Field, FieldType, parse
from api.kernel.models import ListQuery
from core.errors import InvalidArgument
from core.numbers import is_storable, parse_count

T = TypeVar("T")
Scalar = str | int | float | bool | None
_INVALID_TOKEN = (
    "page_token is not valid for this list. Send next_page_token of the previous page, or start without it."  # noqa: S105 - a message
)


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list: by a field and the id, or by the id alone if `field` is empty."""

    field: str
    descending: bool

    @classmethod
    def parse(cls, text: str, fields: Sequence[str], default: str = "") -> Order:
        """Parses `order_by`. Raises `InvalidArgument` for an unknown field."""
        name, _, direction = (text.strip() or default).partition(" ")
        if (name and name not in fields) or direction.strip() not in ("", "asc", "desc"):
            raise InvalidArgument(
                f"order_by must be one of {', '.join(fields) or 'no fields'}, optionally followed by desc."
            )
        return cls(name, direction.strip() == "desc")


def encode_token(order: Order, value: Any, id: str) -> str:
    """Returns the token of the page that starts after this item."""
    text = json.dumps([order.field, order.descending, value, id], default=str)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(
    token: str, order: Order, type: FieldType | None = None, *, numbered: bool = False
) -> tuple[Any, str] | None:
    """Returns the order value and the id after which the page starts, or None for the first page.

    Args:
        token: the page token of the request.
        order: the order of the request.
        type: type of the field to order by.
        numbered: whether the ids are integers in the database.

    Raises:
        InvalidArgument: the token is not valid, or belongs to another `order_by`.
    """
    if not token:
        return None
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        field, descending, encoded, id = json.loads(decoded)
        # Tokens have one spelling: the one that lists return.
        if encode_token(Order(field, descending), encoded, id) != token or not isinstance(id, str):
            raise TypeError
        value = _decode_value(encoded, type)
        for text in (id, value):
            if isinstance(text, str):
                text.encode()  # raises for unpaired surrogates
        if numbered:
            parse_count(id)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidArgument(_INVALID_TOKEN) from None
    if (field, descending) != (order.field, order.descending):
        raise InvalidArgument("page_token belongs to another order_by. Start again without it.")
    return value, id


def _decode_value(value: Any, type: FieldType | None) -> Any:
    """Returns the value in a token in the type of the field. Raises `TypeError` if it has another type."""
    if type is None and isinstance(value, Scalar):
        return value
    if value is None or (type is FieldType.BOOLEAN and isinstance(value, bool)):
        return value
    if type is FieldType.TIMESTAMP and isinstance(value, str):
        return datetime.fromisoformat(value).astimezone(UTC)
    if type is FieldType.STRING and isinstance(value, str):
        return value
    if type is FieldType.INTEGER and isinstance(value, int) and not isinstance(value, bool) and is_storable(value):
        return value
    if type is FieldType.NUMBER and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise TypeError


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list in memory. Filters can use `fields`, which are read from the items; `order` has the fields to order by."""

    id: Callable[[T], str]
    fields: Mapping[str, Field]
    order: tuple[str, ...] = ()

    def page(self, items: Sequence[T], query: ListQuery) -> tuple[list[T], str | None]:
        """Returns one page of the items that match the filter, and the token of the next page."""
        order = Order.parse(query.order_by, self.order)
        condition = parse(query.filter, self.fields)
        matching = [item for item in items if condition.matches(item)]
        keyed = sorted(((self._key(item, order), item) for item in matching), key=lambda pair: pair[0])
        if order.descending:
            keyed.reverse()
        start = decode_token(query.page_token, order, self.fields[order.field].type if order.field else None)
        if start is not None:
            after = (_rank(start[0]), start[1])
            keyed = [pair for pair in keyed if (pair[0] < after if order.descending else pair[0] > after)]
        page = [item for _, item in keyed[: query.page_size]]
        if len(keyed) <= query.page_size:
            return page, None
        last = page[-1]
        return page, encode_token(order, self._value(last, order), self.id(last))

    def _key(self, item: T, order: Order) -> tuple[tuple[bool, str | float], str]:
        return _rank(self._value(item, order)), self.id(item)

    def _value(self, item: T, order: Order) -> Any:
        return self.fields[order.field].value(item) if order.field else None


_TYPES = {
    str: FieldType.STRING,
    bool: FieldType.BOOLEAN,
    int: FieldType.INTEGER,
    float: FieldType.NUMBER,
    Decimal: FieldType.NUMBER,
    datetime: FieldType.TIMESTAMP,
}


def _rank(value: Any) -> tuple[bool, str | float]:
    """Returns a sort key for any scalar. None comes first."""
    if value is None:
        return False, ""
    return True, value if isinstance(value, int | float) else str(value)


@dataclass(frozen=True)
class SqlListing:
    """A list in the metadata database. Keyset pagination stays correct while rows are added and removed.

    A field is a column, or a `Field` where the SQL type does not determine the field type.
    """

    id: sa.ColumnElement[str]
    fields: Mapping[str, sa.ColumnElement[Any] | Field]
    order: tuple[str, ...] = ()
    newest_first: bool = False

    @cached_property
    def declared(self) -> Mapping[str, Field]:
        """The fields with their types.

        Raises:
            KeyError: filters do not support the type of a column.
        """
        return {
            name: field if isinstance(field, Field) else Field(_TYPES[field.type.python_type], field)
            for name, field in self.fields.items()
        }

    def rows(
        self,
        connection: Connection,
        select: sa.Select[Any],
        query: ListQuery,
        where: sa.ColumnElement[bool] | None = None,
    ) -> tuple[Sequence[sa.Row[Any]], str | None]:
        """Returns one page of the rows of `select`, and the token of the next page.

        Args:
            connection: a connection to the metadata database.
            select: a select that contains the id column with the label `id`.
            query: the parameters of the request.
            where: an additional condition, such as the visibility predicate of the caller.
        """
        order = Order.parse(query.order_by, self.order)
        descending = order.descending or (not order.field and self.newest_first)
        if where is not None:
            select = select.where(where)
        if query.filter.strip():
            select = select.where(parse(query.filter, self.declared).sql())
        keys = [self.declared[order.field].sql(), self.id] if order.field else [self.id]
        type = self.declared[order.field].type if order.field else None
        start = decode_token(query.page_token, order, type, numbered=isinstance(self.id.type, sa.Integer))
        if start is not None:
            bound = [*start][-len(keys) :]
            if any(isinstance(value, str) and "\0" in value for value in bound):
                raise InvalidArgument(_INVALID_TOKEN)
            left, right = (
                sa.tuple_(*keys),
                sa.tuple_(*(sa.literal(v, k.type) for v, k in zip(bound, keys, strict=True))),
            )
            select = select.where(left < right if descending else left > right)
        select = select.order_by(*(key.desc() if descending else key for key in keys)).limit(query.page_size + 1)
        rows = connection.execute(select).all()
        page = rows[: query.page_size]
        if len(rows) <= query.page_size:
            return page, None
        last = page[-1]._mapping
        return page, encode_token(order, last[order.field] if order.field else None, last["id"])
