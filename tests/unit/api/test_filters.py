"""The filter language: equal results in Python, on SQLite and on PostgreSQL; what is refused, and where."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from api.kernel.filtering.filters import Field, FieldType, Filter, parse
from core import clock
from core.errors import InvalidArgument
from tests.filter_cases import CASES, DAY, FIELDS, REFUSED, ROWS, TABLE


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    clock.freeze(lambda: DAY + timedelta(hours=12))
    yield
    clock.freeze(None)


def _filled(url: str) -> sa.Engine:
    engine = sa.create_engine(url, poolclass=sa.StaticPool) if url == "sqlite://" else sa.create_engine(url)
    with engine.begin() as connection:
        TABLE.create(connection)
        connection.execute(sa.insert(TABLE), ROWS)
    return engine


@pytest.fixture(scope="module")
def sqlite() -> Iterator[sa.Engine]:
    engine = _filled("sqlite://")
    yield engine
    engine.dispose()


@pytest.fixture
def postgresql_engine(postgresql_url: str) -> Iterator[sa.Engine]:
    engine = _filled(postgresql_url)
    yield engine
    engine.dispose()


def _selected(engine: sa.Engine, test: sa.ColumnElement[bool]) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(TABLE.c.id).where(test).order_by(TABLE.c.id)).scalars())


def _agree(engine: sa.Engine, found: Filter) -> None:
    met = [row["id"] for row in ROWS if found.matches(row)]
    assert _selected(engine, found.sql()) == met, found.text
    rest = [row["id"] for row in ROWS if row["id"] not in met]
    assert _selected(engine, sa.not_(found.sql())) == rest, found.text


@pytest.mark.parametrize(("text", "ids"), CASES)
def test_python_and_sqlite_find_what_is_meant(sqlite: sa.Engine, text: str, ids: list[int]) -> None:
    found = parse(text, FIELDS)
    assert [row["id"] for row in ROWS if found.matches(row)] == ids
    _agree(sqlite, found)


@pytest.mark.parametrize("field", ["name", "spec.tier"])
@pytest.mark.parametrize("order", ["<", "<=", ">", ">=", "==", "!="])
def test_strings_are_ordered_by_code_point_whatever_the_collation_of_the_database(field: str, order: str) -> None:
    """SQLite orders so by itself. Equality needs no collation and keeps the use of indexes."""
    text = str(parse(f'{field} {order} "b"', FIELDS).sql().compile(dialect=postgresql.dialect()))
    assert ('COLLATE "C"' in text) is (order not in ("==", "!="))


@pytest.mark.slow
def test_postgresql_finds_what_is_meant(postgresql_engine: sa.Engine) -> None:
    for text, ids in CASES:
        found = parse(text, FIELDS)
        assert _selected(postgresql_engine, found.sql()) == ids, text
        _agree(postgresql_engine, found)


@pytest.mark.parametrize(("text", "position", "says"), REFUSED)
def test_what_is_refused_says_where_and_what_is_allowed(text: str, position: int, says: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse(text, FIELDS)
    detail = refused.value.detail
    assert says in detail
    assert f" at position {position}. " in detail
    assert "name (string), size (integer), score (number), live (true or false), at (timestamp)" in detail


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="2001 characters"):
        parse("x" * 2001, FIELDS)


def test_names_may_begin_with_words_of_the_language() -> None:
    names = ("nullable", "trueish", "information", "falsely", "index", "_", "has", "timestamp")
    fields = {name: Field(FieldType.BOOLEAN, read=name.__eq__) for name in names}
    for name in names:
        assert parse(f"{name} == true", fields).matches(name)
        assert not parse(f"{name} == true", fields).matches("else")


def test_the_time_is_that_of_the_use_not_of_the_parsing(sqlite: sa.Engine) -> None:
    found = parse("at < now", FIELDS)
    assert _selected(sqlite, found.sql()) == [2]
    clock.freeze(lambda: DAY + timedelta(days=3))
    assert _selected(sqlite, found.sql()) == [2, 3]
    _agree(sqlite, found)


def test_a_filter_is_parsed_once_and_other_fields_are_not_mixed_up() -> None:
    assert parse("live", FIELDS) is parse("live", dict(FIELDS))
    other = {"live": Field(FieldType.BOOLEAN, read=lambda row: not row["live"])}
    assert parse("live", other) is not parse("live", FIELDS)
    assert not parse("live", other).matches(ROWS[1])


def test_values_of_another_type_are_missing() -> None:
    fields = {
        "size": Field(FieldType.INTEGER, read=lambda row: row),
        "score": Field(FieldType.NUMBER, read=lambda r: r),
    }
    assert not parse("size == 1", fields).matches(True)
    assert parse("size == null", fields).matches("1")
    assert parse("score == null", fields).matches(float("nan"))
    assert parse("score == null", fields).matches(10**400)


def test_threads_parse_at_once() -> None:
    def parsed(number: int) -> bool:
        return parse(f'size == {number} && name != "{number}"', FIELDS).matches({"size": number, "name": "x"})

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(parsed, range(200)))


def test_the_parser_is_loaded_late_and_without_its_evaluator() -> None:
    code = (
        "import sys, api.kernel.filtering.filters as f\n"
        "assert not {'lark', 'celpy'} & set(sys.modules)\n"
        "f.parse('a', {'a': f.Field(f.FieldType.BOOLEAN)})\n"
        "assert 'lark' in sys.modules and not {'celpy', 'pendulum'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        '"' + "\\n" * 990,
        "name == '" + "\\x41" * 490,
        "!" * 2000,
        "-" * 2000,
        "a." * 999 + "a",
        "1" * 2000,
        "a<" * 999 + "a",
        "a?b:" * 400 + "c",
        "a||" * 666 + "a",
        "a " * 1000,
        "." * 2000,
        "/" * 2000,
        '""' * 1000,
    ],
)
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    parse("live", FIELDS)
    start = time.process_time()
    with pytest.raises(InvalidArgument):
        parse(text, FIELDS)
    assert time.process_time() - start < 10, "its cost must not grow faster than the text"


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser(text: str) -> None:
    for whole in (text, f'name == "{text}"', f"labels[{text}]", f"size {text} 3"):
        with contextlib.suppress(InvalidArgument):
            parse(whole, FIELDS)


def _quoted(value: str) -> str:
    return '"' + "".join(f"\\{c}" if c in '"\\' else c if c.isprintable() else f"\\U{ord(c):08x}" for c in value) + '"'


STRINGS = st.one_of(
    st.sampled_from(["", "Ana", "ana", "a", "prod", "gold", "pii", "env", "%", "_", "\\", '"', "é", "😀"]),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
).map(_quoted)
INTEGERS = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1)).map(str)
NUMBERS = st.one_of(INTEGERS, st.floats(allow_nan=False, allow_infinity=False).map(repr))
TIMES = st.sampled_from(["now", 'timestamp("2026-01-01T00:00:00Z")', 'timestamp("2026-01-02T02:00:00.000005+02:00")'])
COMPARED = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
EQUAL = st.sampled_from(["==", "!="])
TEXTS = st.one_of(
    st.sampled_from(["name", "tier", "spec.tier", "labels.env"]), STRINGS.map(lambda key: f"labels[{key}]")
)
LEAVES = st.one_of(
    st.builds("{} {} {}".format, TEXTS, COMPARED, st.one_of(STRINGS, TEXTS)),
    st.builds("{} in [{}]".format, TEXTS, st.lists(STRINGS, max_size=3).map(", ".join)),
    st.builds("{}.{}({})".format, TEXTS, st.sampled_from(["startsWith", "endsWith", "contains"]), STRINGS),
    st.builds("{} {} {}".format, st.sampled_from(["size", "spec.count"]), COMPARED, INTEGERS),
    st.builds("{} {} {}".format, st.sampled_from(["score", "spec.share"]), COMPARED, NUMBERS),
    st.builds("{} {} {}".format, st.sampled_from(["live", "spec.on"]), EQUAL, st.sampled_from(["true", "false"])),
    st.builds("at {} {}".format, COMPARED, TIMES),
    st.builds("{} in {}".format, STRINGS, st.sampled_from(["labels", "spec.tags"])),
    st.builds("{} {} null".format, st.one_of(TEXTS, st.sampled_from(["size", "at", "live", "spec.share"])), EQUAL),
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("!({})".format, inner), st.builds("({}) {} ({})".format, inner, st.sampled_from(["&&", "||"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=EXPRESSIONS)
def test_sqlite_and_python_agree(sqlite: sa.Engine, text: str) -> None:
    _agree(sqlite, parse(text, FIELDS))


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=EXPRESSIONS)
def test_postgresql_and_python_agree(postgresql_engine: sa.Engine, text: str) -> None:
    _agree(postgresql_engine, parse(text, FIELDS))
