"""The page that an invitation leads to, in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from tests.api_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_an_invited_person_chooses_a_name_and_is_logged_in(tmp_path: Path) -> None:
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser_path, "no browser: run `sh tests/provide.sh`"
    with Server(tmp_path) as server, sync_playwright() as playwright:
        admin = {"authorization": f"Bearer {server.tokens['admin']}"}
        viewer = {"role_id": "rol_viewer", "securable_id": "platform"}
        body = {"email": "zoe@example.org", "grants": [viewer]}
        url = f"{server.url}/api/v1/admin/invitations"
        token = httpx.post(url, json=body, headers=admin).raise_for_status().json()["token"]
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{server.url}/invitation#{token}")
        expect(page).to_have_url(f"{server.url}/invitation")  # no history keeps the token
        page.fill("#name", "zoe")
        page.fill("#title", "Zoë")
        page.fill("#password", "short")
        page.click("button[type=submit]")
        expect(page.locator("#problem")).to_contain_text("characters")
        page.fill("#password", "a long enough password")
        page.click("button[type=submit]")
        page.wait_for_url(f"{server.url}/")
        asked = page.evaluate("fetch('/api/v1/admin/sessions/current').then((answer) => answer.json())")
        assert asked["user"] == "zoe"
        browser.close()
