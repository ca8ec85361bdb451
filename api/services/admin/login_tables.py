"""Tables for logins, next to those of accounts and tokens."""

from __future__ import annotations

import sqlalchemy as sa

from core.db import METADATA, UtcDateTime

ONE_TIME_PASSWORD = sa.Table(
    "one_time_password",
    METADATA,
    sa.Column("principal_id", sa.String(64), primary_key=True),
    # A secret that was returned but not confirmed. Once confirmed, it moves to the account.
    sa.Column("pending", sa.LargeBinary),
    sa.Column("last_step", sa.BigInteger, nullable=False),
)
"""The time step of the last code of each account, so that no code works twice."""

RECOVERY_CODE = sa.Table(
    "recovery_code",
    METADATA,
    sa.Column("principal_id", sa.String(64), primary_key=True),
    # SHA-256 of 80 random bits, which can't be guessed.
    sa.Column("digest", sa.String(64), primary_key=True),
)
"""Recovery codes. A row is deleted when its code is used."""

PASSWORD_HISTORY = sa.Table(
    "password_history",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("principal_id", sa.String(64), nullable=False, index=True),
    sa.Column("password_hash", sa.String(256), nullable=False),
    sa.Column("set_at", UtcDateTime, nullable=False),
)
"""Hashes of former passwords, for the policy that refuses to use them again."""

SETTING = sa.Table(
    "setting",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
)
"""Settings that admins change at run time: one row for the whole platform."""

IDENTITY = sa.Table(
    "identity",
    METADATA,
    sa.Column("provider_id", sa.String(64), primary_key=True),
    sa.Column("subject", sa.String(256), primary_key=True),
    sa.Column("user_id", sa.String(64), nullable=False, index=True),
    sa.Column("first_seen_at", UtcDateTime, nullable=False),
)
"""The user of each identity at an identity provider."""

CLIENT_SECRET = sa.Table(
    "client_secret",
    METADATA,
    sa.Column("provider_id", sa.String(64), primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
)
"""Client secrets of the platform at identity providers."""

SPENT_LOGIN = sa.Table(
    "spent_login",
    METADATA,
    # SHA-256 of the state that an identity provider returned.
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
)
"""Responses of identity providers that were used, until they expire, so that none works twice."""

INVITATION = sa.Table(
    "invitation",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False, index=True),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("groups", sa.JSON, nullable=False),
    sa.Column("grants", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("inviter_id", sa.String(64), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("accepted_at", UtcDateTime),
    sa.Column("user_id", sa.String(64)),
    # The token, until its mail is sent.
    sa.Column("sealed", sa.Text),
    sa.Column("mailed_at", UtcDateTime),
    sa.Column("mail_problem", sa.String(500)),
)
"""Invitations. Each token is stored as SHA-256, and encrypted while it waits to be mailed."""

PASSWORD_RESET = sa.Table(
    "password_reset",
    METADATA,
    # Id of the user, so that a newer link ends the older one.
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("email", sa.String(254), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    # The token, until its mail is sent.
    sa.Column("sealed", sa.Text),
    sa.Column("mailed_at", UtcDateTime),
    sa.Column("mail_problem", sa.String(500)),
)
"""Unused links to reset passwords. Each token is stored like that of an invitation."""
