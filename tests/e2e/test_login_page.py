"""All ways through the login page, in a real browser: with a code, a password to change, a code to set up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from api.kernel.http.own_path import own_path
from tests.api_process import PASSWORD
from tests.e2e.login_pages import Phone, Site, fits, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NEW = "another long password"


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One platform for all tests of this file; each has its own users."""
    with site(tmp_path_factory.mktemp("login")) as running:
        yield running


@pytest.fixture
def page(platform_site: Site) -> Iterator[Page]:
    """A new visitor on a phone."""
    with platform_site.page(viewport={"width": 375, "height": 740}, color_scheme="dark") as page:
        yield page


def fill(page: Page, name: str, password: str = PASSWORD, code: str = "") -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")
    if code:
        expect(page.get_by_label("One-time code", exact=True)).to_be_focused()
        page.keyboard.type(code)
        page.keyboard.press("Enter")


def who(page: Page) -> str:
    """The user whose login the browser holds."""
    asked = "fetch('/api/v1/admin/sessions/current').then((answer) => answer.json())"
    return str(page.evaluate(asked).get("user"))


def test_a_code_of_the_app_or_a_recovery_code_logs_in(platform_site: Site, page: Page, tmp_path: Path) -> None:
    platform_site.user("ada")
    phone, recovery = platform_site.enroll("ada")
    page.goto(f"{platform_site.url}/login?next=%2Fapi%2Fdocs")
    fill(page, "ada", "not the password")
    expect(page.get_by_role("alert")).to_have_text("Name, password, or one-time password is wrong.")
    refused = page.locator("main").inner_text()
    page.screenshot(path=tmp_path / "refused.png", full_page=True)
    assert fits(page)
    page.reload()
    fill(page, "absent", "not the password")
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.locator("main").inner_text() == refused, "the page does not disclose who has a one-time password"
    page.reload()
    now = phone.code()
    fill(page, "ada", code="000000")
    expect(page.get_by_role("alert")).to_have_text("Name, password, or one-time password is wrong.")
    page.screenshot(path=tmp_path / "code.png", full_page=True)
    assert fits(page)
    page.get_by_label("One-time code", exact=True).fill(f"{now[:3]} {now[3:]}")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{platform_site.url}/api/docs")
    assert who(page) == "ada"
    page.context.clear_cookies()
    page.goto(f"{platform_site.url}/login")
    fill(page, "ada", code=recovery[0])
    page.wait_for_url(f"{platform_site.url}/")
    assert platform_site.try_login("ada", code=recovery[0]).status_code == 401, "it is used up"


def test_a_password_that_must_be_changed_is_changed_on_the_way(platform_site: Site, page: Page, tmp_path: Path) -> None:
    platform_site.user("bob")
    platform_site.post("users/bob:require-reset", {})
    page.goto(f"{platform_site.url}/login?next=%2Faccount")
    fill(page, "bob")
    expect(page.get_by_label("New password", exact=True)).to_be_focused()
    expect(page.get_by_label("Current one-time code")).to_be_hidden()
    for first, again, problem in (
        (NEW, "else", "differ"),
        ("short", "short", "characters"),
        (*[PASSWORD] * 2, "present one"),
    ):
        page.get_by_label("New password", exact=True).fill(first)
        page.get_by_label("Repeat the new password").fill(again)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text(problem)
    page.screenshot(path=tmp_path / "change.png", full_page=True)
    assert fits(page)
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("Repeat the new password").fill(NEW)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{platform_site.url}/account")
    assert who(page) == "bob"
    assert platform_site.try_login("bob").status_code == 401
    assert platform_site.try_login("bob", NEW).status_code == 200


