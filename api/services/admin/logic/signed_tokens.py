"""Tokens for other systems: who somebody is here, signed, for one audience and a few minutes (RFC 9068).

The row of each is kept like that of any token, so whether one holds is looked up here as ever. Only whoever verifies it
by itself trusts it until it expires.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from api.kernel.credentials import tokens
from api.kernel.credentials.tokens import TokenKind, TokenRow, Valid
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.principal import PrincipalKind
from api.services.admin.logic import password_policy, session_tokens
from api.services.admin.logic.signing_keys import TOKEN_LIFE, SigningKeys
from core.errors import InvalidPayload
from core.ids import new_id

OWN_CLIENT = "headwater"
"""The client of tokens that a user asked for: the platform's own login, for no other can be registered."""

CLAIMS = ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "organization_id", "scope")


def issue(unit: Unit, held: Valid, *, issuer: str, audience: str, scopes: tuple[str, ...]) -> tuple[str, TokenRow]:
    """A signed token of whose token `held` is. It never outlives that, and ends with the login or key behind it.

    Raises:
        InvalidPayload: no tokens are issued for this audience.
        Unavailable: no key may sign now.
    """
    if audience not in password_policy.load(unit.connection).token_audiences:
        fault = {"pointer": "/audience", "detail": "is none that signed tokens are issued for"}
        raise InvalidPayload("An admin has to declare the audience first: token_audiences.", errors=[fault])
    keys = unit.platform.part(SigningKeys)
    unit.events += keys.advance(unit.connection)
    session_tokens.forget_ended(unit.connection, held.principal.id)
    id, account = new_id("tok"), held.principal
    expires_at = min(unit.now + TOKEN_LIFE, held.expires_at).replace(microsecond=0)
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": account.id,
        "aud": audience,
        "exp": int(expires_at.timestamp()),
        "iat": int(unit.now.timestamp()),
        "jti": id,
        "client_id": account.id if account.kind is PrincipalKind.SERVICE_ACCOUNT else OWN_CLIENT,
        "organization_id": account.organization_id,
    }
    signed = keys.sign(unit.connection, claims | ({"scope": " ".join(scopes)} if scopes else {}))
    family = held.family if held.kind is TokenKind.ACCESS else held.id
    how: dict[str, Any] = {"kind": TokenKind.SIGNED, "label": f"signed for {audience}"[:200], "family": family}
    how |= {"created_at": unit.now, "expires_at": expires_at, "scopes": scopes}
    return signed, tokens.keep(unit.connection, signed, account.id, id=id, **how)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a token that was found by its hash, so that nobody can have changed it."""
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found
