"""The files of the console: what is served where, and what a browser can keep."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from api.home.console import Console
from core.errors import MethodNotAllowed, NotFound, Unavailable

pytestmark = pytest.mark.asyncio


async def answer(built: Path, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Console(built)), base_url="http://platform") as client:
        return await client.request(method, path, headers=headers)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "console").mkdir()
    (tmp_path / "index.html").write_text("<p>page</p>")
    (tmp_path / "console" / "a-1.js").write_text("let a;")
    (tmp_path.parent / "secret.txt").write_text("secret")
    return tmp_path


async def test_an_unbuilt_console_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="make console"):
        await answer(tmp_path, "/")


async def test_every_address_has_the_page(built: Path) -> None:
    for path in ("/", "/admin/users", "/assets"):
        page = await answer(built, path)
        assert (page.text, page.headers["content-type"]) == ("<p>page</p>", "text/html; charset=utf-8")
        assert page.headers["cache-control"] == "private, no-cache"
        assert "script-src 'self'" in page.headers["content-security-policy"]


async def test_files_are_compressed_and_kept(built: Path) -> None:
    script = await answer(built, "/console/a-1.js")
    assert (script.text, script.headers["content-encoding"]) == ("let a;", "gzip")
    assert "immutable" in script.headers["cache-control"]
    plain = await answer(built, "/console/a-1.js", **{"accept-encoding": "identity"})
    assert (plain.text, plain.headers.get("content-encoding")) == ("let a;", None)
    again = await answer(built, "/console/a-1.js", **{"if-none-match": script.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_nothing_else_is_served(built: Path) -> None:
    for path in (
        "/console/b.js",
        "/console/../../secret.txt",
        "/console/%2e%2e/%2e%2e/secret.txt",
    ):
        try:
            reply = await answer(built, path)
        except NotFound:
            continue
        assert reply.text == "<p>page</p>"
    with pytest.raises(MethodNotAllowed):
        await answer(built, "/", "POST")
