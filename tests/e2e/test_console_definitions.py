"""Definitions in the console of a whole platform: written with a mistake, fixed, published, changed, and retired."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console_pages import CONSOLE, add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, browsed
from tests.running_platform import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ASSET = "flights.gold.console_routes"
RIGHT = "SELECT origin, dest, count(*) AS flights FROM flights.silver.flights GROUP BY origin, dest"


@pytest.fixture(scope="module")
def real_site(platform: Running) -> Iterator[Site]:
    built()
    with browsed(platform.url, platform.headwater("token").stdout.strip()) as running:
        add_user(running, "default", "dora", "rol_admin", "platform")
        other = running.post("organizations", {"name": "elsewhere", "spec": {"title": "Elsewhere"}})["id"]
        add_user(running, other, "elsa", "rol_admin", other)
        yield running


def test_a_mistake_is_shown_at_its_field_and_at_its_line_and_fixed(real_site: Site) -> None:
    with logged_in(real_site, "dora", "/definitions") as page:
        expect(page.get_by_role("link", name="flights.gold.daily_cancellations")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("link", name="Define an asset").click()
        page.get_by_role("link", name="SQL transform").click()
        page.get_by_role("textbox", name="Asset", exact=True).fill(ASSET)
        page.get_by_role("textbox", name="Description", exact=True).fill("The routes of the year.")
        page.get_by_role("textbox", name="SQL").fill(RIGHT.replace("origin", "orign"))
        page.get_by_role("button", name="Publish").click()
        page.wait_for_url(f"**{CONSOLE}/ai-catalog/definitions/{ASSET}**")
        expect(page.get_by_text("One problem to fix")).to_be_visible()
        sql = page.get_by_role("textbox", name="SQL")
        expect(sql).to_have_attribute("aria-invalid", "true")
        page.get_by_role("button", name="sql, line").click()
        expect(sql).to_be_focused()
        assert_accessible(page)
        assert real_site.admin.get(f"{CATALOG}/definitions/{ASSET}").json()["state"] == "DRAFT"

        page.get_by_text("YAML", exact=True).click()
        marked = page.locator(".cm-lintRange-error")
        expect(marked.first).to_have_text("sql")
        editor = page.get_by_label("Definition as YAML")
        assert_accessible(page)
        editor.fill(f"component: SqlTransformComponent\nattributes:\n  asset: {ASSET}\n  sql: [")
        expect(page.get_by_role("button", name="Publish")).to_be_disabled()
        text = (
            f"component: SqlTransformComponent\nattributes:\n  asset: {ASSET}\n  description: Routes.\n  sql: {RIGHT}\n"
        )
        editor.fill(text)
        page.get_by_text("Form", exact=True).click()
        expect(page.get_by_role("textbox", name="SQL")).to_have_value(RIGHT)
        page.get_by_role("textbox", name="SQL").press("Control+Enter")
        expect(page.get_by_role("region", name="What it makes")).to_contain_text("Reads flights.silver.flights")
        page.get_by_role("button", name="Publish").click()
        expect(page.get_by_text("Published", exact=True)).to_be_visible()
        expect(page.get_by_text("Publish: done")).to_be_visible()
        assert real_site.admin.get(f"{CATALOG}/assets/{ASSET}").status_code == 200


def test_a_change_is_compared_with_what_runs_and_a_retired_one_says_so(real_site: Site) -> None:
    with logged_in(real_site, "dora", f"/ai-catalog/definitions/{ASSET}") as page:
        expect(page.get_by_text("This is what runs.")).to_be_visible()
        page.get_by_role("textbox", name="Description", exact=True).fill("All routes.")
        change = page.get_by_role("region", name="Changes to the live definition").last
        expect(change).to_contain_text("- description: Routes.")
        expect(change).to_contain_text("+ description: All routes.")
        page.get_by_role("button", name="Publish changes").click()
        expect(page.get_by_text("This is what runs.")).to_be_visible()
        expect(page.get_by_text("(live), published")).to_be_visible()
        assert_accessible(page)
        retire(page)
        expect(page.get_by_text("Retired", exact=True)).to_be_visible()
        assert real_site.admin.get(f"{CATALOG}/definitions/{ASSET}").json()["state"] == "RETIRED"


def test_another_organization_sees_no_definition_and_begins_with_the_first(real_site: Site) -> None:
    with logged_in(real_site, "elsa", "/definitions") as page:
        expect(page.get_by_text("There are no definitions that you can see.")).to_be_visible()
        page.goto(f"{real_site.url}{CONSOLE}/ai-catalog/definitions/{ASSET}")
        expect(page.get_by_role("alert")).to_contain_text("There is nothing here that you can see")


def test_the_pages_fit_a_phone(real_site: Site) -> None:
    new = "/ai-catalog/definitions/new"
    with logged_in(real_site, "dora", "/definitions", viewport={"width": 390, "height": 800}) as page:
        for path in (
            "/definitions",
            new,
            f"{new}?component=ModelTrainingComponent",
            f"/ai-catalog/definitions/{ASSET}",
        ):
            page.goto(f"{real_site.url}{CONSOLE}{path}")
            expect(page.get_by_role("heading").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") == 390


def retire(page: Page) -> None:
    page.get_by_role("button", name="Retire", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("No asset that you can see is made from it.")
    dialog.get_by_role("button", name="Retire").click()


CATALOG = "../ai-catalog"