def test_it_is_changed_with_a_code_and_the_next_one_logs_in(platform_site: Site, page: Page, tmp_path: Path) -> None:
    platform_site.user("cleo")
    phone, recovery = platform_site.enroll("cleo")
    platform_site.post("users/cleo:require-reset", {})
    page.goto(f"{platform_site.url}/login")
    fill(page, "cleo", code=phone.code())
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("Repeat the new password").fill(NEW)
    page.get_by_label("Current one-time code").fill("000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("expired")
    page.screenshot(path=tmp_path / "too-old.png", full_page=True)
    page.get_by_label("Current one-time code").fill(phone.code())
    page.keyboard.press("Enter")
    expect(page.get_by_label("One-time code", exact=True)).to_be_focused()
    expect(page.locator("#next")).to_contain_text("Your password was changed.")
    page.screenshot(path=tmp_path / "next.png", full_page=True)
    page.keyboard.type(phone.code())
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("wrong")  # it is the one that changed the password
    page.get_by_label("One-time code", exact=True).fill(phone.code(1))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{platform_site.url}/")
    assert who(page) == "cleo"
    assert platform_site.try_login("cleo", NEW, recovery[0]).status_code == 200


@pytest.fixture
def required(platform_site: Site) -> Iterator[None]:
    """The platform asks every user for a one-time password."""
    platform_site.admin.patch("settings/platform", json={"mfa_required": True}).raise_for_status()
    yield
    platform_site.admin.patch("settings/platform", json={"mfa_required": False}).raise_for_status()


@pytest.mark.usefixtures("required")
def test_who_must_set_up_a_one_time_password_does_so_on_the_way(
    platform_site: Site, page: Page, tmp_path: Path
) -> None:
    platform_site.user("dora")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=platform_site.url)
    page.goto(f"{platform_site.url}/login?next=%2Faccount")
    fill(page, "dora")
    picture = page.get_by_role("img", name="QR code for an authenticator app")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100, "the policy shows it"
    expect(page.get_by_label("Current code from the app")).to_be_focused()
    secret = page.locator("#typed code").inner_text()
    assert [len(group) for group in secret.split(" ")] == [4] * 8
    page.screenshot(path=tmp_path / "enroll.png", full_page=True)
    assert fits(page)
    # A user who leaves before the end is led back, with no more rights than before.
    page.goto(f"{platform_site.url}/account")
    page.wait_for_url(f"{platform_site.url}/login?next=%2Faccount")
    fill(page, "dora")
    expect(picture).to_be_visible()
    again = page.locator("#typed code").inner_text()
    assert again != secret
    phone = Phone(again)
    page.keyboard.type("000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("Current code from the app").fill(phone.code(-1))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Keep your recovery codes")).to_be_focused()
    codes = page.get_by_role("list", name="Recovery codes").get_by_role("listitem").all_inner_texts()
    assert len(set(codes)) == 10
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert str(page.evaluate("navigator.clipboard.readText()")).split("\n") == codes
    page.screenshot(path=tmp_path / "recovery.png", full_page=True)
    assert fits(page)
    page.get_by_role("button", name="I have kept them").click()
    expect(page.get_by_label("One-time code", exact=True)).to_be_focused()
    assert not page.locator("code").filter(has_text=codes[0]).count()
    page.keyboard.type(phone.code())
    page.keyboard.press("Enter")
    page.wait_for_url(f"{platform_site.url}/account")
    expect(page.get_by_role("button", name="Turn off")).to_be_visible()
    expect(page.get_by_text("this one", exact=True)).to_be_visible()
    rows = page.get_by_role("row").filter(has_text="login from")
    expect(rows).to_have_count(2)  # the login that was left, and this one: that which set it up has ended
    assert platform_site.try_login("dora").status_code == 401
    assert platform_site.try_login("dora", code=codes[0]).json()["must_enroll"] is False


ELSEWHERE = (
    *(
        "//evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "/\r/evil.test",
        "\t//evil.test",
    ),
    *("https://evil.test", "https:evil.test", "HTTPS://evil.test", "javascript:alert(1)", "data:,x", "evil.test", ""),
    *(
        "///evil.test",
        "/\x00/evil.test",
        "/\u2028/evil.test",
        "\uff0f\uff0fevil.test",
        "/\uff0fevil.test",
        " //evil.test",
    ),
    *(
        "/%09/evil.test",
        "/%0a/evil.test",
        "/%2f/evil.test",
        "/%2F/evil.test",
        "/%5Cevil.test",
        "/%00",
        "/..//evil.test",
    ),
    *(
        "/.//evil.test",
        "/x/..//evil.test",
        "//user@evil.test",
        "/a\u00e9",
        "/ a",
        "/a;b",
        "/%ff",
        "/%",
        f"/{'a' * 1000}",
    ),
    *("/a?b=\t", "/a#\n", "/a?\\", "/a//b", "/%61", "/%2e%2e/", "?a", "#a", "@evil.test", "/\x7f"),
)
PATHS_OF_THE_SITE = (
    *(
        "/",
        "/account",
        "/api/docs",
        "/dagster/",
        "/dagster/assets/flights/gold/a?view=lineage&x=%2F%5C",
        "/?asset=a.b.c",
    ),
    *("/a?next=//x", "/a?b=[1]&c={d|e}", "/a#b", "/a/%20b", "/caf%C3%A9", "/@user:x", "/a?x=https://y.test/"),
)


def test_after_a_login_the_page_leads_nowhere_else(platform_site: Site, page: Page) -> None:
    """The kind of fault: what is checked as a path is read as another site's address by the browser.

    The pages and the API hold the same rule, and the browser's own parser agrees with it.
    """
    page.goto(f"{platform_site.url}/login")
    judge = """(wanted) => import('/static/own-path.js').then(({ ownPath }) => {
      const found = ownPath(wanted);
      return [found, new URL(found, location.href).href];
    })"""
    for wanted in (*ELSEWHERE, *PATHS_OF_THE_SITE):
        found, leads = page.evaluate(judge, wanted)
        assert found == own_path(wanted), wanted
        assert leads == f"{platform_site.url}{found}", wanted
        assert found == (wanted if wanted in PATHS_OF_THE_SITE else "/"), wanted


@pytest.mark.parametrize("next", ["/%09/127.0.0.1:1/", "/%0A/127.0.0.1:1/", "/%5C127.0.0.1:1/", "//127.0.0.1:1/"])
def test_a_login_does_not_leave_the_site(platform_site: Site, page: Page, next: str) -> None:
    name = f"leaving-{len(next)}-{next.count('%')}-{ord(next[3])}"
    platform_site.user(name)
    page.goto(f"{platform_site.url}/login?next={next}")
    fill(page, name)
    page.wait_for_url(f"{platform_site.url}/")
