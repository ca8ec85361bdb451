"""The catalog of assets and the pages of assets in a real browser, over real tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from core.ports import CheckStatus
from core.reports import CheckEvaluation, ReportedValue, ValueForm, VersionReport
from core.runs import LogLine, RunStatus
from tests.e2e.console_pages import CONSOLE, add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site
from tests.orchestration import AT, FakeOrchestrator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BRONZE, SILVER, GOLD = "flights.bronze.flights", "flights.silver.flights", "flights.gold.route_delays"
PLOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
    "Jggg=="
)


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("assets")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        add_user(running, "default", "vic", "rol_viewer", "platform")
        other = running.post("organizations", {"name": "other", "spec": {"title": "Other"}})["id"]
        add_user(running, other, "olga", "rol_admin", other)
        report(running.orchestrator)
        yield running


def report(orchestrator: FakeOrchestrator) -> None:
    """What the runs and checks of the silver table reported."""
    values = (
        ReportedValue("accuracy", ValueForm.NUMBER, 0.93),
        ReportedValue("roc_plot", ValueForm.MARKDOWN, f"![receiver operating characteristic]({PLOT})"),
        ReportedValue("drift", ValueForm.TABLE, [{"feature": "delay", "psi": 0.1}]),
    )
    orchestrator.reports[SILVER] = VersionReport("def@4", AT, "run-d", values)
    sample = ReportedValue("sample", ValueForm.TABLE, [{"id": 2, "carrier": "odd-carrier"}])
    orchestrator.evaluated[SILVER, "plausible"] = [
        CheckEvaluation(CheckStatus.WARNED, AT, "run-d", "def@4", "3 odd rows", (sample,)),
        CheckEvaluation(CheckStatus.PASSED, AT, "run-b", "def@3", "fine", ()),
    ]


def page_of(asset: str, **search: str) -> str:
    parameters = "&".join(f"{name}={value}" for name, value in search.items())
    return f"/ai-catalog/assets/{asset}" + (f"?{parameters}" if parameters else "")


def test_the_catalog_is_searched_with_words_facets_and_the_keyboard(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/assets") as page:
        rows = page.get_by_role("list", name="Assets").get_by_role("listitem")
        expect(rows).to_have_count(5)
        row = rows.filter(has_text="route_delays")
        expect(row).to_contain_text("Failed")
        expect(rows.filter(has_text="silver")).to_contain_text("Checks: 1 warn, 1 passed")
        page.get_by_role("group", name="Layer").get_by_label("gold").check()
        expect(rows).to_have_count(2)
        page.wait_for_url("**layer=**gold**")
        page.get_by_role("group", name="State").get_by_label("Failed").check()
        expect(rows).to_have_count(1)
        assert_accessible(page)
        page.reload()
        expect(rows).to_have_count(1)
        page.get_by_role("button", name="Clear the search").click()
        expect(rows).to_have_count(5)
        page.get_by_label("Search assets").fill("dleays")
        expect(page.get_by_text("these have similar ones")).to_be_visible()
        expect(rows).to_have_count(1)
        page.get_by_label("Search assets").fill("nothing like it")
        expect(page.get_by_text("No asset matches.")).to_be_visible()
        page.get_by_label("Search assets").fill("")
        expect(rows).to_have_count(5)
        page.get_by_role("heading", name="Assets").click()
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{page_of(BRONZE)}")


def test_an_asset_tells_its_state_what_its_run_reported_and_its_neighbors(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", page_of(SILVER)) as page:
        expect(page.get_by_role("status").filter(has_text="Warning")).to_contain_text(
            "check plausible warns; version 4"
        )
        expect(page.get_by_role("img", name="receiver operating characteristic")).to_be_visible()
        expect(page.get_by_text("0.93")).to_be_visible()
        expect(page.get_by_role("region", name="Drift").get_by_text("delay")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("region", name="Made from").get_by_role("link", name=BRONZE).click()
        expect(page.get_by_role("status").filter(has_text="Fresh")).to_contain_text("version 1, written")
        page.goto(page.url.replace(BRONZE, GOLD))
        expect(page.get_by_role("status").filter(has_text="Failed")).to_contain_text("run run-9 failed")
        expect(page.get_by_role("link", name="See the log of the run")).to_be_visible()


def test_a_column_leads_to_where_its_values_come_from(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", page_of(SILVER, tab="schema")) as page:
        page.get_by_role("button", name="carrier", exact=True).click()
        page.wait_for_url("**column=carrier**")
        expect(page.get_by_role("region", name="Where carrier comes from")).to_be_visible()
        expect(page.get_by_role("region", name="Where carrier goes")).to_be_visible()
        assert_accessible(page)


def test_rows_of_any_version_and_what_changed_between_two(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", page_of(SILVER, tab="data")) as page:
        grid = page.get_by_role("region", name=f"Rows of {SILVER}")
        expect(grid.get_by_role("cell", name="X", exact=True)).to_be_visible()
        expect(page.get_by_text("3 rows and 2 columns at version 1")).to_be_visible()
        page.get_by_role("combobox", name="Version").click()
        page.get_by_role("option", name="0 ·").click()
        page.wait_for_url(re.compile("version="))
        expect(grid.get_by_role("cell", name="C", exact=True)).to_be_visible()
        assert_accessible(page)

        page.get_by_role("tab", name="Versions").click()
        page.get_by_role("button", name="Compare version 0 with 1").click()
        page.get_by_role("combobox", name="Columns that identify a row").click()
        page.get_by_role("option", name="id", exact=True).click()
        changed = page.get_by_role("region", name="Changed rows").first
        expect(changed).to_contain_text('"B" → "X"')
        expect(page.get_by_text("1 added")).to_be_visible()
        page.keyboard.press("Escape")
        assert_accessible(page)


def test_a_check_shows_the_rows_that_fail_and_its_history(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", page_of(SILVER, tab="checks")) as page:
        expect(page.get_by_role("region", name="Rows that fail").first).to_contain_text("odd-carrier")
        history = page.get_by_role("region", name="Earlier evaluations")
        expect(history.get_by_role("row")).to_have_count(2)
        expect(history).to_contain_text("Version 3")
        assert_accessible(page)


def test_where_a_version_comes_from_and_who_may_read_it(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", page_of(SILVER, tab="provenance")) as page:
        expect(page.get_by_text("was produced by step make of run run-d")).to_be_visible()
        expect(page.locator(".react-flow__node")).to_have_count(3)
        page.get_by_role("button", name="Sign an attestation").click()
        signed = page.get_by_role("region", name="Attestations")
        with page.expect_download() as download:
            signed.get_by_role("link", name="Download").click()
        assert "payload" in download.value.path().read_text()
        assert_accessible(page)
        page.get_by_role("tab", name="Access").click()
        expect(page.get_by_text("You can read the rows of this asset, and you can materialize it.")).to_be_visible()
        expect(page.get_by_role("region", name="Who may read it").get_by_role("link", name="vic")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("tab", name="Code").click()
        expect(page.get_by_text("Python code or YAML in the code location")).to_be_visible()
        assert_accessible(page)


def test_a_materialization_shows_what_will_run_then_each_step_and_why_it_failed(platform_site: Site) -> None:
    orchestrator = platform_site.orchestrator
    with logged_in(platform_site, "ada", page_of(GOLD)) as page:
        page.get_by_role("button", name="Materialize").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("One asset will run")).to_be_visible()
        dialog.get_by_text("With everything upstream").click()
        expect(dialog.get_by_text("3 assets will run")).to_be_visible()
        assert_accessible(page)
        dialog.get_by_role("button", name="Materialize").click()
        progress = page.get_by_role("region", name="Progress")
        expect(progress.get_by_role("status")).to_have_text("Running")
        assert sorted(orchestrator.launches[-1].assets) == [BRONZE, GOLD, SILVER]
        (run,) = orchestrator.run_states
        step(orchestrator, run, "STEP_START", "flights__bronze__flights", "Started")
        step(orchestrator, run, "STEP_SUCCESS", "flights__bronze__flights", "Finished")
        step(orchestrator, run, "STEP_START", "flights__silver__flights", "Started")
        steps = progress.get_by_role("table", name="Steps").get_by_role("row")
        expect(steps.filter(has_text="flights.bronze.flights")).to_contain_text("Succeeded")
        expect(steps.filter(has_text="flights.silver.flights")).to_contain_text("Running")
        page.reload()
        step(orchestrator, run, "STEP_FAILURE", "flights__silver__flights", "no column carrier", level="ERROR")
        orchestrator.end(run, RunStatus.FAILED, error="flights__silver__flights: no column carrier")
        expect(progress.get_by_role("alert")).to_have_text("It failed: flights__silver__flights: no column carrier")
        expect(progress.get_by_label("Errors in the log")).to_contain_text("no column carrier")
        assert_accessible(page)

        page.get_by_role("tab", name="Runs").click()
        expect(page.get_by_role("table", name="Runs")).to_contain_text("no column carrier")


def step(orchestrator: FakeOrchestrator, run: str, type: str, name: str, message: str, level: str = "INFO") -> None:
    lines = orchestrator.lines[run]
    lines.append(LogLine(str(len(lines) + 1), AT, level, type, name, message))


def test_partitions_are_picked_and_a_run_is_canceled(platform_site: Site) -> None:
    orchestrator = platform_site.orchestrator
    with logged_in(platform_site, "ada", page_of("flights.gold.daily")) as page:
        page.get_by_role("button", name="Materialize").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("The last one: c").check()
        expect(dialog.get_by_text("One partition is selected.")).to_be_visible()
        dialog.get_by_role("button", name="Materialize").click()
        progress = page.get_by_role("region", name="Progress")
        expect(progress.get_by_role("status")).to_have_text("Running")
        assert orchestrator.launches[-1].partitions == ("c",)
        progress.get_by_role("button", name="Cancel").click()
        expect(progress.get_by_role("status")).to_have_text("Canceled")


def test_what_is_not_there_or_not_permitted_says_so_with_a_way_out(platform_site: Site) -> None:
    with logged_in(platform_site, "vic", page_of("flights.gold.route_delay")) as page:
        expect(page.get_by_role("alert")).to_contain_text("There is nothing here that you can see")
        assert_accessible(page)
        page.get_by_role("link", name=GOLD).click()
        button = page.get_by_role("button", name="Materialize")
        expect(button).to_be_disabled()
        expect(button).to_have_attribute("title", "You need the permission ai_catalog.asset.materialize.")
        page.goto(f"{page.url.partition('?')[0]}?tab=data")
        expect(page.get_by_text("This asset has no version yet.")).to_be_visible()
        page.goto(page.url.replace("tab=data", "operation=op_06e1xq0000example000000000"))
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_role("button", name="Close").click()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_another_organization_sees_nothing(platform_site: Site) -> None:
    with logged_in(platform_site, "olga", "/assets") as page:
        expect(page.get_by_text("There are no assets that you can see.")).to_be_visible()
        expect(page.get_by_role("region", name="Filters").get_by_role("group")).to_have_count(0)
        for tab in ("overview", "data", "checks", "provenance", "runs"):
            page.goto(f"{platform_site.url}{CONSOLE}{page_of(SILVER, tab=tab)}")
            expect(page.get_by_role("alert")).to_contain_text("There is nothing here that you can see")
            assert "odd-carrier" not in page.content()


def test_pages_fit_a_phone(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/assets", viewport={"width": 390, "height": 800}) as page:
        expect(page.get_by_role("list", name="Assets").get_by_role("listitem")).to_have_count(5)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        base = page.url.removesuffix("/assets")
        for tab in ("overview", "schema", "data", "versions", "checks", "runs", "code", "provenance", "access"):
            page.goto(f"{base}{page_of(SILVER, tab=tab)}")
            expect(page.get_by_role("tab", selected=True)).to_be_visible()
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            assert page.evaluate("document.documentElement.scrollWidth") == 390, tab
