"""OAuth 2.0 as others speak it: tokens (RFC 6749, 8693), introspection, revocation and who asks.

The platform's own tokens are opaque: whether one holds is looked up, so a revoked one is refused everywhere within a
second. For other systems such a token is exchanged for a JWT (RFC 9068), which they verify by the keys that
`oauth_discovery` publishes. It is bound to one audience and here it opens nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.credentials import tokens
from api.kernel.credentials.authentication import Authenticator
from api.kernel.credentials.tokens import TokenKind, TokenRow, Valid
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.unit import Unit
from api.kernel.permissions import grants
from api.kernel.permissions.principal import Principal, PrincipalKind
from api.kernel.securable import Securable
from api.protocols.calls import Calls, form_of
from api.protocols.oauth_discovery import EXCHANGE, OAuthDiscovery
from api.services.admin.kinds.identity_provider import IdentityProvider
from api.services.admin.kinds.session_token import (
    Refresh,
    TokenQuery,
    introspected,
    refresh_session,
    revoke_token,
    user_info,
)
from api.services.admin.logic import granting, session_tokens, signed_tokens, signing_in
from api.services.admin.logic.openid import OpenId, issuer_of
from core import clock
from core.errors import InvalidArgument, InvalidPayload, MethodNotAllowed, Unauthenticated
from core.ids import new_id

_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name, not a secret
_SIGNED_TOKEN = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105 - a name, not a secret
_ID_TOKENS = ("urn:ietf:params:oauth:token-type:id_token", _SIGNED_TOKEN)
_PATTERN = re.compile(r"(\*|[a-z_]+)(\.(\*|[a-z_]+)){0,2}")

Answer = Callable[[Scope, Receive, Send], Awaitable[Response]]


class OAuthError(Exception):
    """An error as RFC 6749 section 5.2 writes it."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


def mounts(app: Application) -> list[Mount]:
    """Every path, each with its own way to say who asks."""
    discovery = OAuthDiscovery(app)
    oauth = _OAuth(app, discovery)
    paths: dict[str, tuple[Answer, tuple[str, ...], tuple[str, ...]]] = {
        "/.well-known/oauth-authorization-server": (discovery.authorization_server, ("GET", "HEAD"), ()),
        "/.well-known/openid-configuration": (discovery.openid, ("GET", "HEAD"), ()),
        "/oauth/jwks": (discovery.keys, ("GET", "HEAD"), ("admin_list_signing_keys",)),
        "/oauth/token": (oauth.token, ("POST",), ("admin_login", "admin_refresh_session")),
        "/oauth/introspect": (oauth.introspect, ("POST",), ("admin_introspect",)),
        "/oauth/revoke": (oauth.revoke, ("POST",), ("admin_revoke_token",)),
        "/oauth/userinfo": (oauth.userinfo, ("GET", "POST"), ("admin_userinfo",)),
    }
    how: dict[str, Any] = {"role": None, "exact": True, "speaks_for": "admin"}
    return [
        Mount(path=path, app=_served(answer, methods), acts_as=operations, **how)
        for path, (answer, methods, operations) in paths.items()
    ]


