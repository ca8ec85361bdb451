"""Features over REST: the same now and then, from named versions, and only for those who can read the tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from features.embedded import EmbeddedStore
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.feature_store import ENTITY, ONLINE, SPEC, START, TABLE, content, declared, opened, serve
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node


@pytest.fixture
def tables(api: Api) -> Tables:
    return opened(api)


@pytest.fixture
async def service(api: Api, tables: Tables) -> str:
    return await declared(api)


def path(service: str, verb: str) -> str:
    return f"ai-catalog/feature-services/{service}:{verb}"


def customers(*keys: Any) -> dict[str, Any]:
    return {"entities": [{"customer": key} for key in keys]}


@pytest.mark.effect("ai_catalog_online_get_feature_service", "ai_catalog_historical_feature_service")
async def test_online_and_historical_features_are_the_same(api: Api, tables: Tables, service: str) -> None:
    assert (await api.viewer.post(path(service, "online-get"), customers(0))).status == 409
    version = serve(api, tables)
    now = await made(api.viewer.post(path(service, "online-get"), customers(0, 1, 2, 3)))
    then = await made(api.viewer.post(path(service, "historical"), customers(0, 1, 2, 3) | {"at": [now["at"]]}))
    assert {one["name"]: one["values"] for one in now["columns"]} == {
        "spent": [1.0, None, None, None],
        "visits": [2**53 + 1] * 3 + [None],
    }
    past = {one["name"]: one["values"] for one in then["columns"]}
    assert {name: past[name] for name in ("spent", "visits")} == {one["name"]: one["values"] for one in now["columns"]}
    assert past["spending__status"] == now["views"][0]["statuses"] == ["PRESENT"] * 3 + ["NOT_FOUND"]
    assert then["versions"] == {"spending": version}
    assert now["views"][0]["data_version"] == version


@pytest.mark.effect("ai_catalog_preview_feature_view")
async def test_the_past_has_no_later_row_and_no_older_than_the_limit(api: Api, tables: Tables, service: str) -> None:
    await made(api.editor("PATCH", "ai-catalog/feature-views/spending", json={"spec": {"ttl_seconds": 3600}}))
    at = [(START + timedelta(hours=hours)).isoformat() for hours in (-1, 0, 1, 2)]
    body = customers(0, 0, 0, 0) | {"at": at}
    found = await made(api.viewer.post("ai-catalog/feature-views/spending:preview", body))
    columns = {one["name"]: one["values"] for one in found["columns"]}
    assert columns["spending__status"] == ["NOT_FOUND", "PRESENT", "PRESENT", "OUTSIDE_MAX_AGE"]
    assert columns["spent"] == [None, 1.0, 1.0, None]


async def test_a_change_that_changes_nothing_is_no_error(api: Api, tables: Tables, service: str) -> None:
    for path_of in ("ai-catalog/feature-views/spending", f"ai-catalog/feature-services/{service}"):
        found = await made(api.editor.get(path_of))
        same = await made(api.editor("PATCH", path_of, json={"spec": {"title": found["spec"]["title"]}}))
        assert same["version"] == found["version"]


async def test_a_pinned_service_reads_its_version(api: Api, tables: Tables, service: str) -> None:
    first = serve(api, tables)
    pinned = {"spec": {"views": [{"view_id": "spending", "features": ["spent"], "version": first}]}}
    await made(api.editor("PATCH", f"ai-catalog/feature-services/{service}", json=pinned))
    assert (await api.viewer.post(path(service, "online-get"), customers(0))).status == 200
    tables.overwrite(TABLE, content(5.0))
    serve(api, tables)
    refused = await api.viewer.post(path(service, "online-get"), customers(0))
    assert (refused.status, "pinned" in refused.json["detail"]) == (409, True)
    then = await made(api.viewer.post(path(service, "historical"), customers(0) | {"at": ["2026-04-01T00:00:00Z"]}))
    assert [one["values"] for one in then["columns"] if one["name"] == "spent"] == [[1.0]]
    assert then["versions"] == {"spending": first}


@pytest.mark.effect("ai_catalog_push_feature_view")
async def test_pushed_rows_count_until_the_next_version(api: Api, tables: Tables, service: str) -> None:
    rows = [{"customer": 0, "seen_at": "2026-03-02T00:00:00Z", "spent": 9.5}]
    body = {"rows": rows, "source": "clicks"}
    push = "ai-catalog/feature-views/spending:push"
    assert (await api.editor.post(push, body)).status == 409, "nothing is served yet"
    serve(api, tables)
    assert (await made(api.editor.post(push, body))) == {"stored": 1, "superseded_by": ONLINE}
    assert (await api.viewer.post(push, body)).status == 403
    now = await made(api.viewer.post(path(service, "online-get"), customers(0, 1)))
    assert now["columns"][0]["values"] == [9.5, None]
    assert now["views"][0]["pushed_by"] == ["clicks", None]
    then = await made(api.viewer.post(path(service, "historical"), customers(0) | {"at": [now["at"]]}))
    assert [one["values"] for one in then["columns"] if one["name"] == "spent"] == [[1.0]]
    skew = await made(api.viewer.get(f"ai-catalog/feature-services/{service}/skew"))
    assert skew["views"][0]["features"][0]["different"] == 1
    serve(api, tables)
    now = await made(api.viewer.post(path(service, "online-get"), customers(0)))
    assert now["columns"][0]["values"] == [1.0]
    assert (await made(api.viewer.get(f"ai-catalog/feature-services/{service}/skew")))["views"][0]["compared"] == 3


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"customer": None}, "/rows/0"),
        ({"customer": 2**63}, "/rows/0/customer"),
        ({"seen_at": "2999-01-01T00:00:00Z"}, "/rows/0"),
        ({"seen_at": "2026-03-02T00:00:00"}, "/rows/0"),
        ({"spent": "much"}, "/rows/*/spent"),
        ({"visits": 1.5}, "/rows/*/visits"),
        ({"visits": True}, "/rows/*/visits"),
        ({"secret": 1}, "/rows/0/secret"),
    ],
)
async def test_a_row_that_does_not_fit_is_not_pushed(
    api: Api, tables: Tables, service: str, change: dict[str, Any], pointer: str
) -> None:
    serve(api, tables)
    row = {"customer": 0, "seen_at": "2026-03-02T00:00:00Z", "spent": 9.5} | change
    body = {"rows": [row], "source": "clicks"}
    refused = await api.editor.post("ai-catalog/feature-views/spending:push", body)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize("key", [1.0, "0", True, 2**63, [0], {"a": 1}])
async def test_keys_of_another_type_are_refused(api: Api, tables: Tables, service: str, key: Any) -> None:
    serve(api, tables)
    for verb, extra in (("online-get", {}), ("historical", {"at": ["2026-04-01T00:00:00Z"]})):
        refused = await api.viewer.post(path(service, verb), customers(key) | extra)
        assert refused.status == 422, verb
    lacking = await api.viewer.post(path(service, "online-get"), {"entities": [{"buyer": 1}]})
    assert lacking.json["errors"] == [{"pointer": "/entities/0", "detail": "lacks customer"}]


async def test_ten_thousand_entities(api: Api, tables: Tables, service: str) -> None:
    serve(api, tables)
    found = await made(api.viewer.post(path(service, "online-get"), customers(*range(10_000))))
    assert found["views"][0]["statuses"].count("PRESENT") == 3
    assert (await api.viewer.post(path(service, "online-get"), customers(*range(10_001)))).status == 422


async def test_who_cannot_read_the_table_gets_none_of_its_values(api: Api, tables: Tables, service: str) -> None:
    serve(api, tables)
    other = await tenant(api, "other")
    for verb, extra in (("online-get", {}), ("historical", {"at": ["2026-04-01T00:00:00Z"]})):
        assert (await other.admin.post(path(service, verb), customers(0) | extra)).status == 404
    # A view of their own over the table of others shows nothing either.
    place = {"project_id": other.project}
    await made(other.admin.post("ai-catalog/entities", {"name": "customer", "spec": ENTITY, **place}))
    view = await made(other.admin.post("ai-catalog/feature-views", {"name": "copy", "spec": SPEC, **place}))
    at = {"at": ["2026-04-01T00:00:00Z"]}
    own_view = f"ai-catalog/feature-views/{view['id']}"
    unknown = await other.admin.post(f"{own_view}:preview", customers(0) | at)
    assert unknown.status == 404
    assert "gold" not in unknown.response.text
    assert (await other.admin.get(f"{own_view}/statistics")).status == 404
    assert (await other.admin.get(f"{own_view}/drift?before=0")).status == 404
    assert (await other.admin.post(f"{own_view}:validate", {})).status == 404
    rows = {"rows": [{"customer": 0, "seen_at": "2026-03-02T00:00:00Z"}], "source": "x"}
    assert (await other.admin.post(f"{own_view}:push", rows)).status == 404
    assert (await other.admin.post(f"{own_view}:materialize", {})).status == 404
    spec = {"title": "T", "views": [{"view_id": "spending"}]}
    refused = await other.admin.post("ai-catalog/feature-services", {"name": "theirs", "spec": spec, **place})
    assert refused.status == 422


async def test_an_online_asset_that_serves_another_table_gives_nothing_away(
    api: Api, tables: Tables, service: str
) -> None:
    serve(api, tables)
    tables.overwrite("flights.bronze.flights", content(7.0))
    spec = {"spec": {"asset": "flights.bronze.flights"}}
    await made(api.editor("PATCH", "ai-catalog/feature-views/spending", json=spec))
    refused = await api.viewer.post(path(service, "online-get"), customers(0))
    assert (refused.status, "serves flights.silver.flights" in refused.json["detail"]) == (409, True)


@pytest.mark.effect("ai_catalog_validate_feature_view")
async def test_a_view_says_what_does_not_fit(api: Api, tables: Tables, service: str) -> None:
    validate = "ai-catalog/feature-views/spending:validate"
    found = await made(api.viewer.post(validate, {}))
    assert (found["valid"], found["features"]) == (True, {"spent": "double", "visits": "int64"})
    assert (found["duplicates"], found["online"]) == (0, None)
    version = serve(api, tables)
    assert (await made(api.viewer.post(validate, {})))["online"] == version
    await made(api.editor("PATCH", "ai-catalog/feature-views/spending", json={"spec": {"timestamp": "spent"}}))
    found = await made(api.viewer.post(validate, {}))
    assert not found["valid"]
    assert "timestamp with time zone" in found["faults"][0]["detail"]
    view = {"asset": "flights.bronze.flights", "timestamp": "seen_at"}
    texts = pa.table({"customer_id": ["a"], "seen_at": content(1.0)["seen_at"], "spent": [1.0]})
    tables.overwrite(view["asset"], texts)
    await made(api.editor("PATCH", "ai-catalog/feature-views/spending", json={"spec": view}))
    assert "the key customer of the entity is INTEGER" in str(await made(api.viewer.post(validate, {})))


@pytest.mark.parametrize(
    "change",
    [
        {"ttl_seconds": 0},
        {"ttl_seconds": -1},
        {"keys": {"buyer": "customer_id"}},
        {"keys": {"customer": "seen_at"}},
        {"features": [{"name": "customer_id"}]},
        {"features": [{"name": "spent"}, {"name": "spent"}]},
        {"asset": "../../etc"},
        {"online_asset": "flights.gold"},
        {"entity_id": "ent_06e1xq0000exampe0000000000"},
    ],
)
async def test_a_view_that_makes_no_sense_is_refused(api: Api, service: str, change: dict[str, Any]) -> None:
    reply = await api.editor("PATCH", "ai-catalog/feature-views/spending", json={"spec": change})
    assert reply.status == 422


async def test_what_is_in_use_stays(api: Api, service: str) -> None:
    assert (await api.editor("DELETE", "ai-catalog/entities/customer")).status == 409
    assert (await api.editor("DELETE", "ai-catalog/feature-views/spending")).status == 409
    assert (await api.editor("DELETE", f"ai-catalog/feature-services/{service}")).status == 204
    assert (await api.editor("DELETE", "ai-catalog/feature-views/spending")).status == 204


async def test_statistics_and_drift(api: Api, tables: Tables, service: str) -> None:
    view = "ai-catalog/feature-views/spending"
    spent, visits = (await made(api.viewer.get(f"{view}/statistics")))["features"]
    assert (spent["count"], spent["missing"], spent["mean"], spent["distinct"]) == (1, 2, 1.0, 1)
    assert visits["standard_deviation"] == 0.0
    tables.overwrite(TABLE, content(*(float(number) for number in range(100))))
    tables.overwrite(TABLE, content(*(float(number + 50) for number in range(100))))
    found = await made(api.viewer.get(f"{view}/drift?before=1&after=2"))
    assert [(one["feature"], one["statistic"]) for one in found["features"]] == [("spent", 0.5), ("visits", 0.0)]
    assert found["features"][0]["p_value"] < 1e-6
    assert found["features"][0]["wasserstein"] == 50.0
    assert found["features"][0]["psi"] > 0.25
    assert found["features"][1]["psi"] == found["features"][1]["jensen_shannon"] == 0.0
    assert (await api.viewer.get(f"{view}/drift?before=1&features=nope")).status == 400
    assert (await api.viewer.get(f"{view}/statistics?version=9")).status == 404


async def test_drift_between_two_windows(api: Api, tables: Tables, service: str) -> None:
    first, second = content(1.0, 2.0, 3.0), content(8.0, 9.0, hours=48)
    tables.overwrite(TABLE, pa.concat_tables([first, second]))
    bound = (START + timedelta(hours=24)).isoformat().replace("+00:00", "Z")
    drift = f"ai-catalog/feature-views/spending/drift?features=spent&before_until={bound}&after_since={bound}"
    found = await made(api.viewer.get(drift))
    assert found["before"] == found["after"] == tables.snapshot(TABLE).data_version
    (spent,) = found["features"]
    assert (spent["statistic"], spent["wasserstein"]) == (1.0, 6.5)


@pytest.mark.effect("ai_catalog_materialize_feature_view")
async def test_both_assets_are_materialized(api: Api, orchestrator: FakeOrchestrator, service: str) -> None:
    launched = await api.editor.post("ai-catalog/feature-views/spending:materialize", {})
    assert launched.status == 202
    assert set(launched.json["assets"]) == {TABLE, ONLINE}
    assert (await api.viewer.post("ai-catalog/feature-views/spending:materialize", {})).status == 403


async def test_models_downstream_are_consumers(api: Api, orchestrator: FakeOrchestrator, service: str) -> None:
    orchestrator.nodes["flights.gold.daily"] = node("flights.gold.daily", [TABLE])
    for model in ("flights.models.delay", "secrets.models.salary"):
        orchestrator.nodes[model] = node(model, ["flights.gold.daily"], kinds=("delta", "onnx"))
    consumers = f"ai-catalog/feature-services/{service}/consumers"
    found = await made(api.viewer.get(consumers))
    assert found["items"] == [
        {"asset": "flights.models.delay", "views": ["spending"]},
        {"asset": "secrets.models.salary", "views": ["spending"]},
    ]
    project = (await made(api.admin.get("admin/projects/flights")))["id"]
    await grant(api, await user(api, "reader"), "rol_viewer", project)
    (item,) = (await made(api.caller("reader").get(consumers)))["items"]
    assert item["asset"] == "flights.models.delay"


async def test_an_answer_reads_the_online_store_once(
    api: Api, tables: Tables, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(api, tables)
    await made(api.viewer.post(path(service, "online-get"), customers(0)))
    reads: list[Any] = []
    read = EmbeddedStore.read

    def counted(*asked: Any) -> Any:
        reads.append(asked)
        return read(*asked)

    monkeypatch.setattr(EmbeddedStore, "read", counted)
    found = await made(api.viewer.post(path(service, "online-get"), customers(0)))
    assert (len(reads), found["columns"][0]["values"]) == (1, [1.0])
    tables.overwrite(TABLE, content(5.0))
    version = serve(api, tables)
    found = await made(api.viewer.post(path(service, "online-get"), customers(0)))
    assert found["views"][0]["data_version"] == version, "what is served now, not what was"
    assert found["columns"][0]["values"] == [5.0]
