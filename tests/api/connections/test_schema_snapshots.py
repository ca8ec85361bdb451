"""Schema snapshots: captured page by page, searched, accepted, and compared, with the assets that a change breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from api.services.connections.connection_tables import SCHEMA_SNAPSHOT, SNAPSHOT_TABLE
from api.services.connections.logic import schema_capture
from connectors import asking
from core import clock
from core.definitions import DEFINITION
from core.errors import Conflict, Unavailable
from lakehouse.column_sources import ColumnSources
from lakehouse.lineage import Edge, Lineage
from tests.api.admin.tenants import grant, made, user
from tests.api.admin.test_projects import ended
from tests.api.both_databases import on_both
from tests.api.connections.conftest import Project
from tests.orchestration import FakeOrchestrator, node
from tests.remote_postgresql import RemotePostgreSql

Server = Callable[..., None]


@pytest.fixture
def server(remote: RemotePostgreSql) -> Server:
    """Runs statements at the remote server."""
    engine = sa.create_engine(remote.url, poolclass=sa.pool.NullPool)

    def run(*statements: str) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    run("CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(9,2) NOT NULL, note text)")
    run("CREATE TABLE customers (id int PRIMARY KEY, email text)", "CREATE TABLE old (x int)")
    return run


async def captured(project: Project, connection: dict[str, Any]) -> str:
    """Captures a schema and returns the id of the snapshot."""
    path = f"connections/connections/{connection['id']}:capture-schema"
    accepted = await project.api.editor.post(path, {})
    assert accepted.status == 202, accepted.response.text
    operation = await ended(project.api, accepted.json["id"])
    assert operation["state"] == "SUCCEEDED", operation
    (newest, *_) = (await project.api.viewer.get("connections/schema-snapshots")).json["items"]
    return str(newest["id"])


@on_both
@pytest.mark.effect("connections_capture_schema_connection", "connections_accept_schema_snapshot")
async def test_a_snapshot_is_captured_read_searched_and_accepted(
    project: Project, remote: RemotePostgreSql, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_capture, "_PAGE", 2)
    connection = await project.connection("orders", remote)
    id = await captured(project, connection)
    viewer, path = project.api.viewer, f"connections/schema-snapshots/{id}"
    snapshot = (await viewer.get(path)).json
    assert (snapshot["state"], snapshot["tables"], snapshot["connection_id"]) == ("COMPLETE", 3, connection["id"])
    first = (await viewer.get(f"{path}/tables", params={"page_size": 2})).json
    token = {"page_token": first["next_page_token"]}
    rest = (await viewer.get(f"{path}/tables", params=token)).json
    tables = {one["table_name"]: one for one in [*first["items"], *rest["items"]]}
    assert (list(tables), rest["next_page_token"]) == (["customers", "old", "orders"], None)
    assert tables["orders"]["key"] == ["id"]
    assert tables["orders"]["columns"][1] == {"name": "total", "type": "NUMERIC(9, 2)", "nullable": False}
    narrowed = (await viewer.get(f"{path}/tables", params={"contains": "EMAIL"})).json["items"]
    assert [one["table_name"] for one in narrowed] == ["customers"]
    found = (await viewer.get("connections/schema-snapshots:search", params={"text": "tot"})).json
    assert [(one["table_name"], [column["name"] for column in one["columns"]]) for one in found["items"]] == [
        ("orders", ["total"])
    ]
    assert (await viewer.get("connections/schema-snapshots:search", params={"text": "%"})).json["items"] == []
    accepted = await made(project.api.editor.post(f"{path}:accept", {}))
    assert (accepted["accepted_by"], accepted["accepted_at"] is not None) == ("editor", True)
    assert (await project.api.editor("DELETE", f"/api/v1/{path}")).status == 204
    with project.api.database.read() as database:
        assert database.execute(sa.select(SNAPSHOT_TABLE)).all() == []


async def test_an_interrupted_capture_goes_on_after_the_last_page(
    project: Project, remote: RemotePostgreSql, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_capture, "_PAGE", 1)
    real, asked = asking.found, []

    async def interrupted(*arguments: Any) -> Any:
        asked.append(arguments[-1].after)
        if len(asked) == 2:
            raise Unavailable("The process ended.")
        return await real(*arguments)

    monkeypatch.setattr(asking, "found", interrupted)
    id = await captured(project, await project.connection("orders", remote))
    assert len(asked) == 4
    assert (asked[0], asked[1]) == ("", asked[2])
    tables = (await project.api.viewer.get(f"connections/schema-snapshots/{id}/tables")).json["items"]
    assert [one["table_name"] for one in tables] == ["customers", "old", "orders"]


async def test_a_capture_that_fails_leaves_nothing(
    project: Project, remote: RemotePostgreSql, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> Any:
        raise Conflict("The server refused.")

    monkeypatch.setattr(asking, "found", refused)
    connection = await project.connection("orders", remote)
    accepted = await project.api.editor.post(f"connections/connections/{connection['id']}:capture-schema", {})
    operation = await ended(project.api, accepted.json["id"])
    assert (operation["state"], "The server refused" in operation["error"]) == ("FAILED", True)
    with project.api.database.read() as database:
        assert database.execute(sa.select(SCHEMA_SNAPSHOT)).all() == []


@on_both
async def test_a_diff_names_the_assets_and_columns_that_break(
    project: Project, remote: RemotePostgreSql, server: Server, orchestrator: FakeOrchestrator
) -> None:
    connection = await project.connection("shop", remote)
    declare(project, "sales.bronze.orders", {"connection": "shop", "table": "public.orders"})
    declare(project, "sales.bronze.other", {"connection": "another", "table": "public.orders"})
    orchestrator.nodes["sales.bronze.orders"] = node("sales.bronze.orders")
    orchestrator.nodes["sales.bronze.other"] = node("sales.bronze.other")
    orchestrator.nodes["sales.gold.customers"] = node("sales.gold.customers")
    record_read(project, "sales.gold.customers", f"connection:sales:{connection['id']}:public.customers", "email")
    before = await captured(project, connection)
    await made(project.api.editor.post(f"connections/schema-snapshots/{before}:accept", {}))
    server(
        "ALTER TABLE orders ALTER total TYPE numeric(20,4), ADD placed timestamptz",
        "ALTER TABLE customers DROP email",
        "DROP TABLE old",
        "CREATE TABLE fresh (x int)",
    )
    after = await captured(project, connection)
    path = f"connections/schema-snapshots/{after}/diff"
    diff = (await project.api.admin.get(path)).json
    assert (diff["before_id"], diff["after_id"], diff["truncated"]) == (before, after, False)
    assert {(one["table_name"], one["kind"], one["column"], one["breaking"]) for one in diff["changes"]} == {
        ("customers", "COLUMN_REMOVED", "email", True),
        ("fresh", "TABLE_ADDED", "", False),
        ("old", "TABLE_REMOVED", "", True),
        ("orders", "COLUMN_ADDED", "placed", False),
        ("orders", "TYPE_CHANGED", "total", True),
    }
    broken = {(one["asset"], one["column"], one["certainty"]): one["lost_columns"] for one in diff["assets"]}
    assert broken == {
        ("sales.gold.customers", "email", "EXACT"): ["address"],
        ("sales.bronze.orders", "total", "ASSUMED"): None,
    }
    guest = await user(project.api, "guest")
    await grant(project.api, guest, "connections.schema_snapshot.*", project.id)
    seen = (await project.api.caller("guest").get(path)).json
    assert (seen["assets"], len(seen["changes"])) == ([], 5)
    same = await project.api.admin.get(path, params={"against": after})
    assert (same.json["changes"], same.json["assets"]) == ([], [])
    alone = await project.api.admin.get(f"connections/schema-snapshots/{before}/diff")
    assert (alone.status, "no earlier snapshot" in alone.json["detail"]) == (409, True)


def declare(project: Project, asset: str, source: dict[str, str]) -> None:
    """Stores a published definition that reads a table."""
    attributes = {"asset": asset, "source": {"kind": "sql", **source}}
    with project.api.database.write() as database:
        database.execute(
            DEFINITION.insert().values(
                asset_id=asset,
                project="sales",
                component="DatasetComponent",
                attributes=attributes,
                published_attributes=attributes,
                published_at=clock.now(),
                revision=1,
                created_at=clock.now(),
                created_by="editor",
                updated_at=clock.now(),
            )
        )


def record_read(project: Project, asset: str, source: str, column: str) -> None:
    """Records that a version of an asset read a column of a remote table."""
    edge = Edge(
        out_asset=asset,
        out_version="v1",
        in_asset=source,
        in_version="1",
        in_columns=(column,),
        run="run-1",
        step="load",
        code_version="1",
        git_sha="",
        env_digest="",
        engine="test 1",
        params_digest="",
        principal="editor",
        at=clock.now(),
    )
    sources = ColumnSources(asset, "v1", "run-1", "load", {"address": [(source, column)]})
    Lineage(project.api.database).record([edge], [sources])


@on_both
async def test_another_tenant_finds_no_snapshot(project: Project, remote: RemotePostgreSql, server: Server) -> None:
    id = await captured(project, await project.connection("orders", remote))
    outsider = await user(project.api, "outsider")
    other = (await made(project.api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    await grant(project.api, outsider, "rol_admin", other)
    caller = project.api.caller("outsider")
    for part in ("", "/tables", "/diff"):
        assert (await caller.get(f"connections/schema-snapshots/{id}{part}")).status == 404
    assert (await caller.get("connections/schema-snapshots")).json["items"] == []
    found = await caller.get("connections/schema-snapshots:search", params={"text": "orders"})
    assert found.json == {"items": [], "complete": True}
