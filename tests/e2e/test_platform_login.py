"""The login of a whole platform in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.running_platform import PASSWORD, Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture
def page(platform: Running) -> Iterator[Page]:
    """A page that is logged in; an error in its console fails the test."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser_path, "no browser: run `sh tests/provide.sh`"
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(platform.url)
        expect(page).to_have_url(f"{platform.url}/login?next=%2F")
        page.fill("#name", "admin")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.get_by_role("button", name="Your account").wait_for()
        yield page
        browser.close()
    assert errors == []


def test_a_wrong_password_is_refused_with_a_reason(platform: Running, page: Page) -> None:
    page.context.clear_cookies()
    page.goto(f"{platform.url}/login")
    page.fill("#name", "admin")
    page.fill("#password", "wrong")
    page.click("button[type=submit]")
    expect(page.locator("#problem")).to_be_visible()


def test_the_login_page_leads_to_an_identity_provider_and_remembers_it(platform: Running, page: Page) -> None:
    page.context.clear_cookies()
    page.goto(f"{platform.url}/login?next=%2Fdagster%2F")
    with page.expect_request("**/login/oidc/acme?next=%2Fdagster%2F"):
        page.fill("#provider-name", "acme")
        page.click("#provider button")
    page.goto(f"{platform.url}/login")
    expect(page.locator("#provider-name")).to_have_value("acme")


def test_the_dagster_ui_is_behind_the_same_login(platform: Running, page: Page) -> None:
    page.goto(f"{platform.url}/dagster/assets/flights/gold/carrier_punctuality")
    expect(page.get_by_text("carrier_punctuality").first).to_be_visible()
    page.goto(platform.url)
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("menuitem", name="Log out").click()
    page.wait_for_url("**/login")
    assert page.request.get(f"{platform.url}/dagster/graphql?query=%7Bversion%7D").status == 401
