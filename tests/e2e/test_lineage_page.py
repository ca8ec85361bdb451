"""The lineage page in a real browser: the graph around an asset, what a change affects, and a graph of 5,000 assets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console_pages import CONSOLE, add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site
from tests.large_graph import LAYERS, PROJECTS, large_graph

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("lineage")) as running:
        running.post("projects", {"name": "flights", "spec": {"title": "Flights"}})
        other = running.post("projects", {"name": "shop", "spec": {"title": "Shop"}})["id"]
        add_user(running, "default", "ada", "rol_admin", "platform")
        add_user(running, "default", "olga", "rol_viewer", other)
        yield running


@pytest.fixture
def large(platform_site: Site) -> Iterator[int]:
    """A graph of 5,000 more assets in 30 layers."""
    nodes = platform_site.orchestrator.nodes
    before = dict(nodes)
    nodes.update(large_graph())
    yield len(nodes)
    nodes.clear()
    nodes.update(before)


def cards(page: Page, text: str = ""):  # type: ignore[no-untyped-def]
    return page.locator(".react-flow__node", has_text=text)


def test_the_graph_shows_the_surroundings_of_an_asset_and_what_a_change_affects(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/lineage") as page:
        expect(cards(page)).to_have_count(5)
        assert_accessible(page)
        page.get_by_label("Find an asset").fill("route")
        expect(cards(page)).to_have_count(1)
        page.get_by_role("button", name="route_delays").press("Enter")
        page.wait_for_url("**focus=flights.gold.route_delays**")
        page.get_by_label("Find an asset").fill("")
        expect(page.get_by_text("Made from 2 assets. A change affects 0 assets.")).to_be_visible()
        expect(cards(page)).to_have_count(3)
        page.get_by_label("Steps up").fill("1")
        expect(cards(page)).to_have_count(2)
        page.get_by_title("Show 1 more inputs and 1 more outputs").click()
        expect(cards(page)).to_have_count(4)
        page.reload()
        expect(cards(page)).to_have_count(4)
        page.get_by_role("button", name="flights", exact=True).nth(1).click()
        page.get_by_role("button", name="Show effects").click()
        effects = page.get_by_role("region", name="What a change affects")
        expect(effects.get_by_role("link")).to_have_count(2)
        expect(page.get_by_text("Affected", exact=True)).to_have_count(2)
        assert_accessible(page)
        page.get_by_role("button", name="Show all").click()
        expect(cards(page)).to_have_count(5)


def test_filters_leave_what_matches(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/lineage") as page:
        page.get_by_role("combobox", name="State").click()
        page.get_by_role("option", name="degraded").click()
        expect(cards(page)).to_have_count(1)
        expect(cards(page, "route_delays")).to_be_visible()
        page.get_by_role("combobox", name="Kind").click()
        page.get_by_role("option", name="csv").click()
        expect(page.get_by_text("No asset matches.")).to_be_visible()


def test_the_graph_is_also_a_table_and_a_picture(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/lineage") as page:
        expect(cards(page)).to_have_count(5)
        for form, beginning in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
            page.get_by_role("button", name="Export").click()
            with page.expect_download() as file:
                page.get_by_role("menuitem", name=form).click()
            content = Path(file.value.path()).read_bytes()
            assert content.startswith(beginning)
            assert form == "PNG" or b"route_delays" in content
        page.get_by_role("button", name="Show as table").click()
        table = page.get_by_role("region", name="Assets")
        expect(table.get_by_role("link", name="flights.gold.route_delays")).to_have_attribute(
            "href", f"{CONSOLE}/ai-catalog/assets/flights.gold.route_delays"
        )
        row = table.get_by_role("row", name="flights.gold.route_delays Degraded")
        expect(row).to_contain_text("flights.silver.flights")
        assert_accessible(page)


def test_nothing_of_hidden_assets_is_in_the_graph(platform_site: Site) -> None:
    with logged_in(platform_site, "olga", "/lineage?focus=flights.gold.route_delays") as page:
        expect(page.get_by_text("There are no assets that you can see.")).to_be_visible()
        expect(page.get_by_text("There is no asset flights.gold.route_delays that you can see.")).to_be_visible()
        expect(cards(page)).to_have_count(0)


def test_thousands_of_assets_are_groups_until_people_open_them(platform_site: Site, large: int) -> None:
    with logged_in(platform_site, "ada") as page:
        with page.expect_worker() as worker:
            page.goto(f"{platform_site.url}{CONSOLE}/lineage")
        assert "elk-worker" in worker.value.url
        expect(cards(page)).to_have_count(len(LAYERS) * PROJECTS + 4)
        assert_accessible(page)
        page.get_by_role("button", name="p3.silver").press("Enter")
        page.wait_for_url("**open=p3.silver**")
        expect(page.get_by_role("button", name="Close p3.silver")).to_be_visible()
        expect(page.locator(".react-flow__node-asset").first).to_be_visible()
        page.reload()
        expect(page.get_by_role("button", name="Close p3.silver")).to_be_visible()
        page.goto(f"{platform_site.url}{CONSOLE}/lineage?group=none")
        expect(page.get_by_test_id("overview")).to_have_attribute("data-nodes", str(large))
        expect(cards(page)).to_have_count(0)
        page.locator(".react-flow").focus()
        for _ in range(12):
            page.keyboard.press("+")
        expect(cards(page).first).to_be_visible()
        assert cards(page).count() < 1000, "only what is on the screen is drawn"
        page.wait_for_url("**at=**")
        page.goto(f"{platform_site.url}{CONSOLE}/lineage?focus=p3.gold.t7")
        expect(cards(page)).to_have_count(1 + 2 + 3)


def test_fits_a_phone(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/lineage", viewport={"width": 390, "height": 800}) as page:
        expect(cards(page).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
