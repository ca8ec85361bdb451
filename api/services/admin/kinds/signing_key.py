"""Signing keys: what other systems verify the platform's signed tokens by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.roles import Role
from api.kernel.storage.listing import SqlListing
from api.services.admin.logic import signing_keys
from api.services.admin.logic.signing_keys import ALGORITHM, KeyState, SigningKeys
from api.services.admin.login_tables import SIGNING_KEY as TABLE

_LISTING = SqlListing(id=TABLE.c.id, fields={"state": TABLE.c.state}, newest_first=True)

SIGNING_KEY = Kind(
    "signing_key",
    plural="signing-keys",
    title="Signing key",
    description="A key that signs tokens for other systems. They find its public part at `/oauth/jwks`.",
    example="jwk_06e1xq0000example000000000",
    filter_by=tuple(_LISTING.fields),
)


class SigningKey(Model):
    """A key, without its private part, which nobody is shown."""

    id: str
    """Id of the key: the `kid` of what it signs."""

    algorithm: str
    """How it signs, as JOSE names it."""

    state: KeyState
    """`NEXT` is published and waits, `CURRENT` signs, `FORMER` did, `REVOKED` is not trusted any more."""

    created_at: datetime
    """When it was made and published."""

    signs_from: datetime | None
    """When it began to sign; null if it never did."""

    retired_at: datetime | None
    """When another one took its place; null if that did not happen."""

    published_until: datetime | None
    """When a former key leaves the published set, since all that it signed has ended; null for others."""

    revoked_at: datetime | None
    """When it was revoked; null if it was not."""


@SIGNING_KEY.list(query=ListQuery, item=SigningKey, role=Role.ADMIN)
async def list_signing_keys(ctx: Context, query: ListQuery) -> Page[SigningKey]:
    """Lists the keys, newest first. There are none before the first use."""

    def work(unit: Unit) -> Page[SigningKey]:
        rows, token = _LISTING.rows(unit.connection, sa.select(TABLE), query)
        return Page[SigningKey](items=[_key(row) for row in rows], next_page_token=token)

    return await ctx.read(work)


@SIGNING_KEY.get(result=SigningKey, role=Role.ADMIN)
async def get_signing_key(ctx: Context, signing_key: str) -> SigningKey:
    """Returns a key by its id."""
    return await ctx.read(lambda unit: _key(signing_keys.find(unit.connection, signing_key)))


@SIGNING_KEY.collection_action(
    "rotate", request=Request, result=SigningKey, role=Role.ADMIN, past="rotated", name="rotate_signing_keys"
)
async def rotate_signing_keys(ctx: Context, request: Request) -> SigningKey:
    """Lets the next key sign from now on, and publishes another next one. Happens by itself every 30 days.

    What the former key signed stays valid until it expires. Refused while others may not know the next key yet.
    """

    def work(unit: Unit) -> SigningKey:
        unit.events += unit.platform.part(SigningKeys).rotate(unit.connection)
        row = signing_keys.current(unit.connection)
        ctx.subject = row.id
        return _key(row)

    return await ctx.write(work)


@SIGNING_KEY.action("revoke", request=Request, result=SigningKey, role=Role.ADMIN)
async def revoke_signing_key(ctx: Context, signing_key: str, request: Request) -> SigningKey:
    """Ends a key at once, for when somebody else may have it. The next one takes its place.

    If it may have signed tokens, all signed tokens end with it. Other systems trust it until they ask for the keys
    again, within minutes.
    """

    def work(unit: Unit) -> SigningKey:
        unit.events += unit.platform.part(SigningKeys).revoke(unit.connection, signing_key)
        return _key(signing_keys.find(unit.connection, signing_key))

    return await ctx.write(work)


def _key(row: Any) -> SigningKey:
    stored = ("id", "state", "created_at", "signs_from", "retired_at", "revoked_at")
    values: dict[str, Any] = {name: getattr(row, name) for name in stored} | {"state": KeyState(row.state)}
    return SigningKey(**values, algorithm=ALGORITHM, published_until=signing_keys.published_until(row))
