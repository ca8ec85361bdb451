"""Schema, preview, history, diff, lineage and provenance of real tables."""

from __future__ import annotations

import base64

import pyarrow as pa
import pytest

from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, user
from tests.api.ai_catalog.provenance_tables import released
from tests.api_process import Api
from tests.lakehouse_tables import BRONZE, SILVER, make_tables

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_tables(api.app.platform.settings, api.database)


@pytest.fixture
def version(tables: Tables) -> str:
    return tables.snapshot(BRONZE).data_version


@pytest.mark.effect("ai_catalog_get_asset_schema")
class TestSchema:
    async def test_names_columns_types_and_the_exact_version(self, api: Api, version: str) -> None:
        schema = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/schema")).json
        assert (schema["data_version"], schema["table_version"], schema["row_count"]) == (version, 1, 25)
        assert {column["name"]: column["type"] for column in schema["columns"]}["price"] == "decimal128(10, 2)"

    async def test_of_an_earlier_version_in_both_spellings(self, api: Api, version: str) -> None:
        earlier = version.replace("@1", "@0")
        for spelling in ("0", earlier):
            reply = await api.viewer.get(f"ai-catalog/assets/{BRONZE}/schema", params={"version": spelling})
            assert (reply.json["data_version"], reply.json["row_count"]) == (earlier, 10)

    @pytest.mark.parametrize(
        ("wrong", "status", "says"),
        [("99", 404, "99"), ("nonsense", 400, "number"), ("-1", 400, "number"), ("other-table@1", 404, "table id is")],
    )
    async def test_a_wrong_version_is_named_with_what_exists(
        self, api: Api, version: str, wrong: str, status: int, says: str
    ) -> None:
        reply = await api.viewer.get(f"ai-catalog/assets/{BRONZE}/schema", params={"version": wrong})
        assert reply.status == status
        assert says in reply.json["detail"]

    async def test_of_an_asset_that_was_never_made_is_unknown(self, api: Api, version: str) -> None:
        reply = await api.viewer.get("ai-catalog/assets/flights.gold.daily/schema")
        assert (reply.status, reply.reason) == (404, "UNKNOWN_TABLE")


@pytest.mark.effect("ai_catalog_get_asset_preview")
class TestPreview:
    async def test_shows_rows_as_json_that_every_parser_reads(self, api: Api, version: str) -> None:
        preview = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/preview")).json
        assert preview["row_count"] == 25
        rows = {row["id"]: row for row in preview["rows"]}
        assert rows[1]["delay"] is None, "NaN is no JSON"
        assert rows[2] == {
            "id": 2,
            "carrier": "C2",
            "delay": 1.0,
            "price": "0.02",
            "at": "2013-01-01T05:02:00Z",
            "raw": base64.urlsafe_b64encode(bytes([2, 255])).decode(),
            "raw_encoding": "base64url",
        }

    async def test_pages_are_all_of_the_version_of_the_first(self, api: Api, tables: Tables) -> None:
        ids: list[int] = []
        token = ""
        while token is not None:
            params = {"page_size": 10, "page_token": token}
            page = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/preview", params=params)).json
            ids += [row["id"] for row in page["rows"]]
            token = page["next_page_token"]
            tables.delete(BRONZE, "id < 5")
        assert sorted(ids) == list(range(25)), "a concurrent change neither hides nor doubles rows"

    async def test_as_arrow_keeps_types_and_values(self, api: Api, tables: Tables, version: str) -> None:
        headers = {"accept": ARROW}
        reply = await api.viewer.get(f"ai-catalog/assets/{BRONZE}/preview", headers=headers, params={"page_size": 20})
        assert reply.headers["content-type"] == ARROW
        assert reply.headers["x-data-version"] == version
        assert reply.headers["x-next-page-token"] == f"{version}+20"
        found = pa.ipc.open_stream(reply.response.content).read_all()
        whole = tables.snapshot(BRONZE).to_arrow()
        assert found.schema.equals(whole.schema)
        # NaN equals nothing, itself included: the other columns can be compared as they are.
        assert found.drop("delay").equals(whole.slice(0, 20).drop("delay"))
        assert found.schema.field("price").type == pa.decimal128(10, 2)

    async def test_takes_the_form_that_is_accepted_most(self, api: Api, version: str) -> None:
        for accept, media_type in (
            ("application/json", "application/json"),
            ("*/*", "application/json"),
            (f"{ARROW};q=0.5, application/json", "application/json"),
            (f"{ARROW}, application/json;q=0.5", ARROW),
            (f"application/json;q=0.5, {PARQUET}", PARQUET),
            (f"{PARQUET};q=0.5, {ARROW}", ARROW),
        ):
            reply = await api.viewer.get(f"ai-catalog/assets/{BRONZE}/preview", headers={"accept": accept})
            assert reply.headers["content-type"] == media_type, accept
        assert (
            await api.viewer.get(f"ai-catalog/assets/{BRONZE}/preview", headers={"accept": "text/csv"})
        ).status == 406

    async def test_some_columns_from_an_offset(self, api: Api, version: str) -> None:
        params = {"columns": ["carrier", "id"], "offset": 24}
        preview = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/preview", params=params)).json
        assert [list(row) for row in preview["rows"]] == [["carrier", "id"]]
        assert preview["next_page_token"] is None

    async def test_an_unknown_column_is_named_with_those_that_exist(self, api: Api, version: str) -> None:
        reply = await api.viewer.get(f"ai-catalog/assets/{BRONZE}/preview", params={"columns": ["carier"]})
        assert (reply.status, reply.reason) == (400, "UNKNOWN_COLUMN")
        assert "carier" in reply.json["detail"]
        assert "carrier" in reply.json["detail"]

    @pytest.mark.parametrize("token", ["x", "x@1+", "x@1+-3", "x@1+99999999999999999999", "@+"])
    async def test_a_token_that_is_not_ours_is_refused(self, api: Api, version: str, token: str) -> None:
        reply = await api.viewer.get(f"ai-catalog/assets/{BRONZE}/preview", params={"page_token": token})
        assert reply.status in (400, 404)


