"""Passwords that a directory sets, hashed by the rules of the admin service before the transaction starts.

Hashing takes tens of milliseconds, during which no other writer should wait. A fault of a password is raised only in
its turn, after all other checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.references import ORGANIZATION
from api.kernel.securable import Securable
from api.services.admin.kinds.user import USER
from api.services.admin.logic import password_policy
from core.errors import HeadwaterError

NEW = ""
"""Placeholder for the account of a new user."""

Passwords = Mapping[tuple[str, str], str | HeadwaterError]
"""The hash of each account's new password, or why it can't be set."""


async def hash_passwords(ctx: Context, body: bytes, id: str) -> Passwords:
    """Hashes every password in a request about the user with this id, if the caller has the permission to set it."""
    hashes: dict[tuple[str, str], str | HeadwaterError] = {}
    try:
        document = json.loads(body) if b"password" in body.lower() else None
    except (ValueError, RecursionError):
        return hashes
    for account, password in set(_passwords(document, id if ctx.endpoint.verb == "update" else NEW)):
        try:
            hashes[account, password] = await _hash(ctx, account, password)
        except HeadwaterError as error:
            if error.status >= 500:
                raise
            hashes[account, password] = error
    return hashes


async def _hash(ctx: Context, account: str, password: str) -> str:
    permission, organization = USER.permission("set-password"), ctx.principal.organization_id

    def check(unit: Unit) -> None:
        if account == NEW:
            unit.require(permission, Securable(ORGANIZATION, organization, organization))
        # The permission is checked before former passwords are compared, because the duration would disclose them.
        elif (
            row := unit.row(USER, account, permission=permission)
        ).id != account or row.organization_id != organization:
            raise USER.unknown(account)
        else:
            escalation.require_control(unit, row.id)

    await ctx.read(check)
    return await password_policy.new_hash(ctx, password, account_id=account)


def _passwords(document: Any, account: str) -> Iterator[tuple[str, str]]:
    """Yields the account and the password of each change in a resource, a patch, or a bulk request."""
    if isinstance(document, list):
        for entry in document:
            yield from _passwords(entry, account)
    if not isinstance(document, dict):
        return
    fields = {name.lower(): value for name, value in document.items()}
    path = fields.get("path")
    if isinstance(path, str) and "data" in fields:  # An operation of a bulk request.
        yield from _passwords(fields["data"], path.strip("/").partition("/")[2])
        return
    for name, value in fields.items():
        named = path if name == "value" and isinstance(path, str) else name
        if isinstance(value, str) and named.rpartition(":")[2].lower() == "password":
            yield account, value
    yield from _passwords(fields.get("operations"), account)
    yield from _passwords(fields.get("value"), account)
