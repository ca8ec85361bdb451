"""The home page of the console in a real browser: what a user sees of their assets, and the way to everything else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.console_pages import add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("home")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        other = running.post("organizations", {"name": "other", "spec": {"title": "Other"}})["id"]
        add_user(running, other, "olga", "rol_admin", other)
        yield running


def test_the_home_page_is_accessible_and_fits_a_phone(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/", viewport={"width": 390, "height": 800}) as page:
        expect(page.get_by_role("heading", name="Hello, ada")).to_be_visible()
        for name in ("Needs attention", "Waits for you", "Yours", "Changed last", "Favorites", "Visited last"):
            expect(page.get_by_role("region", name=name)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert_accessible(page)


def test_a_user_of_another_organization_sees_no_asset_of_the_first(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/") as page:
        attention = page.get_by_role("region", name="Needs attention")
        expect(attention).to_contain_text("run run-9 failed")
        expect(attention.get_by_role("link", name="flights.gold.route_delays")).to_be_visible()
    with logged_in(platform_site, "olga", "/") as page:
        expect(page.get_by_role("region", name="First steps")).to_contain_text("There are no assets that you can see.")
        assert "flights" not in page.get_by_role("main").inner_text()


def test_favorites_and_visited_pages_lead_back(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/admin/groups") as page:
        expect(page.get_by_role("heading", name="Groups")).to_be_visible()
        page.get_by_role("button", name="Add to favorites").click()
        expect(page.get_by_role("button", name="Remove from favorites")).to_be_visible()
        page.get_by_role("link", name="Headwater").click()
        expect(page.get_by_role("region", name="Visited last").get_by_role("link", name="Groups")).to_be_visible()
        page.get_by_role("region", name="Favorites").get_by_role("link", name="Groups").click()
        page.wait_for_url("**/admin/groups")
        page.get_by_role("button", name="Remove from favorites").click()
        expect(page.get_by_role("button", name="Add to favorites")).to_be_visible()


def test_the_palette_finds_items_of_the_catalog(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/") as page:
        expect(page.get_by_role("heading", name="Hello, ada")).to_be_visible()
        page.keyboard.press("Control+k")
        search = page.get_by_placeholder("Find a page or an item, or run a command")
        expect(search).to_be_focused()
        search.fill("silver flights")
        expect(page.get_by_role("button", name="flights.silver.flights")).to_be_visible()
        page.get_by_role("button", name="flights.silver.flights").press("Enter")
        page.wait_for_url("**/ai-catalog/assets/flights.silver.flights")
