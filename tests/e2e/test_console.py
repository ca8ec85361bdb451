"""The web console in a real browser: items of any kind are found, created, changed, and deleted in pages drawn from
the catalog of kinds, with the permissions of the user.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Request, expect

from tests.e2e.console_pages import CONSOLE, add_user, assert_accessible, built, logged_in, walk
from tests.e2e.login_pages import Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("console")) as running:
        for organization, name, role in (("default", "ada", "rol_admin"), ("default", "vic", "rol_viewer")):
            add_user(running, organization, name, role, "platform")
        other = running.post("organizations", {"name": "other", "spec": {"title": "Other"}})["id"]
        add_user(running, other, "olga", "rol_admin", other)
        yield running


def test_a_group_is_created_changed_and_deleted(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/admin/groups") as page:
        page.get_by_role("link", name="Create group").click()
        page.get_by_role("textbox", name="Name", exact=True).fill("Not A Name")
        page.get_by_label("Title").fill("Readers")
        page.get_by_role("button", name="Create", exact=True).click()
        name = page.get_by_role("textbox", name="Name", exact=True)
        expect(name).to_be_focused()
        expect(name).to_have_attribute("aria-invalid", "true")
        assert_accessible(page)
        name.fill("readers")
        page.get_by_role("button", name="Create", exact=True).click()
        expect(page.get_by_role("heading", name="Readers", exact=True)).to_be_visible()
        id = page.url.rpartition("/")[2]
        assert platform_site.admin.get(f"groups/{id}").json()["spec"]["title"] == "Readers"
        page.get_by_role("tab", name="Details").click()
        for named in ("ada", "default"):  # The owner and the organization.
            expect(page.get_by_role("main").get_by_role("link", name=named, exact=True)).to_be_visible()

        page.get_by_role("button", name="Edit").click()
        page.get_by_role("dialog").get_by_label("Title").fill("All readers")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.get_by_role("heading", name="All readers")).to_be_visible()
        page.get_by_role("tab", name="History").click()
        expect(page.get_by_role("row", name="spec.title Readers All readers")).to_be_visible()
        assert_accessible(page)

        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        page.wait_for_url(f"**{CONSOLE}/admin/groups")
        assert platform_site.admin.get(f"groups/{id}").status_code == 404


def test_a_change_that_another_user_made_meanwhile_is_not_overwritten(platform_site: Site) -> None:
    id = platform_site.post("groups", {"name": "crowd", "organization_id": "default", "spec": {"title": "One"}})["id"]
    with logged_in(platform_site, "ada", f"/admin/groups/{id}") as page:
        page.get_by_role("button", name="Edit").click()
        page.get_by_role("dialog").get_by_label("Title").fill("Three")
        platform_site.admin.patch(f"groups/{id}", json={"spec": {"title": "Two"}}).raise_for_status()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
        assert platform_site.admin.get(f"groups/{id}").json()["spec"]["title"] == "Two"


def test_the_address_holds_the_filter_the_order_and_the_columns(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/admin/users") as page:
        page.get_by_role("button", name="Add condition").click()
        page.get_by_label("Field").first.fill("name")
        page.get_by_role("option", name="Name", exact=True).click()
        page.get_by_label("Value").fill("vic")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("button", name="Name", exact=True).click()
        page.wait_for_url("**order_by=name**")
        address = page.url
        page.goto(f"{platform_site.url}{CONSOLE}")
        expect(page.get_by_role("heading", name="Hello")).to_be_visible()
        page.goto(address)
        expect(page.get_by_label("Filter")).to_have_value('name.contains("vic")')
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_label("Filter").fill("name ==")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()


def test_the_list_and_the_form_of_every_kind_open(platform_site: Site) -> None:
    index = platform_site.admin.get(f"{platform_site.url}/api/openapi").json()
    kinds = [
        (entry["kinds"].split("/")[3], kind["plural"], {method["verb"] for method in kind["methods"]})
        for entry in index["services"]
        for kind in platform_site.admin.get(f"{platform_site.url}{entry['kinds']}").json()["items"]
    ]
    assert len([one for one in kinds if "list" in one[2]]) > 30
    with logged_in(platform_site, "ada") as page:
        expect(page.get_by_role("heading", name="Hello")).to_be_visible()
        assert_accessible(page)
        for service, plural, methods in kinds:
            if "list" in methods:
                walk(page, f"/{service}/{plural}")
                table = page.locator("table[aria-busy=false]").or_(page.locator("main table:not([aria-busy])"))
                expect(table.or_(page.get_by_text("There are no ")).first).to_be_visible()
                expect(page.get_by_role("alert")).to_have_count(0)
            if "create" in methods:
                walk(page, f"/{service}/{plural}/new")
                expect(page.get_by_role("main").get_by_role("heading", level=1)).to_be_visible()
                expect(page.get_by_role("alert")).to_have_count(0)


def test_the_first_page_names_its_scripts_and_they_are_small(platform_site: Site) -> None:
    with platform_site.page(color_scheme="light") as page:
        scripts: list[Request] = []
        page.on("requestfinished", lambda one: scripts.append(one) if one.resource_type == "script" else None)
        platform_site.log_in(page, "ada")
        answer = page.goto(platform_site.url)
        assert answer
        named = answer.text().count("<script") + answer.text().count("modulepreload")
        assert named <= 4, "nothing is drawn before all of them are there"
        expect(page.get_by_role("heading", name="Hello")).to_be_visible()
        sizes = [one.sizes()["responseBodySize"] for one in scripts]
        assert max(sizes) > 100_000
        assert sum(sizes) < 250_000


def test_a_viewer_sees_what_they_can_not_do(platform_site: Site) -> None:
    with logged_in(platform_site, "vic", "/admin/groups") as page:
        create = page.get_by_text("Create group", exact=True)
        expect(page.locator("[data-disabled]", has=create)).to_have_attribute(
            "title", "You need the permission admin.group.create."
        )


def test_another_organization_sees_nothing(platform_site: Site) -> None:
    id = platform_site.post("groups", {"name": "hidden", "organization_id": "default", "spec": {"title": "H"}})["id"]
    with logged_in(platform_site, "olga", "/admin/groups") as page:
        expect(page.get_by_text("There are no groups that you can see.")).to_be_visible()
        page.goto(f"{platform_site.url}{CONSOLE}/admin/groups/{id}")
        expect(page.get_by_role("alert")).to_contain_text("There is nothing here that you can see")


def test_the_keyboard_reaches_every_kind(platform_site: Site) -> None:
    with logged_in(platform_site, "ada") as page:
        expect(page.get_by_role("heading", name="Hello")).to_be_visible()
        page.keyboard.press("Control+k")
        page.get_by_placeholder("Find a page or an item, or run a command").fill("webhook endpoints")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{CONSOLE}/admin/webhook-endpoints")
        expect(page.get_by_role("heading", name="Webhook endpoints")).to_be_visible()


def test_pages_fit_a_phone(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/admin/users", viewport={"width": 390, "height": 800}) as page:
        expect(page.get_by_role("link", name="ada")).to_be_visible()
        for path in ("/admin/users", "/admin/groups/new", "/lineage", "/query", ""):
            page.goto(f"{platform_site.url}{CONSOLE}{path}")
            expect(page.get_by_role("heading").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_wrong_address_has_a_page(platform_site: Site) -> None:
    with logged_in(platform_site, "vic", "/no-such-page/at/all/here") as page:
        expect(page.get_by_text("There is no page at this address.")).to_be_visible()
        assert page.request.get(f"{platform_site.url}/no-such-page").status == 404, "an API client gets a problem"
