"""Checks of invitations, and their acceptance."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.kinds import escalation, standard
from api.kernel.kinds.placement import scope_of_new
from api.kernel.kinds.resource import Draft
from api.kernel.kinds.unit import Unit
from api.kernel.permissions import grants
from api.kernel.permissions.grants import Effect, GrantRow
from api.kernel.permissions.principal import Principal
from api.kernel.securable import Securable
from api.kernel.storage import store
from api.kernel.tables import MEMBER, PRINCIPAL
from api.services.admin.kinds.group import GroupSource
from api.services.admin.kinds.user import USER, User, UserSpec
from api.services.admin.logic import granting, password_policy
from api.services.admin.login_tables import INVITATION
from core import clock
from core.errors import Conflict, HeadwaterError, InvalidPayload, NotFound
from core.ids import new_id


@dataclass(frozen=True, slots=True)
class GrantOffer:
    """A role on a resource."""

    role_id: str
    securable_id: str

    def document(self) -> dict[str, str]:
        """Returns the stored form."""
        return asdict(self)


def organization(unit: Unit, id: str | None) -> Securable:
    """Returns the organization to invite to."""
    return scope_of_new(unit, USER, id, None)


def require_grantable(unit: Unit, place: Securable, groups: list[str], offers: list[GrantOffer]) -> None:
    """Requires the permissions to create users in the organization, add to the groups, and grant the roles."""
    unit.require("admin.user.create", place)
    for n, id in enumerate(groups):
        row = store.find(unit.connection, "admin.group", id, within=None)
        pointer = f"/groups/{n}"
        if row is None or row.deleted_at or not unit.allows("admin.group.get", row.securable, row):
            raise _fault(pointer, f"{id!r} is not a group that you can see")
        unit.require("admin.group.add_members", row.securable, row)
        escalation.require_control(unit, row.id)
        escalation.require_policies_kept(unit, row.id)
        if row.organization_id != place.organization_id:
            raise _fault(pointer, f"{row.name} belongs to another organization")
        if json.loads(row.spec)["source"] != GroupSource.LOCAL.value:
            raise _fault(pointer, f"the members of {row.name} come from an identity provider or directory")
    for offer in offers:
        on = granting.place_of(unit, "", offer.securable_id)
        unit.require("admin.grant.create", on)
        rules = granting.role_rules(unit, offer.role_id, on)
        escalation.require_rights(unit, rules)
        escalation.require_restricted_alike(unit, "", rules)


def require_pending(connection: Connection, digest: str) -> None:
    """Raises `NotFound` unless there is an invitation to accept."""
    if connection.execute(sa.select(INVITATION.c.id).where(*_pending(digest))).first() is None:
        raise _unknown()


def accept(unit: Unit, digest: str, name: str, title: str | None, password_hash: str) -> User:
    """Spends the invitation and creates the user, with the rights of the inviter and no others.

    Raises:
        NotFound: There is no such invitation, or it was accepted at the same time.
        Conflict: The name is taken, or the inviter can no longer grant everything.
    """
    connection = unit.connection
    spent = INVITATION.update().where(*_pending(digest))
    if connection.execute(spent.values(state="ACCEPTED", accepted_at=unit.now, sealed=None)).rowcount == 0:
        raise _unknown()
    row = connection.execute(sa.select(INVITATION).where(INVITATION.c.digest == digest)).one()
    place = Securable("admin.organization", row.organization_id, row.organization_id)
    offers = [GrantOffer(**offer) for offer in row.grants]
    anonymous = unit.call.principal
    unit.call.principal = _inviter(unit, row.inviter_id)
    try:
        organization(unit, row.organization_id)
        require_grantable(unit, place, row.groups, offers)
    except HeadwaterError:
        unit.call.principal = anonymous
        raise _outdated() from None
    draft = Draft[UserSpec](
        name=name, organization_id=row.organization_id, spec=UserSpec(title=title, emails=[row.email])
    )
    user = standard.create(unit, USER, draft)
    password_policy.set_password(connection, user.id, password_hash)
    for group in row.groups:
        values = {"group_id": group, "member_id": user.id, "added_at": unit.now, "added_by": row.created_by}
        connection.execute(MEMBER.insert().values(**values))
        unit.emit("admin.group.members_added", group, place, added=[user.id], invitation=row.id)
    for offer in offers:
        on = granting.place_of(unit, "", offer.securable_id)
        identity = (new_id("gra"), user.id, offer.role_id, None, Effect.ALLOW.value, on.id, on.kind)
        grant = GrantRow(*identity, on.organization_id, on.project_id, "", None, unit.now, row.created_by)
        grants.insert(connection, grant)
        unit.emit("admin.grant.given", grant.id, on, invitation=row.id, **grants.facts(grant))
    unit.emit("admin.user.created", user.id, place, name=user.name, invitation=row.id)
    connection.execute(INVITATION.update().where(INVITATION.c.id == row.id).values(user_id=user.id))
    unit.rights_changed()
    # The event names the new user as principal, not the inviter.
    unit.call.principal = replace(anonymous, id=user.id, name=user.name, organization_id=row.organization_id)
    unit.call.subject, unit.call.securable = row.id, place
    unit.call.facts = {"user_id": user.id}
    return user


def _inviter(unit: Unit, id: str) -> Principal:
    """Returns the inviter with their present rights."""
    account = accounts.get(unit.connection, id)
    active = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id == id, accounts.ACTIVE)
    if unit.connection.execute(active).first() is None:
        raise _outdated()
    access = grants.access_of(unit.connection, id, unit.platform.permissions)
    return Principal(account.id, account.name, account.kind, account.organization_id, "", access)


def _pending(digest: str) -> tuple[sa.ColumnElement[bool], ...]:
    return INVITATION.c.digest == digest, INVITATION.c.state == "PENDING", INVITATION.c.expires_at > clock.now()


def _unknown() -> NotFound:
    return NotFound("There is no such invitation, or it was used, revoked, or has expired. Ask for a new one.")


def _outdated() -> Conflict:
    return Conflict("The inviter can no longer grant everything in it. Ask for a new invitation.")


def _fault(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{detail[0].upper()}{detail[1:]}.", errors=[{"pointer": pointer, "detail": detail}])
