"""Checking credentials without telling an attacker anything."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts, passwords, throttle
from api.kernel.credentials.accounts import Account, AccountState
from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds.context import Context
from api.kernel.permissions import grants
from api.kernel.permissions.principal import Principal, PrincipalKind
from api.kernel.securable import ROOT, Securable
from api.kernel.tables import PRINCIPAL
from api.services.admin.logic import one_time_passwords, password_policy
from api.services.admin.logic.one_time_passwords import NONE_NEEDED, Proof
from api.services.admin.logic.password_policy import Policy
from core import events
from core.errors import PermissionDenied, Unauthenticated
from core.ids import new_id


class PasswordResetRequired(PermissionDenied):
    """The password is right, but another one must be set before it opens anything."""

    title = "Password reset required"


@dataclass(frozen=True, slots=True)
class Checked:
    """Credentials that are right: whose, with which code, still to be spent, and what the platform asks for."""

    account: Account
    proof: Proof
    policy: Policy

    @property
    def must_enroll(self) -> bool:
        """Whether the account needs a one-time password and has none."""
        return self.policy.mfa_required and self.proof == NONE_NEEDED

    def require_fresh_password(self) -> None:
        """Raises `PasswordResetRequired` if the password must be changed first."""
        if self.account.password_reset_required or self.policy.expired(self.account):
            raise PasswordResetRequired("Set another password first: POST /api/v1/admin/sessions:change-password.")


async def check(ctx: Context, name: str, password: str, one_time_password: str = "") -> Checked:
    """Whom these credentials belong to; also gives the session about to begin its id.

    An unknown name, a wrong password or code and a suspended account are one and the same answer, equally late.

    Raises:
        Unauthenticated: they are not right, for whatever reason.
        TooManyRequests: the caller has failed too often lately.
    """
    await ctx.query(throttle.refuse_if_waiting, throttle.login(name, ctx.client))
    sealer = ctx.platform.part(open_sealer)
    found = await ctx.query(_credentials, name)
    right = await ctx.platform.workers.passwords.run(passwords.verify, found[1] if found else None, password)
    known = found[0].id if found else ""
    proof = await ctx.query(one_time_passwords.prove, sealer, known, one_time_password)
    policy = await ctx.query(password_policy.load)
    if not found or not right or proof is None or found[0].state is not AccountState.ACTIVE:
        await ctx.platform.workers.write.run(_record_failure, ctx, name)
        raise wrong()
    await identify(ctx, found[0])
    return Checked(found[0], proof, policy)


def wrong() -> Unauthenticated:
    """The one answer to credentials that are not right."""
    return Unauthenticated("Name, password or one-time password is wrong.")


async def identify(ctx: Context, account: Account) -> None:
    """Makes the account the one who acts in this request, in the session that is about to begin."""
    access = await ctx.query(grants.access_of, account.id, ctx.platform.permissions)
    ctx.subject = new_id("ses")
    ctx.principal = Principal(account.id, account.name, account.kind, account.organization_id, ctx.subject, access)
    ctx.securable = Securable("admin.organization", account.organization_id, account.organization_id)


def accept(connection: Connection, checked: Checked, address: str) -> None:
    """Uses the code up and forgets the account's failures.

    Raises:
        Unauthenticated: the code was used a moment ago.
    """
    if not one_time_passwords.spend(connection, checked.account.id, checked.proof):
        raise wrong()
    throttle.clear(connection, checked.account.name, address)


def _credentials(connection: Connection, name: str) -> tuple[Account, str | None] | None:
    columns = [*accounts.COLUMNS, PRINCIPAL.c.password_hash]
    user = PRINCIPAL.c.kind == PrincipalKind.USER.value
    row = connection.execute(sa.select(*columns).where(PRINCIPAL.c.name == name, user, accounts.WORKING)).first()
    return (accounts.account_of(row), row.password_hash) if row else None


def _record_failure(ctx: Context, name: str) -> None:
    with ctx.platform.database.write() as connection:
        throttle.note(connection, throttle.login(name, ctx.client))
        # The name is what somebody typed; by mistake it may be a password. So it is told only if it is a user's.
        of = sa.select(PRINCIPAL.c.id, PRINCIPAL.c.organization_id).where(PRINCIPAL.c.name == name)
        known = connection.execute(of).first()
        id, organization = known or ("unknown", None)
        facts = {"action": ctx.endpoint.permission, "outcome": "denied", "client": ctx.client}
        place = Securable("admin.organization", organization, organization) if organization else ROOT
        events.append_all(connection, [ctx.event("admin.session.login_denied", id, place, **facts)])
