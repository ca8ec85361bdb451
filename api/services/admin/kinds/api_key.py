"""API keys: bearer credentials for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials import accounts, tokens
from api.kernel.credentials.accounts import Account, AccountState
from api.kernel.credentials.tokens import TokenKind, TokenRow
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.resource import Title
from api.kernel.kinds.unit import Unit, denied
from api.kernel.models import ListQuery, Model, Page, Query, Request, Timestamp
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.storage.listing import SqlListing
from api.kernel.tables import PRINCIPAL, TOKEN
from api.services.admin.kinds.role import Pattern
from api.services.admin.logic import granting, password_policy
from core.errors import Conflict, InvalidPayload, NotFound, PermissionDenied
from core.ids import new_id

DEFAULT_LIFE = timedelta(days=90)
_LISTING = SqlListing(
    id=TOKEN.c.id, fields={"label": TOKEN.c.label, "principal_id": TOKEN.c.principal_id}, newest_first=True
)

API_KEY = Kind(
    "api_key",
    plural="api-keys",
    title="API key",
    description="A bearer credential of a user or service account, for programs. Its secret is shown once.",
    example="key_06e1xq0000example000000000",
    filter_by=tuple(_LISTING.fields),
)


class ApiKey(Model):
    """A key, without its secret."""

    id: str
    """Id of the key."""

    label: str
    """What it is for."""

    prefix: str
    """How its secret begins, to recognize it by."""

    principal_id: str
    """User or service account it stands for."""

    principal: str
    """Login name of that."""

    scopes: list[str]
    """Patterns of permissions it is limited to; empty if it can do all its principal can."""

    created_at: datetime
    """When it was issued."""

    expires_at: datetime
    """When it ends by itself."""

    revoked_at: datetime | None
    """When it was revoked; null while it holds."""

    rotated_from: str | None
    """The key it took the place of; null if there was none."""


class IssuedApiKey(ApiKey):
    """A new key, with its secret."""

    secret: str
    """The bearer token itself. It is shown only here."""


class NewApiKey(Request):
    """A key to issue."""

    label: Title
    """What it is for."""

    principal_id: Annotated[str, Field(max_length=128)] | None = None
    """User or service account it shall stand for, by id or login name; by default the caller."""

    scopes: Annotated[list[Pattern], Field(max_length=100)] = []
    """Patterns of permissions to limit it to."""

    expires_at: Timestamp | None = None
    """When it shall end, within the days that the settings allow; by default in 90 days."""


class ApiKeyChange(Request):
    """What to change of a key."""

    label: Title | None = None
    """What it is for."""

    expires_at: Timestamp | None = None
    """An earlier end. A later one needs a new key."""


class Rotation(Request):
    """How to rotate a key."""

    overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 3600
    """How long the old secret still works, so that programs can change over."""


class ApiKeyUsage(Model):
    """When a key was last used; known to within a minute."""

    last_used_at: datetime | None
    """When; null if never."""

    last_used_from: str | None
    """The address it was used from."""


@API_KEY.list(query=ListQuery, item=ApiKey, role=Role.ADMIN, own=True)
async def list_api_keys(ctx: Context, query: ListQuery) -> Page[ApiKey]:
    """Lists the caller's keys, newest first, and those of others that he may see."""

    def work(unit: Unit) -> Page[ApiKey]:
        others = unit.principal.access.where("admin.api_key.get", PRINCIPAL, id=PRINCIPAL.c.id)
        mine = TOKEN.c.principal_id == unit.principal.id
        select = (
            sa.select(*tokens.COLUMNS)
            .select_from(tokens.JOINED)
            .where(TOKEN.c.kind == TokenKind.TOKEN.value, sa.or_(mine, others))
        )
        rows, token = _LISTING.rows(unit.connection, select, query)
        return Page[ApiKey](items=[_key(tokens.row_of(row)) for row in rows], next_page_token=token)

    return await ctx.read(work)


@API_KEY.get(result=ApiKey, role=Role.ADMIN, own=True)
async def get_api_key(ctx: Context, api_key: str) -> ApiKey:
    """Returns a key by its id."""
    return await ctx.read(lambda unit: _key(_visible(unit, api_key, "get")))


@API_KEY.create(request=NewApiKey, result=IssuedApiKey, role=Role.ADMIN, own=True, secret=True)
async def create_api_key(ctx: Context, request: NewApiKey) -> IssuedApiKey:
    """Issues a key. It can do what its principal can, within its scopes; its secret is shown only in this answer."""

    def work(unit: Unit) -> IssuedApiKey:
        account = _account(unit, request.principal_id or unit.principal.id)
        if account.state is not AccountState.ACTIVE:
            raise Conflict(f"{account.name} is {account.state}.")
        expires_at = request.expires_at or unit.now + DEFAULT_LIFE
        longest = timedelta(days=password_policy.load(unit.connection).key_max_days)
        if request.expires_at is None:
            expires_at = min(expires_at, unit.now + longest)
        if expires_at > unit.now + longest:
            fault = {"pointer": "/expires_at", "detail": f"is more than {longest.days} days away"}
            raise InvalidPayload(f"A key lives at most {longest.days} days.", errors=[fault])
        unit.ctx.note(label=request.label, principal_id=account.id, scopes=request.scopes)
        scopes = request.scopes or list(unit.principal.access.limits)
        _refuse_wider(unit, scopes)
        return _issue(unit, account, request.label, expires_at, scopes)

    return await ctx.write(work)


