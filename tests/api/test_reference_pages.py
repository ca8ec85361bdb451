"""The API's documentation in a browser: every page loads from its own host only and needs a login."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest

from api.main import SERVICES
from tests.api_process import Api

PAGES = ["/api/docs", *(f"/api/docs/{service.slug}" for service in SERVICES)]


class Addresses(HTMLParser):
    """What a page loads and leads to, and the text of its scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [str(given[name]) for name in ("src", "href", "data-document") if name in given]
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_loads_everything_from_its_own_host(api: Api, page: str) -> None:
    reply = await api.viewer.get(page)
    assert reply.headers["content-type"].startswith("text/html")
    found = Addresses(reply.response.text)
    assert found.inline == []
    assert found.links
    for link in found.links:
        assert re.fullmatch(r"(\.\./)*[a-z0-9-]+[/.][a-z0-9/.-]+", link), "on this host, also below a path prefix"
        assert (await api.viewer.get(urljoin(page, link))).status == 200, link


async def test_only_this_host_is_allowed_to_be_asked(api: Api) -> None:
    policy = (await api.viewer.get("/api/docs/admin")).headers["content-security-policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"
    assert "http" not in policy


@pytest.mark.parametrize("page", [*PAGES, "/api/docs/files/swagger-ui.css"])
async def test_whoever_may_not_read_the_documents_may_not_read_the_pages(api: Api, page: str) -> None:
    assert (await api.anonymous.get(page)).status == 401
    assert (await api.viewer("POST", page)).status == 405


async def test_a_browser_is_led_to_the_login_and_back(api: Api) -> None:
    reply = await api.anonymous.get("/api/docs/rag", headers={"accept": "text/html", "sec-fetch-mode": "navigate"})
    assert (reply.status, reply.headers["location"]) == (303, "/login?next=%2Fapi%2Fdocs%2Frag")


async def test_there_is_a_page_for_what_is_served_only(api: Api) -> None:
    assert (await api.viewer.get("/api/docs/nothing")).status == 404
    assert (await api.viewer.get("/api/docs/files/../../../pyproject.toml")).status == 404
