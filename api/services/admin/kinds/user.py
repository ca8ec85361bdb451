"""Users: people and programs that may log in."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel import passwords, principals
from api.kernel.authentication import Authenticator
from api.kernel.context import Context
from api.kernel.kind import Kind
from api.kernel.listing import SqlListing
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.principals import Account, PrincipalState
from api.kernel.roles import Role
from api.kernel.tables import PRINCIPAL
from core.errors import InvalidPayload
from core.ids import new_id

_LISTING = SqlListing(
    id=PRINCIPAL.c.id, fields={name: PRINCIPAL.c[name] for name in ("name", "role", "state")}, order=("name",)
)

USER = Kind(
    "user",
    plural="users",
    title="User",
    description="Someone, or some program, that may log in with a role.",
    example="usr_06e1xq0000example000000000",
    filter_by=tuple(_LISTING.fields),
    order_by=_LISTING.order,
)

Password = Annotated[str, Field(max_length=passwords.LONGEST, json_schema_extra={"format": "password"})]


class User(Model):
    """A user, without any secret."""

    id: str
    """Id of the user."""

    name: str
    """Login name."""

    role: Role
    """What the user may do."""

    state: PrincipalState
    """ACTIVE, or SUSPENDED: then no login and no token works."""

    created_at: datetime
    """When the user was created."""

    created_by: str
    """Who created it."""

    updated_at: datetime
    """When it was last changed."""


class NewUser(Request):
    """A user to create."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9._@-]{0,127}$", examples=["ada"])]
    """Login name: lower case, beginning with a letter."""

    role: Role = Role.VIEWER
    """What the user may do."""

    password: Password | None = None
    """Password of 10 to 256 characters; without one the user can only use tokens."""


class UserChange(Request):
    """What to change of a user; absent fields stay."""

    role: Role | None = None
    """The new role."""

    password: Password | None = None
    """The new password."""


@USER.list(query=ListQuery, item=User, role=Role.ADMIN)
async def list_users(ctx: Context, query: ListQuery) -> Page[User]:
    """Lists users."""
    rows, token = await ctx.query(_LISTING.rows, sa.select(*principals.COLUMNS), query)
    return Page[User](items=[_user(principals.account_of(row)) for row in rows], next_page_token=token)


@USER.get(result=User, role=Role.ADMIN)
async def get_user(ctx: Context, user: str) -> User:
    """Returns a user by id or login name."""
    return _user(await ctx.query(principals.get, user))


@USER.create(request=NewUser, result=User, role=Role.ADMIN)
async def create_user(ctx: Context, request: NewUser) -> User:
    """Creates a user."""
    digest = await _hash(ctx, request.password)
    ctx.subject = new_id("usr")
    ctx.note(name=request.name, role=request.role.value)
    who = {"created_by": ctx.principal.name, "id": ctx.subject}
    return _user(await ctx.transact(principals.create, request.name, request.role, digest, **who))


@USER.update(request=UserChange, result=User, role=Role.ADMIN)
async def update_user(ctx: Context, user: str, request: UserChange) -> User:
    """Changes a user's role or password. A new role holds at once for running logins and tokens."""
    if not request.model_fields_set:
        raise InvalidPayload("Nothing to change: send role or password.")
    digest = await _hash(ctx, request.password)
    ctx.note(fields=sorted(request.model_fields_set), role=request.role.value if request.role else None)
    changed = await ctx.transact(principals.change, user, role=request.role, password_hash=digest)
    ctx.platform.part(Authenticator).forget()
    return _user(changed)


@USER.action("suspend", request=Request, result=User, role=Role.ADMIN, past="suspended")
async def suspend_user(ctx: Context, user: str, request: Request) -> User:
    """Suspends a user: its logins and tokens stop working at once. The last active admin cannot be suspended."""
    return await _set_state(ctx, user, PrincipalState.SUSPENDED)


@USER.action("activate", request=Request, result=User, role=Role.ADMIN, past="activated")
async def activate_user(ctx: Context, user: str, request: Request) -> User:
    """Lets a suspended user in again."""
    return await _set_state(ctx, user, PrincipalState.ACTIVE)


async def _set_state(ctx: Context, user: str, state: PrincipalState) -> User:
    changed = await ctx.transact(principals.change, user, state=state)
    ctx.platform.part(Authenticator).forget()
    return _user(changed)


async def _hash(ctx: Context, password: str | None) -> str | None:
    return None if password is None else await ctx.platform.workers.passwords.run(passwords.hash_password, password)


def _user(account: Account) -> User:
    return User(**asdict(account))
