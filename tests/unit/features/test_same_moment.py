"""Online and historical features of the same entities at the same moment are the same, in every store.

Also for a reader from whom a policy hides rows and values.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.encoding import key_bytes, schema_of
from features.history import JoinedView, retrieve
from features.lookup import encoded_keys, look_up
from features.online import OnlineStore
from features.restricted import restricted_rows
from features.rows import ViewColumns, microseconds
from lakehouse.restrictions import NULL_MASK, Restriction
from tests.unit.features.frames import ASSET, Frame, at, plain, rows_of, write

KEYS = {
    pa.int64(): st.sampled_from([-(2**63), -1, 0, 1, 2**53 + 1, 2**63 - 1]),
    pa.int32(): st.sampled_from([-(2**31), 0, 7]),
    pa.string(): st.sampled_from(["", "a", "\u0430", "e\u0301", "\u00e9", "A", "a\x1fb"]),
    pa.bool_(): st.booleans(),
    pa.date32(): st.sampled_from([date(1, 1, 1), date(2026, 3, 1)]),
}
VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.string(): st.text(max_size=5),
    pa.bool_(): st.booleans(),
    pa.decimal128(38, 5): st.integers(-(10**37), 10**37).map(lambda n: Decimal(n).scaleb(-5)),
    pa.timestamp("us", "UTC"): st.integers(-(10**9), 10**9).map(at),
    pa.binary(): st.binary(max_size=4),
    pa.list_(pa.float64()): st.lists(st.one_of(st.none(), st.floats()), max_size=3),
}
MINUTES = st.integers(-5, 5)
RESTRICTIONS = [
    Restriction({}, ("hash(value0) % 2 = 0",), reads=frozenset({"value0"})),
    Restriction({"value0": NULL_MASK}),
    Restriction({"value0": NULL_MASK}, ("value0 IS NULL OR key0 IS NULL",), reads=frozenset({"value0", "key0"})),
]


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, ViewColumns]:
    count = draw(st.integers(0, 12))
    keys = {f"key{n}": draw(st.sampled_from(list(KEYS))) for n in range(draw(st.integers(1, 2)))}
    values = {f"value{n}": draw(st.sampled_from(list(VALUES))) for n in range(draw(st.integers(1, 3)))}

    def column(strategy: st.SearchStrategy[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(draw(st.lists(st.one_of(st.none(), strategy), min_size=count, max_size=count)), kind)

    content = pa.table(
        {name: column(KEYS[kind], kind) for name, kind in keys.items()}
        | {"event": column(MINUTES.map(at), pa.timestamp("us", "UTC"))}
        | {name: column(VALUES[kind], kind) for name, kind in values.items()}
    )
    ttl = draw(st.one_of(st.none(), st.sampled_from([timedelta(microseconds=1), timedelta(minutes=2)])))
    return content, ViewColumns(tuple(keys), "event", tuple(values), ttl)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), MINUTES, st.integers(0, 6), st.data())
def test_the_same_value_for_the_same_moment(
    store: OnlineStore, made: tuple[pa.Table, ViewColumns], written: int, later: int, data: st.DataObject
) -> None:
    same_value_for_the_same_moment(store, made, written, later, data)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables(), MINUTES, st.integers(0, 6), st.data(), st.sampled_from(RESTRICTIONS))
def test_the_same_value_for_the_same_moment_and_a_restricted_reader(
    store: OnlineStore,
    made: tuple[pa.Table, ViewColumns],
    written: int,
    later: int,
    data: st.DataObject,
    restriction: Restriction,
) -> None:
    same_value_for_the_same_moment(store, made, written, later, data, restriction)


def same_value_for_the_same_moment(
    store: OnlineStore,
    made: tuple[pa.Table, ViewColumns],
    written: int,
    later: int,
    data: st.DataObject,
    restriction: Restriction | None = None,
) -> None:
    content, columns = made
    rows = rows_of(content, columns)
    assert write(store, rows, microseconds(at(written)), table_id=str(data.draw(st.uuids())))
    entities = [
        {key: data.draw(st.one_of(st.none(), KEYS[content.schema.field(key).type])) for key in columns.keys}
        for _ in range(3)
    ] + content.select(list(columns.keys)).to_pylist()

    served = store.served(ASSET)
    assert served is not None
    names = {key: key for key in columns.keys}
    asked = [
        {name: value.isoformat() if isinstance(value, date) else value for name, value in entity.items()}
        for entity in entities
    ]
    keys = encoded_keys(served, asked, names, "/entities")
    found = store.read(ASSET, [key for key in keys if key is not None])
    assert found is not None
    moment = at(written + later)
    online = look_up(found, columns, keys, columns.features, microseconds(moment), restriction)

    spine = pa.table(
        {key: pa.array([one[key] for one in entities], content.schema.field(key).type) for key in columns.keys}
        | {"asked_at": pa.array([moment] * len(entities), pa.timestamp("us", "UTC"))}
    )
    seen = rows if restriction is None else restricted_rows(rows, Frame(content), restriction)  # type: ignore[arg-type]
    view = JoinedView("view", seen, {name: name for name in columns.features}, names)
    historical = retrieve(spine, "asked_at", [view])

    events = [None if event is None else microseconds(event) for event in historical["view__event_at"].to_pylist()]
    assert list(online.event_at) == events
    assert [status.value for status in online.statuses] == historical["view__status"].to_pylist()
    for name in columns.features:
        assert plain(online.values[name]) == plain(historical[name])
        assert online.values[name].type == content.schema.field(name).type
    assert schema_of(served.schema).names == rows.table.schema.names


def test_keys_that_look_alike_are_different() -> None:
    assert key_bytes(["a"]) != key_bytes(["\u0430"])
    assert key_bytes([1, 2]) != key_bytes([12])
    assert key_bytes(["1"]) != key_bytes([1])
    assert key_bytes([True]) != key_bytes([1])
