"""Verification of credentials without disclosing anything to an attacker."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts, passwords, throttle
from api.kernel.credentials.accounts import Account, AccountState
from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds.context import Context
from api.kernel.permissions import grants
from api.kernel.permissions.principal import Principal
from api.kernel.securable import ROOT, Securable
from api.kernel.tables import PRINCIPAL
from api.services.admin.logic import one_time_passwords, password_policy
from api.services.admin.logic.one_time_passwords import NONE_NEEDED, Proof
from api.services.admin.logic.password_policy import Policy
from core import events
from core.errors import OneTimeCodeRequired, PasswordResetRequired, Unauthenticated
from core.ids import new_id


@dataclass(frozen=True, slots=True)
class Checked:
    """Valid credentials: the account, the code, which is not spent yet, and the policy."""

    account: Account
    proof: Proof
    policy: Policy

    @property
    def must_enroll(self) -> bool:
        """Returns whether the account must set up a one-time password first."""
        return self.policy.mfa_required and self.proof == NONE_NEEDED

    def require_fresh_password(self) -> None:
        """Raises `PasswordResetRequired` if the password must be changed first."""
        if self.account.password_reset_required or self.policy.expired(self.account):
            raise PasswordResetRequired("Set a new password first: POST /api/v1/admin/sessions:change-password.")


async def check(ctx: Context, name: str, password: str, one_time_password: str = "") -> Checked:
    """Verifies credentials, and prepares the request for the new session.

    An unknown name, a wrong password or code, and a suspended account get the same response after the same time. Only a
    caller with the right password learns that the login needs a code.

    Raises:
        OneTimeCodeRequired: The password is correct, and the code is missing.
        Unauthenticated: The credentials are wrong, or the account can't log in.
        TooManyRequests: The caller failed too often recently.
    """
    sealer = ctx.platform.part(open_sealer)
    stored = await ctx.query(_credentials, name)
    # Failures count for the id of an account, because another account can get its name.
    attempt = throttle.login(stored[0].id if stored else name, ctx.client)
    await ctx.query(throttle.refuse_if_waiting, attempt)
    right = await ctx.platform.workers.passwords.run(passwords.verify, stored[1] if stored else None, password)
    account_id = stored[0].id if stored else ""
    proof = await ctx.query(one_time_passwords.prove, sealer, account_id, one_time_password)
    policy = await ctx.query(password_policy.load)
    can_log_in = stored is not None and right and stored[0].state is AccountState.ACTIVE
    if can_log_in and proof is None and not one_time_password:
        raise OneTimeCodeRequired(
            "Send the code of your authenticator app, or a recovery code, as `one_time_password`."
        )
    if stored is None or not can_log_in or proof is None:
        await ctx.platform.workers.write.run(_record_failure, ctx, name, attempt)
        raise wrong()
    await identify(ctx, stored[0])
    return Checked(stored[0], proof, policy)


def wrong() -> Unauthenticated:
    """Returns the error for wrong credentials, whichever of them is wrong."""
    return Unauthenticated("Name, password, or one-time password is wrong.")


async def identify(ctx: Context, account: Account) -> None:
    """Makes the account the principal of this request, in a new session."""
    access = await ctx.query(grants.access_of, account.id, ctx.platform.permissions)
    ctx.subject = new_id("ses")
    ctx.principal = Principal(account.id, account.name, account.kind, account.organization_id, ctx.subject, access)
    ctx.securable = Securable("admin.organization", account.organization_id, account.organization_id)


def accept(connection: Connection, checked: Checked, address: str) -> None:
    """Spends the code, and resets the account's failures.

    Raises:
        Unauthenticated: The code was used a moment ago.
    """
    if not one_time_passwords.spend(connection, checked.account.id, checked.proof):
        raise wrong()
    throttle.clear(connection, checked.account.id, address)


def _credentials(connection: Connection, name: str) -> tuple[Account, str | None] | None:
    columns = [*accounts.COLUMNS, PRINCIPAL.c.password_hash]
    named = PRINCIPAL.c.id == accounts.id_for_login(name)
    row = connection.execute(sa.select(*columns).where(named, accounts.ACTIVE)).first()
    return (accounts.account_of(row), row.password_hash) if row else None


def _record_failure(ctx: Context, name: str, attempt: throttle.Attempt) -> None:
    with ctx.platform.database.write() as connection:
        throttle.note(connection, attempt)
        # The typed name may be a password by mistake, so the event contains only the id of an existing user.
        select = sa.select(PRINCIPAL.c.id, PRINCIPAL.c.organization_id).where(
            PRINCIPAL.c.id == accounts.id_for_login(name)
        )
        user = connection.execute(select).first()
        id, organization = user or ("unknown", None)
        data = {"action": ctx.endpoint.permission, "outcome": "denied", "client": ctx.client}
        place = Securable("admin.organization", organization, organization) if organization else ROOT
        events.append_all(connection, [ctx.event("admin.session.login_denied", id, place, **data)])
