"""Logins with the accounts of a company, in a real browser: their registration, their test, and the login itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.api.admin.identity_provider import ADA, CLIENT, Provider, running_provider
from tests.e2e.choosing import choose
from tests.e2e.console_pages import add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, fits, site

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:get_jwt_config"),
]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as running:
        yield running


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("providers")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        yield running


def registered(platform_site: Site, provider: Provider, name: str, **spec: object) -> str:
    body = {"title": name.title(), "issuer": provider.issuer, "client_id": CLIENT, **spec}
    id = str(platform_site.post("identity-providers", {"name": name, "spec": body})["id"])
    platform_site.post(f"identity-providers/{id}:set-client-secret", {"client_secret": "any"})
    return id


def log_in_elsewhere(page: Page, name: str, subject: str) -> None:
    """From the login page through the provider, as the user with this subject there."""
    page.get_by_label("Identity provider").fill(name)
    page.get_by_role("button", name="Continue").click()
    page.locator("input[name=sub]").fill(subject)
    page.keyboard.press("Enter")


def test_a_provider_is_registered_tested_and_its_logins_previewed(platform_site: Site, provider: Provider) -> None:
    group = {"name": "engineers", "organization_id": "default", "spec": {"title": "Engineers", "source": "CLAIM"}}
    platform_site.post("groups", group)
    with logged_in(platform_site, "ada", "/admin/identity-providers") as page:
        page.get_by_role("link", name="Create identity provider").first.click()
        page.get_by_role("textbox", name="Name", exact=True).fill("acme")
        page.get_by_label("Title").fill("Acme")
        page.get_by_label("Issuer").fill(provider.issuer)
        page.get_by_label("Client ID").fill(CLIENT)
        page.get_by_label("Client secret").fill("canary-client-secret")
        page.get_by_role("switch", name="Create users at their first login").click()
        groups = page.get_by_role("group", name="Groups")
        groups.get_by_role("button", name="Add a name").click()
        groups.get_by_label("Name in the claim").fill("eng")
        choose(page, "Gives", "engineers", within=groups)
        assert_accessible(page)
        page.get_by_role("button", name="Register").click()
        page.wait_for_url("**/admin/identity-providers/idp_*")
        page.get_by_role("button", name="Test", exact=True).click()
        steps = page.get_by_role("table", name="Steps of the test")
        expect(steps.get_by_text("Passed", exact=True)).to_have_count(3)
        expect(page.get_by_text("canary-client-secret")).to_have_count(0)
        assert_accessible(page)
        page.get_by_role("tab", name="Preview a login").click()
        page.get_by_label("Subject").fill("s-new")
        page.get_by_label("User name").fill("nora")
        page.get_by_role("combobox", name="Groups").fill("eng")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Preview the login").click()
        expect(page.get_by_role("status")).to_contain_text("The login creates the user nora")
        given = page.get_by_role("table", name="What the login gives")
        expect(given.get_by_role("link", name="engineers")).to_be_visible()
        assert_accessible(page)
        users = platform_site.admin.get("users", params={"filter": 'name == "nora"'}).json()
        assert users["items"] == [], "a preview changes nothing"
        page.set_viewport_size({"width": 390, "height": 800})
        expect(page.locator("html")).to_have_js_property("scrollWidth", 390)


def test_the_test_of_a_provider_names_the_step_that_fails(platform_site: Site, provider: Provider) -> None:
    spec = {"title": "Wrong", "issuer": f"{provider.issuer}/absent", "client_id": CLIENT}
    id = platform_site.post("identity-providers", {"name": "wrong", "spec": spec})["id"]
    with logged_in(platform_site, "ada", f"/admin/identity-providers/{id}") as page:
        page.get_by_role("button", name="Test", exact=True).click()
        steps = page.get_by_role("table", name="Steps of the test")
        expect(steps.get_by_role("row", name="The provider describes itself")).to_contain_text("Failed")
        expect(steps.get_by_role("row", name="Its keys can be read")).to_contain_text("Not tried")
        expect(steps.get_by_role("row", name="The client secret is stored")).to_contain_text("Failed")
        page.get_by_role("tab", name="Settings").click()
        page.get_by_label("Issuer").fill(provider.issuer)
        page.get_by_role("button", name="Save").click()
        page.get_by_role("button", name="Test", exact=True).click()
        expect(steps.get_by_role("row", name="The provider describes itself")).to_contain_text("Passed")


def test_a_login_elsewhere_returns_to_the_page_that_was_asked_for(platform_site: Site, provider: Provider) -> None:
    registered(platform_site, provider, "globex", just_in_time=True)
    provider.claim("s-eva", **{**ADA, "preferred_username": "eva", "email": "eva@example.org"})
    with platform_site.page() as page:
        page.goto(f"{platform_site.url}/runs?state=FAILED")
        page.wait_for_url("**/login?next=**")
        log_in_elsewhere(page, "globex", "s-eva")
        page.wait_for_url(f"{platform_site.url}/runs?state=FAILED")
        expect(page.get_by_role("button", name="Your account")).to_have_text("eva")


def test_a_refused_login_says_why_and_leads_back(platform_site: Site, provider: Provider) -> None:
    registered(platform_site, provider, "initech", just_in_time=False)
    with platform_site.page(viewport={"width": 390, "height": 800}) as page:
        page.goto(f"{platform_site.url}/account")
        log_in_elsewhere(page, "initech", "s-nobody")
        expect(page.get_by_role("heading", name="You aren't logged in")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("you can't log in here. Ask an admin.")
        assert fits(page)
        assert_accessible(page)
        page.get_by_role("link", name="Back to the login").click()
        page.wait_for_url(f"{platform_site.url}/login?next=%2Faccount")
        page.get_by_label("Identity provider").fill("absent")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("alert")).to_contain_text("There is no identity provider 'absent'.")
        page.get_by_role("link", name="Back to the login").click()
        page.wait_for_url(f"{platform_site.url}/login?next=%2Faccount")
        session = "fetch('/api/v1/admin/sessions/current').then((answer) => answer.status)"
        assert page.evaluate(session) == 401
