"""API keys: bearer credentials for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel import lookup, references
from api.kernel.credentials import accounts, tokens
from api.kernel.credentials.accounts import Account, AccountState
from api.kernel.credentials.tokens import TokenKind, TokenRow
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.resource import Title
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Model, Page, Request, Timestamp
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.storage.listing import SqlListing
from api.kernel.tables import PRINCIPAL, TOKEN
from api.services.admin.kinds.role import Pattern
from api.services.admin.logic import granting, key_life
from core.errors import Conflict, ExceedsRights, InvalidPayload, NotFound
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
    powers={
        "create": Power.ACTS_AS,
        "update": Power.NOTHING,
        "revoke": Power.NOTHING,
        "rotate": Power.ACTS_AS,
    },
)


class ApiKey(Model):
    """A key, without its secret."""

    id: str
    """Id of the key."""

    label: str
    """Purpose of the key."""

    prefix: str
    """First characters of the secret, by which its owner recognizes it."""

    principal_id: str
    """Id of the user or service account that the key authenticates."""

    principal: str
    """Login name of that principal."""

    scopes: list[str]
    """Patterns of permissions that limit the key. Empty if it has all rights of its principal."""

    created_at: datetime
    """Time at which the key was issued."""

    expires_at: datetime
    """Time at which the key expires."""

    revoked_at: datetime | None
    """Time at which the key was revoked. Null while it is valid."""

    rotated_from: str | None
    """Id of the key that this key replaced. Null if it replaced none."""


class IssuedApiKey(ApiKey):
    """A new key, with its secret."""

    secret: str
    """Bearer token. No other response contains it."""


class NewApiKey(Request):
    """A key to issue."""

    label: Title
    """Purpose of the key."""

    principal_id: references.Account | None = None
    """Id of the user or service account that the key authenticates. By default the caller."""

    scopes: Annotated[list[Pattern], Field(max_length=100)] = []
    """Patterns of permissions that limit the key."""

    expires_at: Timestamp | None = None
    """Time of expiry, within the days that the settings and the service account allow. By default in 90 days."""


class ApiKeyChange(Request):
    """A change of a key."""

    label: Title | None = None
    """Purpose of the key."""

    expires_at: Timestamp | None = None
    """An earlier time of expiry. For a later one, issue a new key."""


class Rotation(Request):
    """How to rotate a key."""

    overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 3600
    """Seconds for which the old secret remains valid, so that programs can switch."""


@API_KEY.list(query=ListQuery, item=ApiKey, role=Role.ADMIN, own=True)
async def list_api_keys(ctx: Context, query: ListQuery) -> Page[ApiKey]:
    """Lists the caller's keys and those of other principals that they can see, newest first."""

    def read(unit: Unit) -> Page[ApiKey]:
        others = unit.principal.access.where("admin.api_key.get", PRINCIPAL, id=PRINCIPAL.c.id)
        own = TOKEN.c.principal_id == unit.principal.id
        select = (
            sa.select(*tokens.COLUMNS)
            .select_from(tokens.JOINED)
            .where(TOKEN.c.kind == TokenKind.TOKEN.value, sa.or_(own, others))
        )
        rows, token = _LISTING.rows(unit.connection, select, query)
        return Page[ApiKey](items=[_key(tokens.row_of(row)) for row in rows], next_page_token=token)

    return await ctx.read(read)


@API_KEY.get(result=ApiKey, role=Role.ADMIN, own=True)
async def get_api_key(ctx: Context, api_key: str) -> ApiKey:
    """Returns a key by its id."""
    return await ctx.read(lambda unit: _key(require_visible(unit, api_key, "get")))


@API_KEY.create(request=NewApiKey, result=IssuedApiKey, role=Role.ADMIN, own=True, secret=True)
async def create_api_key(ctx: Context, request: NewApiKey) -> IssuedApiKey:
    """Issues a key with the rights of its principal, within its scopes.

    Only this response contains the secret.
    """

    def change(unit: Unit) -> IssuedApiKey:
        account = _account(unit, request.principal_id or unit.principal.id)
        if account.state is not AccountState.ACTIVE:
            raise Conflict(f"{account.name} is {account.state}.")
        expires_at = request.expires_at or unit.now + DEFAULT_LIFE
        longest = key_life.longest(unit.connection, account)
        if request.expires_at is None:
            expires_at = min(expires_at, unit.now + longest)
        if expires_at > unit.now + longest:
            fault = {"pointer": "/expires_at", "detail": f"is more than {longest.days} days away"}
            raise InvalidPayload(f"A key of {account.name} is valid for at most {longest.days} days.", errors=[fault])
        unit.call.note(label=request.label, principal_id=account.id, scopes=request.scopes)
        for n, scope in enumerate(request.scopes):
            lookup.require_match(scope, unit.platform.permissions, "permission", f"/scopes/{n}")
        scopes = request.scopes or list(unit.principal.access.limits)
        _refuse_wider(unit, scopes)
        escalation.require_control(unit, account.id, scopes=scopes, until=expires_at)
        return _issue(unit, account, request.label, expires_at, scopes)

    return await ctx.write(change)


