"""An admin of an organization sets up a team in a browser, and a new colleague sees what they got, and no more."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.api_process import PASSWORD
from tests.e2e.choosing import choose
from tests.e2e.console_pages import add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def create(page: Page, url: str, plural: str, **fields: str) -> str:
    """Creates something by its form, and returns its id."""
    page.goto(f"{url}/admin/{plural}/new")
    for label, value in fields.items():
        page.get_by_label(label.replace("_", " ")).first.fill(value)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Create", exact=True).click()
    page.wait_for_url(f"**/admin/{plural}/*_*")
    return page.url.rpartition("/")[2]


def accept(page: Page, link: str, url: str, name: str) -> None:
    """Accepts an invitation by its link."""
    page.goto(link)
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{url}/")


def globex(running: Site) -> None:
    """An organization with two projects and an admin, who has no right outside it."""
    id = running.post("organizations", {"name": "globex", "spec": {"title": "Globex"}})["id"]
    for name in ("orders", "payroll"):
        running.post("projects", {"name": name, "organization_id": id, "spec": {"title": name.title()}})
    add_user(running, id, "oda", "rol_admin", id)


def test_an_admin_onboards_a_team_without_a_terminal(tmp_path: Path) -> None:
    built()
    with site(tmp_path) as running:
        globex(running)
        with logged_in(running, "globex/oda", "/admin") as page:
            group = create(page, running.url, "groups", Name="crew", Title="Crew", Organization_ID="globex")
            page.get_by_role("tab", name="Grants").click()
            page.get_by_role("link", name="Give a role").click()
            choose(page, "Role", "viewer")
            choose(page, "Project", "orders")
            page.get_by_role("button", name="Give", exact=True).click()
            page.wait_for_url(f"**/admin/grants?principal={group}")
            links = invite(page, running.url)
            secret = add_service_account(page, running.url)
            with running.page() as hana:
                accept(hana, links[0], running.url, "hana")
                sees(hana, running.url, ["orders"])
                explain(page, running.url)
                end_access(page, running.url, group)
                sees(hana, running.url, [])
            with running.page() as ivo:
                accept(ivo, links[1], running.url, "ivo")
                sees(ivo, running.url, [])
        headers = {"authorization": f"Bearer {secret}"}
        found = httpx.get(f"{running.url}/api/v1/admin/projects", headers=headers).raise_for_status().json()
        assert [one["name"] for one in found["items"]] == ["orders"]


def invite(page: Page, url: str) -> list[str]:
    """Invites two people into the group, and returns their links."""
    page.goto(f"{url}/admin/invitations")
    page.get_by_role("link", name="Invite people").click()
    page.get_by_label("Mail addresses").fill("hana@example.org, Ivo <ivo@example.org>")
    choose(page, "Group", "crew")
    assert_accessible(page)
    page.get_by_role("button", name="Invite 2 people").click()
    expect(page.get_by_role("status")).to_contain_text("The platform doesn't show them again")
    people = page.get_by_role("table", name="Invited people")
    links = people.locator("code").all_inner_texts()
    assert_accessible(page)
    page.get_by_role("link", name="Continue").click()
    sent = page.get_by_role("table", name="Invitations")
    expect(sent.get_by_text("Pending")).to_have_count(2)
    expect(page.get_by_text(links[0].rpartition("#")[2])).to_have_count(0)
    # The second link is lost: a new one replaces it.
    sent.get_by_role("row").filter(has_text="ivo@").get_by_role("button", name="Resend").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Resend").click()
    again = dialog.locator("code").inner_text()
    assert again not in links
    dialog.get_by_role("button", name="Close").last.click()
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator("html")).to_have_js_property("scrollWidth", 390)
    page.set_viewport_size({"width": 1280, "height": 800})
    return [links[0], again]


def add_service_account(page: Page, url: str) -> str:
    """Adds a service account that can see the project, and returns the secret of its key."""
    id = create(page, url, "service-accounts", Name="loader", Project_ID="orders")
    page.get_by_role("button", name="Create a key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Purpose").fill("nightly")
    dialog.get_by_role("button", name="Create", exact=True).click()
    secret = dialog.locator("code").inner_text()
    dialog.get_by_role("button", name="Close").last.click()
    page.get_by_role("tab", name="Grants").click()
    page.get_by_role("link", name="Give a role").click()
    choose(page, "Role", "viewer")
    choose(page, "Project", "orders")
    page.get_by_role("button", name="Give", exact=True).click()
    page.wait_for_url(f"**/admin/grants?principal={id}")
    return secret


def explain(page: Page, url: str) -> None:
    """Sees why the new colleague can see the project."""
    page.goto(f"{url}/admin/explain?permission=admin.project.get")
    page.get_by_role("combobox", name="Who", exact=True).fill("hana")
    page.get_by_role("combobox", name="On", exact=True).fill("orders")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("status").filter(has_text="Allowed")).to_contain_text("through the group crew")


def end_access(page: Page, url: str, group: str) -> None:
    """Revokes what the group may do."""
    page.goto(f"{url}/admin/groups/{group}?tab=grants")
    page.get_by_role("button", name="Revoke").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("region", name="What crew can no longer do")).to_contain_text("hana loses")
    dialog.get_by_role("textbox").fill("crew")
    dialog.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("crew has no grant that you can see.")).to_be_visible()


def sees(page: Page, url: str, projects: list[str]) -> None:
    """Requires that the list of projects shows these, and no other."""
    page.goto(f"{url}/admin/projects")
    expect(page.get_by_role("alert").or_(page.get_by_role("region", name="Projects", exact=True)).first).to_be_visible()
    for name in ("orders", "payroll", "flights"):
        expect(page.get_by_role("main").get_by_role("link", name=name, exact=True)).to_have_count(projects.count(name))
    if not projects:
        expect(page.get_by_role("alert")).to_contain_text("You don't have this permission")
