"""What an invitation may promise, and making a user of who accepts it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.kinds import standard
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
class GrantWish:
    """A role on something."""

    role_id: str
    securable_id: str

    def document(self) -> dict[str, str]:
        """As it is stored."""
        return asdict(self)


def organization(unit: Unit, id: str | None) -> Securable:
    """The organization to invite to."""
    return unit.scope(USER, id, None)


def require_givable(unit: Unit, place: Securable, groups: list[str], wishes: list[GrantWish]) -> None:
    """Raises unless the caller could do all of it himself: make users there, add to the groups, give the roles."""
    unit.require("admin.user.create", place)
    for n, id in enumerate(groups):
        row = store.find(unit.connection, "admin.group", id, named=False)
        pointer = f"/groups/{n}"
        if row is None or row.deleted_at or not unit.allows("admin.group.get", row.securable, row):
            raise _fault(pointer, f"{id!r} is no group that you may see")
        unit.require("admin.group.add_members", row.securable, row)
        if row.organization_id != place.organization_id:
            raise _fault(pointer, f"{row.name} belongs to another organization")
        if json.loads(row.spec)["source"] != GroupSource.LOCAL.value:
            raise _fault(pointer, f"the members of {row.name} are given by an identity provider or directory")
    for wish in wishes:
        on = granting.place_of(unit, "", wish.securable_id)
        unit.require("admin.grant.create", on)
        granting.require_all(unit, granting.role_covers(unit, wish.role_id, on), on)


def require_pending(connection: Connection, digest: str) -> None:
    """Raises `NotFound` unless there is an invitation to accept."""
    if connection.execute(sa.select(INVITATION.c.id).where(*_pending(digest))).first() is None:
        raise _unknown()


def accept(unit: Unit, digest: str, name: str, title: str | None, password_hash: str) -> User:
    """Uses the invitation up and makes the user, with the rights of who invited him and no others.

    Raises:
        NotFound: there is no such invitation, or somebody was faster.
        Conflict: the name is taken, or who invited could not give all of it any more.
    """
    connection = unit.connection
    taken = INVITATION.update().where(*_pending(digest))
    if connection.execute(taken.values(state="ACCEPTED", accepted_at=unit.now, sealed=None)).rowcount == 0:
        raise _unknown()
    row = connection.execute(sa.select(INVITATION).where(INVITATION.c.digest == digest)).one()
    place = Securable("admin.organization", row.organization_id, row.organization_id)
    wishes = [GrantWish(**wish) for wish in row.grants]
    nobody = unit.ctx.principal
    unit.ctx.principal = _inviter(unit, row.inviter_id)
    try:
        organization(unit, row.organization_id)
        require_givable(unit, place, row.groups, wishes)
    except HeadwaterError:
        unit.ctx.principal = nobody
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
    for wish in wishes:
        on = granting.place_of(unit, "", wish.securable_id)
        what = (new_id("gra"), user.id, wish.role_id, None, Effect.ALLOW.value, on.id, on.kind)
        given = GrantRow(*what, on.organization_id, on.project_id, "", None, unit.now, row.created_by)
        grants.insert(connection, given)
        unit.emit("admin.grant.given", given.id, on, invitation=row.id, **grants.facts(given))
    unit.emit("admin.user.created", user.id, place, name=user.name, invitation=row.id)
    connection.execute(INVITATION.update().where(INVITATION.c.id == row.id).values(user_id=user.id))
    unit.rights_changed()
    # The audit row tells of who accepted, not of who invited.
    unit.ctx.principal = replace(nobody, id=user.id, name=user.name, organization_id=row.organization_id)
    unit.ctx.subject, unit.ctx.securable = row.id, place
    unit.ctx.facts = {"user_id": user.id}
    return user


def _inviter(unit: Unit, id: str) -> Principal:
    """Who invited, with the rights he has now."""
    account = accounts.get(unit.connection, id)
    works = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id == id, accounts.WORKING)
    if unit.connection.execute(works).first() is None:
        raise _outdated()
    access = grants.access_of(unit.connection, id, unit.platform.permissions)
    return Principal(account.id, account.name, account.kind, account.organization_id, "", access)


def _pending(digest: str) -> tuple[sa.ColumnElement[bool], ...]:
    return INVITATION.c.digest == digest, INVITATION.c.state == "PENDING", INVITATION.c.expires_at > clock.now()


def _unknown() -> NotFound:
    return NotFound("There is no such invitation, or it was used, revoked or has ended. Ask for a new one.")


def _outdated() -> Conflict:
    return Conflict("Who invited you cannot give all of it any more. Ask for a new invitation.")


def _fault(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{detail[0].upper()}{detail[1:]}.", errors=[{"pointer": pointer, "detail": detail}])
