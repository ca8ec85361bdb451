"""Tables of the kernel in the metadata database."""

from __future__ import annotations

import sqlalchemy as sa

from core.db import METADATA, UtcDateTime

PRINCIPAL = sa.Table(
    "principal",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(128), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("password_hash", sa.String(256)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

TOKEN = sa.Table(
    "token",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("principal_id", sa.ForeignKey("principal.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("label", sa.String(200), nullable=False),
    # SHA-256 of 256 random bits: nothing to guess, so a slow hash would only cost every request.
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
)

AUTH_EPOCH = sa.Table(
    "auth_epoch",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Integer, nullable=False),
)
"""One row, counted up by every revocation, suspension and role change: processes then drop what they remember."""

LOGIN_FAILURE = sa.Table(
    "login_failure",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False, index=True),
)

OPERATION = sa.Table(
    "operation",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("action", sa.String(128), nullable=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("organization_id", sa.String(64)),
    sa.Column("project_id", sa.String(64)),
    sa.Column("principal", sa.String(128), nullable=False),
    sa.Column("principal_id", sa.String(64), nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("executor", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    # Of sagas: which one, and what it was asked for. Of launches, from here to `backfill`: what is to be made.
    sa.Column("saga", sa.String(128)),
    sa.Column("input", sa.JSON),
    sa.Column("assets", sa.JSON, nullable=False),
    sa.Column("partitions", sa.JSON, nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("stages", sa.Integer, nullable=False),
    sa.Column("stage", sa.Integer, nullable=False),
    sa.Column("launched_stage", sa.Integer, nullable=False),
    sa.Column("runs", sa.JSON, nullable=False),
    sa.Column("backfill", sa.String(64)),
    sa.Column("done", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("produced", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON),
    sa.Column("lease_holder", sa.String(64)),
    sa.Column("lease_expires_at", UtcDateTime),
    sa.Column("cancel_requested_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime, index=True),
)
"""Long work. Its executor is Dagster (LAUNCH) or, under a lease, a process of the API (SAGA)."""

IDEMPOTENCY = sa.Table(
    "idempotency",
    METADATA,
    sa.Column("principal", sa.String(128), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("operation", sa.String(64), index=True),
    sa.Column("status", sa.Integer),
    sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", UtcDateTime, nullable=False, index=True),
)
"""Requests that came with an `Idempotency-Key`, and what they were answered."""
