"""A platform with its login pages, a browser before it, and the phones of its users."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyotp
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

from core import clock
from core.db import Database
from tests.api_process import PASSWORD
from tests.api_server import Server
from tests.orchestration import FakeOrchestrator

WINDOW = {"width": 1280, "height": 720}


class Site:
    """A running platform, as its admin and a browser see it."""

    orchestrator: FakeOrchestrator
    """What stands for Dagster. A whole platform has none."""

    database: Database
    """The metadata database, for what would take a test hours. A whole platform has none."""

    def __init__(self, url: str, token: str, browser: Browser) -> None:
        self.url = url
        self.browser = browser
        self._idle: list[Page] = []
        headers = {"authorization": f"Bearer {token}"}
        self.admin = httpx.Client(base_url=f"{url}/api/v1/admin/", headers=headers, timeout=60)

    def user(self, name: str) -> None:
        """A user who can log in and see the platform."""
        id = self.post("users", {"name": name, "organization_id": "default", "spec": {}})["id"]
        self.post("grants", {"principal_id": id, "role_id": "rol_viewer", "securable_id": "platform"})
        self.post(f"users/{name}:set-password", {"password": PASSWORD})

    def post(self, path: str, body: dict[str, Any], **options: Any) -> Any:
        """What the platform answers the admin, or the caller of these headers."""
        return self.admin.post(path, json=body, **options).raise_for_status().json()

    def try_login(self, name: str, password: str = PASSWORD, code: str = "") -> httpx.Response:
        """A login outside the browser."""
        body = {"name": name, "password": password, "one_time_password": code}
        return httpx.post(f"{self.url}/api/v1/admin/sessions:login", json=body)

    def enroll(self, name: str) -> tuple[Phone, list[str]]:
        """Gives a user a one-time password, set up a minute ago. Returns it and the recovery codes."""
        owned = {"headers": {"authorization": f"Bearer {self.try_login(name).json()['token']}"}}
        phone = Phone(self.post(f"users/{name}:enroll-one-time-password", {}, **owned)["secret"])
        confirmed = self.post(f"users/{name}:confirm-one-time-password", {"code": phone.code(-1)}, **owned)
        return phone, confirmed["recovery_codes"]

    def log_in(self, page: Page, name: str) -> None:
        """Gives a browser window the session of a user, as the login page does."""
        body = {"name": name, "password": PASSWORD}
        answer = page.request.post(f"{self.url}/api/v1/admin/sessions:login", data=body, headers={"origin": self.url})
        assert answer.ok, answer.text()

    @contextmanager
    def page(self, *, viewport: dict[str, int] | None = None, **options: Any) -> Iterator[Page]:
        """A browser window of a new visitor. Its pages break no policy and throw no error."""
        complaints: list[str] = []
        page = self._idle.pop() if self._idle and not options else self.browser.new_context(**options).new_page()
        page.set_viewport_size(viewport or WINDOW)  # type: ignore[arg-type]
        page.set_default_timeout(60_000)

        def listen(message: ConsoleMessage) -> None:
            complaints.append(message.text)

        def fail(error: Error) -> None:
            complaints.append(f"page error: {error}")

        page.on("console", listen)
        page.on("pageerror", fail)
        yield page
        page.remove_listener("console", listen)
        page.remove_listener("pageerror", fail)
        if options:
            page.context.close()
        else:
            self._forget(page)
        assert not [text for text in complaints if "Content Security Policy" in text or "page error" in text]

    def _forget(self, page: Page) -> None:
        """Makes a window that of a new visitor. It keeps the files of the console, which take a second to load."""
        page.context.set_offline(False)
        for other in page.context.pages:
            if other is not page:
                other.close()
        page.goto(f"{self.url}/static/mark.svg")
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
        page.context.clear_cookies()
        page.unroute_all()
        page.emulate_media(color_scheme="light")
        self._idle.append(page)


class Phone:
    """An authenticator app with one secret."""

    def __init__(self, secret: str) -> None:
        self.totp = pyotp.TOTP(secret.replace(" ", ""))

    def code(self, later: int = 0) -> str:
        """The code now, or some steps later: the platform takes those of one step before and after."""
        return self.totp.at(clock.now(), counter_offset=later)


@contextmanager
def browser_of() -> Iterator[Browser]:
    """A browser, as long as it is entered."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "no browser: run `sh tests/provide.sh`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def site(home: Path, **settings: str) -> Iterator[Site]:
    """The platform with these settings, as long as it is entered."""
    # Identity providers of the tests are on loopback.
    with (
        Server(home, HEADWATER_PRIVATE_SOURCES="true", **settings) as server,
        browsed(server.url, server.tokens["admin"]) as running,
    ):
        running.orchestrator = server.orchestrator
        running.database = server.api.database
        yield running


@contextmanager
def browsed(url: str, token: str) -> Iterator[Site]:
    """A running platform with a browser before it."""
    with browser_of() as browser:
        running = Site(url, token, browser)
        yield running
        running.admin.close()


def fits(page: Page) -> bool:
    """Whether nothing sticks out of the window or out of a card."""
    inside = "box => box.scrollWidth <= box.clientWidth"
    found = page.locator("html, main > .card:visible, .card > div:not(.scroll):visible, .card > form:visible")
    return bool(found.evaluate_all(f"boxes => boxes.every({inside})"))
