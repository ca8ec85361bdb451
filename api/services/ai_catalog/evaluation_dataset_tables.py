"""Tables of the records of evaluation datasets and of their versions. Evaluation datasets are resources."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

EVALUATION_RECORD = sa.Table(
    "evaluation_record",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("first_version", sa.Integer, primary_key=True, autoincrement=False),
    # Null in the newest version. A changed record ends here and begins again with the next version.
    sa.Column("last_version", sa.Integer),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("dataset_id", sa.String(64), nullable=False),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("outputs", sa.JSON(none_as_null=True)),
    sa.Column("expectations", sa.JSON, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("source", sa.JSON(none_as_null=True)),
    # Equal inputs are one record.
    sa.Column("inputs_digest", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
    sa.Index("ix_evaluation_record_inputs", "dataset_id", "inputs_digest"),
    sa.Index("ix_evaluation_record_versions", "dataset_id", "first_version", "id"),
    info=project_rows("created_by", "updated_by"),
)
"""Records, with the versions of their dataset that contain them."""

EVALUATION_DATASET_VERSION = sa.Table(
    "evaluation_dataset_version",
    METADATA,
    sa.Column("dataset_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("records", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    info=project_rows("created_by"),
)
"""Versions. The digest is that of the contents of all records, in any order."""
