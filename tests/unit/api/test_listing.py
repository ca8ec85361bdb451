"""Filters, orders and page tokens."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from api.kernel.filtering.filters import Field, FieldType
from api.kernel.models import ListQuery
from api.kernel.storage.listing import Listing, Order, SqlListing, decode_token, encode_token
from core.errors import InvalidArgument


@dataclass
class Thing:
    id: str
    size: int | None
    tags: tuple[str, ...] = ()


LISTING = Listing[Thing](
    id=lambda thing: thing.id,
    fields={
        "size": Field(FieldType.INTEGER, read=lambda thing: thing.size),
        "tags": Field(FieldType.STRINGS, read=lambda thing: thing.tags),
    },
    order=("size",),
)
THINGS = [Thing(f"t{number:02}", number % 4 or None, ("even",) if number % 2 == 0 else ()) for number in range(20)]


@pytest.mark.parametrize("order", ["", "size", "size desc"])
@pytest.mark.parametrize("page_size", [1, 3, 19, 20, 21])
def test_pages_hold_everything_once_in_order(order: str, page_size: int) -> None:
    seen: list[Thing] = []
    token: str | None = ""
    while token is not None:
        shuffled = random.sample(THINGS, len(THINGS))
        page, token = LISTING.page(shuffled, ListQuery(page_size=page_size, page_token=token, order_by=order))
        seen += page
    assert sorted(thing.id for thing in seen) == [thing.id for thing in THINGS]
    sizes = [thing.size or 0 for thing in seen]
    if order:
        assert sizes == sorted(sizes, reverse="desc" in order)


def test_what_comes_and_goes_between_pages_neither_hides_nor_doubles_others() -> None:
    first, token = LISTING.page(THINGS, ListQuery(page_size=5))
    changed = [Thing("t00a", 1), *THINGS[3:], Thing("t99", 1)]
    rest, _ = LISTING.page(changed, ListQuery(page_token=token or ""))
    assert [thing.id for thing in first + rest] == [thing.id for thing in THINGS] + ["t99"]


def test_sets_are_searched_with_in_and_values_with_equals() -> None:
    found, _ = LISTING.page(THINGS, ListQuery(filter='"even" in tags && size == 2'))
    assert [thing.id for thing in found] == ["t02", "t06", "t10", "t14", "t18"]
    for wrong in ('tags == "even"', '"2" in size'):
        with pytest.raises(InvalidArgument):
            LISTING.page(THINGS, ListQuery(filter=wrong))


@pytest.mark.parametrize("token", ["x", "e30", "W10", "WzEsMiwzLDRd", "=", "é", "W" * 2000, "bnVsbA"])
def test_tokens_that_are_not_ours_are_refused(token: str) -> None:
    with pytest.raises(InvalidArgument):
        decode_token(token, Order("", False))


@given(st.one_of(st.none(), st.integers(), st.text(), st.booleans()), st.text(max_size=20))
def test_a_token_gives_back_what_went_in(value: Any, id: str) -> None:
    order = Order("size", True)
    assert decode_token(encode_token(order, value, id), order) == (value, id)


def test_rows_are_filtered_by_columns_and_by_one_more_condition() -> None:
    table = sa.Table("thing", sa.MetaData(), sa.Column("id", sa.String), sa.Column("size", sa.Integer))
    listing = SqlListing(id=table.c.id, fields={"size": table.c.size}, order=("size",))
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(sa.insert(table), [{"id": thing.id, "size": thing.size} for thing in THINGS])
        query = ListQuery(filter="size >= 2 && size != 3", page_size=3, order_by="size")
        first, token = listing.rows(connection, sa.select(table), query, where=table.c.id > "t04")
        again = query.model_copy(update={"page_token": token})
        rest, end = listing.rows(connection, sa.select(table), again, where=table.c.id > "t04")
        assert [row.id for row in [*first, *rest]] == ["t06", "t10", "t14", "t18"]
        assert end is None
        with pytest.raises(InvalidArgument, match=r"size \(integer\)"):
            listing.rows(connection, sa.select(table), ListQuery(filter='size == "2"'))
    engine.dispose()
