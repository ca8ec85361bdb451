"""What the platform asks of OpenID Connect providers: their documents, their keys, and tokens for codes."""

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
from urllib.parse import quote, urlencode, urlsplit

from api.kernel.http.tracing import hand_on
from api.kernel.platform import Platform
from core import clock, egress
from core.errors import Unauthenticated, Unavailable

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures that are accepted: none by a shared secret, and never `none`."""

LEEWAY_SECONDS = 60
_KEPT_SECONDS = 600.0
_REFETCH_SECONDS = 30.0
_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """What binds a login to the browser that began it: state, nonce and the secret of PKCE."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Challenge:
        """Three times 256 random bits."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


class OpenId:
    """Talks to identity providers. Documents and keys are kept for ten minutes."""

    def __init__(self, platform: Platform) -> None:
        self._private = platform.settings.private_sources
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    async def discover(self, issuer: str, *, fresh: bool = False) -> Discovery:
        """The provider's own description.

        Raises:
            Unavailable: it cannot be reached, or what it says is not what it must say.
        """
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await self._document(url, _KEPT_SECONDS if not fresh else 0)
        if document.get("issuer") != issuer:
            raise Unavailable(f"{url} names another issuer than {issuer}.")
        try:
            return Discovery(issuer, *(str(document[name]) for name in Discovery.__slots__[1:]))
        except KeyError as error:
            raise Unavailable(f"{url} does not name {error}.") from None

    async def keys(self, discovery: Discovery, *, max_age: float = _KEPT_SECONDS) -> KeySet:
        """The provider's public keys.

        Raises:
            Unavailable: they cannot be had.
        """
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        document: Any = await self._document(discovery.jwks_uri, max_age)
        try:
            return KeySet.import_key_set(document)
        except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unavailable(f"{discovery.jwks_uri} is no set of keys.") from error

    async def claims(
        self, discovery: Discovery, token: str, audiences: Sequence[str], *, nonce: str = ""
    ) -> Mapping[str, Any]:
        """The claims of an id token, once its signature, issuer, audience, times and nonce are verified.

        Raises:
            Unauthenticated: some of that does not hold.
            Unavailable: the provider's keys cannot be had.
        """
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError

        try:
            try:
                decoded = jwt.decode(token, await self.keys(discovery), algorithms=list(ALGORITHMS))
            except (BadSignatureError, InvalidKeyIdError):
                # It may have been signed by a key that is newer than what we kept; asked for at most every 30 s.
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
        except (JoseError, ValueError) as error:
            raise Unauthenticated("The identity provider's token is not valid here.") from error
        found: dict[str, Any] = decoded.claims
        authorized = found.get("azp")
        if authorized is not None and authorized not in audiences:
            raise Unauthenticated("The identity provider's token was issued to somebody else.")
        if nonce and not secrets.compare_digest(str(found.get("nonce", "")).encode(), nonce.encode()):
            raise Unauthenticated("The identity provider's token belongs to another login.")
        return found

    async def redeem(
        self, discovery: Discovery, *, client_id: str, secret: str, code: str, verifier: str, redirect_uri: str
    ) -> str:
        """The id token for a code.

        Raises:
            Unauthenticated: the provider does not give one.
            Unavailable: it cannot be reached.
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
        status, document = await self._ask("POST", discovery.token_endpoint, form=form, headers=headers)
        token = document.get("id_token")
        if status != 200 or not isinstance(token, str):
            raise Unauthenticated("The identity provider did not accept the login. Begin again.")
        return token

    async def _document(self, url: str, max_age: float) -> dict[str, Any]:
        kept = self._kept.get(url)
        if kept is not None and time.monotonic() - kept[0] < max_age:
            return kept[1]
        status, document = await self._ask("GET", url)
        if status != 200:
            raise Unavailable(f"{url} answered {status}.")
        if len(self._kept) > 1000:
            self._kept.clear()
        self._kept[url] = (time.monotonic(), document)
        return document

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """One request. No redirects, no proxy, and the address that was judged is the one connected to."""
        import httpx

        address = await self._address(url)
        target = httpx.URL(url)
        sent = {"accept": "application/json", "host": target.netloc.decode(), **(headers or {})}
        try:
            async with (
                httpx.AsyncClient(
                    timeout=_TIMEOUT_SECONDS,
                    trust_env=False,
                    follow_redirects=False,
                    event_hooks={"request": [hand_on]},
                ) as client,
                asyncio.timeout(_TIMEOUT_SECONDS),
                client.stream(
                    method,
                    target.copy_with(host=address),
                    content=urlencode(form).encode() if form else None,
                    headers=sent | ({"content-type": "application/x-www-form-urlencoded"} if form else {}),
                    extensions={"sni_hostname": target.host},
                ) as answer,
            ):
                body = bytearray()
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        raise Unavailable(f"{_shown(url)} answers more than a megabyte.")
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(f"{_shown(url)} did not answer ({type(error).__name__}).") from error
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise Unavailable(f"{_shown(url)} does not answer with a JSON object.")
        return answer.status_code, document

    async def _address(self, url: str) -> str:
        parts = urlsplit(url)
        if not parts.hostname or parts.scheme not in (("https", "http") if self._private else ("https",)):
            raise Unavailable(f"{_shown(url)} is no https address.")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        resolve = functools.partial(egress.resolve, parts.hostname, port, private=self._private)
        try:
            return await asyncio.get_running_loop().run_in_executor(None, resolve)
        except PermissionError as error:
            raise Unavailable(f"{_shown(url)} is a private address, which the operator does not allow.") from error
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"The name in {_shown(url)} does not resolve.") from error


def authorization_url(
    discovery: Discovery, client_id: str, scopes: Sequence[str], challenge: Challenge, redirect_uri: str
) -> str:
    """Where the browser goes to log in."""
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
    """The issuer a token names, not verified: only to find the provider that can verify it."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["iss"])
    except (IndexError, ValueError, KeyError, TypeError, RecursionError):
        raise Unauthenticated("The token is no id token of an identity provider.") from None


def _shown(url: str) -> str:
    return url.partition("?")[0]
