"""Signed tokens as a program gets them, and as another system looks at them."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx

from tests.api.admin.tenants import made
from tests.api_process import PASSWORD, Api

BASE = "http://headwater.test"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
LAKE = "https://lake.example.org"


async def declare(api: Api, *audiences: str) -> None:
    """Lets signed tokens be issued for these systems."""
    await made(api.admin("PATCH", "admin/settings/platform", json={"token_audiences": list(audiences)}))


async def login(api: Api, name: str = "editor") -> dict[str, Any]:
    return await made(api.anonymous.post("admin/sessions:login", {"name": name, "password": PASSWORD}))


async def exchange(api: Api, token: str | None, audience: str = LAKE, **extra: str) -> httpx.Response:
    form = {"grant_type": EXCHANGE, "subject_token": token or "", "subject_token_type": ACCESS_TOKEN}
    form |= {"requested_token_type": JWT, "audience": audience, **extra}
    return await api.anonymous.http.post(f"{BASE}/oauth/token", data=form)


async def signed(api: Api, token: str | None, **extra: str) -> str:
    answer = await exchange(api, token, **extra)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def active(api: Api, token: str) -> bool:
    """Whether an admin who asks is told that it holds."""
    answer = await api.admin.http.post(f"{BASE}/oauth/introspect", data={"token": token})
    assert answer.status_code == 200
    return bool(answer.json()["active"])


async def published(api: Api) -> list[str]:
    """Ids of the keys that others are shown."""
    answer = await api.anonymous.http.get(f"{BASE}/oauth/jwks")
    return [key["kid"] for key in answer.json()["keys"]]


def part(token: str, number: int) -> dict[str, Any]:
    """A part of a JWT: 0 is the header, 1 the claims."""
    text = token.split(".")[number]
    return dict(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