def _served(answer: Answer, methods: tuple[str, ...]) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in methods:
            raise MethodNotAllowed(f"This path answers {', '.join(methods)}.", metadata={"allow": list(methods)})
        try:
            response = await answer(scope, receive, send)
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

    async def token(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Issues an access token."""
        form = await _form(scope, receive, send)
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
        """Tells an authenticated caller what a token is good for."""
        form = await _form(scope, receive, send)
        principal = await self._caller(scope, form)
        ctx = self._calls.context(scope, "admin_introspect", principal)
        found = await ctx.read(lambda unit: introspected(unit, _required(form, "token")))
        return JSONResponse(found.model_dump(exclude_none=True))

    async def revoke(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Ends a token, whoever sends it: to have it is right enough."""
        form = await _form(scope, receive, send)
        ctx = self._calls.context(scope, "admin_revoke_token")
        try:
            await revoke_token(ctx, TokenQuery(token=_required(form, "token")))
        except ValidationError:
            raise OAuthError("invalid_request", "The token is too long.") from None
        return Response(status_code=200)

    async def userinfo(self, scope: Scope, receive: Receive, send: Send) -> Response:
        """Tells who asks."""
        principal = await self._bearer(scope)
        ctx = self._calls.context(scope, "admin_userinfo", principal)
        return JSONResponse((await ctx.read(user_info)).model_dump(exclude_none=True))

    async def _refresh(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        ctx = self._calls.context(scope, "admin_refresh_session")
        try:
            made = await refresh_session(ctx, Refresh(refresh_token=_required(form, "refresh_token")))
        except Unauthenticated as error:
            raise OAuthError("invalid_grant", error.detail) from None
        seconds = int((made.token_expires_at - clock.now()).total_seconds())
        return {
            "access_token": made.token,
            "token_type": "Bearer",
            "expires_in": seconds,
            "refresh_token": made.refresh_token,
        }

    async def _client_credentials(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        id, secret = _client_of(scope, form)
        ctx = self._calls.context(scope, "admin_login")

        def work(unit: Unit) -> tuple[str, TokenRow]:
            valid, principal = self._client(unit, id, secret)
            wanted = self._narrowed(valid.scopes, form.get("scope", ""))
            ctx.principal, ctx.subject = principal, valid.id
            ctx.securable = _organization(principal)
            ctx.note(grant_type="client_credentials", scopes=list(wanted))
            how: dict[str, Any] = {"label": "client credentials", "until": valid.expires_at, "scopes": wanted}
            return session_tokens.issue_access(unit.connection, principal.id, **how, family=valid.id)

        return _issued(*await ctx.write(work))

    async def _exchange(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        """Takes an id token for an access token, or an access token for a signed token."""
        if "actor_token" in form:
            raise OAuthError("invalid_request", "Nobody can act for somebody else here.")
        if form.get("subject_token_type") == _ACCESS_TOKEN:
            return await self._signed(scope, form)
        return await self._by_id_token(scope, form)

    async def _signed(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        token, audience = _required(form, "subject_token"), _required(form, "audience")
        if form.get("requested_token_type") != _SIGNED_TOKEN:
            raise OAuthError("invalid_request", f"An access token is exchanged for {_SIGNED_TOKEN} only: request it.")
        if "resource" in form:
            raise OAuthError("invalid_target", "Name the system as audience.")
        issuer = self._discovery.issuer(scope)
        ctx = self._calls.context(scope, "admin_login")

        def work(unit: Unit) -> tuple[str, TokenRow]:
            held = tokens.valid(unit.connection, token)
            if held is None:
                raise OAuthError("invalid_grant", "The token is unknown, expired or revoked.")
            scopes = self._narrowed(held.scopes, form.get("scope", ""))
            ctx.principal, ctx.subject = self._principal(unit, held), held.id
            ctx.securable = _organization(ctx.principal)
            ctx.note(grant_type="token-exchange", audience=audience, scopes=list(scopes))
            signed, row = signed_tokens.issue(unit, held, issuer=issuer, audience=audience, scopes=scopes)
            ctx.note(token_id=row.id)
            return signed, row

        try:
            issued = _issued(*await ctx.write(work))
        except InvalidPayload as error:
            raise OAuthError("invalid_target", error.detail) from None
        return issued | {"issued_token_type": _SIGNED_TOKEN}

    async def _by_id_token(self, scope: Scope, form: Mapping[str, str]) -> dict[str, Any]:
        token = _required(form, "subject_token")
        if _required(form, "subject_token_type") not in _ID_TOKENS:
            raise OAuthError(
                "invalid_request", "subject_token is an access token, or an id token of a configured identity provider."
            )
        if form.get("requested_token_type", _ACCESS_TOKEN) != _ACCESS_TOKEN:
            raise OAuthError("invalid_request", "Only access tokens are issued.")
        wanted = self._narrowed((), form.get("scope", ""))
        ctx = self._calls.context(scope, "admin_login")
        try:
            provider, claims = await self._verified(scope, token, form.get("identity_provider", ""))

            def work(unit: Unit) -> tuple[str, TokenRow]:
                account = signing_in.sign_in(unit, provider, claims, new_id("tok"))
                ctx.note(grant_type="token-exchange", scopes=list(wanted))
                how: dict[str, Any] = {"label": f"exchange by {provider.name}", "scopes": wanted}
                until = clock.now() + session_tokens.ACCESS_LIFE
                return session_tokens.issue_access(unit.connection, account.id, **how, until=until)

            issued = _issued(*await ctx.write(work))
        except Unauthenticated as error:
            raise OAuthError("invalid_grant", error.detail) from None
        return issued | {"issued_token_type": _ACCESS_TOKEN}

    async def _verified(self, scope: Scope, token: str, name: str) -> tuple[IdentityProvider, Mapping[str, Any]]:
        """The one provider that this token was issued by and for, and the token's verified claims.

        Two organizations may have registered the same one; then the caller has to name the one he means.
        """
        ctx = self._calls.context(scope, "admin_login")
        issuer = issuer_of(token)
        openid = self._platform.part(OpenId)
        fitting: list[tuple[IdentityProvider, Mapping[str, Any]]] = []
        for provider in await ctx.read(lambda unit: signing_in.providers_of(unit, issuer)):
            if name and name not in (provider.id, provider.name):
                continue
            audiences = [provider.spec.client_id, *provider.spec.audience]
            try:
                claims = await openid.claims(await openid.discover(issuer), token, audiences)
            except Unauthenticated:
                continue
            fitting.append((provider, claims))
        if len(fitting) != 1:
            raise Unauthenticated("No identity provider that is configured here has issued this token for it.")
        return fitting[0]

    async def _caller(self, scope: Scope, form: Mapping[str, str]) -> Principal:
        """Who asks: by a bearer token, or as a client with its key."""
        if HTTPConnection(scope).headers.get("authorization", "").lower().startswith("bearer "):
            return await self._bearer(scope)
        id, secret = _client_of(scope, form)
        ctx = self._calls.context(scope, "admin_introspect")
        return await ctx.read(lambda unit: self._client(unit, id, secret)[1])

    async def _bearer(self, scope: Scope) -> Principal:
        """Who sent the bearer token. A cookie proves nothing here: another site could have made a browser send it."""
        connection = HTTPConnection(scope)
        if "authorization" not in connection.headers:
            raise Unauthenticated("Send the token as `Authorization: Bearer <token>`.")
        return await self._platform.part(Authenticator).principal(connection)

    def _client(self, unit: Unit, id: str, secret: str) -> tuple[Valid, Principal]:
        """The service account whose id and key these are."""
        valid = tokens.valid(unit.connection, secret)
        account = valid.principal if valid and valid.kind is TokenKind.TOKEN else None
        if valid is None or account is None or account.id != id or account.kind is not PrincipalKind.SERVICE_ACCOUNT:
            raise OAuthError("invalid_client", "The client is unknown, or its key does not hold.", 401)
        return valid, self._principal(unit, valid)

    def _principal(self, unit: Unit, valid: Valid) -> Principal:
        account = valid.principal
        access = grants.access_of(unit.connection, account.id, self._platform.permissions, valid.scopes)
        return Principal(account.id, account.name, account.kind, account.organization_id, valid.id, access)

    def _narrowed(self, held: tuple[str, ...], wanted: str) -> tuple[str, ...]:
        """The scopes to issue: what is wanted, if all of it is held."""
        patterns = wanted.split()
        if not patterns:
            return held
        if len(patterns) > 100 or not all(_PATTERN.fullmatch(pattern) for pattern in patterns):
            raise OAuthError("invalid_scope", "A scope is a permission or a pattern of permissions.")
        covers, within = granting.covered_by_patterns(patterns), granting.covered_by_patterns(list(held))
        for permission in self._platform.permissions:
            if held and covers(permission) and not within(permission):
                raise OAuthError("invalid_scope", f"The key is limited and does not include {permission}.")
        return tuple(patterns)


def _organization(principal: Principal) -> Securable:
    return Securable("admin.organization", principal.organization_id, principal.organization_id)


def _issued(secret: str, row: TokenRow) -> dict[str, Any]:
    answer = {"access_token": secret, "token_type": "Bearer"}
    seconds = round((row.expires_at - row.created_at).total_seconds())
    return answer | {"expires_in": seconds} | ({"scope": " ".join(row.scopes)} if row.scopes else {})


async def _form(scope: Scope, receive: Receive, send: Send) -> dict[str, str]:
    try:
        return await form_of(scope, receive, send)
    except InvalidArgument as error:
        raise OAuthError("invalid_request", error.detail) from None


def _required(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise OAuthError("invalid_request", f"{name} is missing.")
    return form[name]


def _client_of(scope: Scope, form: Mapping[str, str]) -> tuple[str, str]:
    """Id and secret of the client, from the header or from the form, not from both."""
    header = HTTPConnection(scope).headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    if not header:
        return _required(form, "client_id"), _required(form, "client_secret")
    if "client_secret" in form:
        raise OAuthError("invalid_request", "Send the client's secret once.")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        id, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise OAuthError("invalid_client", "Send the client as HTTP Basic.", 401) from None
    return unquote(id), unquote(secret)
