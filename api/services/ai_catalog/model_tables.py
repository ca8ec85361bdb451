"""Tables of logged models, of the versions of registered models, and of trainings. Registered models are resources."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.tables import project_rows
from core.db import METADATA, UtcDateTime

LOGGED_MODEL = sa.Table(
    "logged_model",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("experiment_id", sa.String(64), nullable=False, index=True),
    sa.Column("run_id", sa.String(64), index=True),
    sa.Column("name", sa.String(500), nullable=False),
    sa.Column("model_type", sa.String(250), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("deleted_at", UtcDateTime),
    info=project_rows("created_by"),
)

RUN_OUTPUT = sa.Table(
    "run_output",
    METADATA,
    sa.Column("run_id", sa.ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("model_id", sa.ForeignKey("logged_model.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("step", sa.BigInteger, nullable=False),
)
"""Models that a run produced."""

MODEL_VERSION = sa.Table(
    "model_version",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("registered_model_id", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("source", sa.String(2000), nullable=False),
    sa.Column("parent_id", sa.String(64), nullable=False),
    sa.Column("path", sa.String(1000), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(64), index=True),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("checks", sa.JSON, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("deleted_at", UtcDateTime),
    sa.Index("uq_model_version", "registered_model_id", "version", unique=True),
    info=project_rows("created_by"),
)
"""Versions of registered models. Numbers are never used again."""

TRAINING = sa.Table(
    "training",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False, index=True),
    sa.Column("asset", sa.String(200), nullable=False),
    sa.Column("data_version", sa.String(128), nullable=False),
    sa.Column("orchestrator_run", sa.String(64), nullable=False),
    sa.Column("experiment_id", sa.String(64)),
    sa.Column("registered_model_id", sa.String(64)),
    sa.Column("run_id", sa.String(64), index=True),
    sa.Column("logged_model_id", sa.String(64)),
    sa.Column("model_version_id", sa.String(64), index=True),
    sa.Column("problem", sa.Text, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("asset", "data_version"),
    info=project_rows(),
)
"""Versions of model assets that the catalog has recorded, each once, with what it made of them.

`problem` says why a version has no run: it is no training, or it can't be read any more.
"""

MODEL_CARD = sa.Table(
    "model_card",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("organization_id", sa.String(64), nullable=False),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("model_version_id", sa.String(64), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("written_by", sa.String(128), nullable=False),
    sa.Column("written_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("model_version_id", "revision"),
    info=project_rows("written_by"),
)
"""Texts of the cards of versions of models. A revision never changes."""

MODEL_METRIC = sa.Table(
    "model_metric",
    METADATA,
    sa.Column("model_id", sa.ForeignKey("logged_model.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", sa.String(250), primary_key=True),
    sa.Column("dataset_name", sa.String(500), primary_key=True),
    sa.Column("dataset_digest", sa.String(64), primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, primary_key=True),
    # The 64 bits of the value, as in the history of metrics of runs.
    sa.Column("bits", sa.BigInteger, primary_key=True),
    sa.Column("run_id", sa.String(64)),
)
"""Metrics of logged models, by the dataset that they were measured on. Unknown datasets have empty names."""
