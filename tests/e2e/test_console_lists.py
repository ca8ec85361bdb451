"""Lists of any kind in a real browser: filters, saved views, many items at once, the side view, and the keyboard."""

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


def test_a_view_that_was_saved_is_there_after_a_reload(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/admin/groups") as page:
        page.get_by_role("button", name="Add condition").click()
        page.get_by_label("Field").first.fill("created by")
        page.get_by_role("option", name="Created by").click()
        page.get_by_label("Comparison").first.click()
        page.get_by_role("option", name="is", exact=True).click()
        page.get_by_label("Value").fill("admin")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("Created by is admin")).to_be_visible()
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.get_by_role("button", name="Columns").click()
        page.get_by_role("menuitemcheckbox", name="Labels").click()
        expect(page.get_by_role("columnheader", name="Labels")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Views").click()
        page.get_by_role("menuitem", name="Save this view").click()
        page.get_by_role("dialog").get_by_label("Name").fill("Made by admin")
        assert_accessible(page)
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        notice(page, "View saved")

        page.goto(f"{platform_site.url}{CONSOLE}/admin/groups")
        expect(page.get_by_role("columnheader", name="Labels")).to_be_visible()
        page.get_by_role("button", name="Views").click()
        page.get_by_role("menuitem", name="Made by admin").click()
        expect(page.get_by_label("Filter", exact=True)).to_have_value('created_by == "admin"')
        page.get_by_role("button", name="Remove the condition Created by is admin").click()
        expect(page.get_by_label("Filter", exact=True)).to_have_value("")


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
        expect(page.get_by_role("alert").filter(has_text="Undo")).to_have_count(0)
        assert_accessible(page)
        dialog.get_by_role("button", name="Close", exact=True).last.click()
        expect(page.get_by_label("Select bulk-b")).to_be_visible()


def test_an_item_opens_at_the_side_and_what_changes_in_place_can_be_undone(platform_site: Site) -> None:
    id = group(platform_site, "beside")
    with listing(platform_site, 'filter=name=="beside"') as page:
        page.get_by_role("cell", name="Beside", exact=True).click()
        page.wait_for_url(f"**peek={id}**")
        side = page.get_by_role("complementary", name="Side view")
        expect(side.get_by_role("heading", name="beside", exact=True)).to_be_visible()
        assert_accessible(page)
        page.reload()
        side.get_by_role("button", name="Change the title").click()
        side.get_by_label("Title").fill("Aside")
        page.keyboard.press("Enter")
        notice(page, "Title changed")
        assert platform_site.admin.get(f"groups/{id}").json()["spec"]["title"] == "Aside"
        page.get_by_role("alert").get_by_role("button", name="Undo").click()
        expect(side.get_by_role("heading", name="Beside", exact=True)).to_be_visible()
        notice(page, "Undone")
        assert platform_site.admin.get(f"groups/{id}").json()["spec"]["title"] == "Beside"
        side.get_by_role("button", name="Add label").click()
        side.get_by_label("New label").fill("env = prod")
        page.keyboard.press("Enter")
        notice(page, "Label env set")
        assert platform_site.admin.get(f"groups/{id}").json()["labels"] == {"env": "prod"}

        side.get_by_role("link", name="Open page").click()
        page.wait_for_url(f"**{CONSOLE}/admin/groups/{id}")
        page.get_by_role("tab", name="History").click()
        for version in (1, 2):
            page.get_by_label(f"Compare version {version}").check()
        expect(
            page.get_by_role("region", name="Comparison").get_by_role("row", name="spec.title Beside Aside")
        ).to_be_visible()
        assert_accessible(page)
        page.get_by_role("tab", name="Activity").click()
        expect(page.get_by_role("row", name="Created").first).to_be_visible()
        assert_accessible(page)
        page.goto(f"{platform_site.url}{CONSOLE}/admin/organizations/org_default")
        page.get_by_role("tab", name="Permissions").click()
        grants = page.get_by_role("region", name="Grants")
        expect(grants.get_by_role("row", name="vic viewer The platform")).to_be_visible()
        expect(
            page.get_by_role("region", name="Who can do what").get_by_role("link", name="ada", exact=True)
        ).to_be_visible()
        assert_accessible(page)


def test_a_viewer_is_offered_no_tab_that_they_can_not_read(platform_site: Site) -> None:
    id = group(platform_site, "seen")
    with logged_in(platform_site, "vic", f"/admin/groups/{id}") as page:
        expect(page.get_by_role("tab", name="History").or_(page.get_by_role("alert")).first).to_be_visible()
        expect(page.get_by_role("button", name="Change the title")).to_have_count(0)
        for tab in ("Permissions", "Activity"):
            expect(page.get_by_role("tab", name=tab)).to_have_count(0)


def test_the_keyboard_alone_creates_changes_and_deletes(platform_site: Site) -> None:
    with listing(platform_site, 'filter=name.startsWith("keys")') as page:
        expect(page.get_by_text("No items match this filter.")).to_be_visible()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        assert_accessible(page)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.locator("a[data-disabled]")).to_have_count(0)
        page.keyboard.press("c")
        page.wait_for_url("**/admin/groups/new")
        page.get_by_role("textbox", name="Name", exact=True).focus()
        page.keyboard.type("keys")
        page.keyboard.press("Tab")
        page.get_by_label("Title").focus()
        page.keyboard.type("Keys")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Keys", exact=True)).to_be_visible()
        page.goto(f'{platform_site.url}{CONSOLE}/admin/groups?filter=name.startsWith("keys")')
        expect(page.get_by_role("link", name="keys", exact=True)).to_be_visible()
        page.keyboard.press("j")
        expect(page.locator("tr[data-index='0']")).to_be_focused()
        page.keyboard.press("e")
        title = page.get_by_role("dialog").get_by_label("Title")
        title.fill("Changed by keys")
        page.keyboard.press("Enter")
        expect(page.get_by_role("complementary").get_by_role("heading", name="Changed by keys")).to_be_visible()
        page.locator("tr[data-index='0']").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/groups/grp_*")
        page.get_by_role("button", name="Delete").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog").get_by_role("button", name="Delete")).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{CONSOLE}/admin/groups")
        notice(page, "Delete: done")


def test_what_can_not_be_undone_is_confirmed_by_typing(platform_site: Site) -> None:
    principal, organization = group(platform_site, "given"), "default"
    grant = platform_site.post(
        "grants", {"principal_id": principal, "role_id": "rol_viewer", "securable_id": organization}
    )
    with logged_in(platform_site, "ada", f"/admin/grants/{grant['id']}") as page:
        expect(page.get_by_role("main").get_by_role("link", name="given")).to_be_visible()
        page.get_by_role("button", name="Delete").click()
        confirm = page.get_by_role("dialog").get_by_role("button", name="Delete")
        expect(confirm).to_be_disabled()
        page.get_by_role("dialog").get_by_role("textbox").fill("delete")
        assert_accessible(page)
        confirm.click()
        page.wait_for_url(f"**{CONSOLE}/admin/grants")
        assert platform_site.admin.get(f"grants/{grant['id']}").status_code == 404
