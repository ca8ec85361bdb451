"""Restricted reading: no statement reads a masked value or a hidden row, also not through its errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import HeadwaterError, InvalidArgument, PermissionDenied
from core.row_policies import MaskMethod, RoundUnit
from lakehouse.policy_expressions import policy_expression
from lakehouse.query import Query
from lakehouse.restrictions import NULL_MASK, ColumnMask, RestrictedSnapshot, Restriction
from lakehouse.tables import Tables

PEOPLE = "shop.silver.people"
SECRET = "secret-of-"
ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3, 4], pa.int64()),
        "country": ["DE", "hidden-land", "DE", None],
        "mail": [f"{SECRET}{name}" for name in ("ada", "ben", "cay", "dan")],
        "salary": pa.array([51_234.5, 62_345.5, 73_456.5, 84_567.5], pa.float64()),
        "level": pa.array([1, 2, 3, 4], pa.int8()),
        "price": pa.array([Decimal("1.25"), Decimal("2.25"), None, Decimal("4.25")], pa.decimal128(8, 2)),
        "born": pa.array([dt.date(1980, 5, 7)] * 4, pa.date32()),
        "seen": pa.array([dt.datetime(2026, 5, 7, 8, 9, tzinfo=dt.UTC)] * 4, pa.timestamp("us", "UTC")),
        "tags": pa.array([["a"], [], None, ["b"]], pa.list_(pa.string())),
    }
)


def condition(text: str, *groups: str) -> str:
    return policy_expression(text).sql("usr_ada", lambda group: group in groups)


@pytest.fixture
def query(tables: Tables) -> Query:
    tables.append(PEOPLE, ROWS)
    return Query(tables)


def masked(tables: Tables, name: str, mask: ColumnMask) -> list[Any]:
    restricted = RestrictedSnapshot(tables.snapshot(PEOPLE), Restriction({name: mask}, key="k"))
    table = restricted.to_arrow(columns=[name])
    assert table.schema.field(name).type == ROWS.schema.field(name).type, "clients get the type of the table"
    return list(table[name].to_pylist())


class TestMasks:
    @pytest.mark.parametrize("name", ROWS.schema.names)
    def test_null(self, query: Query, tables: Tables, name: str) -> None:
        assert masked(tables, name, NULL_MASK) == [None] * 4

    @pytest.mark.parametrize(
        ("name", "mask", "first"),
        [
            ("mail", ColumnMask(MaskMethod.CONSTANT, constant="it's hidden"), "it's hidden"),
            ("id", ColumnMask(MaskMethod.CONSTANT, constant="7"), 7),
            ("id", ColumnMask(MaskMethod.CONSTANT, constant="seven"), None),
            ("mail", ColumnMask(MaskMethod.PARTIAL, first=1, last=2), "s***da"),
            ("mail", ColumnMask(MaskMethod.PARTIAL, first=30, last=2), "***"),
            ("id", ColumnMask(MaskMethod.PARTIAL, first=1), None),
            ("salary", ColumnMask(MaskMethod.ROUND, digits=-4), 50_000.0),
            ("level", ColumnMask(MaskMethod.ROUND, digits=-1), 0),
            ("price", ColumnMask(MaskMethod.ROUND, digits=0), Decimal("1.00")),
            ("born", ColumnMask(MaskMethod.ROUND, unit=RoundUnit.MONTH), dt.date(1980, 5, 1)),
            ("seen", ColumnMask(MaskMethod.ROUND, unit=RoundUnit.DAY), dt.datetime(2026, 5, 7, tzinfo=dt.UTC)),
            ("mail", ColumnMask(MaskMethod.ROUND), None),
            ("tags", ColumnMask(MaskMethod.HASH), None),
            ("mail", ColumnMask(MaskMethod.EXPRESSION, expression=condition("upper(left(mail, 2))")), "SE"),
            ("mail", ColumnMask(MaskMethod.EXPRESSION, expression=condition("CAST(mail AS INTEGER)")), None),
            ("level", ColumnMask(MaskMethod.EXPRESSION, expression=condition("level + 1000")), None),
            ("id", ColumnMask(MaskMethod.EXPRESSION, expression=condition("mail")), None),
        ],
    )
    def test_methods(self, query: Query, tables: Tables, name: str, mask: ColumnMask, first: Any) -> None:
        assert masked(tables, name, mask)[0] == first

    def test_hashes_are_equal_for_equal_values_of_a_tenant_only(self, query: Query, tables: Tables) -> None:
        tables.append(PEOPLE, ROWS.slice(0, 1))
        mask = ColumnMask(MaskMethod.HASH)
        for name in ("mail", "id"):
            values = masked(tables, name, mask)
            assert (len(values), len(set(values))) == (5, 4)
            assert set(values).isdisjoint(ROWS[name].to_pylist())
            other = RestrictedSnapshot(tables.snapshot(PEOPLE), Restriction({name: mask}, key="other"))
            assert set(other.to_arrow()[name].to_pylist()).isdisjoint(values)

    def test_missing_values_stay_missing(self, query: Query, tables: Tables) -> None:
        for method in (MaskMethod.HASH, MaskMethod.PARTIAL):
            assert masked(tables, "country", ColumnMask(method, first=1))[3] is None


class TestConditions:
    def test_see_true_values_and_leave_out_rows(self, query: Query, tables: Tables) -> None:
        hidden = Restriction({"mail": NULL_MASK}, (condition(f"mail = '{SECRET}ben'"),))
        restricted = RestrictedSnapshot(tables.snapshot(PEOPLE), hidden)
        assert restricted.to_arrow(columns=["id", "mail"]).to_pylist() == [{"id": 2, "mail": None}]
        assert restricted.row_count == 1
        assert restricted.scan().collect()["id"].to_list() == [2]

    def test_all_must_be_true(self, query: Query, tables: Tables) -> None:
        for texts, ids in (
            (["country = 'DE'"], [1, 3]),
            (["country = 'DE'", "level > 1"], [3]),
            (["is_member('grp_de') AND country = 'DE'"], [1, 3]),
            (["is_member('grp_fr') AND country = 'hidden-land'"], []),
            (["principal_id() = 'usr_ada'"], [1, 2, 3, 4]),
            (["CAST(mail AS INTEGER) > 0"], []),
            (["missing > 0"], None),
            (["5"], [1, 2, 3, 4]),
            (["mail"], []),
        ):
            restriction = Restriction({}, tuple(condition(text, "grp_de") for text in texts))
            restricted = RestrictedSnapshot(tables.snapshot(PEOPLE), restriction)
            if ids is None:
                with pytest.raises(PermissionDenied, match="doesn't fit"):
                    restricted.to_arrow(columns=["id"])
                with pytest.raises(PermissionDenied, match="doesn't fit"):
                    query.sql(f"SELECT id FROM {PEOPLE}", restrictions={PEOPLE: restriction})
            else:
                assert restricted.to_arrow(columns=["id"])["id"].to_pylist() == ids, texts

    def test_pages_are_of_the_rows_that_are_left(self, query: Query, tables: Tables) -> None:
        restricted = RestrictedSnapshot(tables.snapshot(PEOPLE), Restriction({}, (condition("id <> 2"),)))
        pages = [restricted.to_arrow(columns=["id"], limit=2, offset=offset)["id"].to_pylist() for offset in (0, 2)]
        assert pages == [[1, 3], [4]]


RESTRICTED = Restriction(
    {"mail": ColumnMask(MaskMethod.HASH), "salary": NULL_MASK}, (condition("country = 'DE'"),), "k"
)


class TestStatements:
    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT * FROM {}",
            "SELECT p FROM {} p",
            "SUMMARIZE SELECT * FROM {}",
            "SELECT list(mail), min(mail), max(salary), histogram(country) FROM {}",
            "SELECT * FROM {} WHERE mail LIKE 'secret%'",
            "SELECT count(*) FROM {} WHERE mail = 'secret-of-ada' OR salary > 0",
            "SELECT id FROM {} ORDER BY salary DESC, mail",
            "SELECT CAST(mail AS INTEGER) FROM {}",
            "SELECT id FROM {} WHERE CAST(mail AS INTEGER) = 1",
            "SELECT id FROM {} WHERE CAST(country AS INTEGER) = 1",
            "SELECT error(mail) FROM {} WHERE country = 'hidden-land'",
            "SELECT id FROM {} WHERE country = 'hidden-land' AND error(concat(country, id)) IS NOT NULL",
            "SELECT id FROM {} WHERE CASE WHEN id = 2 THEN error('there') ELSE true END",
            "WITH a AS (FROM {}) FROM a JOIN a b ON a.country = 'hidden-land' AND CAST(b.country AS INT) = 2",
            "SELECT mail, rank() OVER (ORDER BY salary) FROM {}",
            "SELECT * FROM (PIVOT {} ON mail USING count(*))",
            "SELECT (SELECT max(mail) FROM {} b WHERE b.salary > a.salary) FROM {} a",
        ],
    )
    def test_disclose_nothing(self, query: Query, statement: str) -> None:
        try:
            answer = repr(
                query.sql(statement.format(PEOPLE, PEOPLE), restrictions={PEOPLE: RESTRICTED}).table.to_pylist()
            )
        except HeadwaterError as error:
            answer = f"{error} {error.metadata}"
        assert SECRET not in answer or SECRET in statement
        assert answer.count("hidden-land") <= statement.count("hidden-land") * 2, "only what the statement says itself"
        for hidden in ("there", "62345", "51234", "73456", "84567"):
            assert hidden not in answer or hidden in statement

    def test_the_key_is_out_of_reach(self, query: Query) -> None:
        for statement in ("SELECT getvariable('headwater_mask_key')", "FROM duckdb_variables()"):
            with pytest.raises(HeadwaterError):
                query.sql(statement, restrictions={PEOPLE: RESTRICTED})

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_are_the_same_over_a_table_that_was_masked_before(self, query: Query, tables: Tables, data: Any) -> None:
        column = st.sampled_from(["id", "country", "mail", "salary", "level", "price"])
        comparison = st.sampled_from(
            ["{} IS NULL", "{} IS NOT NULL", "CAST({} AS VARCHAR) > '2'", "{0} = {0}", "NOT {0} = {0}"]
        )
        term: Callable[[], str] = lambda: data.draw(comparison).format(data.draw(column))  # noqa: E731
        where = data.draw(st.sampled_from(["{}", "{} AND {}", "{} OR {}", "NOT ({} AND {})"])).format(term(), term())
        shape = data.draw(
            st.sampled_from(
                [
                    "SELECT {0}, {1} FROM {t} WHERE {w} ORDER BY ALL",
                    "SELECT {0}, count(*), min({1}), max({1}) FROM {t} WHERE {w} GROUP BY 1 ORDER BY ALL",
                    "SELECT count(DISTINCT {0}), count({1}) FROM {t} WHERE {w}",
                    "SELECT a.{0}, b.{1} FROM {t} a JOIN {t} b USING (level) WHERE {w2} ORDER BY ALL",
                ]
            )
        )
        names = data.draw(column), data.draw(column)
        where_of_join = where
        for name in ("id", "country", "mail", "salary", "level", "price"):
            where_of_join = (
                where_of_join.replace(name, f"a.{name}") if "a." + name not in where_of_join else where_of_join
            )
        masks = {
            name: data.draw(
                st.sampled_from([NULL_MASK, ColumnMask(MaskMethod.HASH), ColumnMask(MaskMethod.PARTIAL, first=1)])
            )
            for name in data.draw(st.sets(column))
        }
        conditions = data.draw(
            st.sampled_from([(), (condition("country = 'DE'"),), (condition("salary > 60000"), condition("id < 4"))])
        )
        restriction = Restriction(masks, conditions, "k")
        before = "shop.silver.masked"
        tables.overwrite(before, RestrictedSnapshot(tables.snapshot(PEOPLE), restriction).to_arrow())
        statement = shape.format(*names, t="{t}", w=where, w2=where_of_join)
        through = query.sql(statement.replace("{t}", PEOPLE), restrictions={PEOPLE: restriction}).table
        assert through.to_pylist() == query.sql(statement.replace("{t}", before)).table.to_pylist()


@pytest.mark.parametrize(
    "text",
    [
        *("1 FROM t", "(SELECT 1)", "1; SELECT 2", "a, b", "*", "x.y = 1", "avg(x)", "row_number() OVER ()", "1 AS a"),
        *("list_transform([1], x -> x)", "getvariable('headwater_mask_key')", "read_text('/etc/passwd')", "1 LIMIT 1"),
        *(
            "1 WHERE true",
            "EXISTS (SELECT 1)",
            "current_setting('x')",
            "count(*)",
            "repeat('x', 1000000000)",
            "$1",
            "?",
        ),
        *("main.principal_id()", "principal_id(1)", "is_member(x)", "is_member()", "current_user", "1 UNION SELECT 2"),
        *("a.upper()", "'", "", "x = ", "DISTINCT a", "sum(DISTINCT a)", "error('x')", "random()", "x" * 2001),
    ],
)
def test_other_expressions_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        policy_expression(text)


def test_an_expression_names_its_columns_and_groups() -> None:
    found = policy_expression("(Mail = principal_id() OR is_member('grp_a')) AND country IN ('DE') -- why")
    assert (found.columns, found.groups) == ({"mail", "country"}, {"grp_a"})
    quoted = found.sql("usr_'; DROP", lambda group: False)
    assert policy_expression(quoted).columns == found.columns
