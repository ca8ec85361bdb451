"""Values that were served are compared with the values of the table that a model was trained on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from api.kernel.platform import open_lineage, open_tables
from api.services.ai_catalog.logic import served_values
from api.services.ai_catalog.logic.served_values import ServedValues, served_table
from tests.api.admin.tenants import grant, made, user
from tests.api.ai_catalog.feature_store import TABLE, content, declared, opened, serve
from tests.api_process import Api

VIEW = "ai-catalog/feature-views/spending"


async def prepared(api: Api, sample: float) -> tuple[str, str]:
    """A served view. Returns the ids of the service and of the table with its served values."""
    tables, service = opened(api), await declared(api)
    tables.overwrite(TABLE, content(*range(100)))  # type: ignore[arg-type]
    serve(api, tables)
    view = await made(api.editor("PATCH", VIEW, json={"spec": {"served_sample": sample}}))
    return service, served_table(TABLE, view["id"])


async def ask(api: Api, service: str, *customers: int) -> None:
    body = {"entities": [{"customer": one} for one in customers]}
    await made(api.viewer.post(f"ai-catalog/feature-services/{service}:online-get", body))


def drift_of(report: dict[str, Any], feature: str) -> dict[str, Any]:
    return next(one for one in report["features"] if one["feature"] == feature)


@pytest.mark.effect("ai_catalog_get_feature_view_served_drift")
async def test_served_values_are_compared_with_the_table(api: Api) -> None:
    service, table = await prepared(api, 1.0)
    assert (await api.viewer.get(f"{VIEW}/served-drift")).status == 409, "nothing was served yet"
    await ask(api, service, *range(100))
    sample = api.app.platform.part(ServedValues)
    assert sample.flush() == 100
    same = await made(api.viewer.get(f"{VIEW}/served-drift"))
    assert (same["served_rows"], same["served"], drift_of(same, "spent")["statistic"]) == (100, table, 0.0)
    since = (datetime.fromisoformat(same["last_served_at"]) + timedelta(microseconds=1)).isoformat()
    for _ in range(3):
        await ask(api, service, 7, 7, 7, 999)
    assert sample.flush() == 12
    assert sample.flush() == 0
    later = await made(api.viewer.get(f"{VIEW}/served-drift", params={"since": since, "features": "spent"}))
    found = drift_of(later, "spent")
    assert later["served_rows"] == 12
    before = await made(api.viewer.get(f"{VIEW}/served-drift", params={"until": since}))
    assert (before["served_rows"], drift_of(before, "spent")["psi"]) == (100, drift_of(same, "spent")["psi"])
    assert found["psi"] > drift_of(same, "spent")["psi"]
    assert found["missing_after"] > 0, "customer 999 has no row"
    stored = api.app.platform.part(open_tables).snapshot(table).scan().collect()
    assert "customer_id" not in stored.columns
    assert stored.height == 112


async def test_a_share_of_the_entities_is_stored_and_none_by_default(api: Api) -> None:
    service, _ = await prepared(api, 0.0)
    sample = api.app.platform.part(ServedValues)
    await ask(api, service, *range(100))
    assert sample.flush() == 0
    await made(api.editor("PATCH", VIEW, json={"spec": {"served_sample": 0.3}}))
    for _ in range(10):
        await ask(api, service, *range(100))
    assert 200 < sample.flush() < 400


async def test_what_waits_is_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_values, "_MAX_WAITING", 150)
    service, _ = await prepared(api, 1.0)
    for _ in range(2):
        await ask(api, service, *range(100))
    sample = api.app.platform.part(ServedValues)
    assert (sample._dropped, sample.flush()) == (50, 150)


async def test_who_may_not_read_the_table_reads_no_served_value(api: Api) -> None:
    service, table = await prepared(api, 1.0)
    await ask(api, service, *range(10))
    api.app.platform.part(ServedValues).flush()
    ida = await user(api, "ida")
    await grant(api, ida, "rol_viewer", "default")
    await grant(api, ida, "ai_catalog.asset.preview", TABLE, securable_kind="ai_catalog.asset", effect="DENY")
    assert (await api.caller("ida").get(f"{VIEW}/served-drift")).status == 403
    statement = {"sql": f"SELECT spent FROM {table}"}
    assert (await api.caller("ida").post("ai-catalog/queries:run", statement)).status in (403, 404)
    assert (await api.viewer.post("ai-catalog/queries:run", statement)).status == 200
    lineage = api.app.platform.part(open_lineage)
    assert TABLE in {edge.in_asset for edge in lineage.provenance(table, str(lineage.latest(table)))}
