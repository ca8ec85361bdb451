"""What admins ask of passwords, logins, keys and tokens, and the checks that follow from it."""

from __future__ import annotations

import dataclasses
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
LONGEST_HISTORY = 24


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds on the whole platform."""

    password_min_length: int = passwords.SHORTEST
    password_history: int = 0
    password_max_days: int = 0
    session_hours: int | None = None
    key_max_days: int = 366
    mfa_required: bool = False
    token_audiences: list[str] = dataclasses.field(default_factory=list)

    def expired(self, account: Account) -> bool:
        """Whether the account's password is too old to log in with."""
        if not self.password_max_days or account.password_changed_at is None:
            return False
        return account.password_changed_at + timedelta(days=self.password_max_days) <= clock.now()


def load(connection: Connection) -> Policy:
    """What was set, and the defaults for what was not."""
    value = connection.execute(sa.select(SETTING.c.value).where(SETTING.c.id == PLATFORM)).scalar_one_or_none()
    known = {field.name for field in dataclasses.fields(Policy)}
    return Policy(**{name: item for name, item in (value or {}).items() if name in known})


def save(connection: Connection, policy: Policy, by: str) -> None:
    """Sets all of it."""
    values: dict[str, Any] = {"value": dataclasses.asdict(policy), "updated_at": clock.now(), "updated_by": by}
    db.put(connection, SETTING, {"id": PLATFORM}, values)


async def new_hash(ctx: Context, password: str, *, account_id: str = "", pointer: str = "/password") -> str:
    """The hash of a new password that meets the policy. The caller's right to set it was checked before.

    Args:
        account_id: whose former passwords are refused; empty for a new account.
        pointer: the field that holds the password in the request.

    Raises:
        InvalidPayload: it does not meet the policy.
    """
    policy, former = await ctx.query(_facts, account_id)
    shortest = max(policy.password_min_length, passwords.SHORTEST)
    if not shortest <= len(password) <= passwords.LONGEST:
        detail = f"needs {shortest} to {passwords.LONGEST} characters"
        raise InvalidPayload(f"The password {detail}.", errors=[{"pointer": pointer, "detail": detail}])
    for digest in former:
        if await ctx.platform.workers.passwords.run(passwords.verify, digest, password):
            detail = f"is one of the last {policy.password_history}"
            raise InvalidPayload(
                f"The password {detail}. Choose another one.", errors=[{"pointer": pointer, "detail": detail}]
            )
    return await ctx.platform.workers.passwords.run(passwords.hash_password, password)


def set_password(connection: Connection, account_id: str, digest: str) -> None:
    """Stores a password's hash and remembers it, so that the policy can refuse it later. A link to reset it ends."""
    now = clock.now()
    connection.execute(PASSWORD_RESET.delete().where(PASSWORD_RESET.c.id == account_id))
    accounts.change(
        connection, account_id, password_hash=digest, password_changed_at=now, password_reset_required=False
    )
    connection.execute(
        PASSWORD_HISTORY.insert().values(id=new_id("pwd"), principal_id=account_id, password_hash=digest, set_at=now)
    )
    kept = _newest(account_id, LONGEST_HISTORY).subquery()
    connection.execute(
        PASSWORD_HISTORY.delete().where(
            PASSWORD_HISTORY.c.principal_id == account_id, PASSWORD_HISTORY.c.id.not_in(sa.select(kept.c.id))
        )
    )


def _facts(connection: Connection, account_id: str) -> tuple[Policy, list[str]]:
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
