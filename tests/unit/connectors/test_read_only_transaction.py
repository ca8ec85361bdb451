"""A statement that only reads, whatever a caller tries.

The login is a superuser, so that only the transaction protects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from connectors import read_only_transaction
from connectors.connector import Failed
from connectors.read_only_transaction import ReadOnlyTransaction

ENDLESS = "SELECT count(*) FROM generate_series(1, 100000000000)"
ATTACKS = {
    "DELETE FROM orders": "STATEMENT_REFUSED",
    "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT * FROM gone": "STATEMENT_REFUSED",
    "SELECT 1; DELETE FROM orders": "STATEMENT_REFUSED",
    "SELECT 1) AS x; COMMIT; DELETE FROM orders": "STATEMENT_REFUSED",
    "COPY orders TO PROGRAM 'cat'": "STATEMENT_REFUSED",
    "SET transaction_read_only = off": "STATEMENT_REFUSED",
    "DO $$ BEGIN DELETE FROM orders; END $$": "STATEMENT_REFUSED",
    "CALL erase()": "STATEMENT_REFUSED",
    "ANALYZE SELECT erase()": "STATEMENT_REFUSED",
    "(ANALYZE) SELECT erase()": "STATEMENT_REFUSED",
    "SELECT * INTO copied FROM orders": "STATEMENT_REFUSED",
    "SELECT * FROM orders FOR UPDATE": "STATEMENT_REFUSED",
    "SELECT erase()": "FUNCTION_DENIED",
    "SELECT 1 LIMIT erase()": "FUNCTION_DENIED",
    "SELECT sum(id) OVER (ROWS erase() PRECEDING) FROM orders": "FUNCTION_DENIED",
    "SELECT pg_read_file('/etc/hostname')": "FUNCTION_DENIED",
    "SELECT pg_catalog . PG_READ_FILE ('/etc/hostname')": "FUNCTION_DENIED",
    "SELECT 1 LIMIT length(\"pg_read_file\"('/etc/hostname'))": "FUNCTION_DENIED",
    "SELECT 1 LIMIT length(pg_read_file/* x */('/etc/hostname'))": "STATEMENT_REFUSED",
    "SELECT 1 LIMIT length(U&\"pg\\005fread_file\"('/etc/hostname'))": "STATEMENT_REFUSED",
    "TABLE trap": "FUNCTION_DENIED",
    "SELECT set_config('statement_timeout', '0', false)": "FUNCTION_DENIED",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity": "FUNCTION_DENIED",
    "SELECT query_to_xml('SELECT erase()', true, true, '')": "FUNCTION_DENIED",
    "SELECT lo_export(1, '/tmp/out')": "FUNCTION_DENIED",
    "SELECT pg_sleep(60)": "FUNCTION_DENIED",
    "SELECT pg_advisory_lock(1)": "FUNCTION_DENIED",
    ENDLESS: "STATEMENT_TIMEOUT",
}


@pytest.fixture
def engine(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A database with orders, a function that erases them, and a view that reads a file."""
    # The limit would remain for the other tests of this process.
    monkeypatch.setattr(read_only_transaction.resource, "setrlimit", lambda *_: None)
    engine = sa.create_engine(postgresql_url, poolclass=sa.pool.NullPool)
    with engine.begin() as server:
        server.exec_driver_sql("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 300) AS n")
        server.exec_driver_sql("CREATE FUNCTION erase() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'")
        server.exec_driver_sql("CREATE VIEW trap AS SELECT pg_read_file('/etc/hostname') AS file")
    yield engine
    engine.dispose()


def cause(engine: sa.Engine, sql: str, *, plan: bool) -> Any:
    """Why a statement is refused, or its answer if it is not."""
    try:
        with ReadOnlyTransaction(engine, 1 if sql == ENDLESS else 30) as one:
            return one.plan(sql) if plan else one.rows(sql, 10)
    except Failed as error:
        return error.reason


def test_no_statement_changes_anything_or_reads_a_file(engine: sa.Engine) -> None:
    assert {sql: cause(engine, sql, plan=False) for sql in ATTACKS} == ATTACKS
    planned = {sql: reason for sql, reason in ATTACKS.items() if sql != ENDLESS}
    assert {sql: cause(engine, sql, plan=True) for sql in planned} == planned
    with engine.connect() as server:
        assert server.exec_driver_sql("SELECT count(*) FROM orders").scalar() == 300
        assert server.exec_driver_sql("SELECT to_regclass('copied')").scalar() is None


def test_ordinary_statements_run(engine: sa.Engine) -> None:
    for sql in (
        "SELECT count(*) FILTER (WHERE id IN (1, 2)), max(id) FROM orders",
        "WITH few (x) AS (VALUES (1), (2)) SELECT x, random() < 2, now() > 'epoch' FROM few LIMIT (SELECT 5)",
        "SELECT row_number() OVER (ORDER BY id ROWS 2 PRECEDING), round(id / 7.0, 2)::numeric(9, 2) FROM orders",
        "(SELECT upper('not a call (of anything)'))",
        "TABLE orders",
    ):
        assert isinstance(cause(engine, sql, plan=False), dict), sql


def test_a_long_plan_is_checked_in_linear_time(engine: sa.Engine) -> None:
    answer = cause(engine, "SELECT repeat('x', 5000000)", plan=False)
    assert (answer["rows"], answer["complete"]) == ([], False)
