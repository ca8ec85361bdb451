"""How other systems learn to trust the platform: its OAuth and OpenID Connect documents, and its public keys."""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.protocols.calls import Calls
from api.services.admin.logic import signed_tokens, signing_keys
from api.services.admin.logic.signing_keys import ALGORITHM, CACHE, SigningKeys
from core import events

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
CLIENT_AUTHENTICATION = ["client_secret_basic", "client_secret_post"]


class OAuthDiscovery:
    """What anybody may ask for."""

    def __init__(self, app: Application) -> None:
        self._platform = app.platform
        self._calls = Calls(app)

    def issuer(self, scope: Scope) -> str:
        """The platform's address as others know it. Behind a proxy, only the setting `url` tells."""
        url = HTTPConnection(scope).url
        return self._platform.settings.url.rstrip("/") or f"{url.scheme}://{url.netloc}"

    async def authorization_server(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """What is spoken here (RFC 8414)."""
        return JSONResponse(self._metadata(scope))

    async def openid(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """The same with what OpenID Connect adds, so that its verifiers find the keys of signed tokens.

        Nobody can log in elsewhere by this platform: no authorization endpoint, no response types, no id tokens.
        """
        more = {
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "claims_supported": list(signed_tokens.CLAIMS),
        }
        return JSONResponse(self._metadata(scope) | more)

    async def keys(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """The public keys (RFC 7517). The first request makes them: so nobody ever keeps a set without them."""
        ctx = self._calls.context(scope, "admin_list_signing_keys")
        found = await ctx.query(signing_keys.published)
        if not found:
            await self._platform.workers.write.run(self._make)
            found = await ctx.query(signing_keys.published)
        seconds = int(CACHE.total_seconds())
        return JSONResponse({"keys": found}, headers={"cache-control": f"public, max-age={seconds}"})

    def _make(self) -> None:
        with self._platform.database.write() as connection:
            events.append_all(connection, self._platform.part(SigningKeys).advance(connection))

    def _metadata(self, scope: Scope) -> dict[str, Any]:
        base = self.issuer(scope)
        return {
            "issuer": base,
            "token_endpoint": f"{base}/oauth/token",
            "jwks_uri": f"{base}/oauth/jwks",
            "introspection_endpoint": f"{base}/oauth/introspect",
            "revocation_endpoint": f"{base}/oauth/revoke",
            "userinfo_endpoint": f"{base}/oauth/userinfo",
            "grant_types_supported": ["refresh_token", "client_credentials", EXCHANGE],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": [*CLIENT_AUTHENTICATION, "none"],
            "introspection_endpoint_auth_methods_supported": CLIENT_AUTHENTICATION,
            "revocation_endpoint_auth_methods_supported": ["none"],
            "service_documentation": f"{base}/api/openapi",
        }
