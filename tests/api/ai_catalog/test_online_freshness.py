"""Online rows say how far they are behind, and those of a former table are never served."""

from __future__ import annotations

import shutil

import pytest

from api.services.ai_catalog.logic import online_reads
from api.services.ai_catalog.logic.feature_views import open_online_store
from features.sweep import sweep
from lakehouse.tables import Tables
from tests.api.admin.tenants import made, tenant
from tests.api.ai_catalog.feature_store import ONLINE, TABLE, content, declared, opened, serve
from tests.api_process import Api
from tests.sagas import later

FRESHNESS = "ai-catalog/feature-views/spending/freshness"
FEATURES = {"features": ["spending:spent"], "entities": {"customer": [0]}}


@pytest.fixture
def tables(api: Api) -> Tables:
    return opened(api)


@pytest.fixture
async def service(api: Api, tables: Tables) -> str:
    return await declared(api)


async def test_how_far_the_rows_are_behind(api: Api, tables: Tables, service: str) -> None:
    found = await made(api.viewer.get(FRESHNESS))
    assert (found["online"], found["lag_seconds"]) == (None, None)
    version = serve(api, tables)
    found = await made(api.viewer.get(FRESHNESS))
    assert (found["data_version"], found["online"], found["lag_seconds"]) == (version, version, 0.0)
    assert found["entities"] == 3
    tables.overwrite(TABLE, content(5.0))
    tables.overwrite(TABLE, content(6.0))
    with later(hours=2):
        found = await made(api.viewer.get(FRESHNESS))
    assert found["data_version"] == tables.snapshot(TABLE).data_version
    assert (found["online"], 7200 <= found["lag_seconds"] < 7320) == (version, True)
    other = await tenant(api, "other")
    view = (await made(api.viewer.get("ai-catalog/feature-views/spending")))["id"]
    assert (await other.admin.get(f"ai-catalog/feature-views/{view}/freshness")).status == 404


async def test_rows_of_a_former_table_are_not_served(
    api: Api, tables: Tables, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_reads, "_CHECK_SECONDS", 0.0)

    async def statuses() -> set[int]:
        body = {"entities": [{"customer": 0}]}
        rest = await api.viewer.post(f"ai-catalog/feature-services/{service}:online-get", body)
        feast = await api.viewer.post("/feast/flights/get-online-features", FEATURES)
        return {rest.status, feast.status}

    tables.overwrite(TABLE, content(2.0))
    serve(api, tables)
    assert await statuses() == {200}
    shutil.rmtree(tables.uri(TABLE))
    assert await statuses() == {409}
    fresh = Tables.from_settings(api.app.platform.settings, api.database)
    fresh.overwrite(TABLE, content(9.0))
    assert await statuses() == {409}
    assert (await made(api.viewer.get(FRESHNESS)))["online"] is None
    serve(api, fresh)
    assert await statuses() == {200}


async def test_maintenance_removes_what_must_not_be_served(api: Api, tables: Tables, service: str) -> None:
    store = api.app.platform.part(open_online_store)
    serve(api, tables)
    assert sweep(store, tables, 0, retired=()) == {}
    assert list(sweep(store, tables, 0, retired={ONLINE})) == [ONLINE]
    assert store.served(ONLINE) is None
    serve(api, tables)
    shutil.rmtree(tables.uri(TABLE))
    fresh = Tables.from_settings(api.app.platform.settings, api.database)
    assert list(sweep(store, fresh, 0, retired=())) == [ONLINE]
    assert (store.served(ONLINE), store.assets()) == (None, [])
