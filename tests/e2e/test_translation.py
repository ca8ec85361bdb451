"""The language of the console, in a made-up language whose letters have accents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.console_pages import add_user, built, logged_in
from tests.e2e.login_pages import Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("translation")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        yield running


@pytest.mark.parametrize(("locale", "heading"), [("en-XA", "⟦Åššétš⟧"), ("de-DE", "Assets")])
def test_the_language_is_that_of_the_browser_or_else_english(platform_site: Site, locale: str, heading: str) -> None:
    with logged_in(platform_site, "ada", "/assets", locale=locale) as page:
        expect(page.locator("main h1")).to_have_text(heading)
