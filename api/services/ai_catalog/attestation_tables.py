"""Tables of attestations."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

ATTESTATION = sa.Table(
    "attestation",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False, index=True),
    sa.Column("project_id", sa.String(64), index=True),
    sa.Column("asset", sa.String(200), nullable=False, index=True),
    sa.Column("version", sa.String(128), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    # The statement, byte for byte as it was signed.
    sa.Column("statement", sa.Text, nullable=False),
    sa.Column("key_id", sa.String(64), nullable=False),
    # Base64.
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    info=project_rows("created_by"),
)
"""Signed statements about versions. They never change."""

ATTESTED_ASSET = sa.Table(
    "attested_asset",
    METADATA,
    sa.Column("attestation_id", sa.ForeignKey("attestation.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("asset", sa.String(200), primary_key=True, index=True),
)
"""The assets that a statement names: the subject and the inputs. Who may read the rows of all of them may read it."""
