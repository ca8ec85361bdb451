"""The pages of administration in a real browser: what needs attention, and what users of other organizations see."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from api.kernel.outbox.tables import OUTBOX_DELIVERY
from api.kernel.outbox.webhook_sender import MAX_ATTEMPTS
from core import clock
from tests.api_process import PASSWORD
from tests.e2e.console_pages import CONSOLE, add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site
from tests.receiver import receiving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("administration")) as running:
        for name, role in (("ada", "rol_admin"), ("vic", "rol_viewer")):
            add_user(running, "default", name, role, "platform")
        other = running.post("organizations", {"name": "other", "spec": {"title": "Other"}})["id"]
        add_user(running, other, "olga", "rol_admin", other)
        yield running


@dataclass(frozen=True)
class Team:
    """An organization with a project that its member can read through a group, and one to move to another."""

    organization: str
    other: str
    project: str
    moving: str
    member: str


@pytest.fixture(scope="module")
def team(platform_site: Site) -> Team:
    post = platform_site.post
    acme = post("organizations", {"name": "acme", "spec": {"title": "Acme Airways"}})["id"]
    other = platform_site.admin.get("organizations/other").json()["id"]
    place = {"organization_id": acme}
    project, moving = (
        post("projects", place | {"name": name, "spec": {"title": name}})["id"] for name in ("bookings", "parcels")
    )
    member = post("users", place | {"name": "gus", "spec": {"title": "Gus"}})["id"]
    post("users/gus:set-password", {"password": PASSWORD})
    post("api-keys", {"label": "laptop", "principal_id": member})
    add_user(platform_site, "default", "gil", "rol_viewer", other)
    analysts = post("groups", place | {"name": "analysts", "spec": {"title": "Analysts"}})["id"]
    post(f"groups/{analysts}:add-members", {"members": [member]})
    post("grants", {"principal_id": analysts, "role_id": "rol_viewer", "securable_id": project})
    permission = {"permission": "admin.group.get"}
    post("grants", {"principal_id": member, "securable_id": acme} | permission)
    bot = post("service-accounts", {"name": "loader", "project_id": moving, "spec": {"description": "Loads"}})["id"]
    post("api-keys", {"label": "nightly", "principal_id": bot})
    return Team(acme, other, project, moving, member)


def open_page(platform_site: Site, page: Page, path: str) -> None:
    page.goto(f"{platform_site.url}{CONSOLE}{path}")


def assert_fits(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator("html")).to_have_js_property("scrollWidth", 390)
    page.set_viewport_size({"width": 1280, "height": 800})


def test_an_admin_sees_what_needs_attention(platform_site: Site) -> None:
    id = platform_site.post("users", {"name": "sam", "organization_id": "default", "spec": {}})["id"]
    platform_site.post(f"users/{id}:suspend", {})
    with logged_in(platform_site, "ada", "/admin") as page:
        now = page.get_by_role("region", name="Now")
        expect(now.get_by_text("No attempt was denied.")).to_be_visible()
        expect(now.get_by_role("link", name="1", exact=True)).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
        now.get_by_role("link", name="1", exact=True).click()
        expect(page.get_by_role("link", name="sam")).to_be_visible()


def test_monitoring_measures_while_the_page_is_open(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/admin/monitoring") as page:
        expect(page.get_by_role("status")).to_be_visible()
        expect(page.get_by_text("Not measured: no supervisor runs on this machine.", exact=False)).to_be_visible()
        slow = page.get_by_role("table", name="Slow operations")
        expect(slow.locator("tbody tr").first).to_contain_text(re.compile("ms"))
        expect(
            page.get_by_role("region", name="Response time").get_by_role("button", name="Show as table")
        ).to_be_visible()
        assert_accessible(page)
        assert_fits(page)


def test_who_may_not_administer_the_platform_gets_reasons(platform_site: Site) -> None:
    for name in ("vic", "olga"):
        with logged_in(platform_site, name, "/admin/monitoring") as page:
            expect(page.get_by_role("alert")).to_contain_text("You don't have this permission")
            assert_accessible(page)
            open_page(platform_site, page, "/admin")
            expect(page.get_by_role("heading", name="Administration")).to_be_visible()
            if name == "vic":
                expect(page.get_by_text("Your roles don't include this.").first).to_be_visible()


def test_access_is_explained_from_the_principal_to_the_item(platform_site: Site, team: Team) -> None:
    with logged_in(platform_site, "ada", "/admin/explain") as page:
        page.get_by_role("combobox", name="Who", exact=True).fill(team.member)
        page.get_by_role("combobox", name="Permission", exact=True).fill("admin.project.get")
        page.get_by_role("combobox", name="On", exact=True).fill(team.project)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Explain").click()
        verdict = page.get_by_role("status")
        expect(verdict).to_contain_text("Allowed")
        expect(verdict).to_contain_text("a grant of the role viewer on the project bookings through the group analysts")
        grants = page.get_by_role("region", name="Grants")
        expect(grants.get_by_role("link", name="analysts")).to_be_visible()
        expect(grants.get_by_text("Decides", exact=True)).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
        address = page.url.replace("admin.project.get", "admin.project.delete")
        page.goto(address)
        expect(verdict).to_contain_text("Not allowed")
        expect(verdict).to_contain_text("no grant on it, or on a place above it, contains the permission")
        expect(page.get_by_role("link", name="create a grant")).to_be_visible()


def test_a_project_moves_after_its_preview(platform_site: Site, team: Team) -> None:
    with logged_in(platform_site, "ada", f"/admin/projects/{team.moving}") as page:
        page.get_by_role("button", name="Move", exact=True).click()
        page.wait_for_url("**/move")
        page.get_by_role("combobox", name="Organization to move to").fill("other")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Show what changes").click()
        expect(page.get_by_role("status")).to_contain_text("parcels can move to other")
        expect(page.get_by_role("region", name="Who loses access").get_by_role("cell", name="gus")).to_be_visible()
        expect(page.get_by_role("region", name="Who gains access").get_by_role("cell", name="olga")).to_be_visible()
        expect(page.get_by_role("region", name="Keys that are revoked").get_by_text("nightly")).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
        page.get_by_role("button", name="Move parcels").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Move", exact=True)).to_be_disabled()
        dialog.get_by_role("textbox").fill("parcels")
        dialog.get_by_role("button", name="Move", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("The project has moved")
        expect(page.get_by_role("status")).to_contain_text("1 key is revoked")
    moved = platform_site.admin.get(f"projects/{team.moving}").json()
    assert moved["organization_id"] == team.other


def test_a_user_page_says_what_they_can_do_and_why(platform_site: Site, team: Team) -> None:
    with logged_in(platform_site, "ada", f"/admin/users/{team.member}") as page:
        expect(page.get_by_role("heading", name="Gus")).to_be_visible()
        expect(page.get_by_role("row", name="Password Set", exact=False)).to_be_visible()
        assert_accessible(page)
        page.get_by_role("tab", name="Access", exact=True).click()
        expect(page.get_by_role("row", name="viewer", exact=False)).to_contain_text("analysts")
        page.get_by_role("tab", name="What they can do").click()
        expect(page.get_by_role("link", name="bookings")).to_be_visible()
        page.get_by_role("tab", name="Keys").click()
        page.get_by_role("button", name="Rotate").click()
        page.get_by_role("dialog").get_by_role("button", name="Rotate").click()
        expect(page.get_by_role("dialog").get_by_text("Secret", exact=True)).to_be_visible()
        assert_accessible(page)
        page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
        page.get_by_role("tab", name="Activity").click()
        expect(page.get_by_text("There are no events of this kind that you can see.")).to_be_visible()
        assert_fits(page)


def test_a_webhook_shows_what_it_has_not_accepted_and_why(platform_site: Site, team: Team) -> None:
    body = {"name": "sink", "organization_id": team.organization, "spec": {"url": "http://127.0.0.1:9/hook"}}
    hook = platform_site.post("webhook-endpoints", body)["id"]
    platform_site.post("groups", {"name": "noticed", "organization_id": team.organization, "spec": {"title": "N"}})
    with logged_in(platform_site, "ada", f"/admin/webhook-endpoints/{hook}") as page:
        row = page.get_by_role("row", name="Group created", exact=False)
        expect(row.get_by_text("Is tried again")).to_be_visible()
        assert_accessible(page)
        assert_fits(page)
        row.get_by_role("link", name="Group created").click()
        expect(page.get_by_role("table", name="Events").get_by_role("button", name="Group created")).to_be_visible()


def use_up_attempts(platform_site: Site, hook: str) -> None:
    """Makes the next attempt the last one, because all of them take a day. An attempt that runs now is not."""
    pending = OUTBOX_DELIVERY.c.consumer == f"webhook:{hook}", OUTBOX_DELIVERY.c.state == "PENDING"
    while platform_site.admin.get(f"webhook-endpoints/{hook}/deliveries").json()["items"][0]["state"] == "PENDING":
        with platform_site.database.write() as connection:
            last = {"attempts": MAX_ATTEMPTS - 1, "next_at": clock.now()}
            connection.execute(OUTBOX_DELIVERY.update().where(*pending).values(**last))
        time.sleep(0.2)


def test_an_event_that_was_given_up_is_sent_again_and_arrives(platform_site: Site, team: Team) -> None:
    with receiving() as receiver:
        receiver.answers = [503] * 30
        spec = {"url": receiver.url, "types": ["admin.group.*"]}
        body = {"name": "lossy", "organization_id": team.organization, "spec": spec}
        hook = platform_site.post("webhook-endpoints", body)["id"]
        group = {"name": "missed", "organization_id": team.organization, "spec": {"title": "Missed"}}
        id = platform_site.post("groups", group)["id"]
        with logged_in(platform_site, "ada", f"/admin/webhook-endpoints/{hook}") as page:
            row = page.get_by_role("row", name="Group created", exact=False)
            expect(row).to_contain_text("The webhook endpoint responded with 503")
            use_up_attempts(platform_site, hook)
            expect(row.get_by_text("Given up")).to_be_visible()
            receiver.answers = []
            tried = len(receiver.requests)
            row.get_by_role("button", name="Send again").click()
            expect(page.get_by_text("The endpoint has accepted every event.")).to_be_visible()
    arrived = [json.loads(body) for _, body in receiver.requests[tried:]]
    assert [(event["type"], event["subject"]) for event in arrived] == [("admin.group.created", id)]


def test_the_audit_log_is_filtered_verified_and_exported(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/admin/audit-events") as page:
        facet = page.get_by_role("region", name="What").get_by_role("button", name="User created", exact=False)
        facet.click()
        page.wait_for_url("**filter=**")
        expect(facet).to_have_attribute("aria-pressed", "true")
        events = page.get_by_role("table", name="Events")
        expect(events.get_by_role("button", name="User created").first).to_be_visible()
        expect(events.get_by_role("button", name="Group created")).to_have_count(0)
        assert_accessible(page)
        events.get_by_role("button", name="User created").first.click()
        expect(page.get_by_role("dialog")).to_contain_text("admin.user.created")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Verify the chain").click()
        expect(page.get_by_role("status")).to_contain_text("The chain holds")
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name="CSV").click()
        lines = download.value.path().read_text().splitlines()
        assert len(lines) > 3
        assert all("admin.user.created" in line for line in lines[1:])
        assert_fits(page)


def test_a_setting_is_changed_after_its_effect_is_shown_and_reverted(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/admin/settings") as page:
        days = page.get_by_label("Longest life of an API key, in days")
        days.fill("20")
        page.get_by_role("button", name="Review the change").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Longest life of an API key, in days: 366 becomes 20.")
        expect(dialog.get_by_text("expire earlier", exact=False)).to_be_visible()
        assert_accessible(page)
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("table", name="History")).to_contain_text(
            "Longest life of an API key, in days: 366 became 20"
        )
        assert platform_site.admin.get("settings/platform").json()["key_max_days"] == 20
        page.get_by_role("button", name="Revert").first.click()
        expect(page.get_by_role("dialog")).to_contain_text("Longest life of an API key, in days becomes 366 again.")
        page.get_by_role("dialog").get_by_role("button", name="Revert").click()
        expect(days).to_have_value("366")
        assert platform_site.admin.get("settings/platform").json()["key_max_days"] == 366
        assert_fits(page)


def test_another_organization_appears_on_no_page(platform_site: Site, team: Team) -> None:
    with logged_in(platform_site, "olga", "/admin/users") as page:
        expect(page.get_by_role("link", name="olga")).to_be_visible()
        expect(page.get_by_role("link", name="gus")).to_have_count(0)
        hidden = "There is nothing here that you can see"
        question = f"/admin/explain?principal={team.member}&permission=admin.project.get&on={team.project}"
        for path in (f"/admin/users/{team.member}", f"/admin/projects/{team.project}/move", question):
            open_page(platform_site, page, path)
            expect(page.get_by_role("alert")).to_contain_text(hidden)
        open_page(platform_site, page, "/admin/audit-events")
        expect(
            page.get_by_role("complementary", name="Facets").get_by_text("events", exact=False).first
        ).to_be_visible()
        expect(page.get_by_role("table", name="Events")).not_to_contain_text("gus")
        page.get_by_role("button", name="Verify the chain").click()
        expect(page.get_by_role("alert")).to_contain_text("You don't have this permission")
        open_page(platform_site, page, "/admin/settings")
        expect(page.get_by_role("alert")).to_contain_text("You don't have this permission")
