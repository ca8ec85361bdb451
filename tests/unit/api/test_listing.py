"""Filters, orders and page tokens."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from api.kernel.filtering.filters import Field, FieldType
from api.kernel.models import ListQuery
from api.kernel.storage.listing import Listing, Order, SqlListing, decode_token, encode_token
from core.db import UtcDateTime
from core.errors import InvalidArgument


@dataclass
class Item:
    id: str
    size: int | None
    tags: tuple[str, ...] = ()


LISTING = Listing[Item](
    id=lambda resource: resource.id,
    fields={
        "size": Field(FieldType.INTEGER, read=lambda resource: resource.size),
        "tags": Field(FieldType.STRINGS, read=lambda resource: resource.tags),
    },
    order=("size",),
)
RESOURCES = [Item(f"t{number:02}", number % 4 or None, ("even",) if number % 2 == 0 else ()) for number in range(20)]


@pytest.mark.parametrize("order", ["", "size", "size desc"])
@pytest.mark.parametrize("page_size", [1, 3, 19, 20, 21])
def test_pages_hold_everything_once_in_order(order: str, page_size: int) -> None:
    seen: list[Item] = []
    token: str | None = ""
    while token is not None:
        shuffled = random.sample(RESOURCES, len(RESOURCES))
        page, token = LISTING.page(shuffled, ListQuery(page_size=page_size, page_token=token, order_by=order))
        seen += page
    assert sorted(resource.id for resource in seen) == [resource.id for resource in RESOURCES]
    sizes = [resource.size or 0 for resource in seen]
    if order:
        assert sizes == sorted(sizes, reverse="desc" in order)


def test_what_comes_and_goes_between_pages_neither_hides_nor_doubles_others() -> None:
    first, token = LISTING.page(RESOURCES, ListQuery(page_size=5))
    changed = [Item("t00a", 1), *RESOURCES[3:], Item("t99", 1)]
    rest, _ = LISTING.page(changed, ListQuery(page_token=token or ""))
    assert [resource.id for resource in first + rest] == [resource.id for resource in RESOURCES] + ["t99"]


def test_sets_are_searched_with_in_and_values_with_equals() -> None:
    found, _ = LISTING.page(RESOURCES, ListQuery(filter='"even" in tags && size == 2'))
    assert [resource.id for resource in found] == ["t02", "t06", "t10", "t14", "t18"]
    for wrong in ('tags == "even"', '"2" in size'):
        with pytest.raises(InvalidArgument):
            LISTING.page(RESOURCES, ListQuery(filter=wrong))


@pytest.mark.parametrize("token", ["x", "e30", "W10", "WzEsMiwzLDRd", "=", "é", "W" * 2000, "bnVsbA"])
def test_tokens_that_are_not_ours_are_refused(token: str) -> None:
    with pytest.raises(InvalidArgument):
        decode_token(token, Order("", False))


ROWS = sa.Table(
    "row",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("size", sa.BigInteger),
    sa.Column("name", sa.String),
    sa.Column("share", sa.Double),
    sa.Column("at", UtcDateTime),
    sa.Column("on", sa.Boolean),
)
CONNECTION = sa.create_engine("sqlite://").connect()
ROWS.create(CONNECTION)

TYPED = st.one_of(
    st.tuples(st.just(FieldType.INTEGER), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(FieldType.NUMBER), st.floats(allow_nan=False)),
    st.tuples(st.just(FieldType.STRING), st.text()),
    st.tuples(st.just(FieldType.BOOLEAN), st.booleans()),
    st.tuples(st.just(FieldType.TIMESTAMP), st.datetimes(timezones=st.just(UTC))),
    st.tuples(st.sampled_from(FieldType), st.none()),
)


@settings(deadline=None)
@given(st.one_of(st.none(), st.integers(), st.text(), st.booleans()), st.text(max_size=20))
def test_a_token_gives_back_what_went_in(value: Any, id: str) -> None:
    order = Order("size", True)
    assert decode_token(encode_token(order, value, id), order) == (value, id)


@settings(deadline=None)
@given(TYPED, st.text(max_size=20))
def test_a_token_gives_back_what_the_field_holds(typed: tuple[FieldType, Any], id: str) -> None:
    order, (type, value) = Order("size", True), typed
    assert decode_token(encode_token(order, value, id), order, type) == (value, id)


def written(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()))
FORGED = st.one_of(
    st.text(max_size=50),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=5)).map(written),
    st.tuples(st.sampled_from(["size", ""]), st.booleans(), SCALARS, st.text(st.characters())).map(written),
    st.tuples(st.just("size"), st.just(True), st.integers(), st.integers().map(str)).map(written),
)


@pytest.mark.parametrize("name", ["size", "name", "share", "at", "on"])
@settings(deadline=None)
@given(token=FORGED)
def test_a_forged_token_is_refused_or_as_good_as_a_true_one(name: str, token: str) -> None:
    """The kind: a token that no list made breaks a column of any type, or the comparison of values in memory."""
    read = {"size": 1, "name": "x", "share": 0.5, "at": datetime(2026, 1, 1, tzinfo=UTC), "on": True}
    types = (FieldType.INTEGER, FieldType.STRING, FieldType.NUMBER, FieldType.TIMESTAMP, FieldType.BOOLEAN)
    fields = {
        name: Field(type, read=lambda resource, name=name: resource[name])
        for name, type in zip(read, types, strict=True)
    }
    remaining = Listing[dict[str, Any]](id=lambda resource: "1", fields=fields, order=tuple(read))
    stored = SqlListing(
        id=ROWS.c.id, fields={name: Field(fields[name].type, ROWS.c[name]) for name in read}, order=tuple(read)
    )
    for order in (name, f"{name} desc", ""):
        query = ListQuery.model_construct(page_size=5, page_token=token, filter="", order_by=order)
        for page in (
            lambda query=query: remaining.page([read], query),
            lambda query=query: stored.rows(CONNECTION, sa.select(ROWS), query),
        ):
            with contextlib.suppress(InvalidArgument):
                page()


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("order", ["", "size", "size desc"])
@pytest.mark.parametrize("page_size", [1, 3, 5, 6, 7])
def test_pages_of_rows_hold_everything_once_and_the_last_says_so(
    newest_first: bool, order: str, page_size: int
) -> None:
    """A last page that is full is still the last; what comes and goes between pages neither hides nor doubles."""
    table = sa.Table("part", sa.MetaData(), sa.Column("id", sa.String), sa.Column("size", sa.Integer))
    listing = SqlListing(id=table.c.id, fields={"size": table.c.size}, order=("size",), newest_first=newest_first)
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(sa.insert(table), [{"id": f"t{n}", "size": n % 3} for n in range(6)])
        pages: list[list[str]] = []
        token: str | None = ""
        while token is not None:
            query = ListQuery(page_size=page_size, page_token=token, order_by=order)
            rows, token = listing.rows(connection, sa.select(table), query)
            pages.append([row.id for row in rows])
    engine.dispose()
    size = lambda id: int(id[1:]) % 3  # noqa: E731 - the order, said once
    ids = [f"t{n}" for n in range(6)]
    expected = sorted(ids, key=lambda id: (size(id), id)) if order else ids
    if order.endswith("desc") or (not order and newest_first):
        expected = expected[::-1]
    assert [id for page in pages for id in page] == expected
    assert all(len(page) == page_size for page in pages[:-1])
    assert 0 < len(pages[-1]) <= page_size


def test_rows_are_filtered_by_columns_and_by_one_more_condition() -> None:
    table = sa.Table("thing", sa.MetaData(), sa.Column("id", sa.String), sa.Column("size", sa.Integer))
    listing = SqlListing(id=table.c.id, fields={"size": table.c.size}, order=("size",))
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(sa.insert(table), [{"id": resource.id, "size": resource.size} for resource in RESOURCES])
        query = ListQuery(filter="size >= 2 && size != 3", page_size=3, order_by="size")
        first, token = listing.rows(connection, sa.select(table), query, where=table.c.id > "t04")
        again = query.model_copy(update={"page_token": token})
        rest, end = listing.rows(connection, sa.select(table), again, where=table.c.id > "t04")
        assert [row.id for row in [*first, *rest]] == ["t06", "t10", "t14", "t18"]
        assert end is None
        with pytest.raises(InvalidArgument, match=r"size \(integer\)"):
            listing.rows(connection, sa.select(table), ListQuery(filter='size == "2"'))
    engine.dispose()
