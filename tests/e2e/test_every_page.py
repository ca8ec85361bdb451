"""Every page of the console on a platform with the sample: accessible in both themes, and usable on a phone."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from tests.e2e.console_pages import AXE, assert_accessible, built
from tests.e2e.login_pages import browser_of
from tests.running_platform import PASSWORD, Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ASSET = "/ai-catalog/assets/flights.gold.carrier_punctuality"
STATEMENT = (
    "select carrier, round(avg(late_share), 3) as late from flights.gold.carrier_punctuality group by 1 order by 2"
)
PAGES = {
    "home": "/",
    "assets": "/assets",
    "asset": f"{ASSET}",
    "asset-schema": f"{ASSET}?tab=schema&column=late_share",
    "asset-data": f"{ASSET}?tab=data",
    "asset-checks": "/ai-catalog/assets/flights.silver.flights?tab=checks",
    "asset-provenance": f"{ASSET}?tab=provenance",
    "lineage": "/lineage",
    "lineage-effects": "/lineage?focus=flights.bronze.flights&impact=true",
    "query": f"/query?sql={quote(STATEMENT)}",
    "models": "/models",
    "experiments": "/experiments",
    "rounds": "/rounds",
    "ask": "/ask?q=How%20is%20a%20feature%20kept%20from%20knowing%20the%20future%3F",
    "definitions": "/definitions",
    "new-definition": "/ai-catalog/definitions/new",
    "definition": "/ai-catalog/definitions/flights.gold.daily_cancellations",
    "runs": "/runs",
    "automation": "/runs/automation",
    "operations": "/operations/operations",
    "pipelines": "/ai-catalog/pipelines",
    "admin": "/admin",
    "monitoring": "/admin/monitoring",
    "explain": "/admin/explain",
    "audit": "/admin/audit-events",
    "settings": "/admin/settings",
    "users": "/admin/users",
    "new-project": "/admin/projects/new",
    "account": "/account",
    "missing": "/ai-catalog/assets/flights.gold.absent",
    "wrong-address": "/nothing/is/here/at-all",
}
"""Pages by the name of their picture."""


READ = """() => !document.documentElement.hasAttribute('data-fetching')
    && !document.querySelector('main .mantine-Skeleton-root, main [aria-busy=true]')"""


def open_page(page: Page, url: str) -> None:
    """Opens a page and waits until it shows what it reads."""
    page.goto(url)
    expect(page.locator("main h1, main [role=alert]").first).to_be_visible()
    page.wait_for_function(READ)


def test_every_page_is_accessible_and_fits_a_phone(platform: Running) -> None:
    built()
    assert AXE.is_file()
    complaints: list[str] = []
    with browser_of() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{page.url}: {message.text}") if is_fault(message.text, message.type) else None
            ),
        )
        log_in(page, platform)
        wide: dict[str, int] = {}
        for name, path in PAGES.items():
            open_page(page, f"{platform.url}{path}")
            assert_accessible(page)
            page.set_viewport_size({"width": 390, "height": 844})
            try:
                # Tabs and tables measure themselves after the window has changed.
                page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth", timeout=10_000)
            except TimeoutError:
                wide[name] = int(page.evaluate("document.documentElement.scrollWidth"))
            page.set_viewport_size({"width": 1440, "height": 900})
    assert wide == {}
    assert complaints == []


def log_in(page: Page, platform: Running) -> None:
    page.goto(f"{platform.url}/account")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{platform.url}/account")


def is_fault(text: str, type: str) -> bool:
    """Whether a message on the browser's console is a fault. The browser also reports each refused request."""
    return type == "error" and "the server responded with a status of" not in text