@pytest.mark.effect("ai_catalog_get_asset_history")
class TestHistory:
    async def test_lists_versions_newest_first_page_by_page(self, api: Api, version: str) -> None:
        first = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/history", params={"page_size": 1})).json
        assert [(item["table_version"], item["row_count"]) for item in first["items"]] == [(1, 25)]
        params = {"page_size": 1, "page_token": first["next_page_token"]}
        rest = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/history", params=params)).json
        assert [(item["table_version"], item["row_count"]) for item in rest["items"]] == [(0, 10)]
        assert rest["next_page_token"] is None


@pytest.mark.effect("ai_catalog_get_asset_diff")
class TestDiff:
    async def test_by_key_tells_changed_rows_from_added_and_removed(self, api: Api, version: str) -> None:
        diff = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/diff", params={"from": 0, "to": 1, "key": "id"})).json
        assert (diff["added_count"], diff["removed_count"], diff["changed_count"]) == (1, 1, 1)
        assert diff["added"] == [{"id": 4, "carrier": "D"}]
        assert diff["changed"] == [{"before": {"id": 2, "carrier": "B"}, "after": {"id": 2, "carrier": "X"}}]

    async def test_compares_the_newest_with_the_one_before_if_not_told(self, api: Api, version: str) -> None:
        diff = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/diff")).json
        assert (diff["from_version"], diff["to_version"], diff["changed_count"]) == (0, 1, None)

    async def test_a_first_version_has_nothing_before_it(self, api: Api, version: str) -> None:
        assert (await api.viewer.get(f"ai-catalog/assets/{SILVER}/diff", params={"to": 0})).status == 400


