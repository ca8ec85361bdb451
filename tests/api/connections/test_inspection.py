"""What a database has, what its tables look like, and statements that only read, whatever a caller tries."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.api.admin.tenants import grant, made, user
from tests.api.connections.conftest import Project
from tests.remote_postgresql import RemotePostgreSql

ORDERS = {"schema_name": "public", "table_name": "orders"}


@pytest.fixture
async def path(project: Project, remote: RemotePostgreSql) -> str:
    """A connection to a database with orders."""
    engine = sa.create_engine(remote.url, poolclass=sa.pool.NullPool)
    with engine.begin() as server:
        for statement in (
            "CREATE TABLE customers (id int PRIMARY KEY)",
            """CREATE TABLE orders (
                id bigint PRIMARY KEY, customer int REFERENCES customers, at timestamptz DEFAULT now(),
                total numeric(30,10) CHECK (total > 0), took interval, tags text[], UNIQUE (customer, at))""",
            "COMMENT ON COLUMN orders.total IS 'In euros'",
            "INSERT INTO customers VALUES (1)",
            """INSERT INTO orders SELECT n, 1, '2026-01-01'::timestamptz + n * interval '1 minute',
                n + 0.1234567891, n * interval '1 second', ARRAY['a', NULL] FROM generate_series(1, 300) AS n""",
            "CREATE FUNCTION erase() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'",
            "CREATE VIEW recent AS SELECT id FROM orders",
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {remote.user}",
        ):
            server.exec_driver_sql(statement)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as server:
        server.exec_driver_sql("ANALYZE orders")
    connection = await project.connection("orders", remote)
    return f"connections/connections/{connection['id']}"


@pytest.mark.effect(
    "connections_databases_connection",
    "connections_schemas_connection",
    "connections_tables_connection",
    "connections_columns_connection",
    "connections_describe_connection",
    "connections_statistics_connection",
)
async def test_a_database_tells_what_it_has(project: Project, remote: RemotePostgreSql, path: str) -> None:
    async def asked(verb: str, **body: Any) -> dict[str, Any]:
        return await made(project.api.editor.post(f"{path}:{verb}", body))

    current = [one["name"] for one in (await asked("databases"))["items"] if one["current"]]
    assert current == [remote.database]
    assert (await asked("schemas"))["items"] == [{"name": "public"}]
    first = await asked("tables", schema_name="public", page_size=2)
    rest = await asked("tables", schema_name="public", page_token=first["next_page_token"])
    tables = [(one["table_name"], one["kind"]) for one in [*first["items"], *rest["items"]]]
    assert tables == [("customers", "table"), ("orders", "table"), ("recent", "view")]
    assert rest["next_page_token"] is None
    columns = {one["name"]: one for one in (await asked("columns", **ORDERS))["items"]}
    assert list(columns) == ["id", "customer", "at", "total", "took", "tags"]
    assert columns["total"] == {
        "name": "total",
        "type": "NUMERIC(30, 10)",
        "nullable": True,
        "default": "",
        "comment": "In euros",
    }
    assert columns["at"]["default"] == "now()"
    described = await asked("describe", **ORDERS)
    assert described["primary_key"] == ["id"]
    (key,) = described["foreign_keys"]
    assert (key["columns"], key["table_name"], key["referred_columns"]) == (["customer"], "customers", ["id"])
    assert [one["columns"] for one in described["unique"]] == [["customer", "at"]]
    assert "total > " in described["checks"][0]["condition"]
    statistics = await asked("statistics", **ORDERS)
    assert (statistics["row_count"], statistics["bytes"] > 0) == (300, True)
    of_id = next(one for one in statistics["columns"] if one["name"] == "id")
    assert (of_id["null_fraction"], of_id["distinct_fraction"]) == (0, 1)
    for verb in ("columns", "describe", "statistics", "sample"):
        missing = await project.api.editor.post(f"{path}:{verb}", ORDERS | {"table_name": "missing"})
        assert (missing.status, missing.json["metadata"]) == (409, {"cause": "UNKNOWN_TABLE"})


@pytest.mark.effect("connections_sample_connection", "connections_query_connection", "connections_explain_connection")
async def test_values_come_as_the_database_writes_them(project: Project, path: str) -> None:
    editor = project.api.editor
    sample = await made(editor.post(f"{path}:sample", ORDERS | {"rows": 2}))
    assert (len(sample["rows"]), sample["complete"]) == (2, False)
    sql = "SELECT id, total, took, tags, NULL AS nothing FROM orders WHERE id < 3 ORDER BY id"
    result = await made(editor.post(f"{path}:query", {"sql": sql}))
    assert [one["type"] for one in result["columns"]] == ["bigint", "numeric(30,10)", "interval", "text[]", "text"]
    assert result["rows"] == [
        ["1", "1.1234567891", "00:00:01", "{a,NULL}", None],
        ["2", "2.1234567891", "00:00:02", "{a,NULL}", None],
    ]
    assert result["complete"] is True
    plan = await made(editor.post(f"{path}:explain", {"sql": "SELECT * FROM orders WHERE id = 1"}))
    assert "orders_pkey" in plan["plan"]
    all_rows = await made(editor.post(f"{path}:query", {"sql": "TABLE orders", "rows": 300}))
    assert (len(all_rows["rows"]), all_rows["complete"]) == (300, True)
    large = await made(editor.post(f"{path}:query", {"sql": "SELECT repeat('x', 3000000) FROM generate_series(1, 9)"}))
    assert (len(large["rows"]), large["complete"]) == (1, False)


async def test_a_statement_that_changes_something_is_refused(
    project: Project, remote: RemotePostgreSql, path: str
) -> None:
    """`tests/unit/connectors/test_read_only_transaction.py` has what else a caller may try."""
    for sql, cause in (("DELETE FROM orders", "STATEMENT_REFUSED"), ("SELECT erase()", "FUNCTION_DENIED")):
        for verb in ("query", "explain"):
            refused = await project.api.editor.post(f"{path}:{verb}", {"sql": sql})
            assert (refused.status, refused.json["metadata"]) == (409, {"cause": cause})
    engine = sa.create_engine(remote.url, poolclass=sa.pool.NullPool)
    with engine.connect() as server:
        assert server.exec_driver_sql("SELECT count(*) FROM orders").scalar() == 300


async def test_rows_need_permissions_of_their_own(project: Project, path: str) -> None:
    api = project.api
    reader = await user(api, "reader")
    for verb in ("get", "discover", "tables", "columns"):
        await grant(api, reader, f"connections.connection.{verb}", project.id)
    caller = api.caller("reader")
    assert (await caller.post(f"{path}:columns", ORDERS)).status == 200
    assert (await caller.post(f"{path}:sample", ORDERS)).status == 403
    assert (await caller.post(f"{path}:query", {"sql": "SELECT 1"})).status == 403
    assert (await api.viewer.post(f"{path}:sample", ORDERS)).status == 403
    await grant(api, reader, "connections.connection.sample", project.id)
    assert (await caller.post(f"{path}:sample", ORDERS)).status == 200
    outsider = await user(api, "outsider")
    other = (await made(api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    await grant(api, outsider, "rol_admin", other)
    assert (await api.caller("outsider").post(f"{path}:query", {"sql": "SELECT 1"})).status == 404


async def test_a_bucket_has_no_schemas(project: Project) -> None:
    secret = await project.secret("key", "x")
    config = {"bucket": "sales", "access_key_id": "x"}
    draft = project.draft("lake", "s3", config, {"secret_access_key": secret})
    connection = await made(project.api.editor.post("connections/connections", draft))
    refused = await project.api.editor.post(f"connections/connections/{connection['id']}:schemas", {})
    assert (refused.status, ":discover" in refused.json["detail"]) == (409, True)
