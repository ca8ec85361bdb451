"""Pages of the console in a browser: the login on the way to them, and what every page must keep to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, expect

from tests.api_process import PASSWORD
from tests.e2e.login_pages import Site

CONSOLE = ""
WEB = Path(__file__).parents[2] / "web"
# A cursor blinks without an end.
ANIMATED = """Promise.allSettled(document.getAnimations()
    .filter((one) => one.effect.getComputedTiming().endTime < Infinity).map((one) => one.finished))"""
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"


def built() -> None:
    """Requires the files of the console."""
    assert (WEB / "dist" / "index.html").is_file(), "no console: run `make console`"


def add_user(platform_site: Site, organization: str, name: str, role: str, securable: str) -> None:
    id = platform_site.post("users", {"name": name, "organization_id": organization, "spec": {}})["id"]
    platform_site.post("grants", {"principal_id": id, "role_id": role, "securable_id": securable})
    platform_site.post(f"users/{id}:set-password", {"password": PASSWORD})


@contextmanager
def logged_in(
    platform_site: Site, name: str, path: str = "/", *, quiet: bool = False, **options: Any
) -> Iterator[Page]:
    """A page of the console for a user who has logged in. No page reports an error on the browser's console, except
    that one which can't reach the platform reports this; then the test is `quiet` about it.
    """
    complaints: list[str] = []
    with platform_site.page(**({"viewport": {"width": 1280, "height": 800}} | options)) as page:

        def listen(message: ConsoleMessage) -> None:
            # The browser reports each refused request, which the pages show.
            if message.type == "error" and "the server responded with a status of" not in message.text:
                if quiet and "net::ERR_INTERNET_DISCONNECTED" in message.text:
                    return
                complaints.append(message.text)

        page.on("console", listen)
        platform_site.log_in(page, name)
        page.goto(f"{platform_site.url}{CONSOLE}{path}")
        yield page
        page.remove_listener("console", listen)
        assert complaints == []


def walk(page: Page, path: str) -> None:
    """Opens a page as a link does, without loading the console again, and waits until it is drawn."""
    page.evaluate("path => history.pushState(null, '', path)", path)
    expect(page.locator("html")).to_have_attribute("data-page", path.partition("?")[0])


def assert_accessible(page: Page) -> None:
    """No serious or critical finding of axe in either theme. Themes differ in colors alone."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast", "link-in-text-block"]})):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.evaluate(ANIMATED)
        found = page.evaluate("options => axe.run(options)", options)["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert serious == [], f"{scheme}: {serious}"
