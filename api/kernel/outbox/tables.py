"""Tables of the outbox: cursors, pending deliveries, handled events, and webhook endpoints."""

from __future__ import annotations

import sqlalchemy as sa

from core.db import METADATA, UtcDateTime

OUTBOX_CURSOR = sa.Table(
    "outbox_cursor",
    METADATA,
    sa.Column("consumer", sa.String(128), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)

# Deliveries whose first attempt succeeds have no row.
OUTBOX_DELIVERY = sa.Table(
    "outbox_delivery",
    METADATA,
    sa.Column("consumer", sa.String(128), primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", UtcDateTime, nullable=False),
    sa.Column("last_error", sa.String(500), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Index("ix_outbox_delivery_due", "consumer", "state", "next_at"),
    sa.Index("ix_outbox_delivery_subject", "consumer", "subject", "state", "sequence"),
)

OUTBOX_SEEN = sa.Table(
    "outbox_seen",
    METADATA,
    sa.Column("consumer", sa.String(128), primary_key=True),
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("seen_at", UtcDateTime, nullable=False, index=True),
)

WEBHOOK_ENDPOINT = sa.Table(
    "webhook_endpoint",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False, index=True),
    sa.Column("project_id", sa.String(64)),
    sa.Column("url", sa.String(2000), nullable=False),
    sa.Column("types", sa.JSON, nullable=False),
    sa.Column("secret", sa.String(400), nullable=False),
    sa.Column("former_secret", sa.String(400)),
    sa.Column("former_until", UtcDateTime),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)
