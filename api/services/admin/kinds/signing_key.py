"""Signing keys, with which other systems verify the platform's signed tokens."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from api.kernel.credentials import signing_keys
from api.kernel.credentials.signing_keys import ALGORITHM, KeyState, SigningKeys
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.kernel.storage.listing import SqlListing
from api.kernel.tables import SIGNING_KEY as TABLE
from core.events import Event

_LISTING = SqlListing(id=TABLE.c.id, fields={"state": TABLE.c.state}, newest_first=True)

SIGNING_KEY = Kind(
    "signing_key",
    plural="signing-keys",
    title="Signing key",
    description="A key that signs tokens for other systems. Its public part is at `/oauth/jwks`.",
    example="jwk_06e1xq0000example000000000",
    filter_by=tuple(_LISTING.fields),
    powers={
        "rotate": Power.NOTHING,
        "revoke": Power.NOTHING,
    },
)


class SigningKey(Model):
    """A signing key, without its private part."""

    id: str
    """Id of the key, which is the `kid` of the tokens that it signs."""

    algorithm: str
    """Name of the algorithm in JOSE."""

    state: KeyState
    """`NEXT` is published, `CURRENT` signs, `FORMER` signed before, and `REVOKED` is no longer trusted."""

    created_at: datetime
    """Time at which it was created and published."""

    signs_from: datetime | None
    """Time at which it started to sign. Null if it never did."""

    retired_at: datetime | None
    """Time at which another key replaced it. Null if none did."""

    published_until: datetime | None
    """Time at which a former key leaves the published set, because all its tokens have expired. Null for others."""

    revoked_at: datetime | None
    """Time at which it was revoked. Null if it was not."""


@SIGNING_KEY.list(query=ListQuery, item=SigningKey, role=Role.ADMIN)
async def list_signing_keys(ctx: Context, query: ListQuery) -> Page[SigningKey]:
    """Lists the signing keys, newest first. There are none before the first use."""

    def read(unit: Unit) -> Page[SigningKey]:
        rows, token = _LISTING.rows(unit.connection, sa.select(TABLE), query)
        return Page[SigningKey](items=[_key(row) for row in rows], next_page_token=token)

    return await ctx.read(read)


@SIGNING_KEY.get(result=SigningKey, role=Role.ADMIN)
async def get_signing_key(ctx: Context, signing_key: str) -> SigningKey:
    """Returns a key by its id."""
    return await ctx.read(lambda unit: _key(signing_keys.find(unit.connection, signing_key)))


@SIGNING_KEY.collection_action(
    "rotate", request=Request, result=SigningKey, role=Role.ADMIN, past="activated", name="rotate_signing_keys"
)
async def rotate_signing_keys(ctx: Context, request: Request) -> SigningKey:
    """Makes the next key the current one, and publishes a new next key. This happens automatically every 30 days.

    Tokens of the former key stay valid until they expire. Refused while other systems may not have the next key yet.
    """

    def change(unit: Unit) -> SigningKey:
        events = unit.platform.part(SigningKeys).rotate(unit.connection)
        row = signing_keys.current(unit.connection)
        ctx.subject = row.id
        _record(ctx, unit, events)
        return _key(row)

    return await ctx.write(change)


@SIGNING_KEY.action("revoke", request=Request, result=SigningKey, role=Role.ADMIN)
async def revoke_signing_key(ctx: Context, signing_key: str, request: Request) -> SigningKey:
    """Revokes a key that may have been stolen. The next key replaces it.

    If the key may have signed tokens, all signed tokens end immediately. Other systems trust it until they read the
    keys again, within minutes.
    """

    def change(unit: Unit) -> SigningKey:
        _record(ctx, unit, unit.platform.part(SigningKeys).revoke(unit.connection, signing_key))
        return _key(signing_keys.find(unit.connection, signing_key))

    return await ctx.write(change)


def _record(ctx: Context, unit: Unit, events: Iterable[Event]) -> None:
    """Records the events of a change. The one about the request's own key becomes the event of the request."""
    for event in events:
        if (event.type, event.subject) == (ctx.endpoint.event, ctx.subject):
            ctx.note(**event.data)
        else:
            unit.events.append(event)


def _key(row: Any) -> SigningKey:
    stored = ("id", "state", "created_at", "signs_from", "retired_at", "revoked_at")
    values: dict[str, Any] = {name: getattr(row, name) for name in stored} | {"state": KeyState(row.state)}
    return SigningKey(**values, algorithm=ALGORITHM, published_until=signing_keys.published_until(row))
