"""SQL over REST: exact rows and versions, and never a row, a name or a hint of what the caller may not see."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, user
from tests.api_process import Api, Caller
from tests.lakehouse_tables import BRONZE, SILVER, make_tables

ARROW = "application/vnd.apache.arrow.stream"
OTHER = "secrets.gold.salaries"


@pytest.fixture
def query_processes() -> None:
    """The API has its processes, which these tests are about."""


@pytest.fixture
def tables(api: Api) -> Tables:
    tables = make_tables(api.app.platform.settings, api.database)
    tables.create_with(OTHER, pa.table({"salary": [1, 2]}))
    return tables


async def caller(api: Api, name: str, right: str = "") -> Caller:
    """A user with a right on the project `flights`, or with none."""
    id = await user(api, name)
    if right:
        project = await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
        await grant(api, id, right, project["id"])
    return api.caller(name)


async def run(caller: Caller, sql: str, status: int = 200, **extra: object) -> dict:
    reply = await caller.post("ai-catalog/queries:run", {"sql": sql, **extra})
    assert reply.status == status, reply.json
    return reply.json


@pytest.mark.effect("ai_catalog_run_queries")
class TestRun:
    async def test_answers_rows_and_the_versions_they_come_from(self, api: Api, tables: Tables) -> None:
        answer = await run(api.viewer, f"SELECT carrier, count(*) AS n FROM {BRONZE} GROUP BY 1 ORDER BY 1")
        assert answer["columns"] == [{"name": "carrier", "type": "string"}, {"name": "n", "type": "int64"}]
        assert answer["rows"] == [["C0", 9], ["C1", 8], ["C2", 8]]
        version = tables.snapshot(BRONZE).data_version
        assert answer["inputs"] == [{"asset": BRONZE, "data_version": version, "table_version": 1}]
        assert answer["truncated"] is False

    async def test_reads_the_versions_asked_for(self, api: Api, tables: Tables) -> None:
        sql = f"SELECT (SELECT count(*) FROM {BRONZE}) AS b, (SELECT count(*) FROM {SILVER}) AS s"
        answer = await run(api.viewer, sql, versions={BRONZE: "0"})
        assert answer["rows"] == [[10, 3]]
        assert [one["table_version"] for one in answer["inputs"]] == [0, 1]
        refused = await run(api.viewer, f"SELECT 1 FROM {BRONZE}", 400, versions={SILVER: "0"})
        assert refused["errors"][0]["pointer"] == f"/versions/{SILVER}"

    async def test_limits_rows_and_says_so(self, api: Api, tables: Tables) -> None:
        answer = await run(api.viewer, f"SELECT id FROM {BRONZE} ORDER BY id", limit=2)
        assert (answer["rows"], answer["truncated"]) == ([[0], [1]], True)

    async def test_two_columns_of_one_name_are_both_there(self, api: Api, tables: Tables) -> None:
        assert (await run(api.viewer, "SELECT 1 AS a, 2 AS a"))["rows"] == [[1, 2]]

    async def test_streams_arrow(self, api: Api, tables: Tables) -> None:
        body = {"sql": f"SELECT id, price FROM {BRONZE} ORDER BY id"}
        reply = await api.viewer.post("ai-catalog/queries:run", body, headers={"accept": ARROW})
        table = pa.ipc.open_stream(reply.response.content).read_all()
        assert table.schema.field("price").type == pa.decimal128(10, 2)
        assert table.num_rows == 25
        assert reply.response.headers["x-data-versions"] == f"{BRONZE}={tables.snapshot(BRONZE).data_version}"
        assert reply.response.headers["x-truncated"] == "false"

    @pytest.mark.parametrize(
        "sql",
        [
            "DELETE FROM flights.bronze.flights",
            "SELECT 1; SELECT 2",
            "COPY (SELECT 1) TO 'x.csv'",
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM '/etc/passwd'",
            "ATTACH 'x.db'",
            "selekt 1",
            "SELECT no_such_column FROM flights.bronze.flights",
        ],
    )
    async def test_what_is_no_reading_of_tables_is_refused(self, api: Api, tables: Tables, sql: str) -> None:
        reply = await api.admin.post("ai-catalog/queries:run", {"sql": sql})
        assert 400 <= reply.status < 500, reply.json

    async def test_a_large_result_is_refused(self, api: Api, tables: Tables) -> None:
        answer = await run(api.viewer, "SELECT repeat('x', 1000000) FROM range(100)", 400)
        assert "Select fewer" in answer["detail"]


class TestRights:
    """Kind: an engine that reads more than its caller may. Every form of a statement is tried with too few rights."""

    async def test_a_table_of_others_does_not_exist(self, api: Api, tables: Tables) -> None:
        ana = await caller(api, "ana", "rol_viewer")
        assert (await run(ana, f"SELECT count(*) FROM {SILVER}"))["rows"] == [[3]]
        for form in (
            "SELECT * FROM {0}",
            "SELECT (SELECT max(salary) FROM {0})",
            "WITH x AS (SELECT * FROM {0}) SELECT * FROM x",
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM {0})",
            "SELECT * FROM flights.silver.flights UNION ALL SELECT salary, 'x' FROM {0}",
            "DESCRIBE {0}",
        ):
            real = await ana.post("ai-catalog/queries:run", {"sql": form.format(OTHER)})
            none = await ana.post("ai-catalog/queries:run", {"sql": form.format("secrets.gold.nothing")})
            assert real.status == none.status == 404, real.json
            assert real.json["reason"] == none.json["reason"] == "UNKNOWN_ASSET"
            assert OTHER not in str(none.json)
            assert all(name.startswith("flights.") for name in real.json["metadata"]["similar"])

    async def test_knowing_a_table_is_not_reading_it(self, api: Api, tables: Tables) -> None:
        ben = await caller(api, "ben", "ai_catalog.asset.get")
        refused = await run(ben, f"SELECT * FROM {SILVER}", 403)
        assert "ai_catalog.asset.preview" in refused["detail"]

    async def test_show_tables_names_what_the_caller_may_know(self, api: Api, tables: Tables) -> None:
        ana = await caller(api, "ana", "rol_viewer")
        assert [name for (name,) in (await run(ana, "SHOW TABLES"))["rows"]] == [BRONZE, SILVER]
        assert OTHER in [name for (name,) in (await run(api.admin, "SHOW TABLES"))["rows"]]
        outsider = await caller(api, "absent")
        assert (await run(outsider, "SHOW ALL TABLES"))["rows"] == []

    async def test_the_audit_tables_need_the_right_to_the_trail(self, api: Api, tables: Tables) -> None:
        tables.create_with("platform.audit.events", pa.table({"n": [1]}))
        assert (await run(api.viewer, "SELECT * FROM platform.audit.events", 404))["reason"] == "UNKNOWN_ASSET"
        assert (await run(api.admin, "SELECT * FROM platform.audit.events"))["rows"] == [[1]]

    async def test_a_key_limited_to_other_things_reads_nothing(self, api: Api, tables: Tables) -> None:
        issued = await made(api.admin.post("admin/api-keys", {"label": "users", "scopes": ["admin.user.*"]}))
        limited = Caller(api.app, issued["secret"])
        assert (await run(limited, f"SELECT * FROM {SILVER}", 404))["reason"] == "UNKNOWN_ASSET"
        assert (await run(limited, "SHOW TABLES"))["rows"] == []
