"""From the login page to a new password and back, in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import ConsoleMessage, expect, sync_playwright

from tests.api_server import Server
from tests.dagster_processes import until
from tests.mail_server import mail_server
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NEW = "another long password"


def test_who_forgot_his_password_sets_another_by_the_mailed_link(tmp_path: Path) -> None:
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser_path, "no browser: run `sh tests/provide.sh`"
    port = free_port()
    variables = {
        "HEADWATER_URL": "http://headwater.test",
        "HEADWATER_SMTP_URL": f"smtp+plain://127.0.0.1:{port}",
        "HEADWATER_MAIL_FROM": "headwater@example.org",
    }
    with mail_server(port) as inbox, Server(tmp_path, **variables) as server, sync_playwright() as playwright:
        headers = {"authorization": f"Bearer {server.tokens['admin']}", "content-type": "application/merge-patch+json"}
        address = {"spec": {"emails": ["editor@example.org"]}}
        httpx.patch(f"{server.url}/api/v1/admin/users/editor", json=address, headers=headers).raise_for_status()
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        complaints: list[str] = []

        def listen(message: ConsoleMessage) -> None:
            complaints.append(message.text)

        page.on("console", listen)
        page.goto(f"{server.url}/login")
        page.get_by_role("link", name="Forgot your password?").click()
        expect(page).to_have_url(f"{server.url}/forgot-password")
        # All of it by the keyboard alone.
        expect(page.get_by_label("User name or email address")).to_be_focused()
        page.keyboard.type("editor@example.org")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("If this account exists")
        expect(page.get_by_role("status")).to_contain_text("30 minutes")
        assert page.locator("form").evaluate("form => form.scrollWidth <= form.clientWidth"), "all of it is in its card"
        page.screenshot(path=tmp_path / "asked.png")
        until(lambda: len(inbox.mails) == 1, 30, "the mail")
        _, token = inbox.mails[0].get_content().split("/reset-password#")
        page.goto(f"{server.url}/reset-password#{token.split()[0]}")
        expect(page).to_have_url(f"{server.url}/reset-password")  # no history keeps the token
        expect(page.get_by_label("New password", exact=True)).to_be_focused()
        for first, again, problem in ((NEW, "else", "differ"), ("short", "short", "characters")):
            page.get_by_label("New password", exact=True).fill(first)
            page.get_by_label("Repeat the new password").fill(again)
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_contain_text(problem)
        page.screenshot(path=tmp_path / "refused.png")
        page.get_by_label("New password", exact=True).fill(NEW)
        page.keyboard.press("Tab")
        page.keyboard.type(NEW)
        page.keyboard.press("Enter")
        expect(page.locator("#done")).to_be_focused()
        expect(page.locator("#done")).to_contain_text("The password of editor was changed.")
        expect(page.locator("form")).to_be_hidden()
        page.screenshot(path=tmp_path / "done.png")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.url}/login")
        page.screenshot(path=tmp_path / "login.png")
        page.fill("#name", "editor")
        page.fill("#password", NEW)
        page.click("#login button")
        page.wait_for_url(f"{server.url}/")

        page.goto(f"{server.url}/reset-password#{token.split()[0]}")
        for label in ("New password", "Repeat the new password"):
            page.get_by_label(label, exact=True).fill(NEW)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("Ask for a new one")
        page.get_by_role("link", name="Request a new link").click()
        expect(page).to_have_url(f"{server.url}/forgot-password")
        assert not [text for text in complaints if "Content Security Policy" in text]
        browser.close()
