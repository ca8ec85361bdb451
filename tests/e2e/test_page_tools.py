"""What every page of the console offers (to repeat it in a terminal, to look at an item beside it, its keys), and what
the browser keeps of its user.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.api_process import PASSWORD
from tests.api_server import Server
from tests.e2e.console_pages import add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, browsed
from tests.lakehouse_tables import BRONZE, SILVER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CLIPBOARD: dict[str, Any] = {"permissions": ["clipboard-read", "clipboard-write"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    built()
    with Server(tmp_path_factory.mktemp("tools")) as running:
        yield running


@pytest.fixture(scope="module")
def platform_site(server: Server) -> Iterator[Site]:
    with browsed(server.url, server.tokens["admin"]) as running:
        running.orchestrator = server.orchestrator
        add_user(running, "default", "ada", "rol_admin", "platform")
        add_user(running, "default", "vic", "rol_viewer", "platform")
        yield running


def copied(page: Page, name: str) -> str:
    """What the menu of this page puts on the clipboard."""
    page.get_by_role("banner").get_by_role("button", name="Copy as").click()
    page.get_by_role("menuitem", name=name, exact=True).click()
    expect(page.get_by_text("Copied").first).to_be_visible()
    return str(page.evaluate("navigator.clipboard.readText()"))


def in_terminal(server: Server, command: str) -> str:
    """What the command prints in the shell of a user who has a token."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    environment = own | {"HEADWATER_URL": server.url, "HEADWATER_TOKEN": server.tokens["admin"], "COLUMNS": "200"}
    shell = f'headwater() {{ {shlex.join([sys.executable, "-m", "api.cli"])} "$@"; }}\n{command}'
    done = subprocess.run(["sh", "-c", shell], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_copied_request_answers_what_the_page_shows(server: Server, platform_site: Site) -> None:
    with logged_in(platform_site, "ada", f"/ai-catalog/assets/{SILVER}", **CLIPBOARD) as page:
        expect(page.get_by_role("heading", level=1)).to_contain_text("flights")
        command = copied(page, "curl")
        assert server.tokens["admin"] not in command
        assert json.loads(in_terminal(server, command))["id"] == SILVER

        page.goto(f"{platform_site.url}/assets?q=delays")
        rows = page.get_by_role("list", name="Assets").get_by_role("listitem")
        expect(rows).to_have_count(1)
        [found] = json.loads(in_terminal(server, copied(page, "curl")))["items"]
        expect(rows.get_by_role("link")).to_have_attribute("href", f"/ai-catalog/assets/{found['id']}")

        page.goto(f"{platform_site.url}/admin/users?filter=name%3D%3D%22ada%22")
        expect(page.get_by_role("link", name="ada", exact=True)).to_be_visible()
        assert [one["name"] for one in json.loads(in_terminal(server, copied(page, "curl")))["items"]] == ["ada"]


def test_a_copied_command_shows_the_item_of_the_page(server: Server, platform_site: Site) -> None:
    with logged_in(platform_site, "ada", f"/ai-catalog/assets/{SILVER}", **CLIPBOARD) as page:
        expect(page.get_by_role("heading", level=1)).to_contain_text("flights")
        assert json.loads(in_terminal(server, copied(page, "Command line")))["id"] == SILVER
        page.goto(f"{platform_site.url}/admin/users?filter=name%3D%3D%22ada%22")
        expect(page.get_by_role("link", name="ada", exact=True)).to_be_visible()
        assert "ada" in in_terminal(server, copied(page, "Command line"))


def test_the_item_of_any_link_opens_at_the_side_with_keys_or_the_mouse(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/assets") as page:
        link = (
            page.get_by_role("list", name="Assets")
            .get_by_role("listitem")
            .filter(has_text="silver")
            .get_by_role("link")
        )
        link.focus()
        page.keyboard.press("Space")
        side = page.get_by_role("complementary", name="Side view")
        expect(side.get_by_role("heading", level=1)).to_contain_text(SILVER)
        assert_accessible(page)
        page.reload()
        expect(side.get_by_role("heading", level=1)).to_contain_text(SILVER)
        page.keyboard.press("Escape")
        expect(side).to_be_hidden()
        link.click(modifiers=["Alt"])
        side.get_by_role("link", name="Open page").click()
        page.wait_for_url(f"**/ai-catalog/assets/{SILVER}")
        expect(side).to_be_hidden()


@pytest.mark.parametrize("path", ["/", "/runs", f"/ai-catalog/assets/{BRONZE}", "/admin/groups"])
def test_every_page_shows_its_keys(platform_site: Site, path: str) -> None:
    with logged_in(platform_site, "ada", path) as page:
        expect(page.locator("main h1")).to_be_visible()
        page.keyboard.press("?")
        sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
        expect(sheet.get_by_text("Find a page or an item")).to_be_visible()
        expect(sheet.get_by_text("Filter", exact=True)).to_have_count(int(path == "/admin/groups"))


STORED = """() => [localStorage, sessionStorage]
    .flatMap(store => Object.entries(store).map(([key, value]) => key + ' ' + value))"""
LEFT = re.compile(r"mantine-color-scheme-value (light|dark|auto)|headwater\.identity-provider .*")
"""What the next user of a browser may find: how pages look, and by which provider people log in here."""


def visit(page: Page, site: Site) -> None:
    """Uses what is kept in the browser: visited pages, statements, and choices on pages."""
    for path in (f"/ai-catalog/assets/{SILVER}", "/lineage", "/runs", "/admin/groups"):
        page.goto(f"{site.url}{path}")
        expect(page.locator("main h1")).to_be_visible()
    page.goto(f"{site.url}/query")
    page.get_by_label("SQL statement").fill("SELECT 'of ada' AS secret")
    page.get_by_label("SQL statement").press("Control+Enter")
    expect(page.get_by_role("cell", name="of ada")).to_be_visible()
    page.wait_for_function("() => Object.values(localStorage).some(one => one.includes('of ada'))")


def test_a_logout_leaves_nothing_of_the_user_in_the_browser(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query") as page:
        visit(page, platform_site)
        assert len(page.evaluate(STORED)) > 2
        page.get_by_role("button", name="Your account").click()
        page.get_by_role("menuitem", name="Log out").click()
        page.wait_for_url("**/login")
        assert [one for one in page.evaluate(STORED) if not LEFT.fullmatch(one)] == []
        assert page.evaluate("indexedDB.databases().then(all => all.length)") == 0
        assert page.evaluate("caches.keys().then(all => all.length)") == 0


def test_the_next_user_of_a_browser_sees_nothing_of_the_one_before(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query") as page:
        visit(page, platform_site)
        page.context.clear_cookies()
        page.goto(f"{platform_site.url}/")
        page.get_by_label("User name").fill("vic")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Hello, vic")).to_be_visible()
        expect(page.get_by_role("main").get_by_role("link", name="Query")).to_have_count(0)
        page.wait_for_function("() => !Object.values(localStorage).some(one => one.includes('of ada'))")
        assert [one for one in page.evaluate(STORED) if "of ada" in one or SILVER in one] == []
