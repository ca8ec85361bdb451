"""Tokens: bearer credentials for programs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from pydantic import AwareDatetime, Field

from api.kernel import principals, tokens
from api.kernel.authentication import Authenticator
from api.kernel.context import Context
from api.kernel.kind import Kind
from api.kernel.listing import SqlListing
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.roles import Role
from api.kernel.tables import PRINCIPAL
from api.kernel.tables import TOKEN as TABLE
from core import clock
from core.errors import Conflict, InvalidPayload, NotFound, PermissionDenied
from core.ids import new_id

DEFAULT_LIFE = timedelta(days=90)
LONGEST_LIFE = timedelta(days=366)
_LISTING = SqlListing(id=TABLE.c.id, fields={"label": TABLE.c.label, "user": PRINCIPAL.c.name}, newest_first=True)

TOKEN = Kind(
    "token",
    plural="tokens",
    title="Token",
    description="A bearer credential of a user, for programs. Its secret is shown once.",
    example="tok_06e1xq0000example000000000",
    filter_by=tuple(_LISTING.fields),
)


class Token(Model):
    """A token, without its secret."""

    id: str
    """Id of the token."""

    label: str
    """What it is for."""

    user: str
    """Login name of the user it stands for."""

    created_at: datetime
    """When it was issued."""

    expires_at: datetime
    """When it ends by itself."""

    revoked_at: datetime | None
    """When it was revoked; null while it holds."""


class IssuedToken(Token):
    """A new token, with its secret."""

    secret: str
    """The bearer token itself. It is shown only here."""


class NewToken(Request):
    """A token to issue."""

    label: Annotated[str, Field(min_length=1, max_length=200, examples=["nightly export"])]
    """What it is for."""

    user: Annotated[str, Field(max_length=128)] | None = None
    """Login name it shall stand for; by default the caller's own. Others need an admin."""

    expires_at: AwareDatetime | None = None
    """When it shall end, within 366 days; by default in 90 days."""


@TOKEN.list(query=ListQuery, item=Token)
async def list_tokens(ctx: Context, query: ListQuery) -> Page[Token]:
    """Lists the caller's tokens, newest first; an admin sees everybody's."""
    visible = sa.select(*tokens.COLUMNS).select_from(tokens.JOINED).where(TABLE.c.kind == tokens.TokenKind.TOKEN.value)
    if ctx.principal.role is not Role.ADMIN:
        visible = visible.where(TABLE.c.principal_id == ctx.principal.id)
    rows, token = await ctx.query(_LISTING.rows, visible, query)
    return Page[Token](items=[Token(**_fields(tokens.row_of(row))) for row in rows], next_page_token=token)


@TOKEN.get(result=Token)
async def get_token(ctx: Context, token: str) -> Token:
    """Returns a token of the caller; an admin sees everybody's."""
    return Token(**_fields(await _visible(ctx, token)))


@TOKEN.create(request=NewToken, result=IssuedToken, role=Role.VIEWER, secret=True)
async def create_token(ctx: Context, request: NewToken) -> IssuedToken:
    """Issues a token. It can do what its user can, and its secret is shown only in this answer."""
    name = request.user or ctx.principal.name
    if name != ctx.principal.name and ctx.principal.role is not Role.ADMIN:
        raise PermissionDenied("Only an admin may issue tokens for others.")
    account = await ctx.query(principals.get, name)
    if account.state is not principals.PrincipalState.ACTIVE:
        raise Conflict(f"{account.name} is suspended.")
    now = clock.now()
    expires_at = request.expires_at or now + DEFAULT_LIFE
    if expires_at > now + LONGEST_LIFE:
        fault = {"pointer": "/expires_at", "detail": f"is more than {LONGEST_LIFE.days} days away"}
        raise InvalidPayload(f"A token lives at most {LONGEST_LIFE.days} days.", errors=[fault])
    ctx.subject = new_id("tok")
    ctx.note(label=request.label, user=account.name)
    secret, row = await ctx.transact(
        tokens.issue,
        account.id,
        kind=tokens.TokenKind.TOKEN,
        label=request.label,
        expires_at=expires_at,
        id=ctx.subject,
    )
    return IssuedToken(**_fields(row), secret=secret)


@TOKEN.delete(role=Role.VIEWER)
async def delete_token(ctx: Context, token: str) -> None:
    """Revokes a token at once, everywhere. Its record stays."""
    await _visible(ctx, token)
    await ctx.transact(tokens.revoke, token)
    ctx.platform.part(Authenticator).forget()


async def _visible(ctx: Context, id: str) -> tokens.TokenRow:
    row = await ctx.query(tokens.get, id)
    hidden = row.principal_id != ctx.principal.id and ctx.principal.role is not Role.ADMIN
    if hidden or row.kind is not tokens.TokenKind.TOKEN:
        raise NotFound(f"There is no token {id!r}.")
    return row


def _fields(row: tokens.TokenRow) -> dict[str, object]:
    return {
        "id": row.id,
        "label": row.label,
        "user": row.principal,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
    }
