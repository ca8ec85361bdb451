"""OAuth 2.0 endpoints: tokens (RFC 6749, 8693), introspection, revocation, and user info.

The platform's own tokens are opaque. Each request looks its token up, so a revoked token is refused everywhere within
a second. For other systems, such a token is exchanged for a JWT (RFC 9068), which they verify with the keys of
`oauth_discovery`. A JWT is valid for one audience, and not for this platform.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.credentials import tokens
from api.kernel.credentials.tokens import TokenRow
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.unit import Unit
from api.protocols.calls import Calls
from api.protocols.oauth_callers import OAuthCallers, organization_of
from api.protocols.oauth_discovery import EXCHANGE, OAuthDiscovery
from api.protocols.oauth_requests import OAuthError, client_of, form_of, required
from api.services.admin.kinds.identity_provider import IdentityProvider
from api.services.admin.kinds.session_token import (
    Refresh,
    TokenQuery,
    refresh_session,
    revoke_token,
    token_state,
    user_info,
)
from api.services.admin.logic import session_tokens, signed_tokens, signing_in
from api.services.admin.logic.openid import OpenId, issuer_of
from core import clock
from core.errors import InvalidPayload, MethodNotAllowed, Unauthenticated
from core.ids import new_id

_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name, not a secret
_SIGNED_TOKEN = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105 - a name, not a secret
_ID_TOKENS = ("urn:ietf:params:oauth:token-type:id_token", _SIGNED_TOKEN)

Handler = Callable[[Scope, Receive, Send], Awaitable[Response]]


def mounts(app: Application) -> list[Mount]:
    """Returns the mounts of all paths. Each authenticates callers in its own way."""
    discovery = OAuthDiscovery(app)
    oauth = _OAuth(app, discovery)
    paths: dict[str, tuple[Handler, tuple[str, ...], tuple[str, ...]]] = {
        "/.well-known/oauth-authorization-server": (discovery.authorization_server, ("GET", "HEAD"), ()),
        "/.well-known/openid-configuration": (discovery.openid, ("GET", "HEAD"), ()),
        "/oauth/jwks": (discovery.keys, ("GET", "HEAD"), ("admin_list_signing_keys",)),
        "/oauth/token": (oauth.token, ("POST",), ("admin_login", "admin_refresh_session")),
        "/oauth/introspect": (oauth.introspect, ("POST",), ("admin_introspect",)),
        "/oauth/revoke": (oauth.revoke, ("POST",), ("admin_revoke_token",)),
        "/oauth/userinfo": (oauth.userinfo, ("GET", "POST"), ("admin_userinfo",)),
    }
    options: dict[str, Any] = {"role": None, "exact": True, "speaks_for": "admin"}
    return [
        Mount(path=path, app=_app(handler, methods), acts_as=operations, **options)
        for path, (handler, methods, operations) in paths.items()
    ]


def _app(handler: Handler, methods: tuple[str, ...]) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in methods:
            raise MethodNotAllowed(f"This path only accepts {', '.join(methods)}.", metadata={"allow": list(methods)})
        try:
            response = await handler(scope, receive, send)
        except OAuthError as error:
            body = {"error": error.error, "error_description": str(error)}
            headers = {"www-authenticate": 'Basic realm="headwater"'} if error.status == 401 else None
            response = JSONResponse(body, error.status, headers)
        await response(scope, receive, send)

    return serve


class _OAuth:
    def __init__(self, app: Application, discovery: OAuthDiscovery) -> None:
        self._platform = app.platform
        self._discovery = discovery
        self._calls = Calls(app)
        self._callers = OAuthCallers(self._platform, self._calls)

    async def token(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Issues an access token."""
        form = await form_of(scope, receive, send)
        grants_supported = {
            "refresh_token": self._refresh,
            "client_credentials": self._client_credentials,
            EXCHANGE: self._exchange,
        }
        if "grant_type" not in form:
            raise OAuthError("invalid_request", "grant_type is missing.")
        grant = grants_supported.get(form["grant_type"])
        if grant is None:
            raise OAuthError("unsupported_grant_type", f"Supported: {', '.join(grants_supported)}.")
        try:
            return JSONResponse(await grant(scope, form))
        except ValidationError:
            raise OAuthError("invalid_request", "A parameter is too long.") from None

    async def introspect(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Returns the state of a token to an authenticated caller."""
        form = await form_of(scope, receive, send)
        principal = await self._callers.caller(scope, form)
        ctx = self._calls.context(scope, "admin_introspect", principal)
        state = await ctx.read(lambda unit: token_state(unit, required(form, "token")))
        return JSONResponse(state.model_dump(exclude_none=True))

    async def revoke(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Revokes a token. Possession of the token is enough."""
        form = await form_of(scope, receive, send)
        ctx = self._calls.context(scope, "admin_revoke_token")
        try:
            await revoke_token(ctx, TokenQuery(token=required(form, "token")))
        except ValidationError:
            raise OAuthError("invalid_request", "The token is too long.") from None
        return Response(status_code=200)

    async def userinfo(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Returns the caller."""
        principal = await self._callers.bearer(scope)
        ctx = self._calls.context(scope, "admin_userinfo", principal)
        return JSONResponse((await ctx.read(user_info)).model_dump(exclude_none=True))

    async def _refresh(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        ctx = self._calls.context(scope, "admin_refresh_session")
        try:
            refreshed = await refresh_session(ctx, Refresh(refresh_token=required(form, "refresh_token")))
        except Unauthenticated as error:
            raise OAuthError("invalid_grant", error.detail) from None
        seconds = int((refreshed.token_expires_at - clock.now()).total_seconds())
        return {
            "access_token": refreshed.token,
            "token_type": "Bearer",
            "expires_in": seconds,
            "refresh_token": refreshed.refresh_token,
        }

    async def _client_credentials(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        id, secret = client_of(scope, form)
        ctx = self._calls.context(scope, "admin_login")

        def change(unit: Unit) -> tuple[str, TokenRow]:
            valid, principal = self._callers.client(unit, id, secret)
            scopes = self._callers.narrowed(valid.scopes, form.get("scope", ""))
            ctx.principal, ctx.subject = principal, valid.id
            ctx.securable = organization_of(principal)
            ctx.note(grant_type="client_credentials", scopes=list(scopes))
            options: dict[str, Any] = {"label": "client credentials", "until": valid.expires_at, "scopes": scopes}
            return session_tokens.issue_access(unit.connection, principal.id, **options, family=valid.id)

        return _issued(*await ctx.write(change))

    async def _exchange(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        """Exchanges an id token for an access token, or an access token for a signed token."""
        if "actor_token" in form:
            raise OAuthError("invalid_request", "Delegation with actor_token is not supported.")
        if form.get("subject_token_type") == _ACCESS_TOKEN:
            return await self._signed(scope, form)
        return await self._by_id_token(scope, form)

    async def _signed(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        token, audience = required(form, "subject_token"), required(form, "audience")
        if form.get("requested_token_type") != _SIGNED_TOKEN:
            raise OAuthError(
                "invalid_request", f"An access token is only exchanged for {_SIGNED_TOKEN}. Request that type."
            )
        if "resource" in form:
            raise OAuthError("invalid_target", "Name the system as audience.")
        issuer = self._discovery.issuer(scope)
        ctx = self._calls.context(scope, "admin_login")

        def change(unit: Unit) -> tuple[str, TokenRow]:
            held = tokens.authenticating(unit.connection, token)
            if held is None:
                raise OAuthError("invalid_grant", "The token is unknown, expired, or revoked.")
            scopes = self._callers.narrowed(held.scopes, form.get("scope", ""))
            ctx.principal, ctx.subject = self._callers.principal(unit, held), held.id
            ctx.securable = organization_of(ctx.principal)
            ctx.note(grant_type="token-exchange", audience=audience, scopes=list(scopes))
            signed, row = signed_tokens.issue(unit, held, issuer=issuer, audience=audience, scopes=scopes)
            ctx.note(token_id=row.id)
            return signed, row

        try:
            issued = _issued(*await ctx.write(change))
        except InvalidPayload as error:
            raise OAuthError("invalid_target", error.detail) from None
        return issued | {"issued_token_type": _SIGNED_TOKEN}

    async def _by_id_token(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        token = required(form, "subject_token")
        if required(form, "subject_token_type") not in _ID_TOKENS:
            raise OAuthError(
                "invalid_request", "subject_token must be an access token, or an id token of an identity provider."
            )
        if form.get("requested_token_type", _ACCESS_TOKEN) != _ACCESS_TOKEN:
            raise OAuthError("invalid_request", "Only access tokens are issued.")
        scopes = self._callers.narrowed((), form.get("scope", ""))
        ctx = self._calls.context(scope, "admin_login")
        try:
            provider, claims = await self._verified(scope, token, form.get("identity_provider", ""))

            def change(unit: Unit) -> tuple[str, TokenRow]:
                account = signing_in.sign_in(unit, provider, claims, new_id("tok"))
                ctx.note(grant_type="token-exchange", scopes=list(scopes))
                options: dict[str, Any] = {"label": f"exchange by {provider.name}", "scopes": scopes}
                until = clock.now() + session_tokens.ACCESS_LIFETIME
                return session_tokens.issue_access(unit.connection, account.id, **options, until=until)

            issued = _issued(*await ctx.write(change))
        except Unauthenticated as error:
            raise OAuthError("invalid_grant", error.detail) from None
        return issued | {"issued_token_type": _ACCESS_TOKEN}

    async def _verified(self, scope: Scope, token: str, name: str) -> tuple[IdentityProvider, Mapping[str, Any]]:
        """Returns the one provider that issued this token for the platform, and the verified claims.

        If two organizations registered the same provider, the caller must name one.
        """
        ctx = self._calls.context(scope, "admin_login")
        issuer = issuer_of(token)
        openid = self._platform.part(OpenId)
        matching: list[tuple[IdentityProvider, Mapping[str, Any]]] = []
        for provider in await ctx.read(lambda unit: signing_in.providers_of(unit, issuer)):
            if name and name not in (provider.id, provider.name):
                continue
            audiences = [provider.spec.client_id, *provider.spec.audience]
            try:
                claims = await openid.claims(await openid.discover(issuer), token, audiences)
            except Unauthenticated:
                continue
            matching.append((provider, claims))
        if len(matching) != 1:
            raise Unauthenticated("No configured identity provider has issued this token for this platform.")
        return matching[0]


def _issued(secret: str, row: TokenRow) -> dict[str, Any]:
    response = {"access_token": secret, "token_type": "Bearer"}
    seconds = round((row.expires_at - row.created_at).total_seconds())
    return response | {"expires_in": seconds} | ({"scope": " ".join(row.scopes)} if row.scopes else {})
