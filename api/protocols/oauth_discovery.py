"""Discovery documents of OAuth and OpenID Connect, and the platform's public keys."""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.credentials import signing_keys
from api.kernel.credentials.signing_keys import ALGORITHM, CACHE, SigningKeys
from api.protocols.calls import Calls
from api.services.admin.logic import signed_tokens
from core import events

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
CLIENT_AUTHENTICATION = ["client_secret_basic", "client_secret_post"]


class OAuthDiscovery:
    """Public documents for clients and verifiers."""

    def __init__(self, app: Application) -> None:
        self._platform = app.platform
        self._calls = Calls(app)

    def issuer(self, scope: Scope) -> str:
        """Returns the public address of the platform. Behind a proxy, it is the setting `url`."""
        url = HTTPConnection(scope).url
        return self._platform.settings.url.rstrip("/") or f"{url.scheme}://{url.netloc}"

    async def authorization_server(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Serves the authorization server metadata (RFC 8414)."""
        return JSONResponse(self._metadata(scope))

    async def openid(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Serves the metadata with the fields of OpenID Connect, so that verifiers find the keys of signed tokens.

        The platform is no identity provider: it has no authorization endpoint, response types, or id tokens.
        """
        openid = {
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "claims_supported": list(signed_tokens.CLAIMS),
        }
        return JSONResponse(self._metadata(scope) | openid)

    async def keys(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Serves the public keys (RFC 7517). The first request creates them, so no client caches a set without keys."""
        ctx = self._calls.context(scope, "admin_list_signing_keys")
        keys = await ctx.query(signing_keys.published)
        if not keys:
            await self._platform.workers.write.run(self._create_keys)
            keys = await ctx.query(signing_keys.published)
        seconds = int(CACHE.total_seconds())
        return JSONResponse({"keys": keys}, headers={"cache-control": f"public, max-age={seconds}"})

    def _create_keys(self) -> None:
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
