"""Lists: keyset pages, order by a declared field, conditions on declared fields.

The conditions are a small part of CEL (`field == "value"`, `"value" in field`, joined by `&&`), so that what callers
write now stays valid when the whole language is there.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.models import ListQuery
from core.errors import InvalidArgument

T = TypeVar("T")
Scalar = str | int | float | bool | None

_CONDITION = re.compile(
    r"""\s*(?: (?P<field>[a-z_]+)\s*==\s*(?P<value>"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null)
           | (?P<member>"(?:[^"\\]|\\.)*")\s+in\s+(?P<set>[a-z_]+) )\s*(?P<end>&&|$)""",
    re.VERBOSE,
)


_NO_LITERAL = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """`field == value`, or `value in field` if `member`."""

    field: str
    value: Scalar
    member: bool


def conditions(text: str, fields: Sequence[str]) -> list[Condition]:
    """Parses a filter.

    Raises:
        InvalidArgument: it does not parse, or names a field that cannot be filtered by; says where.
    """
    found: list[Condition] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _CONDITION.match(text, position)
        value: Any = _literal(match["value"] or match["member"]) if match else _NO_LITERAL
        if match is None or value is _NO_LITERAL:
            raise InvalidArgument(
                f'filter does not parse at position {position + 1}. Write field == "value" or "value" in field, '
                f"joined by &&; fields here: {', '.join(fields) or 'none'}."
            )
        name = match["field"] or match["set"]
        if name not in fields:
            raise InvalidArgument(
                f"filter names {name!r} at position {match.start('field' if match['field'] else 'set') + 1}, which "
                f"cannot be filtered by. Fields here: {', '.join(fields) or 'none'}."
            )
        found.append(Condition(name, value, bool(match["member"])))
        position = match.end()
        if match["end"] == "&&" and position >= len(text):
            raise InvalidArgument(f"filter ends after && at position {position}.")
    return found


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # an escape or a number that JSON does not know
        return _NO_LITERAL


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
    """A list kept in memory. `fields` say how to read what may be filtered and ordered by."""

    id: Callable[[T], str]
    fields: Mapping[str, Callable[[T], Any]]
    order: tuple[str, ...] = ()

    def page(self, items: Sequence[T], query: ListQuery) -> tuple[list[T], str | None]:
        """One page of the items that meet the filter, and the token of the next."""
        order = Order.parse(query.order_by, self.order)
        wanted = conditions(query.filter, tuple(self.fields))
        kept = [item for item in items if all(self._meets(item, condition) for condition in wanted)]
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
        return page, encode_token(order, self.fields[order.field](last) if order.field else None, self.id(last))

    def _key(self, item: T, order: Order) -> tuple[tuple[bool, str | float], str]:
        return _rank(self.fields[order.field](item) if order.field else None), self.id(item)

    def _meets(self, item: T, condition: Condition) -> bool:
        value = self.fields[condition.field](item)
        if condition.member != isinstance(value, list | tuple | set | frozenset):
            how = '"value" in field' if not condition.member else 'field == "value"'
            raise InvalidArgument(f"filter: write {how} for {condition.field!r}.")
        return condition.value in value if condition.member else bool(value == condition.value)


def _type_name(column: sa.ColumnElement[Any]) -> str:
    return {str: "string", int: "number", bool: "truth value"}.get(column.type.python_type, "value")


def _rank(value: Any) -> tuple[bool, str | float]:
    """A key that orders any scalar, nothing before something."""
    if value is None:
        return False, ""
    return True, value if isinstance(value, int | float) else str(value)


@dataclass(frozen=True)
class SqlListing:
    """A list in the metadata database, paged by keyset: stable while rows come and go."""

    id: sa.ColumnElement[str]
    fields: Mapping[str, sa.ColumnElement[Any]]
    order: tuple[str, ...] = ()
    newest_first: bool = False

    def rows(
        self, connection: Connection, select: sa.Select[Any], query: ListQuery
    ) -> tuple[Sequence[sa.Row[Any]], str | None]:
        """One page of rows of `select`, which must hold the id column labelled `id`, and the token of the next."""
        order = Order.parse(query.order_by, self.order)
        descending = order.descending or (not order.field and self.newest_first)
        for condition in conditions(query.filter, tuple(self.fields)):
            column = self.fields[condition.field]
            if condition.member or not isinstance(condition.value, column.type.python_type):
                raise InvalidArgument(f"filter: {condition.field!r} is compared with == to a {_type_name(column)}.")
            select = select.where(column == condition.value)
        keys = [self.fields[order.field], self.id] if order.field else [self.id]
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
