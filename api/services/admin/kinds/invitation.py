"""Invitations of users who have no account yet."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.kernel import references
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.services.admin.kinds.user import Email
from api.services.admin.logic import invitation_mail, inviting, link_mail
from api.services.admin.logic.inviting import GrantOffer
from api.services.admin.login_tables import INVITATION as TABLE
from core.errors import Conflict
from core.ids import new_id


class InvitationState(StrEnum):
    """State of an invitation. Only a PENDING one can be accepted."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


class InvitedGrant(Request):
    """A role to grant to the new user."""

    role_id: references.Role
    """Id of the role."""

    securable_id: references.Securable
    """Id of an organization, project, or resource, or `platform`."""


class InvitedRight(Model):
    """A role that the new user will have."""

    role_id: str
    """Id of the role."""

    securable_id: str
    """Id of the resource that it will be granted on."""


class Invitation(Model):
    """An invitation to an organization for a new user. Its token is mailed, and returned once."""

    id: str
    """Id of the invitation."""

    organization_id: str
    """Id of the organization that the new user will belong to."""

    email: str
    """Address of the invited user."""

    groups: list[str]
    """Ids of the groups that the user will be in."""

    grants: list[InvitedRight]
    """Roles that the user will have."""

    state: InvitationState
    """State of the invitation."""

    created_at: datetime
    """Time at which the invitation was created."""

    created_by: str
    """Name of the principal that invited the user."""

    expires_at: datetime
    """Time at which the invitation expires."""

    accepted_at: datetime | None
    """Time at which it was accepted. Null until then."""

    user_id: str | None
    """Id of the new user. Null until the invitation is accepted."""

    mailed_at: datetime | None
    """Time at which the mail server accepted the mail with the link. Null until then."""

    mail_problem: str | None
    """Why the mail could not be sent. Null if it was sent or is waiting."""


class IssuedInvitation(Invitation):
    """An invitation with its token."""

    token: str
    """Token for the invited user. Pass it on if it isn't mailed. No other response contains it."""


class NewInvitation(Request):
    """An invitation to create."""

    email: Email
    """Address of the invited user."""

    organization_id: references.Organization | None = None
    """Id of the organization that the new user will belong to. By default the caller's."""

    groups: Annotated[list[references.Group], Field(max_length=50)] = []
    """Ids of groups of that organization."""

    grants: Annotated[list[InvitedGrant], Field(max_length=50)] = []
    """Roles to grant to the new user."""

    days: Annotated[int, Field(ge=1, le=90)] = 7
    """Days until the invitation expires."""


class Resending(Request):
    """How to send an invitation again."""

    days: Annotated[int, Field(ge=1, le=90)] = 7
    """Days until the invitation expires, from now."""


def _invitation(unit: Unit, row: Row) -> Invitation:
    ended = row.state == InvitationState.PENDING.value and row.expires_at <= unit.now
    values = {name: getattr(row, name) for name in Invitation.model_fields if name != "state"}
    if unit.platform.mailer is None and row.mailed_at is None:
        values["mail_problem"] = "The platform has no mail server. Pass the token on yourself."
    return Invitation(**values, state=InvitationState.EXPIRED if ended else InvitationState(row.state))


INVITATION = TableKind(
    Invitation,
    TABLE,
    plural="invitations",
    prefix="inv",
    filter_by=("email", "organization_id", "created_by"),
    item=_invitation,
    readers=Role.ADMIN,
    writers=Role.ADMIN,
    powers={
        "create": Power.GRANTS,
        "resend": Power.GRANTS,
        "revoke": Power.NOTHING,
        "accept": Power.BY_PROOF,
    },
)


@INVITATION.creation(request=NewInvitation, result=IssuedInvitation, secret=True)
def create_invitation(unit: Unit, request: NewInvitation) -> IssuedInvitation:
    """Invites a user to an organization, by mail if the platform has a mail server.

    No caller can offer a role or a group that they can't grant.
    """
    place = inviting.organization(unit, request.organization_id)
    unit.require(INVITATION.permission("create"), place)
    offers = [GrantOffer(grant.role_id, grant.securable_id) for grant in request.grants]
    inviting.require_grantable(unit, place, request.groups, offers)
    grants = [offer.document() for offer in offers]
    unit.call.note(email=request.email, groups=request.groups, grants=grants)
    id, (secret, digest) = new_id(INVITATION.prefix), link_mail.new_token("hwi")
    invitation = INVITATION.add(
        unit,
        id=id,
        organization_id=place.id,
        email=request.email,
        groups=request.groups,
        grants=grants,
        state=InvitationState.PENDING.value,
        created_by=unit.principal.name,
        inviter_id=unit.principal.id,
        created_at=unit.now,
        digest=digest,
        expires_at=unit.now + timedelta(days=request.days),
        **invitation_mail.LINKS.waiting(unit.platform, id, secret),
    )
    return IssuedInvitation(**invitation.model_dump(), token=secret)


@INVITATION.command("resend", request=Resending, result=IssuedInvitation, past="resent", secret=True)
def resend_invitation(unit: Unit, row: Row, request: Resending) -> IssuedInvitation:
    """Gives an invitation a new token and a new expiry, and mails it again. The old token ends immediately."""
    _require_pending(row)
    # The caller becomes the inviter, so they must be able to grant what it offers.
    inviting.require_grantable(unit, unit.call.securable, row.groups, [GrantOffer(**offer) for offer in row.grants])
    secret, digest = link_mail.new_token("hwi")
    invitation = INVITATION.change(
        unit,
        row,
        digest=digest,
        expires_at=unit.now + timedelta(days=request.days),
        created_by=unit.principal.name,
        inviter_id=unit.principal.id,
        **invitation_mail.LINKS.waiting(unit.platform, row.id, secret),
    )
    return IssuedInvitation(**invitation.model_dump(), token=secret)


@INVITATION.command("revoke", request=Request, result=Invitation)
def revoke_invitation(unit: Unit, row: Row, request: Request) -> Invitation:
    """Revokes an invitation immediately. Its record stays."""
    _require_pending(row)
    return INVITATION.change(unit, row, state=InvitationState.REVOKED.value, sealed=None)


def _require_pending(row: Row) -> None:
    if row.state != InvitationState.PENDING.value:
        raise Conflict(f"The invitation is {row.state}. Create a new one.", metadata={"state": row.state})
