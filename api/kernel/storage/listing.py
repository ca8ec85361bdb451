"""Lists: keyset pages, order by a declared field, filters over declared fields (see `api.kernel.filtering.filters`)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.filtering.filters import Field, FieldType, parse
from api.kernel.models import ListQuery
from core.errors import InvalidArgument

T = TypeVar("T")
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Order:
    """A field to order by, or the id alone if it is empty."""

    field: str
    descending: bool

    @classmethod
    def parse(cls, text: str, fields: Sequence[str], default: str = "") -> Order:
        """Reads `order_by`; raises `InvalidArgument` for an unknown field."""
        name, _, direction = (text.strip() or default).partition(" ")
        if (name and name not in fields) or direction.strip() not in ("", "asc", "desc"):
            raise InvalidArgument(
                f"order_by is one of {', '.join(fields) or 'no field here'}, optionally followed by desc."
            )
        return cls(name, direction.strip() == "desc")


def encode_token(order: Order, value: Any, id: str) -> str:
    """The page token that continues after this item."""
    text = json.dumps([order.field, order.descending, value, id], default=str)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_token(token: str, order: Order) -> tuple[Any, str] | None:
    """The order value and id after which the page starts; None for the first page.

    Raises:
        InvalidArgument: the token is not ours, or belongs to another `order_by`.
    """
    if not token:
        return None
    try:
        field, descending, value, id = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if not isinstance(id, str) or not isinstance(value, Scalar):
            raise TypeError
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise InvalidArgument("page_token is not one that this list gave out.") from None
    if (field, descending) != (order.field, order.descending):
        raise InvalidArgument("page_token belongs to another order_by. Start again without it.")
    return value, id


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list kept in memory. `fields` are read from the items and may be filtered and ordered by."""

    id: Callable[[T], str]
    fields: Mapping[str, Field]
    order: tuple[str, ...] = ()

    def page(self, items: Sequence[T], query: ListQuery) -> tuple[list[T], str | None]:
        """One page of the items that meet the filter, and the token of the next."""
        order = Order.parse(query.order_by, self.order)
        wanted = parse(query.filter, self.fields)
        kept = [item for item in items if wanted.matches(item)]
        keyed = sorted(((self._key(item, order), item) for item in kept), key=lambda pair: pair[0])
        if order.descending:
            keyed.reverse()
        start = decode_token(query.page_token, order)
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
    """A key that orders any scalar, nothing before something."""
    if value is None:
        return False, ""
    return True, value if isinstance(value, int | float) else str(value)


@dataclass(frozen=True)
class SqlListing:
    """A list in the metadata database, paged by keyset: stable while rows come and go.

    A field is a column, or is declared where its type does not say what it holds.
    """

    id: sa.ColumnElement[str]
    fields: Mapping[str, sa.ColumnElement[Any] | Field]
    order: tuple[str, ...] = ()
    newest_first: bool = False

    @cached_property
    def declared(self) -> Mapping[str, Field]:
        """The fields with their types.

        Raises:
            KeyError: the type of a column is not one that filters know.
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
        """One page of rows of `select`, which must hold the id column labelled `id`, and the token of the next.

        `where` is one more condition, such as what the caller may see.
        """
        order = Order.parse(query.order_by, self.order)
        descending = order.descending or (not order.field and self.newest_first)
        if where is not None:
            select = select.where(where)
        if query.filter.strip():
            select = select.where(parse(query.filter, self.declared).sql())
        keys = [self.declared[order.field].sql(), self.id] if order.field else [self.id]
        start = decode_token(query.page_token, order)
        if start is not None:
            bound = [*start][-len(keys) :]
            left, right = (
                sa.tuple_(*keys),
                sa.tuple_(*(sa.literal(v, k.type) for v, k in zip(bound, keys, strict=True))),
            )
            select = select.where(left < right if descending else left > right)
        select = select.order_by(*(key.desc() if descending else key for key in keys)).limit(query.page_size + 1)
        found = connection.execute(select).all()
        page = found[: query.page_size]
        if len(found) <= query.page_size:
            return page, None
        last = page[-1]._mapping
        return page, encode_token(order, last[order.field] if order.field else None, last["id"])