@pytest.mark.effect("ai_catalog_get_asset_lineage")
class TestLineage:
    async def test_upstream_names_the_exact_version_that_was_read(self, api: Api, version: str) -> None:
        graph = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/lineage")).json
        assert graph["recorded"]
        nearest = [edge for edge in graph["edges"] if edge["out_asset"] == SILVER]
        assert [(edge["in_asset"], edge["in_version"], edge["run"]) for edge in nearest] == [(BRONZE, version, "run-d")]
        # An append continues the version before: the first version is part of the story.
        assert [node["asset"] for node in graph["nodes"]] == [SILVER, BRONZE, BRONZE]

    async def test_at_an_earlier_version_leads_to_the_earlier_input(self, api: Api, version: str) -> None:
        graph = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/lineage", params={"version": 0})).json
        assert graph["version"].endswith("@0")
        assert [edge["in_version"] for edge in graph["edges"]] == [version.replace("@1", "@0")]

    async def test_downstream_leads_to_what_was_made_from_it(self, api: Api, version: str) -> None:
        params = {"direction": "downstream", "version": version}
        graph = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/lineage", params=params)).json
        assert [edge["out_asset"] for edge in graph["edges"] if not edge["implied"]] == [SILVER]

    async def test_before_anything_is_on_record_shows_what_the_code_declares(self, api: Api) -> None:
        graph = (await api.viewer.get("ai-catalog/assets/flights.gold.route_delays/lineage")).json
        assert not graph["recorded"]
        assert [node["asset"] for node in graph["nodes"]] == [
            "flights.gold.route_delays",
            "flights.silver.flights",
            "flights.bronze.flights",
        ]
        assert not graph["truncated"]

    async def test_limits_say_that_they_cut_something_off(self, api: Api) -> None:
        path = "ai-catalog/assets/flights.gold.route_delays/lineage"
        for limit in ({"depth": 1}, {"max_nodes": 2}):
            graph = (await api.viewer.get(path, params=limit)).json
            assert graph["truncated"], limit
            assert len(graph["nodes"]) == 2
        assert (await api.viewer.get(path, params={"depth": 0})).status == 400


@pytest.mark.effect("ai_catalog_get_asset_provenance")
class TestProvenance:
    async def test_names_data_code_run_and_principal(self, api: Api, version: str) -> None:
        provenance = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/provenance")).json
        (materialization,) = provenance["materializations"]
        assert (
            materialization["run"],
            materialization["code_version"],
            materialization["engine"],
            materialization["principal"],
        ) == (
            *("run-d", "1"),
            *("test 1", "editor"),
        )
        assert materialization["inputs"] == [{"asset": BRONZE, "version": version, "columns": ["carrier", "id"]}]

    async def test_of_a_version_that_is_not_on_record_is_a_404(self, api: Api, version: str) -> None:
        reply = await api.viewer.get(f"ai-catalog/assets/{SILVER}/provenance", params={"version": "other@7"})
        assert (reply.status, reply.reason) == (404, "UNKNOWN_VERSION")
        never = await api.viewer.get("ai-catalog/assets/flights.gold.daily/provenance")
        assert (never.status, never.reason) == (404, "UNKNOWN_VERSION")


@pytest.mark.effect(
    "ai_catalog_get_asset_schema",
    "ai_catalog_get_asset_preview",
    "ai_catalog_get_asset_history",
    "ai_catalog_get_asset_diff",
    "ai_catalog_get_asset_lineage",
    "ai_catalog_get_asset_provenance",
)
class TestWhoSees:
    @pytest.mark.parametrize("part", ["schema", "preview", "history", "diff", "lineage", "provenance"])
    async def test_who_may_not_see_the_asset_gets_no_part_of_it(self, api: Api, version: str, part: str) -> None:
        ada = await user(api, "ada")
        caller = api.caller("ada")
        assert (await caller.get(f"ai-catalog/assets/{SILVER}/{part}")).status in (403, 404)
        await grant(api, ada, "ai_catalog.asset.*", SILVER, securable_kind="ai_catalog.asset")
        await released(api, BRONZE, SILVER)
        found = await caller.get(f"ai-catalog/assets/{SILVER}/{part}")
        assert found.status == 200, found.response.text
        assert (await caller.get(f"ai-catalog/assets/{BRONZE}/{part}")).status == 404
        assert BRONZE not in found.response.text, "what it was made from is not told either"

    @pytest.mark.parametrize(
        ("part", "wrong"),
        [
            ("history", {"page_token": "not-ours"}),
            ("diff", {"from": "99"}),
            ("diff", {"key": "nothing"}),
            ("lineage", {"version": "99"}),
            ("lineage", {"direction": "sideways"}),
        ],
    )
    async def test_what_is_asked_wrongly_is_refused(
        self, api: Api, version: str, part: str, wrong: dict[str, str]
    ) -> None:
        reply = await api.viewer.get(f"ai-catalog/assets/{SILVER}/{part}", params=wrong)
        assert reply.status in (400, 404), reply.response.text
        assert reply.json["detail"]
