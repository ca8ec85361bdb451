"""A platform that a reverse proxy serves below a path, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.api_process import PASSWORD
from tests.e2e.login_pages import site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_platform_below_a_path_prefix_keeps_it_on_every_page(tmp_path: Path) -> None:
    with site(tmp_path, HEADWATER_URL="https://example.org/headwater") as running:
        running.user("pia")
        with running.page() as page:
            page.goto(f"{running.url}/headwater/admin/roles")
            page.wait_for_url("**/headwater/login?next=**")
            page.get_by_label("User name").fill("pia")
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url(f"{running.url}/headwater/admin/roles")
            page.get_by_role("main").get_by_role("link", name="viewer", exact=True).click()
            expect(page.get_by_role("heading", name="viewer", exact=True)).to_be_visible()
            assert page.url.startswith(f"{running.url}/headwater/admin/roles/")
            page.reload()
            expect(page.get_by_role("heading", name="viewer", exact=True)).to_be_visible()
            page.get_by_role("button", name="Your account").click()
            page.get_by_role("menuitem", name="Log out").click()
            page.wait_for_url(f"{running.url}/headwater/login")
