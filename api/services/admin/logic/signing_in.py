"""Signing in somebody whom an identity provider vouches for: who he is here, and what follows from its claims."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from api.kernel.credentials import accounts, epochs
from api.kernel.credentials.accounts import Account
from api.kernel.credentials.authentication import Authenticator
from api.kernel.kinds import standard
from api.kernel.kinds.unit import Unit
from api.kernel.permissions import grants
from api.kernel.permissions.grants import Effect, GrantRow
from api.kernel.permissions.principal import Principal
from api.kernel.securable import Securable
from api.kernel.storage import store
from api.kernel.tables import GRANT, MEMBER, PRINCIPAL, RESOURCE
from api.services.admin.kinds.identity_provider import IDENTITY_PROVIDER, IdentityProvider, rules_of
from api.services.admin.kinds.user import USER, UserSpec
from api.services.admin.logic import identities
from api.services.admin.logic.claims import Identity, identity_of
from api.services.admin.login_tables import CLIENT_SECRET
from core.errors import NotFound, Unauthenticated
from core.ids import new_id


def provider_named(unit: Unit, id: str) -> IdentityProvider:
    """The provider to log in by, for somebody who is nobody yet.

    Raises:
        NotFound: there is none, or its organization is suspended.
    """
    row = store.find(unit.connection, IDENTITY_PROVIDER.full_name, id, named=True)
    if row is None or row.deleted_at is not None or not _is_active(unit, row.organization_id):
        raise NotFound(f"There is no identity provider {id!r}.")
    return IDENTITY_PROVIDER.resource(row)


def providers_of(unit: Unit, issuer: str) -> list[IdentityProvider]:
    """The providers with this issuer, in active organizations."""
    select = sa.select(*store.COLUMNS).where(
        RESOURCE.c.kind == IDENTITY_PROVIDER.full_name,
        RESOURCE.c.deleted_at.is_(None),
        RESOURCE.c.spec["issuer"].as_string() == issuer,
    )
    rows = [store.stored(row) for row in unit.connection.execute(select.order_by(RESOURCE.c.id))]
    return [IDENTITY_PROVIDER.resource(row) for row in rows if _is_active(unit, row.organization_id)]


def sealed_secret(unit: Unit, provider: IdentityProvider) -> str:
    """The provider's sealed client secret; empty if it has none."""
    select = sa.select(CLIENT_SECRET.c.sealed).where(CLIENT_SECRET.c.provider_id == provider.id)
    return unit.connection.execute(select).scalar_one_or_none() or ""


def sign_in(unit: Unit, provider: IdentityProvider, claims: Mapping[str, Any], session_id: str) -> Account:
    """The account of somebody with these verified claims, who acts in this request from now on.

    Raises:
        Unauthenticated: he is not let in. Which reason there was stays in the audit log.
    """
    identity = identity_of(rules_of(provider), claims)
    user_id = identities.user_of(unit.connection, provider.id, provider.organization_id, identity.subject)
    if identity.refused or (user_id is None and not provider.spec.just_in_time):
        raise _refused()
    if user_id is None:
        user_id = _create(unit, provider, identity)
    works = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id == user_id, accounts.WORKING)
    if unit.connection.execute(works).first() is None:
        raise _refused()
    identities.link(unit.connection, provider.id, identity.subject, user_id)
    # Both, whatever the first says.
    changed = [_follow_groups(unit, provider, identity, user_id), _follow_roles(unit, provider, identity, user_id)]
    if any(changed):
        epochs.bump(unit.connection)
        unit.committed.append(unit.platform.part(Authenticator).forget)
    account = accounts.get(unit.connection, user_id)
    access = grants.access_of(unit.connection, account.id, unit.platform.permissions)
    ctx = unit.ctx
    ctx.principal = Principal(account.id, account.name, account.kind, account.organization_id, session_id, access)
    ctx.subject = session_id
    ctx.securable = Securable("admin.organization", account.organization_id, account.organization_id)
    ctx.facts = {"identity_provider": provider.id}
    return account


