"""The account page in a real browser: one-time password, password and logins of the user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.api.admin.identity_provider import ADA, CLIENT, running_provider
from tests.api_process import PASSWORD
from tests.e2e.login_pages import Phone, Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NEW = "another long password"


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One platform for all tests of this file; each has its own users."""
    with site(tmp_path_factory.mktemp("account")) as running:
        yield running


@pytest.fixture
def page(platform_site: Site) -> Iterator[Page]:
    """A visitor who is not logged in."""
    with platform_site.page(viewport={"width": 1280, "height": 800}, color_scheme="light") as page:
        yield page


def log_in(platform_site: Site, page: Page, name: str, code: str = "") -> None:
    """From the page's address over the login back to it."""
    page.goto(f"{platform_site.url}/account")
    expect(page).to_have_url(f"{platform_site.url}/login?next=%2Faccount")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    if code:
        page.get_by_label("One-time code", exact=True).fill(code)
        page.keyboard.press("Enter")
    page.wait_for_url(f"{platform_site.url}/account")


def picture(page: Page, folder: Path, name: str) -> None:
    """Shows the page wide and on a phone, light and dark; nothing may stick out."""
    for width, scheme in ((1280, "light"), (375, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.screenshot(path=folder / f"{name}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_one_time_password_is_set_up_and_switched_off(platform_site: Site, page: Page, tmp_path: Path) -> None:
    platform_site.user("ada")
    log_in(platform_site, page, "ada")
    page.goto(f"{platform_site.url}/")
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("menuitem", name="Account and appearance").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    page.get_by_role("button", name="Set up").focus()
    picture(page, tmp_path, "without")
    page.get_by_role("button", name="Set up").press("Enter")
    expect(page.get_by_label("Current code from the app")).to_be_focused()
    picture(page, tmp_path, "code")
    phone = Phone(page.get_by_text("Or type this key").locator("code").inner_text())
    assert platform_site.try_login("ada").status_code == 200, "not yet confirmed"
    page.keyboard.type(phone.code(-1))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keep your recovery codes")).to_be_focused()
    # As over plain HTTP, where browsers keep the clipboard shut.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="The codes are selected")).to_be_visible()
    codes = page.get_by_role("list", name="Recovery codes").get_by_role("listitem").all_inner_texts()
    assert str(page.evaluate("getSelection().toString()")).split() == codes
    picture(page, tmp_path, "recovery")
    page.get_by_role("button", name="I have kept them").click()
    expect(page.get_by_role("heading", name="One-time password")).to_be_focused()
    picture(page, tmp_path, "with")
    assert platform_site.try_login("ada").status_code == 401
    assert platform_site.try_login("ada", code=phone.code()).status_code == 200

    page.get_by_label("Code from your app, or an unused recovery code").fill(codes[0])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keep your recovery codes")).to_be_focused()
    renewed = page.get_by_role("list", name="Recovery codes").get_by_role("listitem").all_inner_texts()
    page.get_by_role("button", name="I have kept them").click()
    expect(page.get_by_role("heading", name="One-time password")).to_be_focused()
    assert platform_site.try_login("ada", code=codes[1]).status_code == 401
    assert platform_site.try_login("ada", code=renewed[0]).status_code == 200

    code = page.get_by_role("region", name="One-time password").get_by_label("One-time code, or a recovery code")
    code.fill("000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The code is wrong.")
    code.fill(phone.code(1))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Set up")).to_be_visible()
    assert platform_site.try_login("ada").status_code == 200


def test_the_password_is_changed_and_all_logins_end(platform_site: Site, page: Page, tmp_path: Path) -> None:
    platform_site.user("bob")
    phone, recovery = platform_site.enroll("bob")
    log_in(platform_site, page, "bob", phone.code())
    region = page.get_by_role("region", name="Password", exact=True)
    other = {"authorization": f"Bearer {platform_site.try_login('bob', code=recovery[0]).json()['token']}"}
    fields = {"Current password": "wrong wrong wrong", "New password": NEW, "Repeat the new password": "else"}
    for label, text in fields.items():
        region.get_by_label(label, exact=True).fill(text)
    region.get_by_label("One-time code").fill(recovery[1])
    page.keyboard.press("Enter")
    expect(region.get_by_role("alert")).to_contain_text("The two passwords differ.")
    region.get_by_label("Repeat the new password").fill(NEW)
    page.keyboard.press("Enter")
    expect(region.get_by_role("alert")).to_contain_text("Name, password, or one-time password is wrong.")
    picture(page, tmp_path, "refused")
    region.get_by_label("Current password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(region.get_by_role("status")).to_be_focused()
    expect(region.get_by_role("status")).to_contain_text("Your password was changed.")
    assert platform_site.admin.get("sessions/current", headers=other).status_code == 401
    assert platform_site.try_login("bob", code=phone.code(1)).status_code == 401
    assert platform_site.try_login("bob", NEW, phone.code(1)).status_code == 200
    region.get_by_role("link", name="Log in").click()
    page.wait_for_url(f"{platform_site.url}/login?next=%2Faccount")


def test_another_login_is_ended_and_this_one_stays(platform_site: Site, page: Page, tmp_path: Path) -> None:
    platform_site.user("cleo")
    lost = {"authorization": f"Bearer {platform_site.try_login('cleo').json()['token']}"}
    log_in(platform_site, page, "cleo")
    rows = page.get_by_role("row").filter(has_text="login from")
    expect(rows).to_have_count(2)
    picture(page, tmp_path, "logins")
    assert platform_site.admin.get("sessions/current", headers=lost).status_code == 200
    page.get_by_role("button", name="End the login from 127.0.0.1").press("Enter")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("this one")
    expect(page.get_by_role("heading", name="Logins")).to_be_focused()
    assert platform_site.admin.get("sessions/current", headers=lost).status_code == 401
    page.get_by_role("button", name="Your account").click()
    page.get_by_role("menuitem", name="Log out").click()
    page.wait_for_url(f"{platform_site.url}/login")
    page.goto(f"{platform_site.url}/account")
    expect(page).to_have_url(f"{platform_site.url}/login?next=%2Faccount")


@pytest.mark.filterwarnings("ignore:get_jwt_config")
def test_who_logs_in_elsewhere_has_no_password_to_see_to(platform_site: Site, page: Page, tmp_path: Path) -> None:
    with running_provider() as provider:
        spec = {"title": "Acme", "issuer": provider.issuer, "client_id": CLIENT, "just_in_time": True}
        acme = platform_site.post("identity-providers", {"name": "acme", "spec": spec})["id"]
        platform_site.post(f"identity-providers/{acme}:set-client-secret", {"client_secret": "any"})
        provider.claim("s-eva", **{**ADA, "preferred_username": "eva", "email": "eva@example.org"})
        page.goto(f"{platform_site.url}/account")
        page.get_by_label("Identity provider").fill("acme")
        page.get_by_role("button", name="Continue").click()
        page.locator("input[name=sub]").fill("s-eva")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{platform_site.url}/account")
    expect(page.get_by_role("button", name="Your account")).to_have_text("eva")
    expect(page.get_by_text("You log in through your identity provider")).to_have_count(2)
    expect(page.get_by_role("button", name="Set up")).to_have_count(0)
    expect(page.get_by_text("this one", exact=True)).to_be_visible()
    picture(page, tmp_path, "elsewhere")


def test_an_ended_session_asks_for_a_login_and_the_page_keeps_its_content(platform_site: Site, page: Page) -> None:
    platform_site.user("dora")
    log_in(platform_site, page, "dora")
    region = page.get_by_role("region", name="Password", exact=True)
    region.get_by_label("New password", exact=True).fill(NEW)
    platform_site.post("users/dora:revoke-sessions", {})
    page.get_by_text("Compact").click()
    dialog = page.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_contain_text("Log in as dora")
    dialog.get_by_label("Password", exact=True).fill("wrong wrong wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("wrong")
    dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("html")).to_have_attribute("data-density", "compact")
    expect(region.get_by_label("New password", exact=True)).to_have_value(NEW)


def test_the_appearance_follows_the_user_to_another_browser(platform_site: Site, page: Page) -> None:
    platform_site.user("fay")
    log_in(platform_site, page, "fay")
    page.get_by_text("Dark", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    page.get_by_role("combobox", name="Time zone").fill("Asia/Tok")
    page.get_by_role("option", name="Asia/Tokyo").click()
    expect(page.get_by_role("combobox", name="Time zone")).to_have_value("Asia/Tokyo")
    with platform_site.page(color_scheme="light") as other:
        log_in(platform_site, other, "fay")
        expect(other.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
        began = other.get_by_role("row").filter(has_text="this one").locator("time").first
        began.hover()
        expect(began).to_have_attribute("title", re.compile(r"GMT\+9"))
