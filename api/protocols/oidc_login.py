"""Login in a browser by an identity provider: authorization code with PKCE, state and nonce."""

from __future__ import annotations

import json
import re
import secrets
from datetime import timedelta
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.credentials.authentication import session_cookie
from api.kernel.credentials.sealing import open_sealer
from api.kernel.credentials.tokens import TokenRow
from api.kernel.kinds.registry import Mount
from api.kernel.kinds.unit import Unit
from api.protocols.calls import Calls
from api.services.admin.kinds.identity_provider import IdentityProvider
from api.services.admin.kinds.session import session_life, set_cookie
from api.services.admin.logic import password_policy, session_tokens, signing_in
from api.services.admin.logic.openid import Challenge, OpenId, authorization_url
from core import clock
from core.errors import HeadwaterError, MethodNotAllowed, NotFound, Unauthenticated
from core.ids import new_id

PATH = "/login/oidc"
_PATIENCE = timedelta(minutes=10)
_OUR_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\x7f]*")
_CONTEXT = "oidc-login"


def mounts(app: Application) -> list[Mount]:
    """`/login/oidc/{provider}` begins a login, `/login/oidc/callback` ends it."""
    return [Mount(path=PATH, app=_Login(app), role=None, speaks_for="admin", acts_as=("admin_login",))]


class _Login:
    def __init__(self, app: Application) -> None:
        self._calls = Calls(app)
        self._platform = app.platform
        self._cookie = f"{session_cookie(app.platform.settings.port)}_oidc"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("This path answers GET.", metadata={"allow": ["GET"]})
        request = Request(scope, receive)
        rest = scope["path"][len(PATH) :].strip("/")
        if not rest or "/" in rest:
            raise NotFound("Name an identity provider: /login/oidc/{provider}.")
        response = await (self._end(request) if rest == "callback" else self._begin(request, rest))
        await response(scope, receive, send)

    async def _begin(self, request: Request, name: str) -> Response:
        """Sends the browser to the provider, with a cookie that binds what comes back to this browser."""
        ctx = self._calls.context(request.scope, "admin_login")
        provider = await ctx.read(lambda unit: signing_in.provider_named(unit, name))
        discovery = await self._platform.part(OpenId).discover(provider.spec.issuer)
        challenge = Challenge.new()
        wanted = request.query_params.get("next", "/")
        redirect_uri = f"{self._base(request)}{PATH}/callback"
        kept = {
            "provider": provider.id,
            "state": challenge.state,
            "nonce": challenge.nonce,
            "verifier": challenge.verifier,
            # Only a path of this site: a foreign address after login would be a gift to phishers.
            "next": wanted if len(wanted) <= 1000 and _OUR_PATH.fullmatch(wanted) else "/",
            "redirect_uri": redirect_uri,
            "until": (clock.now() + _PATIENCE).timestamp(),
        }
        spec = provider.spec
        target = authorization_url(discovery, spec.client_id, spec.scopes, challenge, redirect_uri)
        response = RedirectResponse(target, 303)
        sealed = self._platform.part(open_sealer).seal(json.dumps(kept), _CONTEXT)
        self._set_cookie(response, sealed, int(_PATIENCE.total_seconds()))
        return response

    async def _end(self, request: Request) -> Response:
        """Redeems the code, signs the user in and sends him where he wanted to go."""
        query = dict(parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=50))
        kept = self._kept(request, query.get("state", ""))
        if "error" in query or not query.get("code"):
            raise Unauthenticated("The identity provider did not log you in. Begin again.")
        if "iss" in query and not await self._is_issuer(request, kept["provider"], query["iss"]):
            raise Unauthenticated("The answer comes from another identity provider. Begin again.")
        ctx = self._calls.context(request.scope, "admin_login")

        def known(unit: Unit) -> tuple[IdentityProvider, str]:
            provider = signing_in.provider_named(unit, kept["provider"])
            return provider, signing_in.sealed_secret(unit, provider)

        provider, sealed = await ctx.read(known)
        secret = self._platform.part(open_sealer).unseal(sealed, f"client-secret:{provider.id}") if sealed else ""
        openid = self._platform.part(OpenId)
        discovery = await openid.discover(provider.spec.issuer)
        token = await openid.redeem(
            discovery,
            client_id=provider.spec.client_id,
            secret=secret,
            code=query["code"],
            verifier=kept["verifier"],
            redirect_uri=kept["redirect_uri"],
        )
        claims = await openid.claims(discovery, token, [provider.spec.client_id], nonce=kept["nonce"])
        life = session_life(ctx, await ctx.query(password_policy.load))

        def work(unit: Unit) -> tuple[str, TokenRow]:
            account = signing_in.sign_in(unit, provider, claims, new_id("ses"))
            return session_tokens.start(unit.connection, account, session_id=ctx.subject, address=ctx.client, life=life)

        cookie, session = await ctx.write(work)
        set_cookie(ctx, cookie, session.expires_at)
        response = RedirectResponse(kept["next"], 303)
        self._set_cookie(response, "", 0)
        for name, value in ctx.headers:
            response.headers.append(name, value)
        return response

    def _kept(self, request: Request, state: str) -> dict[str, str]:
        """What this browser was given when it began."""
        failed = Unauthenticated("This login was not begun in this browser, or too long ago. Begin again.")
        try:
            text = self._platform.part(open_sealer).unseal(request.cookies.get(self._cookie, ""), _CONTEXT)
            kept: dict[str, str] = json.loads(text)
        except (HeadwaterError, ValueError):
            raise failed from None
        if float(kept["until"]) < clock.now().timestamp():
            raise failed
        if not secrets.compare_digest(kept["state"].encode(), state.encode()):
            raise failed
        return kept

    async def _is_issuer(self, request: Request, provider_id: str, issuer: str) -> bool:
        ctx = self._calls.context(request.scope, "admin_login")
        provider = await ctx.read(lambda unit: signing_in.provider_named(unit, provider_id))
        return provider.spec.issuer == issuer

    def _base(self, request: Request) -> str:
        return self._platform.settings.url.rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"

    def _set_cookie(self, response: Response, value: str, seconds: int) -> None:
        secure = "; Secure" if self._platform.settings.tls_certfile else ""
        header = f"{self._cookie}={value}; Path={PATH}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        response.headers.append("set-cookie", header)
