"""Logins through an identity provider: the user, and the groups and roles that follow from the claims."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from api.kernel.credentials import accounts
from api.kernel.credentials.accounts import Account
from api.kernel.kinds import standard
from api.kernel.kinds.unit import Unit
from api.kernel.permissions import grants
from api.kernel.permissions.grants import Effect, GrantRow
from api.kernel.permissions.principal import Principal
from api.kernel.securable import PLATFORM, Securable
from api.kernel.storage import store
from api.kernel.tables import GRANT, MEMBER, PRINCIPAL, RESOURCE
from api.services.admin.kinds.identity_provider import IDENTITY_PROVIDER, IdentityProvider, rules_of
from api.services.admin.kinds.user import USER, UserSpec
from api.services.admin.logic import identities
from api.services.admin.logic.claims import Identity, identity_of
from api.services.admin.login_tables import CLIENT_SECRET
from core.errors import NotFound, Unauthenticated
from core.ids import is_generated_id, new_id


def provider_named(unit: Unit, id: str) -> IdentityProvider:
    """Returns the provider to log in with. The caller is not authenticated yet.

    Raises:
        NotFound: There is no such provider, or its organization is suspended.
    """
    row = store.find(unit.connection, IDENTITY_PROVIDER.full_name, id, within=PLATFORM)
    if row is None or row.deleted_at is not None or not _is_active(unit, row.organization_id):
        raise NotFound(f"There is no identity provider {id!r}.")
    return IDENTITY_PROVIDER.resource(row)


def providers_of(unit: Unit, issuer: str) -> list[IdentityProvider]:
    """Returns the providers with this issuer, in active organizations."""
    select = sa.select(*store.COLUMNS).where(
        RESOURCE.c.kind == IDENTITY_PROVIDER.full_name,
        RESOURCE.c.deleted_at.is_(None),
        RESOURCE.c.spec["issuer"].as_string() == issuer,
    )
    rows = [store.stored(row) for row in unit.connection.execute(select.order_by(RESOURCE.c.id))]
    return [IDENTITY_PROVIDER.resource(row) for row in rows if _is_active(unit, row.organization_id)]


def sealed_secret(unit: Unit, provider: IdentityProvider) -> str:
    """Returns the provider's encrypted client secret. Empty if it has none."""
    select = sa.select(CLIENT_SECRET.c.sealed).where(CLIENT_SECRET.c.provider_id == provider.id)
    return unit.connection.execute(select).scalar_one_or_none() or ""


def sign_in(unit: Unit, provider: IdentityProvider, claims: Mapping[str, Any], session_id: str) -> Account:
    """Returns the account with these verified claims, and makes it the principal of this request.

    Raises:
        Unauthenticated: The login is refused. Only the audit log contains the reason.
    """
    identity = identity_of(rules_of(provider), claims)
    user_id = identities.user_of(unit.connection, provider.id, provider.organization_id, identity.subject)
    if identity.refused or (user_id is None and not provider.spec.just_in_time):
        raise _refused()
    if user_id is None:
        user_id = _create(unit, provider, identity)
    active = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id == user_id, accounts.ACTIVE)
    if unit.connection.execute(active).first() is None:
        raise _refused()
    identities.link(unit.connection, provider.id, identity.subject, user_id)
    # Both are updated, whatever the first one returns.
    changed = [_follow_groups(unit, provider, identity, user_id), _follow_roles(unit, provider, identity, user_id)]
    if any(changed):
        unit.rights_changed()
    account = accounts.get(unit.connection, user_id)
    access = grants.access_of(unit.connection, account.id, unit.platform.permissions)
    ctx = unit.call
    ctx.principal = Principal(account.id, account.name, account.kind, account.organization_id, session_id, access)
    ctx.subject = session_id
    ctx.securable = Securable("admin.organization", account.organization_id, account.organization_id)
    ctx.facts = {"identity_provider": provider.id}
    return account


