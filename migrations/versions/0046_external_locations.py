"""External locations, and leases of the credentials that they vend"""

import sqlalchemy as sa
from alembic import op

import core.db

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies the change."""
    op.create_table(
        "external_location",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=1000), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("url", sa.String(length=1000), nullable=False),
        sa.Column("storage_credential_id", sa.String(length=64), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_location")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_external_location_project_id_name")),
    )
    op.create_index("ix_external_location_organization_id", "external_location", ["organization_id", "url"])
    op.create_index(
        op.f("ix_external_location_storage_credential_id"), "external_location", ["storage_credential_id"]
    )
    op.create_table(
        "credential_lease",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("organization_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("external_location_id", sa.String(length=64), nullable=False),
        sa.Column("storage_credential_id", sa.String(length=64), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("access", sa.String(length=16), nullable=False),
        sa.Column("form", sa.String(length=16), nullable=False),
        sa.Column("key_id", sa.String(length=200), nullable=False),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=128), nullable=False),
        sa.Column("expires_at", core.db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("renewed_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", core.db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential_lease")),
    )
    columns = ["external_location_id", "expires_at"]
    op.create_index("ix_credential_lease_external_location_id", "credential_lease", columns)
    columns = ["storage_credential_id", "expires_at"]
    op.create_index("ix_credential_lease_storage_credential_id", "credential_lease", columns)


def downgrade() -> None:
    """Reverts the change."""
    op.drop_table("credential_lease")
    op.drop_table("external_location")
