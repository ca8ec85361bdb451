"""Long operations in the console: the page is told their progress, and partitions are made, watched, and canceled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect

from core.runs import PartitionState, RunStatus
from tests.e2e.console_pages import add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GOLD, DAILY = "flights.gold.route_delays", "flights.gold.daily"
PAGE = f"/ai-catalog/assets/{DAILY}?tab=partitions"


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("operations")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        add_user(running, "default", "vic", "rol_viewer", "platform")
        other = running.post("organizations", {"name": "other", "spec": {"title": "Other"}})["id"]
        add_user(running, other, "olga", "rol_admin", other)
        yield running


def test_the_page_of_an_operation_is_told_its_progress_and_does_not_ask(platform_site: Site) -> None:
    orchestrator = platform_site.orchestrator
    operation = platform_site.post(f"../ai-catalog/assets/{GOLD}:materialize", {"upstream": True})["id"]
    (run,) = orchestrator.run_states
    reads: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith(f"/operations/{operation}"):
            reads.append(request.url)

    with logged_in(platform_site, "ada", f"/operations/operations/{operation}") as page:
        expect(page.get_by_text("0 of 3 steps")).to_be_visible()
        expect(page.locator("html:not([data-fetching])")).to_be_visible()
        page.on("request", note)
        for done in (1, 2):
            orchestrator.advance(run, done)
            expect(page.get_by_text(f"{done} of 3 steps")).to_be_visible()
        orchestrator.end(run, RunStatus.FAILED, error="no column carrier")
        expect(page.get_by_role("alert")).to_contain_text("no column carrier")
        assert len(reads) <= 6, "one read for each change, and none because time passes"
    with logged_in(platform_site, "olga", f"/operations/operations/{operation}") as page:
        expect(page.get_by_role("alert")).to_contain_text("There is nothing here that you can see")


def many(platform_site: Site) -> None:
    """3,000 partitions, of which each tenth failed and the last thousand are missing."""
    keys = [f"2018-{n:05}" for n in range(3_000)]
    made = {key: PartitionState.FAILED if n % 10 == 0 else PartitionState.MATERIALIZED for n, key in enumerate(keys)}
    missing = dict.fromkeys(keys[2_000:], PartitionState.MISSING)
    platform_site.orchestrator.partitions_of[DAILY] = made | missing


def states(page: Page) -> list[str]:
    return [one.strip() for one in page.get_by_role("group", name="State").get_by_role("button").all_inner_texts()]


def test_three_thousand_partitions_are_counted_filtered_and_scrolled(platform_site: Site) -> None:
    many(platform_site)
    with logged_in(platform_site, "ada", PAGE) as page:
        grid = page.get_by_role("region", name=f"Partitions of {DAILY}")
        expect(page.get_by_text("3,000 of 3,000 partitions")).to_be_visible()
        assert states(page) == ["Made: 1,800", "Running: 0", "Failed: 200", "Missing: 1,000"]
        assert grid.locator("tr").count() < 100, "only the rows on the screen are drawn"
        grid.evaluate("box => box.scrollTo(0, box.scrollHeight)")
        expect(grid.get_by_role("cell", name="2018-02999")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("button", name="Failed: 200").click()
        expect(page.get_by_text("200 of 3,000 partitions")).to_be_visible()
        page.get_by_label("Key contains").fill("001")
        expect(page.get_by_text("11 of 3,000 partitions")).to_be_visible()
        page.reload()
        expect(page.get_by_text("11 of 3,000 partitions")).to_be_visible()
        expect(grid.get_by_role("row", name="2018-01100 Failed")).to_have_count(0)
        expect(grid.get_by_role("row", name="2018-00100 Failed")).to_be_visible()
        page.get_by_label("Key contains").fill("nothing")
        expect(page.get_by_text("No partition matches the filters.")).to_be_visible()
        page.get_by_role("button", name="Clear filters").click()
        expect(page.get_by_text("3,000 of 3,000 partitions")).to_be_visible()


def test_a_range_of_partitions_is_made_watched_and_canceled(platform_site: Site) -> None:
    many(platform_site)
    orchestrator = platform_site.orchestrator
    with logged_in(platform_site, "ada", PAGE) as page:
        for end, key in (("From", "2018-02990"), ("To", "2018-02993")):
            page.get_by_role("combobox", name=end, exact=True).fill(key)
            page.get_by_role("option", name=key).click()
        expect(page.get_by_text("4 of 3,000 partitions")).to_be_visible()
        page.get_by_role("button", name="Materialize these 4").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_label("The 4 that are shown")).to_be_checked()
        expect(dialog.get_by_text("Those that failed: 200")).to_be_visible()
        assert_accessible(page)
        dialog.get_by_role("button", name="Materialize").click()
        progress = page.get_by_role("region", name="Progress")
        expect(progress.get_by_text("0 of 4 partitions")).to_be_visible()
        wanted = ("2018-02990", "2018-02991", "2018-02992", "2018-02993")
        assert orchestrator.launches[-1].partitions == wanted
        (backfill,) = orchestrator.backfills
        orchestrator.backfills[backfill] = dataclasses.replace(orchestrator.backfills[backfill], done=3)
        orchestrator.partitions_of[DAILY] |= dict.fromkeys(wanted[:3], PartitionState.MATERIALIZED)
        expect(progress.get_by_text("3 of 4 partitions")).to_be_visible()
        progress.get_by_role("button", name="Cancel").click()
        expect(progress.get_by_role("status")).to_have_text("Canceled")
        assert orchestrator.terminated[-1] == backfill
        grid = page.get_by_role("region", name=f"Partitions of {DAILY}")
        expect(grid.get_by_role("row", name="2018-02992 Made")).to_be_visible()
        expect(grid.get_by_role("row", name="2018-02993 Missing")).to_be_visible()
    with logged_in(platform_site, "vic", PAGE) as page:
        button = page.get_by_role("button", name="Materialize these 3,000")
        expect(button).to_be_disabled()
        expect(button).to_have_attribute("title", "You need the permission ai_catalog.asset.materialize.")
    with logged_in(platform_site, "olga", PAGE) as page:
        expect(page.get_by_role("alert")).to_contain_text("There is nothing here that you can see")
        assert "2018-0" not in page.content()


def test_the_partitions_fit_a_phone(platform_site: Site) -> None:
    many(platform_site)
    with logged_in(platform_site, "ada", PAGE, viewport={"width": 390, "height": 800}) as page:
        expect(page.get_by_text("3,000 of 3,000 partitions")).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390