@API_KEY.update(request=ApiKeyChange, result=ApiKey, role=Role.ADMIN, own=True)
async def update_api_key(ctx: Context, api_key: str, request: ApiKeyChange) -> ApiKey:
    """Changes the label of a key, or lets it expire earlier."""

    def change(unit: Unit) -> ApiKey:
        row = require_visible(unit, api_key, "update")
        values: dict[str, Any] = {}
        if request.label is not None:
            values["label"] = request.label
        if request.expires_at is not None:
            if request.expires_at > row.expires_at:
                fault = {"pointer": "/expires_at", "detail": "is later than it is now"}
                raise InvalidPayload("A key can only expire earlier. Issue or rotate one.", errors=[fault])
            values["expires_at"] = request.expires_at
            unit.forget()
        if not values:
            raise InvalidPayload("Nothing to change: send label or expires_at.")
        unit.call.note(fields=sorted(values))
        unit.connection.execute(TOKEN.update().where(TOKEN.c.id == row.id).values(**values))
        return _key(tokens.get(unit.connection, row.id))

    return await ctx.write(change)


@API_KEY.action("revoke", request=Request, result=ApiKey, role=Role.ADMIN, own=True)
async def revoke_api_key(ctx: Context, api_key: str, request: Request) -> ApiKey:
    """Revokes a key immediately, everywhere. Its record stays."""

    def change(unit: Unit) -> ApiKey:
        row = require_visible(unit, api_key, "revoke")
        tokens.revoke(unit.connection, row.id)
        unit.forget()
        return _key(tokens.get(unit.connection, row.id))

    return await ctx.write(change)


@API_KEY.action("rotate", request=Rotation, result=IssuedApiKey, role=Role.ADMIN, own=True, secret=True)
async def rotate_api_key(ctx: Context, api_key: str, request: Rotation) -> IssuedApiKey:
    """Issues a key that replaces this one.

    The old key remains valid for `overlap_seconds`.
    """

    def change(unit: Unit) -> IssuedApiKey:
        row = require_visible(unit, api_key, "rotate")
        if row.revoked_at is not None or row.expires_at <= unit.now:
            raise Conflict("The key has expired or was revoked. Issue a new one.")
        account = accounts.get(unit.connection, row.principal_id)
        life = min(row.expires_at - row.created_at, key_life.longest(unit.connection, account))
        _refuse_wider(unit, row.scopes)
        escalation.require_control(unit, account.id, scopes=row.scopes, until=unit.now + life)
        ends = min(row.expires_at, unit.now + timedelta(seconds=request.overlap_seconds))
        unit.connection.execute(TOKEN.update().where(TOKEN.c.id == row.id).values(expires_at=ends))
        unit.forget()
        issued = _issue(unit, account, row.label, unit.now + life, row.scopes, family=row.family)
        unit.connection.execute(TOKEN.update().where(TOKEN.c.id == row.id).values(replaced_by=issued.id))
        unit.call.note(replaced=row.id)
        return issued.model_copy(update={"rotated_from": row.id})

    return await ctx.write(change)


def _issue(
    unit: Unit, account: Account, label: str, expires_at: datetime, scopes: Sequence[str], family: str = ""
) -> IssuedApiKey:
    id = unit.call.subject = new_id("key")
    unit.call.securable = _place(account)
    values: dict[str, Any] = {"kind": TokenKind.TOKEN, "label": label, "expires_at": expires_at, "id": id}
    secret, row = tokens.issue(unit.connection, account.id, **values, scopes=scopes, family=family)
    return IssuedApiKey(**_key(row).model_dump(), secret=secret)


def _refuse_wider(unit: Unit, scopes: Sequence[str]) -> None:
    """Refuses scopes that exceed the limits of the key that the caller authenticates with."""
    limits = unit.principal.access.limits
    if not limits:
        return
    # A key without scopes is not limited at all.
    covers, within = granting.covered_by_patterns(list(scopes) or ["*"]), granting.covered_by_patterns(list(limits))
    for permission in unit.platform.permissions:
        if covers(permission) and not within(permission):
            raise ExceedsRights(f"The key that you authenticate with does not include {permission}.")


def _account(unit: Unit, id: str) -> Account:
    """Returns the account to issue a key for: the caller's own, or one whose keys they can issue."""
    account = accounts.get(unit.connection, id)
    if account.id != unit.principal.id and not unit.allows("admin.api_key.get", _place(account)):
        raise NotFound(f"There is no account {id!r}.")
    if account.id != unit.principal.id and not unit.allows("admin.api_key.create", _place(account)):
        raise denied("admin.api_key.create")
    return account


def require_visible(unit: Unit, id: str, verb: str) -> TokenRow:
    """Returns the row of a key if the caller has the permission with this verb on it."""
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
    unit.call.securable = _place(account)
    return row


def _place(account: Account) -> Securable:
    return Securable("admin.organization", account.organization_id, account.organization_id)


def _key(row: TokenRow) -> ApiKey:
    values = {name: getattr(row, name) for name in ApiKey.model_fields if name != "rotated_from"}
    return ApiKey(**values, rotated_from=None if row.family == row.id else row.family)
