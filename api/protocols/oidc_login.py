"""Logins of browsers through an identity provider: authorization code with PKCE, state, and nonce.

Each provider has its own redirect URI. With a common one, a provider of one organization could receive the response
of another organization's provider (mix-up), and redeem its code.
"""

from __future__ import annotations

import secrets
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.credentials.authentication import session_cookie
from api.kernel.credentials.sealing import open_sealer
from api.kernel.credentials.tokens import TokenRow
from api.kernel.http.guard import is_navigation
from api.kernel.http.own_path import own_path
from api.kernel.http.state import state_of
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.unit import Unit
from api.kernel.platform import Platform
from api.protocols.calls import Calls
from api.protocols.oidc_refusal import refusal_page
from api.services.admin.kinds.identity_provider import LOGIN_PATH as PATH
from api.services.admin.kinds.identity_provider import IdentityProvider, redirect_path
from api.services.admin.kinds.session import session_life, set_cookie
from api.services.admin.logic import login_states, password_policy, session_tokens, signing_in
from api.services.admin.logic.login_states import MAX_LOGIN_DURATION, Attempt
from api.services.admin.logic.openid import Challenge, Discovery, OpenId, authorization_url
from core import clock
from core.errors import HeadwaterError, MethodNotAllowed, NotFound, Unauthenticated
from core.ids import new_id

_RESPONSE_PARAMETERS = ("state", "code", "iss", "error")
"""Parameters of a response. RFC 6749 forbids repeating them."""


def mounts(app: Application) -> list[Mount]:
    """Returns the mount: `/login/oidc/{provider}` starts a login, `/login/oidc/{provider}/callback` completes it."""
    return [Mount(path=PATH, app=_Login(app), role=None, speaks_for="admin", acts_as=("admin_login",))]


