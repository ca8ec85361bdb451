"""Paths of a platform that a proxy serves below a prefix."""

from __future__ import annotations

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from api.kernel.http.path_prefix import PathPrefix

pytestmark = pytest.mark.asyncio


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Redirects to the target that the query names, or returns the path."""
    target = Request(scope).query_params.get("to")
    text = f"{scope['path']} {scope['raw_path'].decode()}"
    answer: Response = RedirectResponse(target) if target else PlainTextResponse(text)
    await answer(scope, receive, send)


async def ask(path: str) -> httpx.Response:
    transport = httpx.ASGITransport(PathPrefix(echo, "/headwater"))
    async with httpx.AsyncClient(transport=transport, base_url="http://platform") as client:
        return await client.get(path)


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("/headwater", "/ /"),
        ("/headwater/", "/ /"),
        ("/headwater/admin/users", "/admin/users /admin/users"),
        ("/headwater/a%2Fb", "/a/b /a%2Fb"),
        ("/admin/users", "/admin/users /admin/users"),
        ("/headwaters/x", "/headwaters/x /headwaters/x"),
        ("/%68eadwater/x", "/headwater/x /%68eadwater/x"),
    ],
)
async def test_a_request_with_and_without_the_prefix_has_the_same_path(sent: str, seen: str) -> None:
    assert (await ask(sent)).text == seen


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/login", "/headwater/login"),
        ("/headwater/login", "/headwater/login"),
        ("//elsewhere.example/x", "//elsewhere.example/x"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
    ],
)
async def test_redirects_inside_the_platform_have_the_prefix_once(target: str, sent: str) -> None:
    assert (await ask(f"/headwater/x?to={target}")).headers["location"] == sent
