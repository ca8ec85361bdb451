"""Secrets: values that connections use and that no operation returns.

Each version of a secret is encrypted with a separate key, and that key with the newest master key, which lies outside
the database. So a new master key re-encrypts short keys, never the values. A version that can't be decrypted breaks
only the connections that use it.
"""

from __future__ import annotations

import base64
import os
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.db import METADATA, UtcDateTime
from core.errors import Conflict, NotFound, Unavailable
from core.ids import new_id
from core.sealing import Sealer

SECRET_VERSION = sa.Table(
    "secret_version",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("secret_id", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    # Both are null when the version was destroyed.
    sa.Column("sealed_key", sa.Text),
    sa.Column("sealed_value", sa.Text),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("destroyed_at", UtcDateTime),
    sa.UniqueConstraint("secret_id", "number"),
)

SECRET_ACCESS = sa.Table(
    "secret_access",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("secret_id", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("connection_id", sa.String(64), nullable=False),
    sa.Column("purpose", sa.String(64), nullable=False),
    sa.Column("principal_id", sa.String(64), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_secret_access_secret_id", "secret_id", "id"),
)
"""One row for each time that a connection used the value of a secret."""


def put(
    connection: Connection,
    sealer: Sealer,
    value: str,
    *,
    secret_id: str,
    organization_id: str,
    project_id: str,
    by: str,
    at: datetime,
) -> int:
    """Stores a value as the next version of a secret, and returns its number."""
    newest = connection.execute(
        sa.select(sa.func.max(SECRET_VERSION.c.number)).where(SECRET_VERSION.c.secret_id == secret_id)
    ).scalar()
    number = (newest or 0) + 1
    context = _context(secret_id, number)
    key = os.urandom(32)
    connection.execute(
        SECRET_VERSION.insert().values(
            id=new_id("scv"),
            organization_id=organization_id,
            project_id=project_id,
            secret_id=secret_id,
            number=number,
            sealed_key=sealer.seal(base64.b64encode(key).decode(), context),
            sealed_value=_encrypted(key, value, context),
            created_at=at,
            created_by=by,
        )
    )
    return number


def value_of(connection: Connection, sealer: Sealer, secret_id: str, number: int) -> str:
    """Returns the value of a version, for the connection that uses it.

    Raises:
        NotFound: there is no such version.
        Conflict: it was destroyed.
        Unavailable: its master key is missing, or it is damaged.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    row = connection.execute(
        sa.select(SECRET_VERSION.c.sealed_key, SECRET_VERSION.c.sealed_value).where(
            SECRET_VERSION.c.secret_id == secret_id, SECRET_VERSION.c.number == number
        )
    ).first()
    if row is None:
        raise NotFound(f"The secret has no version {number}.")
    if row.sealed_key is None:
        raise Conflict(f"Version {number} of the secret was destroyed. Store a new value.")
    context = _context(secret_id, number)
    key = base64.b64decode(sealer.unseal(row.sealed_key, context))
    content = base64.b64decode(row.sealed_value)
    try:
        return AESGCM(key).decrypt(content[:12], content[12:], context.encode()).decode()
    except InvalidTag as error:
        raise Unavailable("A stored secret is damaged. Store its value again.") from error


def destroy(connection: Connection, secret_id: str, number: int | None, at: datetime) -> int:
    """Removes the value of a version, or of all versions, permanently. Returns how many it removed."""
    condition = (SECRET_VERSION.c.secret_id == secret_id) & SECRET_VERSION.c.destroyed_at.is_(None)
    if number is not None:
        condition &= SECRET_VERSION.c.number == number
    change = SECRET_VERSION.update().where(condition)
    return connection.execute(change.values(sealed_key=None, sealed_value=None, destroyed_at=at)).rowcount


def note_access(
    connection: Connection,
    *,
    secret_id: str,
    number: int,
    organization_id: str,
    project_id: str,
    connection_id: str,
    purpose: str,
    principal_id: str,
    at: datetime,
) -> None:
    """Records that a connection used the value of a secret."""
    connection.execute(
        SECRET_ACCESS.insert().values(
            id=new_id("sca"),
            secret_id=secret_id,
            number=number,
            organization_id=organization_id,
            project_id=project_id,
            connection_id=connection_id,
            purpose=purpose,
            principal_id=principal_id,
            at=at,
        )
    )


def _context(secret_id: str, number: int) -> str:
    """Binds a value to its row, so that it can't be moved to another secret."""
    return f"secret:{secret_id}:{number}"


def _encrypted(key: bytes, value: str, context: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, value.encode(), context.encode())).decode()
