"""Groups, roles, grants, logins, and keys in a real browser, and what a click on their pages changes elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Page, expect

from api.kernel.tables import TOKEN
from core import clock
from tests.api_process import PASSWORD
from tests.e2e.choosing import choose
from tests.e2e.console_pages import add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CLOSED = re.compile("You don't have this permission|There is nothing here that you can see")


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("access")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        yield running


@dataclass(frozen=True)
class Team:
    """An organization with a project, a group, and a user who may do nothing yet."""

    organization: str
    project: str
    group: str
    user: str


@pytest.fixture(scope="module")
def team(platform_site: Site) -> Team:
    post = platform_site.post
    acme = post("organizations", {"name": "acme", "spec": {"title": "Acme Airways"}})["id"]
    place = {"organization_id": acme}
    project = post("projects", place | {"name": "bookings", "spec": {"title": "Bookings"}})["id"]
    group = post("groups", place | {"name": "analysts", "spec": {"title": "Analysts"}})["id"]
    user = post("users", place | {"name": "gus", "spec": {"title": "Gus"}})["id"]
    post(f"users/{user}:set-password", {"password": PASSWORD})
    return Team(acme, project, group, user)


def assert_fits(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator("html")).to_have_js_property("scrollWidth", 390)
    page.set_viewport_size({"width": 1280, "height": 800})


def test_a_role_is_given_after_its_effect_is_shown_and_ends_when_it_is_revoked(platform_site: Site, team: Team) -> None:
    with (
        logged_in(platform_site, "acme/gus", f"/admin/projects/{team.project}") as guest,
        logged_in(platform_site, "ada", "/admin/grants") as page,
    ):
        expect(guest.get_by_role("alert")).to_contain_text(CLOSED)
        page.get_by_role("link", name="Give a role").click()
        page.wait_for_url("**/admin/grants/new")
        give = page.get_by_role("button", name="Give", exact=True)
        expect(give).to_be_disabled()
        choose(page, "Who", "gus")
        choose(page, "Role", "viewer")
        choose(page, "Project", "bookings")
        effect = page.get_by_role("region", name="What they can do after this")
        expect(effect).to_contain_text("gus gains")
        effect.get_by_text("gains").click()
        expect(effect.get_by_role("listitem").filter(has_text=re.compile(r"Project: .*get"))).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
        give.click()
        page.wait_for_url(f"**/admin/grants?principal={team.user}")
        row = page.get_by_role("row").filter(has_text="viewer")
        expect(row).to_contain_text("bookings")
        expect(row).to_contain_text("No end")
        expect(row).to_contain_text("ada")
        assert_accessible(page)
        assert_fits(page)
        guest.reload()
        expect(guest.get_by_role("heading", name="bookings")).to_be_visible()
        row.get_by_role("button", name="Revoke").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("region", name="What gus can no longer do")).to_contain_text("gus loses")
        expect(dialog.get_by_role("button", name="Revoke")).to_be_disabled()
        dialog.get_by_role("textbox").fill("gus")
        dialog.get_by_role("button", name="Revoke").click()
        expect(page.get_by_text("No grant that you can see matches this.")).to_be_visible()
        guest.reload()
        expect(guest.get_by_role("alert")).to_contain_text(CLOSED)


def test_a_grant_on_one_item_of_the_platform_begins_at_its_page(platform_site: Site, team: Team) -> None:
    with logged_in(platform_site, "ada", f"/admin/groups/{team.group}") as page:
        page.goto(f"{platform_site.url}/admin/grants/new?securable_id={team.group}&securable_kind=admin.group")
        expect(page.get_by_role("combobox", name="Item", exact=True)).to_have_value("analysts")
        choose(page, "Who", "gus")
        page.get_by_text("One permission").click()
        page.get_by_role("combobox", name="Permission", exact=True).fill("admin.group.get")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Give", exact=True).click()
        page.wait_for_url(f"**/admin/grants?principal={team.user}")
        expect(page.get_by_role("row").filter(has_text="admin.group.get")).to_contain_text("analysts")
    found = platform_site.admin.get("grants", params={"filter": f'securable_id == "{team.group}"'}).json()["items"]
    assert [(one["principal_id"], one["permission"]) for one in found] == [(team.user, "admin.group.get")]
    platform_site.admin.delete(f"grants/{found[0]['id']}").raise_for_status()


def test_a_member_of_a_group_has_what_the_group_may_do(platform_site: Site, team: Team) -> None:
    grant = {"principal_id": team.group, "role_id": "rol_viewer", "securable_id": team.project}
    platform_site.post("grants", grant)
    with (
        logged_in(platform_site, "acme/gus", f"/admin/projects/{team.project}") as guest,
        logged_in(platform_site, "ada", f"/admin/groups/{team.group}") as page,
    ):
        expect(guest.get_by_role("alert")).to_contain_text(CLOSED)
        expect(page.get_by_text("The group has no members yet.", exact=False)).to_be_visible()
        choose(page, "New member", "gus")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_role("table", name="Members").get_by_role("link", name="gus")).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
        guest.reload()
        expect(guest.get_by_role("heading", name="bookings")).to_be_visible()
        page.get_by_role("tab", name="Grants").click()
        expect(page.get_by_role("row").filter(has_text="viewer")).to_contain_text("bookings")
        page.get_by_role("tab", name="Members", exact=True).click()
        page.get_by_role("button", name="Remove gus").click()
        expect(page.get_by_text("The group has no members yet.", exact=False)).to_be_visible()
        guest.reload()
        expect(guest.get_by_role("alert")).to_contain_text(CLOSED)


def test_a_role_says_what_it_allows_who_has_it_and_what_sets_it_apart(platform_site: Site, team: Team) -> None:
    with logged_in(platform_site, "ada", "/admin/roles/rol_viewer") as page:
        page.get_by_label("Find a permission").fill("admin.project.get")
        table = page.get_by_role("table", name="Permissions: Admin")
        expect(table.get_by_text("admin.project.get", exact=True)).to_be_visible()
        expect(table.get_by_text("admin.project.delete", exact=True)).to_have_count(0)
        assert "text=admin.project.get" in page.url
        assert_accessible(page)
        assert_fits(page)
        page.get_by_role("tab", name="Who has it").click()
        expect(page.get_by_role("table", name="Grants").get_by_role("link", name="analysts")).to_be_visible()
        page.get_by_role("tab", name="Compare").click()
        choose(page, "Compare with", "editor")
        expect(page.get_by_role("region", name="Only in viewer")).to_contain_text("Nothing")
        only = page.get_by_role("region", name="Only in editor")
        only.get_by_text("Admin", exact=True).or_(only.get_by_text("AI catalog", exact=False)).first.click()
        assert_accessible(page)


def test_an_admin_ends_a_login_of_a_user(platform_site: Site, team: Team) -> None:
    platform_site.post(f"users/{team.user}:revoke-sessions", {})
    with (
        logged_in(platform_site, "acme/gus", "/account") as guest,
        logged_in(platform_site, "ada", f"/admin/users/{team.user}?tab=sessions") as page,
    ):
        logins = page.get_by_role("table", name="Sessions")
        expect(logins.get_by_role("row")).to_have_count(2)
        assert_accessible(page)
        assert_fits(page)
        logins.get_by_role("button", name="End the login", exact=False).click()
        expect(page.get_by_text("gus isn't logged in anywhere.")).to_be_visible()
        guest.get_by_text("Compact").click()
        expect(guest.get_by_role("dialog", name="Your session has ended")).to_be_visible()


def test_a_service_account_gets_a_key_that_works_and_its_use_is_seen(platform_site: Site, team: Team) -> None:
    body = {"name": "loader", "project_id": team.project, "spec": {"description": "Loads bookings"}}
    id = platform_site.post("service-accounts", body)["id"]
    platform_site.post("grants", {"principal_id": id, "role_id": "rol_viewer", "securable_id": team.project})
    with logged_in(platform_site, "ada", f"/admin/service-accounts/{id}") as page:
        page.get_by_role("button", name="Create a key").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Purpose").fill("nightly")
        dialog.get_by_role("button", name="Create", exact=True).click()
        secret = dialog.locator("code").inner_text()
        expect(dialog.get_by_role("status")).to_contain_text("The platform doesn't show it again")
        assert_accessible(page)
        headers = {"authorization": f"Bearer {secret}"}
        project = f"{platform_site.url}/api/v1/admin/projects/{team.project}"
        assert httpx.get(project, headers=headers).status_code == 200
        dialog.get_by_role("button", name="Close").last.click()
        expect(page.get_by_text(secret)).to_have_count(0)
        row = page.get_by_role("row").filter(has_text="nightly")
        expect(row).to_contain_text("Never")
        # The platform stores the uses of keys once a minute.
        with platform_site.database.write() as connection:
            used = {"last_used_at": clock.now(), "last_used_from": "127.0.0.1"}
            connection.execute(TOKEN.update().where(TOKEN.c.principal_id == id).values(**used))
        page.reload()
        expect(row).to_contain_text("from 127.0.0.1")
        assert_fits(page)
        row.get_by_role("button", name="Revoke").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(row).to_contain_text("Revoked")
        assert httpx.get(project, headers=headers).status_code == 401
