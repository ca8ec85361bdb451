"""Table of the versions of prompts. Prompts are resources."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

PROMPT_VERSION = sa.Table(
    "prompt_version",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("prompt_id", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    # The content of each message. A prompt that is one text has one message without a role.
    sa.Column("messages", sa.JSON, nullable=False),
    sa.Column("variables", sa.JSON, nullable=False),
    sa.Column("response_format", sa.JSON(none_as_null=True)),
    sa.Column("model_config", sa.JSON(none_as_null=True)),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("deleted_at", UtcDateTime),
    sa.Index("uq_prompt_version", "prompt_id", "version", unique=True),
    info=project_rows("created_by"),
)
"""Versions of prompts. Their text never changes, and numbers are never used again."""
