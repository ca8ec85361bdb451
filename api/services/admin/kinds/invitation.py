"""Invitations: a way in for somebody who has no account yet."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials.tokens import digest_of
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.kinds.unit import Unit, denied
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.storage.listing import SqlListing
from api.services.admin.kinds.user import Email, Password
from api.services.admin.logic import invitation_mail, inviting, link_mail, password_policy
from api.services.admin.logic.inviting import GrantWish
from api.services.admin.login_tables import INVITATION as TABLE
from core.errors import Conflict, NotFound
from core.ids import new_id

_LISTING = SqlListing(
    id=TABLE.c.id,
    fields={"email": TABLE.c.email, "organization_id": TABLE.c.organization_id, "created_by": TABLE.c.created_by},
    newest_first=True,
)


INVITATION = Kind(
    "invitation",
    plural="invitations",
    title="Invitation",
    description="A way into an organization for somebody who has no account yet. Its token is mailed, and shown once.",
    example="inv_06e1xq0000example000000000",
    scoped=True,
    filter_by=tuple(_LISTING.fields),
)


class InvitationState(StrEnum):
    """Only a PENDING one can be accepted."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


class InvitedGrant(Request):
    """A role that the new user shall have."""

    role_id: Annotated[str, Field(max_length=64, examples=["rol_viewer"])]
    """The role."""

    securable_id: Annotated[str, Field(min_length=1, max_length=256)]
    """What it shall hold on: an organization, project or resource, or `platform`."""


class InvitedRight(Model):
    """A role that the new user will have."""

    role_id: str
    """The role."""

    securable_id: str
    """What it will hold on."""


class Invitation(Model):
    """An invitation, without its token."""

    id: str
    """Id of the invitation."""

    organization_id: str
    """Organization the new user will belong to."""

    email: str
    """Address of who is invited."""

    groups: list[str]
    """Ids of the groups he will be in."""

    grants: list[InvitedRight]
    """Roles he will have."""

    state: InvitationState
    """Whether it can be accepted."""

    created_at: datetime
    """When it was made."""

    created_by: str
    """Name of who invited."""

    expires_at: datetime
    """When it ends by itself."""

    accepted_at: datetime | None
    """When it was accepted; null while it was not."""

    user_id: str | None
    """The user it became; null while it was not accepted."""

    mailed_at: datetime | None
    """When the mail with its link was handed to the mail server; null while it was not."""

    mail_problem: str | None
    """Why it was not mailed yet; null if it was, or is about to be."""


class IssuedInvitation(Invitation):
    """An invitation with its token."""

    token: str
    """To be handed to who is invited, unless it is mailed. It is shown only here."""


class NewInvitation(Request):
    """Whom to invite, and to what."""

    email: Email
    """Address of who is invited."""

    organization_id: Annotated[str, Field(max_length=64)] | None = None
    """Organization he shall belong to; by default that of the caller."""

    groups: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=50)] = []
    """Ids of groups of that organization that he shall be in."""

    grants: Annotated[list[InvitedGrant], Field(max_length=50)] = []
    """Roles he shall have."""

    days: Annotated[int, Field(ge=1, le=90)] = 7
    """Days after which it ends by itself."""


class Resending(Request):
    """How to send it again."""

    days: Annotated[int, Field(ge=1, le=90)] = 7
    """Days after which it ends by itself, from now."""


class Acceptance(Request):
    """Who accepts."""

    token: Annotated[str, Field(max_length=200, json_schema_extra={"format": "password"})]
    """The invitation's token."""

    name: Annotated[str, Field(max_length=128, examples=["ada"])]
    """Login name to have."""

    title: Annotated[str, Field(max_length=200)] | None = None
    """Name for people."""

    password: Password
    """Password to log in with."""


class Accepted(Model):
    """The new user."""

    user_id: str
    """His id."""

    name: str
    """His login name."""

    organization_id: str
    """His organization."""


@INVITATION.list(query=ListQuery, item=Invitation, role=Role.ADMIN)
async def list_invitations(ctx: Context, query: ListQuery) -> Page[Invitation]:
    """Lists invitations to organizations whose invitations the caller may see, newest first."""

    def work(unit: Unit) -> Page[Invitation]:
        visible = unit.principal.access.where("admin.invitation.get", TABLE, id=TABLE.c.organization_id)
        rows, token = _LISTING.rows(unit.connection, sa.select(TABLE).where(visible), query)
        return Page[Invitation](items=[_invitation(unit, row) for row in rows], next_page_token=token)

    return await ctx.read(work)


@INVITATION.get(result=Invitation, role=Role.ADMIN)
async def get_invitation(ctx: Context, invitation: str) -> Invitation:
    """Returns an invitation by its id."""
    return await ctx.read(lambda unit: _invitation(unit, _found(unit, invitation, "get")))


