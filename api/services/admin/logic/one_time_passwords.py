"""One-time passwords (TOTP, RFC 6238) and recovery codes. None works twice."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.tables import PRINCIPAL
from api.services.admin.login_tables import ONE_TIME_PASSWORD, RECOVERY_CODE
from core import clock
from core.db import insert
from core.sealing import Sealer

STEP_SECONDS = 30
_RECOVERY_CODES = 10
_DECOY = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@dataclass(frozen=True, slots=True)
class Proof:
    """A right code that is not spent yet: the time step of a one-time password, or the digest of a recovery code."""

    step: int | None = None
    recovery: str | None = None


NONE_NEEDED = Proof()


def enroll(connection: Connection, sealer: Sealer, account_id: str, name: str) -> tuple[str, str]:
    """Creates a secret that waits for its confirmation. Returns it, and the `otpauth://` URI for apps."""
    import pyotp

    secret = pyotp.random_base32()
    sealed = sealer.seal(secret, _context(account_id)).encode()
    row = insert(connection, ONE_TIME_PASSWORD).values(principal_id=account_id, pending=sealed, last_step=0)
    connection.execute(row.on_conflict_do_update(index_elements=["principal_id"], set_={"pending": sealed}))
    return secret, pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Headwater")


def qr_code(uri: str) -> str:
    """Returns the URI as a QR code: a data URI with an SVG, dark on light on every background."""
    import segno

    return segno.make_qr(uri).svg_data_uri(scale=4, dark="#000", light="#fff")


def confirm(connection: Connection, sealer: Sealer, account_id: str, code: str) -> list[str] | None:
    """Makes logins require codes if this code is right. Returns recovery codes, which are stored as hashes only."""
    select = sa.select(ONE_TIME_PASSWORD.c.pending).where(ONE_TIME_PASSWORD.c.principal_id == account_id)
    sealed: bytes | None = connection.execute(select).scalar_one_or_none()
    step = sealed and _step(sealer.unseal(sealed.decode(), _context(account_id)), code)
    if not sealed or not step or not _spend_step(connection, account_id, step):
        return None
    accounts.change(connection, account_id, one_time_password=sealed)
    enrollment = ONE_TIME_PASSWORD.update().where(ONE_TIME_PASSWORD.c.principal_id == account_id)
    connection.execute(enrollment.values(pending=None))
    return renew_codes(connection, account_id)


def disable(connection: Connection, account_id: str) -> None:
    """Makes logins require no code."""
    accounts.change(connection, account_id, one_time_password=None)
    connection.execute(RECOVERY_CODE.delete().where(RECOVERY_CODE.c.principal_id == account_id))
    enrollment = ONE_TIME_PASSWORD.update().where(ONE_TIME_PASSWORD.c.principal_id == account_id)
    connection.execute(enrollment.values(pending=None))


def prove(connection: Connection, sealer: Sealer, account_id: str, code: str) -> Proof | None:
    """Returns the proof in a code, or None if the code is wrong or used. `NONE_NEEDED` without a one-time password.

    It takes the same time in all cases.
    """
    row = connection.execute(
        sa.select(PRINCIPAL.c.one_time_password, ONE_TIME_PASSWORD.c.last_step)
        .outerjoin(ONE_TIME_PASSWORD, ONE_TIME_PASSWORD.c.principal_id == PRINCIPAL.c.id)
        .where(PRINCIPAL.c.id == account_id)
    ).first()
    sealed = row.one_time_password if row else None
    secret = sealer.unseal(sealed.decode(), _context(account_id)) if sealed else _DECOY
    step = _step(secret, code)
    digest = _digest(account_id, code)
    same_account = RECOVERY_CODE.c.principal_id == account_id
    recovery = connection.execute(
        sa.select(RECOVERY_CODE.c.digest).where(same_account, RECOVERY_CODE.c.digest == digest)
    ).scalar_one_or_none()
    if row is None or not sealed:
        return NONE_NEEDED
    if recovery:
        return Proof(recovery=recovery)
    return Proof(step=step) if step and step > (row.last_step or 0) else None


def spend(connection: Connection, account_id: str, proof: Proof) -> bool:
    """Spends a proof. Returns False if another request has spent the same code."""
    if proof.step is not None:
        return _spend_step(connection, account_id, proof.step)
    if proof.recovery is not None:
        used = RECOVERY_CODE.delete().where(
            RECOVERY_CODE.c.principal_id == account_id, RECOVERY_CODE.c.digest == proof.recovery
        )
        return connection.execute(used).rowcount == 1
    return True


def _step(secret: str, code: str) -> int | None:
    """Returns the time step of a code: the present one, or the one before or after, because clocks differ."""
    import pyotp

    totp = pyotp.TOTP(secret)
    now = int(clock.now().timestamp()) // STEP_SECONDS
    matching = None
    for step in (now - 1, now, now + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            matching = step
    return matching


def _spend_step(connection: Connection, account_id: str, step: int) -> bool:
    later = ONE_TIME_PASSWORD.update().where(
        ONE_TIME_PASSWORD.c.principal_id == account_id, ONE_TIME_PASSWORD.c.last_step < step
    )
    return connection.execute(later.values(last_step=step)).rowcount == 1


def renew_codes(connection: Connection, account_id: str) -> list[str]:
    """Creates recovery codes in place of the present ones. They are stored as hashes only."""
    codes = [base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(_RECOVERY_CODES)]
    connection.execute(RECOVERY_CODE.delete().where(RECOVERY_CODE.c.principal_id == account_id))
    connection.execute(
        RECOVERY_CODE.insert(), [{"principal_id": account_id, "digest": _digest(account_id, code)} for code in codes]
    )
    return codes


def _digest(account_id: str, code: str) -> str:
    return hashlib.sha256(f"{account_id}\0{code.strip().lower()}".encode()).hexdigest()


def _context(account_id: str) -> str:
    return f"one-time-password:{account_id}"
