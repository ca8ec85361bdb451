"""Previews of logins: the user, groups, and roles of given claims."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.admin.kinds.identity_provider import IDENTITY_PROVIDER, IdentityProvider, rules_of
from api.services.admin.logic import identities
from api.services.admin.logic.claims import identity_of


class Claims(Request):
    """Claims to preview."""

    claims: Annotated[dict[str, Any], Field(max_length=200)]
    """Claims as in an id token of this provider."""


class Preview(Model):
    """Effect that a login with these claims would have. The preview changes nothing."""

    user_id: str | None
    """Id of the user that would log in. Null if there is none yet."""

    name: str
    """Login name of a new user."""

    creates_user: bool
    """Whether the login would create a user."""

    groups: list[str]
    """Ids of the mapped groups that the user would be in."""

    roles: list[str]
    """Ids of the mapped roles that the user would have on the organization."""

    refused: str | None
    """Why the login would be refused. Null if it would succeed."""


@IDENTITY_PROVIDER.command("preview", request=Claims, result=Preview, reads=True)
def preview(unit: Unit, provider: IdentityProvider, request: Claims) -> Preview:
    """Returns the user, groups, and roles that a login with these claims would have."""
    identity = identity_of(rules_of(provider), request.claims)
    user_id = identities.user_of(unit.connection, provider.id, provider.organization_id, identity.subject)
    creates = user_id is None and provider.spec.just_in_time and identity.refused is None
    refused = identity.refused
    if user_id is None and not creates and refused is None:
        refused = "There is no such user, and the provider does not create users."
    return Preview(
        user_id=user_id,
        name=identity.name,
        creates_user=creates,
        groups=list(identity.groups),
        roles=list(identity.roles),
        refused=refused,
    )
