"""All ways through the login page, in a real browser: with a code, a password to change, a code to set up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.api_process import PASSWORD
from tests.e2e.login_pages import Phone, Site, fits, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NEW = "another long password"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One platform for all tests of this file; each has users of its own."""
    with site(tmp_path_factory.mktemp("login")) as running:
        yield running


@pytest.fixture
def page(ours: Site) -> Iterator[Page]:
    """Somebody new on a phone."""
    with ours.page(viewport={"width": 375, "height": 740}, color_scheme="dark") as page:
        yield page


def fill(page: Page, name: str, password: str = PASSWORD, code: str = "") -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_label("One-time code", exact=True).fill(code)
    page.keyboard.press("Enter")


def who(page: Page) -> str:
    """The user whose login the browser holds."""
    asked = "fetch('/api/v1/admin/sessions/current').then((answer) => answer.json())"
    return str(page.evaluate(asked).get("user"))


def test_a_code_of_the_app_or_a_recovery_code_logs_in(ours: Site, page: Page, tmp_path: Path) -> None:
    ours.user("ada")
    phone, recovery = ours.enroll("ada")
    page.goto(f"{ours.url}/login?next=%2Fapi%2Fdocs")
    fill(page, "ada")
    expect(page.get_by_role("alert")).to_have_text("Name, password or one-time password is wrong.")
    refused = page.locator("main").inner_text()
    page.screenshot(path=tmp_path / "refused.png", full_page=True)
    assert fits(page)
    page.reload()
    fill(page, "nobody")
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.locator("main").inner_text() == refused, "the page tells nobody who has a one-time password"
    now = phone.code()
    fill(page, "ada", code=f"{now[:3]} {now[3:]}")
    page.wait_for_url(f"{ours.url}/api/docs")
    assert who(page) == "ada"
    page.context.clear_cookies()
    page.goto(f"{ours.url}/login")
    fill(page, "ada", code=recovery[0])
    page.wait_for_url(f"{ours.url}/")
    assert ours.try_login("ada", code=recovery[0]).status_code == 401, "it is used up"


def test_a_password_that_must_be_changed_is_changed_on_the_way(ours: Site, page: Page, tmp_path: Path) -> None:
    ours.user("bob")
    ours.post("users/bob:require-reset", {})
    page.goto(f"{ours.url}/login?next=%2Faccount")
    fill(page, "bob")
    expect(page.get_by_label("New password", exact=True)).to_be_focused()
    expect(page.get_by_label("One-time code that your app shows now")).to_be_hidden()
    for first, again, problem in (
        (NEW, "else", "differ"),
        ("short", "short", "characters"),
        (*[PASSWORD] * 2, "another"),
    ):
        page.get_by_label("New password", exact=True).fill(first)
        page.get_by_label("New password, once more").fill(again)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text(problem)
    page.screenshot(path=tmp_path / "change.png", full_page=True)
    assert fits(page)
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password, once more").fill(NEW)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{ours.url}/account")
    assert who(page) == "bob"
    assert ours.try_login("bob").status_code == 401
    assert ours.try_login("bob", NEW).status_code == 200


def test_it_is_changed_with_a_code_and_the_next_one_logs_in(ours: Site, page: Page, tmp_path: Path) -> None:
    ours.user("cleo")
    phone, recovery = ours.enroll("cleo")
    ours.post("users/cleo:require-reset", {})
    page.goto(f"{ours.url}/login")
    fill(page, "cleo", code=phone.code())
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password, once more").fill(NEW)
    page.get_by_label("One-time code that your app shows now").fill("000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("too old")
    page.screenshot(path=tmp_path / "too-old.png", full_page=True)
    page.get_by_label("One-time code that your app shows now").fill(phone.code())
    page.keyboard.press("Enter")
    expect(page.get_by_label("The next code of your app")).to_be_focused()
    expect(page.locator("#next")).to_contain_text("Your password was changed.")
    page.screenshot(path=tmp_path / "next.png", full_page=True)
    page.keyboard.type(phone.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("wrong")  # it is the one that changed the password
    page.get_by_label("The next code of your app").fill(phone.code(1))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{ours.url}/")
    assert who(page) == "cleo"
    assert ours.try_login("cleo", NEW, recovery[0]).status_code == 200


@pytest.fixture
def required(ours: Site) -> Iterator[None]:
    """The platform asks everybody for a one-time password."""
    ours.admin.patch("settings/platform", json={"mfa_required": True}).raise_for_status()
    yield
    ours.admin.patch("settings/platform", json={"mfa_required": False}).raise_for_status()


@pytest.mark.usefixtures("required")
def test_who_must_set_up_a_one_time_password_does_so_on_the_way(ours: Site, page: Page, tmp_path: Path) -> None:
    ours.user("dora")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=ours.url)
    page.goto(f"{ours.url}/login?next=%2Faccount")
    fill(page, "dora")
    picture = page.get_by_role("img", name="QR code for an authenticator app")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100, "the policy shows it"
    expect(page.get_by_label("The code that the app shows now")).to_be_focused()
    secret = page.locator("#typed code").inner_text()
    assert [len(group) for group in secret.split(" ")] == [4] * 8
    page.screenshot(path=tmp_path / "enroll.png", full_page=True)
    assert fits(page)
    # Whoever goes away before he is through is led back, with no more rights than he had.
    page.goto(f"{ours.url}/account")
    page.wait_for_url(f"{ours.url}/login?next=%2Faccount")
    fill(page, "dora")
    expect(picture).to_be_visible()
    again = page.locator("#typed code").inner_text()
    assert again != secret
    phone = Phone(again)
    page.keyboard.type("000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("The code that the app shows now").fill(phone.code(-1))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keep your recovery codes")).to_be_focused()
    shown = page.get_by_role("list", name="Recovery codes").get_by_role("listitem").all_inner_texts()
    assert len(set(shown)) == 10
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert str(page.evaluate("navigator.clipboard.readText()")).split("\n") == shown
    page.screenshot(path=tmp_path / "recovery.png", full_page=True)
    assert fits(page)
    page.get_by_role("button", name="I have kept them").click()
    expect(page.get_by_label("The next code of your app")).to_be_focused()
    assert not page.locator("code").filter(has_text=shown[0]).count()
    page.keyboard.type(phone.code())
    page.keyboard.press("Enter")
    page.wait_for_url(f"{ours.url}/account")
    expect(page.get_by_role("button", name="Switch off")).to_be_visible()
    expect(page.get_by_text("this one", exact=True)).to_be_visible()
    rows = page.get_by_role("row").filter(has_text="login from")
    expect(rows).to_have_count(2)  # the login that was left, and this one: that which set it up has ended
    assert ours.try_login("dora").status_code == 401
    assert ours.try_login("dora", code=shown[0]).json()["must_enroll"] is False
