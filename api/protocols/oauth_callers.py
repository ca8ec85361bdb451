"""Callers of the OAuth endpoints: bearers of a token, and clients with an id and a key."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.requests import HTTPConnection
from starlette.types import Scope

from api.kernel.credentials import tokens
from api.kernel.credentials.authentication import Authenticator
from api.kernel.credentials.tokens import TokenKind, ValidToken
from api.kernel.kinds.unit import Unit
from api.kernel.permissions import grants
from api.kernel.permissions.principal import Principal, PrincipalKind
from api.kernel.platform import Platform
from api.kernel.securable import Securable
from api.protocols.calls import Calls
from api.protocols.oauth_requests import OAuthError, client_of
from api.services.admin.logic import granting
from core.errors import Unauthenticated

_PATTERN = re.compile(r"(\*|[a-z_]+)(\.(\*|[a-z_]+)){0,2}")


class OAuthCallers:
    """Authenticates callers, and narrows the scopes that they ask for."""

    def __init__(self, platform: Platform, calls: Calls) -> None:
        self._platform = platform
        self._calls = calls

    async def caller(self, scope: Scope, form: Mapping[str, str]) -> Principal:
        """Returns the caller, by a bearer token or by client id and key."""
        if HTTPConnection(scope).headers.get("authorization", "").lower().startswith("bearer "):
            if "client_secret" in form:
                raise OAuthError("invalid_request", "Authenticate in one way only.")
            return await self.bearer(scope)
        id, secret = client_of(scope, form)
        ctx = self._calls.context(scope, "admin_introspect")
        return await ctx.read(lambda unit: self.client(unit, id, secret)[1])

    async def bearer(self, scope: Scope) -> Principal:
        """Returns the owner of the bearer token. Cookies are ignored, because another site could cause the request."""
        connection = HTTPConnection(scope)
        if "authorization" not in connection.headers:
            raise Unauthenticated("Send the token as `Authorization: Bearer <token>`.")
        return await self._platform.part(Authenticator).principal(connection)

    def client(self, unit: Unit, id: str, secret: str) -> tuple[ValidToken, Principal]:
        """Returns the service account with this id and key."""
        valid = tokens.authenticating(unit.connection, secret)
        account = valid.principal if valid and valid.kind is TokenKind.TOKEN else None
        if valid is None or account is None or account.id != id or account.kind is not PrincipalKind.SERVICE_ACCOUNT:
            raise OAuthError("invalid_client", "The client is unknown, or its key is not valid.", 401)
        return valid, self.principal(unit, valid)

    def principal(self, unit: Unit, valid: ValidToken) -> Principal:
        """Returns the principal of a valid token, with its current rights."""
        account = valid.principal
        access = grants.access_of(unit.connection, account.id, self._platform.permissions, valid.scopes)
        return Principal(account.id, account.name, account.kind, account.organization_id, valid.id, access)

    def narrowed(self, held: tuple[str, ...], requested: str) -> tuple[str, ...]:
        """Returns the scopes to issue: the requested ones, if the token includes them all."""
        patterns = requested.split()
        if not patterns:
            return held
        if len(patterns) > 100 or not all(_PATTERN.fullmatch(pattern) for pattern in patterns):
            raise OAuthError("invalid_scope", "A scope is a permission or a pattern of permissions.")
        covers, within = granting.covered_by_patterns(patterns), granting.covered_by_patterns(list(held))
        for permission in self._platform.permissions:
            if held and covers(permission) and not within(permission):
                raise OAuthError("invalid_scope", f"The key is limited and does not include {permission}.")
        return tuple(patterns)


def organization_of(principal: Principal) -> Securable:
    """Returns the organization of a principal."""
    return Securable("admin.organization", principal.organization_id, principal.organization_id)
