"""Settings of passwords, logins, keys, and tokens, and the checks that they require."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts, passwords
from api.kernel.credentials.accounts import Account
from api.kernel.kinds.context import Context
from api.kernel.tables import PRINCIPAL
from api.services.admin.login_tables import PASSWORD_HISTORY, PASSWORD_RESET, SETTING
from core import clock, db
from core.errors import InvalidPayload
from core.ids import new_id

PLATFORM = "platform"
MAX_HISTORY = 24


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the whole platform."""

    password_min_length: int = passwords.MIN_LENGTH
    password_history: int = 0
    password_max_days: int = 0
    session_hours: int | None = None
    key_max_days: int = 366
    mfa_required: bool = False
    token_audiences: list[str] = dataclasses.field(default_factory=list)

    def loosens(self, before: Policy, *, session_hours: int) -> bool:
        """Returns whether it is less strict than before. `session_hours` applies if the settings contain none."""

        def limit(days: int) -> float:
            return days or math.inf

        return (
            self.password_min_length < before.password_min_length
            or self.password_history < before.password_history
            or limit(self.password_max_days) > limit(before.password_max_days)
            or (self.session_hours or session_hours) > (before.session_hours or session_hours)
            or self.key_max_days > before.key_max_days
            or (before.mfa_required and not self.mfa_required)
            or not set(self.token_audiences) <= set(before.token_audiences)
        )

    def expired(self, account: Account) -> bool:
        """Returns whether the account's password is too old to log in with."""
        if not self.password_max_days or account.password_changed_at is None:
            return False
        return account.password_changed_at + timedelta(days=self.password_max_days) <= clock.now()


def load(connection: Connection) -> Policy:
    """Returns the stored settings, with defaults for the others."""
    value = connection.execute(sa.select(SETTING.c.value).where(SETTING.c.id == PLATFORM)).scalar_one_or_none()
    names = {field.name for field in dataclasses.fields(Policy)}
    return Policy(**{name: item for name, item in (value or {}).items() if name in names})


def save(connection: Connection, policy: Policy, by: str) -> None:
    """Stores the settings."""
    values: dict[str, Any] = {"value": dataclasses.asdict(policy), "updated_at": clock.now(), "updated_by": by}
    db.upsert(connection, SETTING, {"id": PLATFORM}, values)


async def new_hash(ctx: Context, password: str, *, account_id: str = "", pointer: str = "/password") -> str:
    """Returns the hash of a new password that meets the policy. The caller's permission was checked before.

    Args:
        account_id: Account whose former passwords are refused. Empty for a new account.
        pointer: Field of the request that contains the password.

    Raises:
        InvalidPayload: The password does not meet the policy.
    """
    policy, former = await ctx.query(_policy_and_history, account_id)
    min_length = max(policy.password_min_length, passwords.MIN_LENGTH)
    if not min_length <= len(password) <= passwords.MAX_LENGTH:
        detail = f"needs {min_length} to {passwords.MAX_LENGTH} characters"
        raise InvalidPayload(f"The password {detail}.", errors=[{"pointer": pointer, "detail": detail}])
    for digest in former:
        if await ctx.platform.workers.passwords.run(passwords.verify, digest, password):
            detail = f"is one of the last {policy.password_history}"
            raise InvalidPayload(
                f"The password {detail}. Choose another one.", errors=[{"pointer": pointer, "detail": detail}]
            )
    return await ctx.platform.workers.passwords.run(passwords.hash_password, password)


def set_password(connection: Connection, account_id: str, digest: str) -> None:
    """Stores a password's hash, also in the history, and ends a link to reset the password."""
    now = clock.now()
    connection.execute(PASSWORD_RESET.delete().where(PASSWORD_RESET.c.id == account_id))
    accounts.change(
        connection, account_id, password_hash=digest, password_changed_at=now, password_reset_required=False
    )
    connection.execute(
        PASSWORD_HISTORY.insert().values(id=new_id("pwd"), principal_id=account_id, password_hash=digest, set_at=now)
    )
    newest = _newest(account_id, MAX_HISTORY).subquery()
    connection.execute(
        PASSWORD_HISTORY.delete().where(
            PASSWORD_HISTORY.c.principal_id == account_id, PASSWORD_HISTORY.c.id.not_in(sa.select(newest.c.id))
        )
    )


def _policy_and_history(connection: Connection, account_id: str) -> tuple[Policy, list[str]]:
    policy = load(connection)
    if not account_id or not policy.password_history:
        return policy, []
    current = connection.execute(
        sa.select(PRINCIPAL.c.password_hash).where(PRINCIPAL.c.id == account_id)
    ).scalar_one_or_none()
    rows = connection.execute(_newest(account_id, policy.password_history))
    return policy, list(dict.fromkeys([*([current] if current else []), *(row.password_hash for row in rows)]))


def _newest(account_id: str, count: int) -> sa.Select[Any]:
    return (
        sa.select(PASSWORD_HISTORY.c.id, PASSWORD_HISTORY.c.password_hash)
        .where(PASSWORD_HISTORY.c.principal_id == account_id)
        .order_by(PASSWORD_HISTORY.c.set_at.desc(), PASSWORD_HISTORY.c.id.desc())
        .limit(count)
    )
