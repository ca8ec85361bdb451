"""Client of OpenID Connect providers: discovery documents, keys, and tokens for codes."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from api.kernel.http.trace_context import propagate
from api.kernel.platform import Platform
from core import clock, egress
from core.addresses import parse_address
from core.errors import Unauthenticated, Unavailable

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Accepted signature algorithms: none with a shared secret, and never `none`."""

LEEWAY_SECONDS = 60
_MAX_AGE_SECONDS = 600.0
_REFETCH_SECONDS = 30.0
_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Discovery:
    """Discovery document of a provider."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    names_itself: bool = False
    """Whether its responses contain its issuer, so that one without it comes from elsewhere (RFC 9207)."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Values that bind a login to the browser that started it: state, nonce, and the PKCE verifier."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Challenge:
        """Returns three values of 256 random bits each."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


class OpenId:
    """A client of identity providers. It caches documents and keys for ten minutes."""

    def __init__(self, platform: Platform) -> None:
        self._private = platform.settings.private_sources
        self._schemes = ("https", "http") if self._private else ("https",)
        self._cache: dict[str, tuple[float, dict[str, Any]]] = {}

    async def discover(self, issuer: str, *, fresh: bool = False) -> Discovery:
        """Returns the provider's discovery document.

        Raises:
            Unavailable: The provider can't be reached, or its document is invalid.
        """
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await self._document(url, _MAX_AGE_SECONDS if not fresh else 0)
        if document.get("issuer") != issuer:
            raise Unavailable(f"{url} names another issuer than {issuer}.")
        endpoints: list[str] = []
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            endpoint = document.get(name)
            if not isinstance(endpoint, str) or not self._is_address(endpoint):
                raise Unavailable(f"{url} does not name {name!r} as an https URL.")
            endpoints.append(endpoint)
        authorization, token, keys = endpoints
        return Discovery(
            issuer, authorization, token, keys, document.get("authorization_response_iss_parameter_supported") is True
        )

    def _is_address(self, url: str) -> bool:
        try:
            parts = parse_address(url)
        except ValueError:
            return False
        plain = not (parts.username or parts.password or parts.fragment) and url.isascii() and url.isprintable()
        return plain and parts.scheme in self._schemes

    async def keys(self, discovery: Discovery, *, max_age: float = _MAX_AGE_SECONDS) -> KeySet:
        """Returns the provider's public keys.

        Raises:
            Unavailable: The keys can't be read.
        """
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        document: Any = await self._document(discovery.jwks_uri, max_age)
        try:
            return KeySet.import_key_set(document)
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unavailable(f"{discovery.jwks_uri} is not a key set.") from error

    async def claims(
        self, discovery: Discovery, token: str, audiences: Sequence[str], *, nonce: str = ""
    ) -> Mapping[str, Any]:
        """Returns the claims of an id token after verifying its signature, issuer, audience, times, and nonce.

        Raises:
            Unauthenticated: The verification failed.
            Unavailable: The provider's keys can't be read.
        """
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError

        try:
            try:
                decoded = jwt.decode(token, await self.keys(discovery), algorithms=list(ALGORITHMS))
            except (BadSignatureError, InvalidKeyIdError):
                # The key may be newer than the cached set. The set is read at most every 30 s.
                keys = await self.keys(discovery, max_age=_REFETCH_SECONDS)
                decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
            rules = jwt.JWTClaimsRegistry(
                now=lambda: int(clock.now().timestamp()),
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": discovery.issuer},
                aud={"essential": True, "values": list(audiences)},
                exp={"essential": True},
                iat={"essential": True},
                sub={"essential": True},
            )
            rules.validate(decoded.claims)
        except (JoseError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthenticated("The identity provider's token is not valid for this platform.") from error
        verified: dict[str, Any] = decoded.claims
        authorized, audience = verified.get("azp"), verified.get("aud")
        # A token for several audiences names the client that it was issued to. Other clients must not log in with it.
        if (authorized is not None or (isinstance(audience, list) and len(audience) > 1)) and not (
            isinstance(authorized, str) and authorized in audiences
        ):
            raise Unauthenticated("The identity provider's token was issued to another client.")
        claimed = verified.get("nonce")
        if nonce and not (isinstance(claimed, str) and secrets.compare_digest(claimed.encode(), nonce.encode())):
            raise Unauthenticated("The identity provider's token belongs to another login.")
        return verified

    async def redeem(
        self, discovery: Discovery, *, client_id: str, secret: str, code: str, verifier: str, redirect_uri: str
    ) -> str:
        """Returns the id token for a code.

        Raises:
            Unauthenticated: The provider rejects the code.
            Unavailable: The provider can't be reached.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        if secret:
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = client_id
        status, document = await self._send("POST", discovery.token_endpoint, form=form, headers=headers)
        token = document.get("id_token")
        if status != 200 or not isinstance(token, str):
            raise Unauthenticated("The identity provider did not accept the login. Start again.")
        return token

    async def _document(self, url: str, max_age: float) -> dict[str, Any]:
        cached = self._cache.get(url)
        if cached is not None and time.monotonic() - cached[0] < max_age:
            return cached[1]
        status, document = await self._send("GET", url)
        if status != 200:
            raise Unavailable(f"{url} responded with {status}.")
        if len(self._cache) > 1000:
            self._cache.clear()
        self._cache[url] = (time.monotonic(), document)
        return document

    async def _send(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Sends one request without redirects or proxy, and connects to the address that was checked."""
        import httpx

        address = await self._address(url)
        try:
            target = httpx.URL(url)
            request_headers = {"accept": "application/json", "host": target.netloc.decode(), **(headers or {})}
            async with (
                httpx.AsyncClient(
                    timeout=_TIMEOUT_SECONDS,
                    verify=egress.tls_context(),
                    trust_env=False,
                    follow_redirects=False,
                    event_hooks={"request": [propagate]},
                ) as client,
                asyncio.timeout(_TIMEOUT_SECONDS),
                client.stream(
                    method,
                    target.copy_with(host=address),
                    content=urlencode(form).encode() if form else None,
                    headers=request_headers | ({"content-type": "application/x-www-form-urlencoded"} if form else {}),
                    extensions={"sni_hostname": target.host},
                ) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        raise Unavailable(f"{_without_query(url)} responded with more than a megabyte.")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise Unavailable(f"{_without_query(url)} did not respond ({type(error).__name__}).") from error
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise Unavailable(f"{_without_query(url)} did not respond with a JSON object.")
        return response.status_code, document

    async def _address(self, url: str) -> str:
        if not self._is_address(url):
            raise Unavailable(f"{_without_query(url)} is not an https URL.")
        parts = parse_address(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        resolve = functools.partial(egress.resolve, str(parts.hostname), port, private=self._private)
        try:
            return await asyncio.get_running_loop().run_in_executor(None, resolve)
        except PermissionError as error:
            raise Unavailable(
                f"{_without_query(url)} is a private address, which the operator does not allow."
            ) from error
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"The name in {_without_query(url)} does not resolve.") from error


def authorization_url(
    discovery: Discovery, client_id: str, scopes: Sequence[str], challenge: Challenge, redirect_uri: str
) -> str:
    """Returns the URL to which the browser goes to log in."""
    digest = hashlib.sha256(challenge.verifier.encode()).digest()
    query = urlencode(
        {
            "response_type": "code",
            "client_id": client_id,
            "scope": " ".join(dict.fromkeys(("openid", *scopes))),
            "redirect_uri": redirect_uri,
            "state": challenge.state,
            "nonce": challenge.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
    )
    return f"{discovery.authorization_endpoint}{'&' if '?' in discovery.authorization_endpoint else '?'}{query}"


def issuer_of(token: str) -> str:
    """Returns the issuer in a token, which is not verified yet, to find the provider that can verify it."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["iss"])
    except (IndexError, ValueError, KeyError, TypeError, RecursionError):
        raise Unauthenticated("The token is not an id token of an identity provider.") from None


def _without_query(url: str) -> str:
    return url.partition("?")[0]