def _create(unit: Unit, provider: IdentityProvider, identity: Identity) -> str:
    """A user made at his first login. If the name is taken he gets another one: names prove nothing."""
    id, name = new_id("usr"), identity.name
    while store.find(unit.connection, USER.full_name, name, named=True) is not None:
        name = f"{identity.name[:119]}-{secrets.token_hex(4)}"
    spec = UserSpec(
        title=identity.title,
        emails=[identity.email] if identity.email else [],
        external_id=identity.subject,
        identity_provider_id=provider.id,
    )
    place = Securable("admin.organization", str(provider.organization_id), provider.organization_id)
    by = {"id": id, "owner": id, "created_by": provider.name, "updated_by": provider.name}
    made = standard.insert(unit, USER, unit.new(USER, place, name, spec, **by))
    unit.emit("admin.user.created", made.id, place, name=made.name, identity_provider=provider.id)
    return made.id


def _follow_groups(unit: Unit, provider: IdentityProvider, identity: Identity, user_id: str) -> bool:
    """Makes the user a member of exactly those mapped groups that are claimed. Other groups stay as they are."""
    mapped = set(provider.spec.groups.values())
    select = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.id.in_(mapped),
        RESOURCE.c.kind == "admin.group",
        RESOURCE.c.organization_id == provider.organization_id,
        RESOURCE.c.deleted_at.is_(None),
    )
    mapped = set(unit.connection.execute(select).scalars())
    ours = sa.and_(MEMBER.c.member_id == user_id, MEMBER.c.group_id.in_(mapped))
    now = set(unit.connection.execute(sa.select(MEMBER.c.group_id).where(ours)).scalars())
    wanted = mapped & set(identity.groups)
    for group in wanted - now:
        values = {"group_id": group, "member_id": user_id, "added_at": unit.now, "added_by": provider.name}
        unit.connection.execute(MEMBER.insert().values(**values))
    if gone := now - wanted:
        unit.connection.execute(MEMBER.delete().where(ours, MEMBER.c.group_id.in_(gone)))
    place = Securable("admin.organization", str(provider.organization_id), provider.organization_id)
    for verb, groups in (("added", wanted - now), ("removed", gone)):
        for group in sorted(groups):
            told: dict[str, Any] = {verb: [user_id], "identity_provider": provider.id}
            unit.emit(f"admin.group.members_{verb}", group, place, **told)
    return wanted != now


def _follow_roles(unit: Unit, provider: IdentityProvider, identity: Identity, user_id: str) -> bool:
    """Gives the user exactly those mapped roles that are claimed. Grants that people gave stay as they are."""
    by = f"identity-provider:{provider.id}"
    ours = sa.and_(GRANT.c.principal_id == user_id, GRANT.c.created_by == by)
    now = {row.role_id: row for row in unit.connection.execute(sa.select(GRANT).where(ours))}
    wanted = set(identity.roles)
    place = Securable("admin.organization", str(provider.organization_id), provider.organization_id)
    for role in sorted(wanted - now.keys()):
        what = (new_id("gra"), user_id, role, None, Effect.ALLOW.value, place.id, place.kind)
        row = GrantRow(*what, provider.organization_id, None, "", None, unit.now, by)
        grants.insert(unit.connection, row)
        unit.emit("admin.grant.given", row.id, place, **grants.facts(row))
    for role in sorted(str(role) for role in now.keys() - wanted):
        unit.connection.execute(GRANT.delete().where(GRANT.c.id == now[role].id))
        unit.emit("admin.grant.revoked", now[role].id, place, **grants.facts(now[role]))
    return wanted != now.keys()


def _is_active(unit: Unit, organization_id: str | None) -> bool:
    select = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.id == organization_id, RESOURCE.c.state == "ACTIVE", RESOURCE.c.deleted_at.is_(None)
    )
    return unit.connection.execute(select).first() is not None


def _refused() -> Unauthenticated:
    return Unauthenticated("The identity provider knows you, but you are not let in here. Ask an admin.")
