"""Acceptance of invitations by the invited users."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.credentials import accounts
from api.kernel.credentials.tokens import digest_of
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Name, Request
from api.kernel.roles import Role
from api.services.admin.kinds.invitation import INVITATION
from api.services.admin.kinds.user import MailedToken, Password
from api.services.admin.logic import inviting, password_policy


class Acceptance(Request):
    """Acceptance of an invitation."""

    token: MailedToken
    """Token of the invitation."""

    name: Annotated[Name, Field(examples=["ada"])]
    """Login name of the new user."""

    title: Annotated[str, Field(max_length=200)] | None = None
    """Display name."""

    password: Password
    """Password of the new user."""


class Accepted(Model):
    """The new user."""

    user_id: str
    """Id of the user."""

    name: str
    """Name of the user in the organization."""

    login_name: str
    """Name to log in with: the name of the organization and of the user."""

    organization_id: str
    """Id of the user's organization."""


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
    """Creates the invited user with the groups and roles of the invitation. It can be accepted once.

    Groups and roles that the inviter can no longer grant are refused.
    """
    digest = digest_of(request.token)
    await ctx.query(inviting.require_pending, digest)
    password_hash = await password_policy.new_hash(ctx, request.password)

    def change(unit: Unit) -> Accepted:
        user = inviting.accept(unit, digest, request.name, request.title, password_hash)
        login_name = accounts.login_name(unit.connection, user.id)
        place = str(user.organization_id)
        return Accepted(user_id=user.id, name=user.name, login_name=login_name, organization_id=place)

    return await ctx.write(change)
