"""Lists of any kind in a real browser: many rows, and many items at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console_pages import CONSOLE, add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GROUPS = 320


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("lists")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        add_user(running, "default", "vic", "rol_viewer", "platform")
        items = [
            {
                "method": "CREATE",
                "body": {"name": f"crowd-{n:03}", "labels": {"n": str(n)}, "spec": {"title": f"Crowd {n}"}},
            }
            for n in range(GROUPS)
        ]
        running.post(f"{running.url}/api/v1/admin/groups:batch", {"items": items})
        yield running


@contextmanager
def listing(platform_site: Site, search: str) -> Iterator[Page]:
    """The list of groups with this search, as an admin sees it."""
    with logged_in(platform_site, "ada", "/admin/groups") as page:
        page.goto(f"{platform_site.url}{CONSOLE}/admin/groups?{search}")
        yield page


def group(platform_site: Site, name: str) -> str:
    id = platform_site.post("groups", {"name": name, "organization_id": "default", "spec": {"title": name.title()}})[
        "id"
    ]
    return str(id)


def notice(page: Page, text: str) -> None:
    expect(page.get_by_role("alert").filter(has_text=text)).to_be_visible()


def test_only_rows_on_the_screen_are_drawn_and_the_next_ones_are_read(platform_site: Site) -> None:
    with listing(platform_site, "order_by=name") as page:
        expect(page.get_by_text(f"{GROUPS} groups")).to_be_visible()
        rows = page.get_by_role("region", name="Groups").locator("tbody tr[data-index]")
        expect(rows.first).to_be_visible()
        assert rows.count() < 60
        page.get_by_role("region", name="Groups").evaluate("box => box.scrollTo(0, box.scrollHeight)")
        expect(page.locator("table")).to_have_attribute("aria-rowcount", str(GROUPS + 1))
        page.get_by_role("region", name="Groups").evaluate("box => box.scrollTo(0, box.scrollHeight)")
        expect(page.get_by_role("link", name=f"crowd-{GROUPS - 1}")).to_be_visible()
        assert_accessible(page)


def test_many_items_at_once_succeed_or_fail_each_for_itself(platform_site: Site) -> None:
    for name in ("bulk-a", "bulk-b", "bulk-c"):
        group(platform_site, name)
    with listing(platform_site, 'filter=name.startsWith("bulk")') as page:
        for name in ("bulk-a", "bulk-b", "bulk-c"):
            page.get_by_label(f"Select {name}").check()
        bar = page.get_by_role("region", name="Selected items")
        bar.get_by_role("button", name="Set label").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Key").fill("team")
        dialog.get_by_label("Value").fill("data")
        dialog.get_by_role("button", name="Set label").click()
        notice(page, "3 done")
        found = platform_site.admin.get("groups", params={"filter": 'labels.team == "data"'}).json()["items"]
        assert len(found) == 3

        for name in ("bulk-a", "bulk-b", "bulk-c"):
            page.get_by_label(f"Select {name}").check()
        bar.get_by_role("button", name="Delete").click()
        platform_site.admin.delete(f"groups/{found[0]['id']}").raise_for_status()
        dialog.get_by_role("button", name="Delete").click()
        expect(dialog.get_by_text("2 of 3 done, 1 failed.")).to_be_visible()
        # The offer to undo goes away after a while.
        page.get_by_role("alert").get_by_role("button", name="Undo").click()
        assert_accessible(page)
        dialog.get_by_role("button", name="Close", exact=True).last.click()
        expect(page.get_by_label("Select bulk-b")).to_be_visible()