@API_KEY.update(request=ApiKeyChange, result=ApiKey, role=Role.ADMIN, own=True)
async def update_api_key(ctx: Context, api_key: str, request: ApiKeyChange) -> ApiKey:
    """Changes the label of a key, or lets it end earlier."""

    def work(unit: Unit) -> ApiKey:
        row = _visible(unit, api_key, "update")
        values: dict[str, Any] = {}
        if request.label is not None:
            values["label"] = request.label
        if request.expires_at is not None:
            if request.expires_at > row.expires_at:
                fault = {"pointer": "/expires_at", "detail": "is later than it is now"}
                raise InvalidPayload("A key can only end earlier. Issue or rotate one.", errors=[fault])
            values["expires_at"] = request.expires_at
            unit.rights_changed()
        if not values:
            raise InvalidPayload("Nothing to change: send label or expires_at.")
        unit.ctx.note(fields=sorted(values))
        unit.connection.execute(TOKEN.update().where(TOKEN.c.id == row.id).values(**values))
        return _key(tokens.get(unit.connection, row.id))

    return await ctx.write(work)


@API_KEY.action("revoke", request=Request, result=ApiKey, role=Role.ADMIN, own=True)
async def revoke_api_key(ctx: Context, api_key: str, request: Request) -> ApiKey:
    """Revokes a key at once, everywhere. Its record stays."""

    def work(unit: Unit) -> ApiKey:
        row = _visible(unit, api_key, "revoke")
        tokens.revoke(unit.connection, row.id)
        unit.rights_changed()
        return _key(tokens.get(unit.connection, row.id))

    return await ctx.write(work)


@API_KEY.action("rotate", request=Rotation, result=IssuedApiKey, role=Role.ADMIN, own=True, secret=True)
async def rotate_api_key(ctx: Context, api_key: str, request: Rotation) -> IssuedApiKey:
    """Issues a key that takes the place of this one, which still works for the overlap and then ends."""

    def work(unit: Unit) -> IssuedApiKey:
        row = _visible(unit, api_key, "rotate")
        if row.revoked_at is not None or row.expires_at <= unit.now:
            raise Conflict("The key has ended already. Issue a new one.")
        ends = min(row.expires_at, unit.now + timedelta(seconds=request.overlap_seconds))
        unit.connection.execute(TOKEN.update().where(TOKEN.c.id == row.id).values(expires_at=ends))
        unit.rights_changed()
        account = accounts.get(unit.connection, row.principal_id)
        longest = timedelta(days=password_policy.load(unit.connection).key_max_days)
        life = min(row.expires_at - row.created_at, longest)
        made = _issue(unit, account, row.label, unit.now + life, row.scopes, family=row.family)
        unit.connection.execute(TOKEN.update().where(TOKEN.c.id == row.id).values(replaced_by=made.id))
        unit.ctx.note(replaced=row.id)
        return made.model_copy(update={"rotated_from": row.id})

    return await ctx.write(work)


@API_KEY.part("usage", query=Query, result=ApiKeyUsage, role=Role.ADMIN, own=True)
async def get_api_key_usage(ctx: Context, api_key: str, query: Query) -> ApiKeyUsage:
    """Tells when a key was last used, and from where."""

    def work(unit: Unit) -> ApiKeyUsage:
        row = _visible(unit, api_key, "get")
        return ApiKeyUsage(last_used_at=row.last_used_at, last_used_from=row.last_used_from)

    return await ctx.read(work)


def _issue(
    unit: Unit, account: Account, label: str, expires_at: datetime, scopes: Sequence[str], family: str = ""
) -> IssuedApiKey:
    id = unit.ctx.subject = new_id("key")
    unit.ctx.securable = _place(account)
    how: dict[str, Any] = {"kind": TokenKind.TOKEN, "label": label, "expires_at": expires_at, "id": id}
    secret, row = tokens.issue(unit.connection, account.id, **how, scopes=scopes, family=family)
    return IssuedApiKey(**_key(row).model_dump(), secret=secret)


def _refuse_wider(unit: Unit, scopes: Sequence[str]) -> None:
    """A key made with a limited key must not reach beyond it."""
    limits = unit.principal.access.limits
    if not limits:
        return
    covers, within = granting.covered_by_patterns(list(scopes)), granting.covered_by_patterns(list(limits))
    for permission in unit.platform.permissions:
        if covers(permission) and not within(permission):
            raise PermissionDenied(f"The key you call with is limited and does not include {permission}.")


def _account(unit: Unit, id: str) -> Account:
    """The account to issue a key for: the caller's own, or one whose keys he may make."""
    account = accounts.get(unit.connection, id)
    if account.id != unit.principal.id and not unit.allows("admin.api_key.create", _place(account)):
        if not unit.allows("admin.api_key.get", _place(account)):
            raise NotFound(f"There is no account {id!r}.")
        raise denied("admin.api_key.create")
    return account


def _visible(unit: Unit, id: str, verb: str) -> TokenRow:
    try:
        row = tokens.get(unit.connection, id)
    except NotFound:
        raise API_KEY.unknown(id) from None
    account = accounts.get(unit.connection, row.principal_id)
    own = row.principal_id == unit.principal.id
    if row.kind is not TokenKind.TOKEN or not (own or unit.allows("admin.api_key.get", _place(account))):
        raise API_KEY.unknown(id)
    if not own:
        unit.require(f"admin.api_key.{verb}", _place(account))
    unit.ctx.securable = _place(account)
    return row


def _place(account: Account) -> Securable:
    return Securable("admin.organization", account.organization_id, account.organization_id)


def _key(row: TokenRow) -> ApiKey:
    values = {name: getattr(row, name) for name in ApiKey.model_fields if name != "rotated_from"}
    return ApiKey(**values, rotated_from=None if row.family == row.id else row.family)
