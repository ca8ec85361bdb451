"""Tables from connections: who may publish them, what a run writes, and where a connection is used."""

from __future__ import annotations

import asyncio

import dagster as dg
import pytest

from api.services.ai_catalog.logic.publisher_rights import PublisherRights
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api.connections.conftest import Project
from tests.api.connections.connected_tables import ASSET, ORDERS, execute, failure, run, tables
from tests.api_caller import Caller
from tests.orchestration import FakePublisher
from tests.remote_postgresql import RemotePostgreSql

NAME = "connection:sales:shop"


async def published(caller: Caller, asset: str = ASSET, name: str = NAME) -> int:
    """Creates and publishes a definition that reads through a connection. Returns the status."""
    attributes = {"asset": asset, "sql": "SELECT 1", "reads": [name]}
    body = {"component": "DatasetComponent", "attributes": attributes}
    await made(caller.post("ai-catalog/definitions", body))
    return (await caller.post(f"ai-catalog/definitions/{asset}:publish", {})).status


class TestRun:
    @on_both
    async def test_writes_typed_rows_with_checks_and_exact_lineage(
        self, project: Project, remote: RemotePostgreSql, runs: dg.DagsterInstance
    ) -> None:
        execute(remote, *ORDERS)
        connection = await project.connection("shop", remote)
        result = await run(runs)
        assert result.success, failure(result)
        snapshot = tables(project.api).snapshot(ASSET)
        assert [(field.name, str(field.type)) for field in snapshot.schema] == [
            ("id", "int64"),
            ("amount", "decimal128(10, 2)"),
            ("placed_at", "timestamp[us, tz=UTC]"),
        ]
        assert [str(value) for value in snapshot.to_arrow().sort_by("id").column("amount")] == ["9.50", "None", "0.05"]
        (check,) = [one for one in result.get_asset_check_evaluations() if one.check_name == "one_row_per_order"]
        assert check.passed
        (event,) = result.get_asset_materialization_events()
        source = f"connection:sales:{connection['id']}:public.orders"
        version = event.materialization.metadata["source/version"].value
        graph = await made(project.api.editor.get(f"ai-catalog/assets/{ASSET}/lineage"))
        (edge,) = graph["edges"]
        assert (edge["out_asset"], edge["in_asset"], edge["in_version"]) == (ASSET, source, version)
        assert (edge["out_version"], str(version)[:4]) == (snapshot.data_version, "lsn:")
        (secret,) = connection["spec"]["secrets"].values()
        accesses = await made(project.api.editor.get(f"connections/secrets/{secret}/accesses"))
        assert [(one["connection_id"], one["purpose"]) for one in accesses["items"]] == [(connection["id"], "load")]
        logged = "".join(str(event) for event in result.all_events)
        assert remote.password not in logged

    async def test_the_same_rows_stay_the_same_version_and_other_columns_replace_them(
        self, project: Project, remote: RemotePostgreSql, runs: dg.DagsterInstance
    ) -> None:
        execute(remote, *ORDERS)
        await project.connection("shop", remote)
        assert (await run(runs)).success
        first = tables(project.api).snapshot(ASSET)
        execute(remote, "CREATE TABLE public.another AS SELECT 1 AS n")
        assert (await run(runs)).success
        assert tables(project.api).snapshot(ASSET).data_version == first.data_version
        execute(remote, "ALTER TABLE public.orders DROP COLUMN amount, ADD COLUMN note text DEFAULT 'new'")
        assert (await run(runs)).success
        assert tables(project.api).snapshot(ASSET).schema.names == ["id", "placed_at", "note"]

    async def test_large_rows_are_streamed_and_an_error_in_the_middle_writes_nothing(
        self, project: Project, remote: RemotePostgreSql, runs: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assets.datasets.streams._MEMORY_BYTES", 1)
        await project.connection("shop", remote)
        query = "SELECT n AS id, repeat('x', 500) AS text, 1 / (60000 - n) AS part FROM generate_series(1, {}) AS n"
        assert (await run(runs, query=query.format(50_000))).success
        assert tables(project.api).snapshot(ASSET).row_count == 50_000
        failed = await run(runs, query=query.format(60_000))
        assert "division by zero" in failure(failed)
        assert tables(project.api).snapshot(ASSET).row_count == 50_000

    async def test_a_connection_that_may_not_be_used_stops_it(
        self, project: Project, remote: RemotePostgreSql, runs: dg.DagsterInstance
    ) -> None:
        execute(remote, *ORDERS)
        assert "has no connection shop" in failure(await run(runs))
        other = await made(project.api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}}))
        await Project(project.api, other["id"]).connection("shop", remote)
        assert "has no connection shop" in failure(await run(runs))
        connection = await project.connection("shop", remote)
        path = f"connections/connections/{connection['id']}"
        await made(project.api.editor.post(f"{path}:disable", {}))
        assert "is disabled" in failure(await run(runs))
        await made(project.api.editor.post(f"{path}:enable", {}))
        assert "no such table" in failure(await run(runs, table="public.absent"))
        assert (await run(runs, connection=connection["id"])).success


