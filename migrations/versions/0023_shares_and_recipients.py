"""Shares of tables, their recipients, tokens, and reads"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "share_object",
        *_texts(64, "id", "organization_id", "project_id", "share_id", "schema_name", "table_name"),
        *_texts(200, "asset"),
        *_texts(64, "table_id"),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("history_from", sa.BigInteger(), nullable=True),
        *_texts(2000, "partition_filter", "comment"),
        *_texts(128, "shared_by"),
        *_texts(64, "shared_by_id"),
        _time("shared_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_share_object")),
    )
    op.create_index("ix_share_object_project_id", "share_object", ["project_id"])
    op.create_index("ix_share_object_asset", "share_object", ["asset"])
    op.create_index("uq_share_object", "share_object", ["share_id", "schema_name", "table_name"], unique=True)
    op.create_table(
        "share_grant",
        *_texts(64, "share_id", "recipient_id", "organization_id", "project_id"),
        _time("granted_at"),
        *_texts(128, "granted_by"),
        sa.PrimaryKeyConstraint("share_id", "recipient_id", name=op.f("pk_share_grant")),
    )
    op.create_index("ix_share_grant_recipient_id", "share_grant", ["recipient_id"])
    op.create_index("ix_share_grant_project_id", "share_grant", ["project_id"])
    op.create_table(
        "share_read",
        *_texts(64, "id", "organization_id", "project_id", "share_id", "recipient_id"),
        *_texts(128, "recipient"),
        *_texts(200, "asset"),
        *_texts(16, "operation"),
        *[sa.Column(name, sa.BigInteger(), nullable=False) for name in ("version", "files", "size_bytes")],
        *_texts(64, "client"),
        _time("at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_share_read")),
    )
    op.create_index("ix_share_read_project_id", "share_read", ["project_id"])
    op.create_index("ix_share_read_share", "share_read", ["share_id", "at"])
    op.create_index("ix_share_read_recipient", "share_read", ["recipient_id", "at"])
    op.create_table(
        "recipient_token",
        *_texts(64, "id", "organization_id", "recipient_id"),
        sa.Column("link_digest", sa.String(length=64), nullable=True),
        _time("link_expires_at"),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("days", sa.Integer(), nullable=False),
        _time("created_at"),
        *_texts(128, "created_by"),
        *[_time(name, nullable=True) for name in ("activated_at", "expires_at", "revoked_at")],
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipient_token")),
        sa.UniqueConstraint("link_digest", name=op.f("uq_recipient_token_link_digest")),
        sa.UniqueConstraint("digest", name=op.f("uq_recipient_token_digest")),
    )
    op.create_index("ix_recipient_token_recipient_id", "recipient_token", ["recipient_id"])


def downgrade() -> None:
    """Reverts the change."""
    for name in ("recipient_token", "share_read", "share_grant", "share_object"):
        op.drop_table(name)


def _texts(length: int, *names: str) -> list["sa.Column[object]"]:
    return [sa.Column(name, sa.String(length=length), nullable=False) for name in names]


def _time(name: str, *, nullable: bool = False) -> "sa.Column[object]":
    return sa.Column(name, core.db.UtcDateTime(timezone=True), nullable=nullable)
