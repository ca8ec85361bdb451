"""Assets: list, get, filters, pages, and their answers while Dagster is away."""

from __future__ import annotations

from tests.api_process import Api
from tests.orchestration import FakeOrchestrator


class TestGetAsset:
    async def test_tells_version_health_and_staleness(self, api: Api) -> None:
        asset = (await api.viewer.get("ai-catalog/assets/flights.bronze.flights")).json
        assert asset["data_version"] == "abc@1"
        assert asset["table_version"] == 1
        assert asset["row_count"] == 3
        assert asset["health"] == "HEALTHY"
        assert asset["health_reasons"] == []
        assert asset["staleness"] == "FRESH"
        assert asset["downstream"] == ["flights.silver.flights"]
        assert asset["checks"][0]["status"] == "PASSED"
        assert asset["last_run"]["status"] == "SUCCEEDED"
        assert asset["stale_since"] is None

    async def test_a_warning_check_makes_it_warn_and_says_why(self, api: Api) -> None:
        asset = (await api.viewer.get("ai-catalog/assets/flights.silver.flights")).json
        assert asset["health"] == "WARNING"
        assert asset["health_reasons"] == ["check plausible warns"]
        assert asset["staleness"] == "STALE"
        assert asset["staleness_causes"][0]["dependency"] == "flights.bronze.flights"

    async def test_a_failed_run_degrades_it(self, api: Api) -> None:
        asset = (await api.viewer.get("ai-catalog/assets/flights.gold.route_delays")).json
        assert asset["health"] == "DEGRADED"
        assert asset["health_reasons"] == ["run run-9 failed"]

    async def test_one_that_was_never_made_is_unknown(self, api: Api) -> None:
        assert (await api.viewer.get("ai-catalog/assets/flights.gold.daily")).json["health"] == "UNKNOWN"

    async def test_an_unknown_one_is_named_with_what_exists_instead(self, api: Api) -> None:
        reply = await api.viewer.get("ai-catalog/assets/flights.bronze.flight")
        assert (reply.status, reply.reason) == (404, "UNKNOWN_ASSET")
        assert "'flights.bronze.flight'" in reply.json["detail"]
        assert "flights.bronze.flights" in reply.json["metadata"]["similar"]

    async def test_is_answered_again_only_if_it_changed(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        path = "ai-catalog/assets/flights.bronze.flights"
        first = await api.viewer.get(path)
        again = await api.viewer.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status, again.response.content) == (304, b"")
        orchestrator.states["flights.bronze.flights"] = orchestrator.states["flights.silver.flights"]
        assert (await api.viewer.get(path, headers={"if-none-match": first.headers["etag"]})).status == 200

    async def test_is_answered_while_dagster_is_away_and_says_since_when(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        orchestrator.away = True
        reply = await api.viewer.get("ai-catalog/assets/flights.bronze.flights")
        assert reply.status == 200
        assert reply.json["stale_since"] == "2026-01-02T03:04:05Z"

    async def test_asks_for_patience_before_dagster_was_ever_seen(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        orchestrator.known = False
        reply = await api.viewer.get("ai-catalog/assets/flights.bronze.flights")
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"


class TestListAssets:
    async def test_pages_hold_every_asset_once(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        seen: list[str] = []
        token = ""
        while True:
            page = (await api.viewer.get("ai-catalog/assets", params={"page_size": 2, "page_token": token})).json
            seen += [asset["id"] for asset in page["items"]]
            token = page["next_page_token"]
            if token is None:
                break
        assert seen == sorted(orchestrator.nodes)

    async def test_filters_by_declared_fields(self, api: Api) -> None:
        async def ids(filter: str) -> list[str]:
            reply = await api.viewer.get("ai-catalog/assets", params={"filter": filter})
            assert reply.status == 200, reply.json
            return [asset["id"] for asset in reply.json["items"]]

        assert await ids('"duckdb" in kinds') == ["flights.gold.route_delays"]
        assert await ids('health == "WARNING" && staleness == "STALE"') == ["flights.silver.flights"]
        assert await ids("partitioned == true") == ["flights.gold.daily"]

    async def test_an_unknown_field_is_refused_with_its_place(self, api: Api) -> None:
        reply = await api.viewer.get("ai-catalog/assets", params={"filter": 'health == "HEALTHY" && colour == "red"'})
        assert reply.status == 400
        assert "unknown field 'colour' at position 24" in reply.json["detail"]
        assert "kinds" in reply.json["detail"]

    async def test_a_page_token_of_another_order_is_refused(self, api: Api) -> None:
        first = (await api.viewer.get("ai-catalog/assets", params={"page_size": 1})).json["next_page_token"]
        params = {"page_size": 1, "page_token": first, "order_by": "group"}
        assert (await api.viewer.get("ai-catalog/assets", params=params)).status == 400
