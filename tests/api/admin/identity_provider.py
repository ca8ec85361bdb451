"""A real OpenID Connect provider on loopback, and people who log in by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey
from oidc_provider_mock import User, _storage, run_server_in_thread  # type: ignore[import-untyped]

from tests.api.admin.tenants import made
from tests.api_process import Api, Caller, Reply

CLIENT = "headwater"
ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "preferred_username": "ada", "groups": ["engineers"]}


@dataclass
class Provider:
    """The provider, and what it is told to claim."""

    issuer: str

    def claim(self, subject: str, **claims: Any) -> None:
        """Makes the provider claim this of a user from now on."""
        httpx.put(f"{self.issuer}/users/{subject}", json=claims).raise_for_status()

    async def consent(self, location: str, subject: str) -> str:
        """Logs a user in at the provider and returns where it sends the browser."""
        async with httpx.AsyncClient() as client:
            answer = await client.post(location, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def id_token(self, subject: str, client: str = CLIENT) -> str:
        """An id token, as another application of the organization gets it."""
        query = {"response_type": "code", "client_id": client, "scope": "openid profile email", "state": "s"}
        local = "http://app.test/callback"
        url = httpx.URL(f"{self.issuer}/oauth2/authorize", params=query | {"redirect_uri": local, "nonce": "n"})
        code = httpx.URL(await self.consent(str(url), subject)).params["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": local}
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{self.issuer}/oauth2/token", data=form, auth=(client, "any"))
        return str(answer.raise_for_status().json()["id_token"])


@cache
def _private_key() -> RSAKey:
    return RSAKey.generate_key(2048)


class SigningKey:
    """The key of all providers of a process: to make one, and to import it for each token, costs 130 ms of CPU."""

    def as_dict(self, is_private: bool = False) -> Any:
        """The key set's entry, or the private key as an object instead of what it would be imported from."""
        return _private_key() if is_private else _private_key().as_dict(private=False)


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Starts the provider; it knows Ada."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_storage.jose.RSAKey, "generate_key", lambda **_: SigningKey())
        running = run_server_in_thread(user_claims=[User(sub="s-ada", claims=ADA)])
    with running as server:
        yield Provider(f"http://127.0.0.1:{server.server_port}")


async def registered(api: Api, provider: Provider, name: str = "acme", **spec: Any) -> dict[str, Any]:
    """The provider as the default organization has registered it, with a client secret."""
    body = {"title": "Acme", "issuer": provider.issuer, "client_id": CLIENT, **spec}
    made_provider = await made(api.admin.post("admin/identity-providers", {"name": name, "spec": body}))
    secret = {"client_secret": "canary-client-secret"}
    return await made(api.admin.post(f"admin/identity-providers/{made_provider['id']}:set-client-secret", secret))


async def sign_in(
    browser: Caller, provider: Provider, subject: str = "s-ada", name: str = "acme", next: str = "/"
) -> Reply:
    """The whole way through a browser; the answer to the last step."""
    begun = await browser.get(f"/login/oidc/{name}", params={"next": next})
    assert begun.status == 303, begun.response.text
    return await browser.get(callback_of(await provider.consent(begun.headers["location"], subject)))


def callback_of(location: str) -> str:
    """Path and query of where the provider sends the browser."""
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}"