class _Login:
    def __init__(self, app: Application) -> None:
        self._calls = Calls(app)
        self._platform = app.platform
        settings = app.platform.settings
        self._secure = bool(settings.tls_certfile) or settings.url.startswith("https://")
        # Only over https can a cookie be protected from other hosts of the domain.
        self._cookie = f"{'__Host-' if self._secure else ''}{session_cookie(settings.port)}_oidc_"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("This path only accepts GET.", metadata={"allow": ["GET"]})
        request = Request(scope, receive)
        name, slash, suffix = scope["path"][len(PATH) + 1 :].partition("/")
        if not name or (slash and suffix != "callback"):
            raise NotFound("Name an identity provider: /login/oidc/{provider}.")
        if name == "callback" and not slash:
            raise Unauthenticated(
                "Each identity provider has its own redirect URI. At the provider, register the `redirect_path` of the "
                "identity provider, relative to the platform's address."
            )
        if slash and scope["method"] != "GET":
            # A HEAD request must not use up the response.
            raise MethodNotAllowed("This path only accepts GET.", metadata={"allow": ["GET"]})
        # Where the browser goes after the login. The response of the provider doesn't tell before it is checked.
        request.state.next = "/" if slash else own_path(request.query_params.get("next", "/"))
        try:
            response = await (self._complete(request, name) if slash else self._start(request, name))
        except HeadwaterError as error:
            if not is_navigation(request):
                raise
            response = refusal_page(request, error, next=request.state.next)
        await response(scope, receive, send)

    async def _start(self, request: Request, name: str) -> Response:
        """Redirects the browser to the provider, with a cookie that binds the response to this browser."""
        ctx = self._calls.context(request.scope, "admin_login")
        provider = await ctx.read(lambda unit: signing_in.provider_named(unit, name))
        discovery = await self._platform.part(OpenId).discover(provider.spec.issuer)
        challenge = Challenge.new()
        redirect_uri = f"{self._base(request)}{redirect_path(provider.id)}"
        attempt = Attempt(
            provider.id,
            challenge.state,
            challenge.nonce,
            challenge.verifier,
            request.state.next,
            redirect_uri,
            (clock.now() + MAX_LOGIN_DURATION).timestamp(),
        )
        spec = provider.spec
        target = authorization_url(discovery, spec.client_id, spec.scopes, challenge, redirect_uri)
        response = RedirectResponse(target, 303)
        sealed = attempt.seal(self._platform.part(open_sealer))
        response.headers.append("set-cookie", self._cookie_of(attempt.state, sealed, provider.id))
        return response

    async def _complete(self, request: Request, id: str) -> Response:
        """Redeems the code, logs the user in, and redirects them to `next`. The attempt ends in every case."""
        parameters = _parameters(request)
        sealer = self._platform.part(open_sealer)
        sealed = request.cookies.get(self._name_of(parameters["state"]), "")
        attempt = login_states.started_attempt(sealer, sealed, id, parameters["state"])
        request.state.next = attempt.next
        deleted_cookie = self._cookie_of(attempt.state, "", id)
        try:
            await self._platform.workers.write.run(_spend, self._platform, attempt)
            response = await self._log_in(request, attempt, parameters)
        except HeadwaterError:
            state_of(request.scope).headers += (("set-cookie", deleted_cookie),)
            raise
        response.headers.append("set-cookie", deleted_cookie)
        return response

    async def _log_in(self, request: Request, attempt: Attempt, parameters: dict[str, str]) -> Response:
        ctx = self._calls.context(request.scope, "admin_login")

        def require_provider(unit: Unit) -> tuple[IdentityProvider, str]:
            provider = signing_in.provider_named(unit, attempt.provider_id)
            return provider, signing_in.sealed_secret(unit, provider)

        provider, sealed = await ctx.read(require_provider)
        openid = self._platform.part(OpenId)
        discovery = await openid.discover(provider.spec.issuer)
        _require_issuer(discovery, parameters)
        if "error" in parameters or not parameters.get("code"):
            raise Unauthenticated("The identity provider did not log you in. Start again.")
        secret = self._platform.part(open_sealer).unseal(sealed, f"client-secret:{provider.id}") if sealed else ""
        token = await openid.redeem(
            discovery,
            client_id=provider.spec.client_id,
            secret=secret,
            code=parameters["code"],
            verifier=attempt.verifier,
            redirect_uri=attempt.redirect_uri,
        )
        claims = await openid.claims(discovery, token, [provider.spec.client_id], nonce=attempt.nonce)
        life = session_life(ctx, await ctx.query(password_policy.load))

        def change(unit: Unit) -> tuple[str, TokenRow]:
            account = signing_in.sign_in(unit, provider, claims, new_id("ses"))
            return session_tokens.start(unit.connection, account, session_id=ctx.subject, address=ctx.client, life=life)

        cookie, session = await ctx.write(change)
        set_cookie(ctx, cookie, session.expires_at)
        response = RedirectResponse(attempt.next, 303)
        for name, value in ctx.headers:
            response.headers.append(name, value)
        return response

    def _base(self, request: Request) -> str:
        return self._platform.settings.url.rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"

    def _name_of(self, state: str) -> str:
        return self._cookie + login_states.digest_of(state)[:16]

    def _cookie_of(self, state: str, value: str, provider_id: str) -> str:
        seconds = int(MAX_LOGIN_DURATION.total_seconds()) if value else 0
        # The prefix requires the path of the whole site.
        path = "/; Secure" if self._secure else f"{PATH}/{provider_id}"
        return f"{self._name_of(state)}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax"


def _spend(platform: Platform, attempt: Attempt) -> None:
    with platform.database.write() as connection:
        login_states.spend(connection, attempt)


def _parameters(request: Request) -> dict[str, str]:
    """Returns the parameters of the provider's response."""
    try:
        pairs = parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise login_states.refused() from None
    names = [name for name, _ in pairs if name in _RESPONSE_PARAMETERS]
    parameters = dict(pairs)
    if len(set(names)) != len(names) or not parameters.get("state"):
        raise login_states.refused()
    return parameters


def _require_issuer(discovery: Discovery, parameters: dict[str, str]) -> None:
    """Refuses a response with another issuer, or without one if the provider supports it (RFC 9207)."""
    named = parameters.get("iss")
    if named is None and not discovery.names_itself:
        return
    if not secrets.compare_digest((named or "").encode(), discovery.issuer.encode()):
        raise Unauthenticated("The response comes from another identity provider. Start again.")
