"""What runs and checks report of an asset, for those who can read its rows."""

from __future__ import annotations

import pytest

from core.reports import CheckEvaluation, CheckStatus, ReportedValue, ValueForm, VersionReport
from tests.api.admin.tenants import grant, user
from tests.api_process import Api
from tests.orchestration import AT, FakeOrchestrator

SILVER = "flights.silver.flights"
PLOT = ReportedValue("roc_plot", ValueForm.MARKDOWN, "![roc](data:image/png;base64,AAAA)")
ROWS = ReportedValue("dagster/row_count", ValueForm.NUMBER, 3)
SAMPLE = ReportedValue("sample", ValueForm.TABLE, [{"carrier": "AA", "delay": None}])


@pytest.fixture(autouse=True)
def reported(orchestrator: FakeOrchestrator) -> None:
    orchestrator.reports[SILVER] = VersionReport("def@4", AT, "run-0", (ROWS, PLOT))
    orchestrator.evaluated[SILVER, "plausible"] = [
        CheckEvaluation(CheckStatus.WARNED, AT, "run-2", "def@4", "1 of 3 rows", (SAMPLE,)),
        CheckEvaluation(CheckStatus.PASSED, AT, "run-1", "def@3", "fine", ()),
    ]


@pytest.mark.effect("ai_catalog_get_asset_report")
async def test_the_report_of_a_version_has_its_plots(api: Api) -> None:
    report = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/report")).json
    assert (report["data_version"], report["run_id"], report["withheld"]) == ("def@4", "run-0", 0)
    assert [value["form"] for value in report["values"]] == ["NUMBER", "MARKDOWN"]
    assert report["values"][1]["value"] == PLOT.value
    empty = (await api.viewer.get("ai-catalog/assets/flights.gold.daily/report")).json
    assert (empty["data_version"], empty["values"]) == (None, [])


@pytest.mark.effect("ai_catalog_get_asset_evaluations")
async def test_evaluations_have_the_rows_that_fail(api: Api) -> None:
    path = f"ai-catalog/assets/{SILVER}/evaluations"
    found = (await api.viewer.get(path, params={"check": "plausible"})).json["items"]
    assert [(one["status"], one["data_version"]) for one in found] == [("WARNED", "def@4"), ("PASSED", "def@3")]
    assert found[0]["values"] == [{"name": "sample", "form": "TABLE", "value": SAMPLE.value}]
    assert len((await api.viewer.get(path, params={"check": "plausible", "limit": 1})).json["items"]) == 1
    unknown = await api.viewer.get(path, params={"check": "plausibel"})
    assert unknown.status == 404
    assert "plausible" in unknown.json["metadata"]["similar"]


async def test_who_can_not_read_the_rows_gets_no_value_of_them(api: Api) -> None:
    id = await user(api, "ada")
    for action in ("get", "report", "evaluations"):
        await grant(api, id, f"ai_catalog.asset.{action}", SILVER, securable_kind="ai_catalog.asset")
    ada = api.caller("ada")
    report = (await ada.get(f"ai-catalog/assets/{SILVER}/report")).json
    assert ([value["name"] for value in report["values"]], report["withheld"]) == (["dagster/row_count"], 1)
    reply = await ada.get(f"ai-catalog/assets/{SILVER}/evaluations", params={"check": "plausible"})
    assert [(one["message"], one["values"], one["withheld"]) for one in reply.json["items"]] == [
        (None, [], 1),
        (None, [], 0),
    ]
    assert "AA" not in reply.response.text
    hidden = await ada.get("ai-catalog/assets/flights.bronze.flights/report")
    assert hidden.status == 404