class TestRights:
    async def test_who_may_not_query_a_connection_publishes_nothing_that_reads_through_it(
        self, project: Project, remote: RemotePostgreSql
    ) -> None:
        api = project.api
        connection = await project.connection("shop", remote)
        ben = await user(api, "ben")
        await grant(api, ben, "rol_editor", "org_default")
        denial = {"securable_kind": "connections.connection", "effect": "DENY"}
        await grant(api, ben, "connections.connection.query", connection["id"], **denial)
        assert await published(api.caller("ben")) == 422
        assert await published(api.editor, "sales.bronze.by_id", f"connection:sales:{connection['id']}") == 200
        assert await published(api.editor, "sales.bronze.absent", "connection:sales:absent") == 422
        assert await published(api.editor, "flights.bronze.taken", "connection:flights:shop") == 422
        theirs = await tenant(api, "acme")
        assert (
            await published(theirs.admin, "acme_data.bronze.taken", f"connection:acme_data:{connection['id']}") == 422
        )
        assert await published(theirs.admin, "acme_data.bronze.named", NAME) == 422

    @on_both
    async def test_a_publisher_who_loses_the_right_blocks_the_definition(
        self, project: Project, remote: RemotePostgreSql
    ) -> None:
        api = project.api
        connection = await project.connection("shop", remote)
        assert await published(api.editor) == 200
        rights = PublisherRights(api.app.platform, FakePublisher())
        editor = str((await made(api.admin.get("admin/users/editor")))["id"])
        denial = {"securable_kind": "connections.connection", "effect": "DENY"}
        await grant(api, editor, "connections.connection.query", connection["id"], **denial)
        await asyncio.to_thread(lambda: rights._apply(*rights._check()))
        blocked = (await made(api.admin.get(f"ai-catalog/definitions/{ASSET}")))["blocked"]
        assert str(blocked).startswith("Its publisher editor can no longer read its inputs.")


@pytest.mark.effect("connections_get_connection_where_used")
class TestUses:
    @on_both
    async def test_a_connection_that_is_used_is_neither_deleted_nor_renamed(
        self, project: Project, remote: RemotePostgreSql
    ) -> None:
        api = project.api
        connection = await project.connection("shop", remote)
        path = f"connections/connections/{connection['id']}"
        assert (await made(api.viewer.get(f"{path}/where-used"))) == {"definitions": [], "hidden": 0}
        assert await published(api.editor) == 200
        assert (await made(api.viewer.get(f"{path}/where-used"))) == {"definitions": [ASSET], "hidden": 0}
        blind = await user(api, "blind")
        await grant(api, blind, "rol_editor", "org_default")
        denial = {"securable_kind": "ai_catalog.definition", "effect": "DENY"}
        await grant(api, blind, "ai_catalog.definition.get", ASSET, **denial)
        assert (await made(api.caller("blind").get(f"{path}/where-used"))) == {"definitions": [], "hidden": 1}
        refused = await api.editor("DELETE", path)
        assert (refused.status, ASSET in refused.json["detail"]) == (409, True)
        assert ASSET not in (await api.caller("blind")("DELETE", path)).response.text
        assert (await api.editor("PATCH", path, json={"name": "store"})).status == 409
        await made(api.editor.post(f"ai-catalog/definitions/{ASSET}:retire", {}))
        assert (await api.editor("DELETE", path)).status == 204
