"""From an asset that was never made to its lineage, and from a failed run to its cause: by mouse, then by keyboard."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.running_platform import PASSWORD, Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BY_MOUSE, BY_KEYBOARD = "flights.gold.mouse_carriers", "flights.gold.keyboard_carriers"
COUNTS = "SELECT carrier, count(*) AS flights FROM flights.silver.flights GROUP BY carrier"
FAILS = "SELECT carrier, CAST(error('no such carrier') AS BIGINT) AS flights FROM flights.silver.flights"
MAX_TABS = 120


@pytest.fixture
def page(platform: Running) -> Iterator[Page]:
    """A page that is logged in; an error in its console fails the test."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser_path, "no browser: run `sh tests/provide.sh`"
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{platform.url}/assets")
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/assets")
        yield page
        browser.close()
    assert errors == []


def publish(platform: Running, asset: str, sql: str) -> None:
    """An asset that SQL makes, from this moment on with this statement."""
    attributes = {"asset": asset, "description": "Flights by carrier.", "sql": sql}
    body = {"component": "SqlTransformComponent", "attributes": attributes}
    with platform.client() as client:
        if client.post("ai-catalog/definitions", json=body).status_code == 409:
            client.patch(f"ai-catalog/definitions/{asset}", json=body).raise_for_status()
        client.post(f"ai-catalog/definitions/{asset}:publish", json={}).raise_for_status()


def test_a_first_materialization_leads_to_the_lineage_and_a_failed_one_to_its_cause(
    platform: Running, page: Page
) -> None:
    publish(platform, BY_MOUSE, COUNTS)
    page.get_by_label("Search assets").fill("mouse")
    page.get_by_role("link", name="mouse_carriers").click()
    state = page.get_by_role("status").filter(has_text="Not made yet")
    expect(state).to_be_visible()
    page.get_by_role("button", name="Materialize").click()
    page.get_by_role("dialog").get_by_role("button", name="Materialize").click()
    progress = page.get_by_role("region", name="Progress")
    expect(progress.get_by_role("status")).to_have_text("Succeeded")
    expect(progress.get_by_role("table", name="Steps")).to_contain_text("Succeeded")
    expect(page.get_by_role("status").filter(has_text="Fresh")).to_contain_text("version 0, written")
    page.get_by_role("tab", name="Data").click()
    expect(page.get_by_role("region", name=f"Rows of {BY_MOUSE}").get_by_role("cell", name="UA")).to_be_visible()
    page.get_by_role("tab", name="Provenance").click()
    expect(page.get_by_text(re.compile(r"It read flights\.silver\.flights at"))).to_be_visible()
    page.get_by_role("link", name="Lineage").last.click()
    expect(page.locator(".react-flow__node").filter(has_text="mouse_carriers")).to_be_visible()

    publish(platform, BY_MOUSE, FAILS)
    page.go_back()
    page.get_by_role("button", name="Materialize").click()
    page.get_by_role("dialog").get_by_role("button", name="Materialize").click()
    expect(progress.get_by_role("alert")).to_contain_text("no such carrier")
    expect(progress.get_by_role("table", name="Steps")).to_contain_text("Failed")
    expect(page.get_by_role("status").filter(has_text="The last good version is from")).to_be_visible()
    progress.get_by_role("button", name="Close").click()
    page.get_by_role("tab", name="Runs").click()
    expect(page.get_by_role("table", name="Runs").get_by_text("no such carrier")).to_be_visible()


def test_the_same_with_the_keyboard_only(platform: Running, page: Page) -> None:
    publish(platform, BY_KEYBOARD, COUNTS)
    page.get_by_label("Search assets").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("keyboard")
    expect(page.get_by_role("list", name="Assets").get_by_role("listitem")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/ai-catalog/assets/{BY_KEYBOARD}")
    expect(page.get_by_role("status").filter(has_text="Not made yet")).to_be_visible()
    press(page, "Materialize")
    expect(page.get_by_role("dialog").get_by_text("One asset will run")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_role("button", name="Materialize")).to_be_enabled()
    page.keyboard.press("Enter")
    progress = page.get_by_role("region", name="Progress")
    expect(progress.get_by_role("status")).to_have_text("Succeeded")
    press(page, "Close")
    reach(page, "Overview")
    for tab in ("Schema", "Data"):
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name=tab, selected=True)).to_be_visible()
    expect(page.get_by_role("region", name=f"Rows of {BY_KEYBOARD}").get_by_role("cell", name="UA")).to_be_visible()

    publish(platform, BY_KEYBOARD, FAILS)
    press(page, "Materialize")
    expect(page.get_by_role("dialog").get_by_role("button", name="Materialize")).to_be_enabled()
    page.keyboard.press("Enter")
    expect(progress.get_by_role("alert")).to_contain_text("no such carrier")
    press(page, "Show the log")
    expect(progress.get_by_label("Log", exact=True)).to_contain_text("no such carrier")
    press(page, "Lineage")
    page.wait_for_url("**/lineage?focus=**")
    expect(page.locator(".react-flow__node").filter(has_text="keyboard_carriers")).to_be_visible()


def reach(page: Page, name: str) -> None:
    """Moves the focus with the tabulator to what has this text within the page."""
    for _ in range(MAX_TABS):
        page.keyboard.press("Tab")
        focused = "() => document.activeElement.closest('main') ? document.activeElement.innerText.trim() : ''"
        if page.evaluate(focused) == name:
            return
    raise AssertionError(f"the keyboard doesn't reach {name}")


def press(page: Page, name: str) -> None:
    reach(page, name)
    page.keyboard.press("Enter")