def _create(unit: Unit, provider: IdentityProvider, identity: Identity) -> str:
    """Creates the user of a first login. A name that is taken or invalid is changed, because names prove nothing."""
    id, name, organization = new_id("usr"), identity.name, provider.organization_id
    while is_generated_id(name) or store.find(unit.connection, USER.full_name, name, within=organization) is not None:
        name = f"{identity.name[:119]}-{secrets.token_hex(4)}"
    spec = UserSpec(
        title=identity.title,
        emails=[identity.email] if identity.email else [],
        external_id=identity.subject,
        identity_provider_id=provider.id,
    )
    place = Securable("admin.organization", str(provider.organization_id), provider.organization_id)
    by = {"id": id, "owner": id, "created_by": provider.name, "updated_by": provider.name}
    user = standard.insert(unit, USER, unit.new(USER, place, name, spec, **by))
    unit.emit("admin.user.created", user.id, place, name=user.name, identity_provider=provider.id)
    return user.id


def _follow_groups(unit: Unit, provider: IdentityProvider, identity: Identity, user_id: str) -> bool:
    """Makes the user a member of exactly the mapped groups in the claims. Other memberships don't change."""
    mapped = set(provider.spec.groups.values())
    select = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.id.in_(mapped),
        RESOURCE.c.kind == "admin.group",
        RESOURCE.c.organization_id == provider.organization_id,
        RESOURCE.c.deleted_at.is_(None),
    )
    mapped = set(unit.connection.execute(select).scalars())
    memberships = sa.and_(MEMBER.c.member_id == user_id, MEMBER.c.group_id.in_(mapped))
    present = set(unit.connection.execute(sa.select(MEMBER.c.group_id).where(memberships)).scalars())
    claimed = mapped & set(identity.groups)
    for group in claimed - present:
        values = {"group_id": group, "member_id": user_id, "added_at": unit.now, "added_by": provider.name}
        unit.connection.execute(MEMBER.insert().values(**values))
    if removed := present - claimed:
        unit.connection.execute(MEMBER.delete().where(memberships, MEMBER.c.group_id.in_(removed)))
    place = Securable("admin.organization", str(provider.organization_id), provider.organization_id)
    for verb, groups in (("added", claimed - present), ("removed", removed)):
        for group in sorted(groups):
            data: dict[str, Any] = {verb: [user_id], "identity_provider": provider.id}
            unit.emit(f"admin.group.members_{verb}", group, place, **data)
    return claimed != present


def _follow_roles(unit: Unit, provider: IdentityProvider, identity: Identity, user_id: str) -> bool:
    """Grants the user exactly the mapped roles in the claims. Grants of other creators don't change."""
    by = f"identity-provider:{provider.id}"
    created_here = sa.and_(GRANT.c.principal_id == user_id, GRANT.c.created_by == by)
    present = {row.role_id: row for row in unit.connection.execute(sa.select(GRANT).where(created_here))}
    claimed = set(identity.roles)
    place = Securable("admin.organization", str(provider.organization_id), provider.organization_id)
    for role in sorted(claimed - present.keys()):
        values = (new_id("gra"), user_id, role, None, Effect.ALLOW.value, place.id, place.kind)
        row = GrantRow(*values, provider.organization_id, None, "", None, unit.now, by)
        grants.insert(unit.connection, row)
        unit.emit("admin.grant.given", row.id, place, **grants.facts(row))
    for role in sorted(str(role) for role in present.keys() - claimed):
        unit.connection.execute(GRANT.delete().where(GRANT.c.id == present[role].id))
        unit.emit("admin.grant.revoked", present[role].id, place, **grants.facts(present[role]))
    return claimed != present.keys()


def _is_active(unit: Unit, organization_id: str | None) -> bool:
    select = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.id == organization_id, RESOURCE.c.state == "ACTIVE", RESOURCE.c.deleted_at.is_(None)
    )
    return unit.connection.execute(select).first() is not None


def _refused() -> Unauthenticated:
    return Unauthenticated("The identity provider authenticated you, but you can't log in here. Ask an admin.")