@INVITATION.create(request=NewInvitation, result=IssuedInvitation, role=Role.ADMIN, secret=True)
async def create_invitation(ctx: Context, request: NewInvitation) -> IssuedInvitation:
    """Invites somebody, by mail if the platform has a mailer.

    Nobody can promise a role or a group that he could not give himself.
    """

    def work(unit: Unit) -> IssuedInvitation:
        place = inviting.organization(unit, request.organization_id)
        unit.require("admin.invitation.create", place)
        wishes = [GrantWish(wish.role_id, wish.securable_id) for wish in request.grants]
        inviting.require_givable(unit, place, request.groups, wishes)
        ctx.subject, ctx.securable = new_id("inv"), place
        ctx.note(email=request.email, groups=request.groups, grants=[wish.document() for wish in wishes])
        secret, digest = link_mail.new_token("hwi")
        values: dict[str, Any] = {"organization_id": place.id, "email": request.email, "groups": request.groups}
        values |= {"grants": [wish.document() for wish in wishes], "state": InvitationState.PENDING.value}
        values |= {"created_by": unit.principal.name, "inviter_id": unit.principal.id, "created_at": unit.now}
        values |= {"digest": digest, "expires_at": unit.now + timedelta(days=request.days)}
        values |= invitation_mail.LINKS.waiting(unit.platform, ctx.subject, secret)
        unit.connection.execute(TABLE.insert().values(id=ctx.subject, **values))
        return _issued(unit, ctx.subject, secret)

    return await ctx.write(work)


@INVITATION.action("resend", request=Resending, result=IssuedInvitation, role=Role.ADMIN, past="resent", secret=True)
async def resend_invitation(ctx: Context, invitation: str, request: Resending) -> IssuedInvitation:
    """Gives an invitation a new token and a new end, and mails it again. The old token ends at once."""

    def work(unit: Unit) -> IssuedInvitation:
        row = _open(unit, invitation, "resend")
        wishes = [GrantWish(**wish) for wish in row.grants]
        # From now on it is the caller who invites, so he must be able to give what it promises.
        inviting.require_givable(unit, _place(row), row.groups, wishes)
        secret, digest = link_mail.new_token("hwi")
        values: dict[str, Any] = {"digest": digest, "expires_at": unit.now + timedelta(days=request.days)}
        values |= invitation_mail.LINKS.waiting(unit.platform, row.id, secret)
        values |= {"created_by": unit.principal.name, "inviter_id": unit.principal.id}
        unit.connection.execute(TABLE.update().where(TABLE.c.id == row.id).values(**values))
        return _issued(unit, row.id, secret)

    return await ctx.write(work)


@INVITATION.action("revoke", request=Request, result=Invitation, role=Role.ADMIN)
async def revoke_invitation(ctx: Context, invitation: str, request: Request) -> Invitation:
    """Ends an invitation at once. Its record stays."""

    def work(unit: Unit) -> Invitation:
        row = _open(unit, invitation, "revoke")
        revoked = TABLE.update().where(TABLE.c.id == row.id).values(state=InvitationState.REVOKED.value, sealed=None)
        unit.connection.execute(revoked)
        return _invitation(unit, _row(unit, row.id))

    return await ctx.write(work)


@INVITATION.collection_action(
    "accept",
    request=Acceptance,
    result=Accepted,
    role=Role.VIEWER,
    public=True,
    secret=True,
    name="accept_invitation",
)
async def accept_invitation(ctx: Context, request: Acceptance) -> Accepted:
    """Makes an invited person a user with what the invitation promises. It works once.

    It gives nothing that who invited could not give any more.
    """
    digest = digest_of(request.token)
    await ctx.query(inviting.require_pending, digest)
    password_hash = await password_policy.new_hash(ctx, request.password)

    def work(unit: Unit) -> Accepted:
        user = inviting.accept(unit, digest, request.name, request.title, password_hash)
        return Accepted(user_id=user.id, name=user.name, organization_id=str(user.organization_id))

    return await ctx.write(work)


def _row(unit: Unit, id: str) -> Any:
    return unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == id)).first()


def _found(unit: Unit, id: str, verb: str) -> Any:
    row = _row(unit, id)
    if row is None or not unit.allows("admin.invitation.get", _place(row)):
        raise NotFound(f"There is no invitation {id!r}.")
    if not unit.allows(f"admin.invitation.{verb}", _place(row)):
        raise denied(f"admin.invitation.{verb}")
    unit.ctx.securable = _place(row)
    return row


def _open(unit: Unit, id: str, verb: str) -> Any:
    row = _found(unit, id, verb)
    if row.state != InvitationState.PENDING.value:
        raise Conflict(f"The invitation is {row.state}. Make a new one.", metadata={"state": row.state})
    return row


def _place(row: Any) -> Securable:
    return Securable("admin.organization", row.organization_id, row.organization_id)


def _issued(unit: Unit, id: str, secret: str) -> IssuedInvitation:
    return IssuedInvitation(**_invitation(unit, _row(unit, id)).model_dump(), token=secret)


def _invitation(unit: Unit, row: Any) -> Invitation:
    ended = row.state == InvitationState.PENDING.value and row.expires_at <= unit.now
    values = {name: getattr(row, name) for name in Invitation.model_fields if name != "state"}
    if unit.platform.mailer is None and row.mailed_at is None:
        values["mail_problem"] = "The platform has no mailer. Hand the token over yourself."
    return Invitation(**values, state=InvitationState.EXPIRED if ended else InvitationState(row.state))
