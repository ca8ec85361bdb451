"""A platform without the sample's first run: its assets are declared, and none has data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.login_pages import browser_of
from tests.running_platform import PASSWORD, Running, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_it_is_ready_when_make_returns_and_makes_an_asset_with_all_it_needs(tmp_path: Path) -> None:
    with started(tmp_path, HEADWATER_SAMPLE="false") as platform:
        state = json.loads(platform.headwater("status", "--json").stdout)
        assert (state["state"], state["sample"]["state"]) == ("READY", "SKIPPED")
        take_the_first_step(platform)
        made = platform.headwater("materialize", "flights.silver.flights", "--upstream")
        assert made.returncode == 0, made.stdout + made.stderr
        with platform.client() as client:
            versions = {item["id"]: item["data_version"] for item in client.get("ai-catalog/assets").json()["items"]}
        # The airlines are no input of it; a check that blocks compares it with them.
        assert versions["flights.silver.flights"]
        assert versions["flights.silver.airlines"]
        assert versions["flights.gold.carrier_punctuality"] is None


def take_the_first_step(platform: Running) -> None:
    """The home page offers to make an asset as long as none has rows."""
    with browser_of() as browser:
        page = browser.new_page()
        page.goto(platform.url)
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        first = page.get_by_role("region", name="First steps")
        expect(first).to_contain_text("none has rows yet")
        first.get_by_role("button", name="Materialize").click()
        page.get_by_role("dialog").get_by_role("button", name="Materialize").click()
        page.wait_for_url("**/ai-catalog/assets/flights.bronze.*")
        expect(page.get_by_role("status").filter(has_text="Fresh")).to_be_visible(timeout=180_000)
        page.get_by_role("link", name="Home").click()
        expect(page.get_by_role("region", name="Changed last")).to_contain_text("flights.bronze.")
        expect(first).to_have_count(0)
