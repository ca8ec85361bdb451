"""Signed tokens for other systems: a principal's identity, for one audience and a few minutes (RFC 9068).

The row of each is stored like that of any token, so this platform notices a revocation. Systems that verify a signed
token without asking the platform trust it until it expires.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from api.kernel.credentials import tokens
from api.kernel.credentials.signing_keys import TOKEN_LIFETIME, SigningKeys
from api.kernel.credentials.tokens import TokenKind, TokenRow, ValidToken
from api.kernel.kinds.unit import Unit
from api.kernel.permissions.principal import PrincipalKind
from api.services.admin.logic import password_policy, session_tokens
from core.errors import InvalidPayload
from core.ids import new_id

OWN_CLIENT = "headwater"
"""Client of tokens that a user requested. It stands for the platform, because no other client can be registered."""

CLAIMS = ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "organization_id", "scope")


def issue(unit: Unit, held: ValidToken, *, issuer: str, audience: str, scopes: tuple[str, ...]) -> tuple[str, TokenRow]:
    """Issues a signed token of the principal of `held`. It never outlives `held`, and ends with its login or key.

    Raises:
        InvalidPayload: No tokens are issued for this audience.
        Unavailable: No key can sign now.
    """
    if audience not in password_policy.load(unit.connection).token_audiences:
        fault = {"pointer": "/audience", "detail": "is not an audience of signed tokens"}
        raise InvalidPayload("An admin must first add the audience to token_audiences.", errors=[fault])
    keys = unit.platform.part(SigningKeys)
    unit.events += keys.advance(unit.connection)
    session_tokens.delete_expired(unit.connection, held.principal.id)
    id, account = new_id("tok"), held.principal
    expires_at = min(unit.now + TOKEN_LIFETIME, held.expires_at).replace(microsecond=0)
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
    options: dict[str, Any] = {"kind": TokenKind.SIGNED, "label": f"signed for {audience}"[:200], "family": family}
    options |= {"created_at": unit.now, "expires_at": expires_at, "scopes": scopes}
    return signed, tokens.store(unit.connection, signed, account.id, id=id, **options)


def claims_of(token: str) -> dict[str, Any]:
    """Returns the claims of a token that was found by its hash, so it is known to be unchanged."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
