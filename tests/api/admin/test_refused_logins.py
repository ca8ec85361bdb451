"""What a person before a browser gets when a login through an identity provider is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.admin.identity_provider import Provider, callback_of, registered, running_provider
from tests.api_process import Api, Caller, running
from tests.orchestration import FakeOrchestrator

pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config")
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        yield started


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncIterator[Api]:
    """The provider is on loopback, so this platform allows private addresses."""
    orchestrator = FakeOrchestrator()
    async with running(tmp_path, orchestrator, database_url=database_url, HEADWATER_PRIVATE_SOURCES="true") as started:
        yield started


@pytest.fixture
async def browser(api: Api) -> AsyncIterator[Caller]:
    caller = Caller(api.app, None)
    yield caller
    await caller.http.aclose()


async def opened(browser: Caller, path: str, **params: str) -> httpx.Response:
    """What a browser shows. Callers of the tests otherwise require a problem document."""
    return await browser.http.get(path, params=params or None, headers=BROWSER)


async def test_the_page_has_the_reason_the_request_and_the_way_back(
    api: Api, browser: Caller, provider: Provider
) -> None:
    await registered(api, provider, just_in_time=False)
    begun = await browser.get("/login/oidc/acme", params={"next": "/runs?state=FAILED"})
    reply = await opened(browser, callback_of(await provider.consent(begun.headers["location"], "s-ada")))
    assert reply.status_code == 401
    assert reply.headers["content-type"].startswith("text/html")
    page = reply.text
    assert "you can&#x27;t log in here. Ask an admin." in page
    assert reply.headers["x-request-id"] in page
    assert 'href="../../../login?next=%2Fruns%3Fstate%3DFAILED"' in page
    assert "script" not in reply.headers["content-security-policy"]
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    ended = [value for name, value in reply.headers.multi_items() if name == "set-cookie"]
    assert len(ended) == 1, "the attempt ends, and no session begins"
    assert "Max-Age=0" in ended[0]


async def test_a_text_of_the_address_is_shown_as_text(browser: Caller) -> None:
    reply = await opened(browser, "/login/oidc/%3Cscript%3Ealert(1)")
    assert reply.status_code == 404
    assert "<script" not in reply.text
    assert "&lt;script&gt;alert(1)" in reply.text


@pytest.mark.parametrize("next", ["https://evil.test/", "//evil.test", "/\\evil.test", 'x"><a href="//evil.test'])
async def test_the_way_back_leads_to_no_other_site(browser: Caller, next: str) -> None:
    page = (await opened(browser, "/login/oidc/absent", next=next)).text
    assert 'href="../../login?next=%2F"' in page
    assert "evil" not in page


async def test_a_program_gets_the_error_as_everywhere(browser: Caller) -> None:
    reply = await browser.get("/login/oidc/absent")
    assert (reply.status, reply.headers["content-type"]) == (404, "application/problem+json")
