"""The API's documentation in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.api_process import PASSWORD
from tests.api_server import Server

pytestmark = pytest.mark.slow


def test_an_operation_is_read_and_tried_out_without_another_host(tmp_path: Path) -> None:
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser_path, "no browser: run `sh tests/provide.sh`"
    errors: list[str] = []
    hosts: set[str] = set()
    with Server(tmp_path) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.goto(f"{server.url}/api/docs/admin")
        page.fill("#name", "admin")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        operation = page.locator("#operations-Group-admin_list_groups")
        expect(operation).to_contain_text("Lists the groups that the caller can see.", timeout=30_000)
        operation.locator(".opblock-summary-control").click()
        expect(operation).to_contain_text("page_size")
        operation.get_by_text("Try it out").click()
        operation.get_by_text("Execute").click()
        expect(operation.locator(".live-responses-table")).to_contain_text("next_page_token")
        expect(operation.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
        expect(operation).to_contain_text(f"{server.url}/api/v1/admin/groups")
        expect(operation.locator(".curl-command")).to_contain_text("curl -X 'GET'")
        browser.close()
    assert errors == []
    assert hosts == {urlsplit(server.url).netloc}
