"""Models as Delta tables: each training appends one row, so a version of the model is a version of its table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.errors import NotFound, TableDamaged, UnknownVersion
from lakehouse.commits import entries_backwards
from lakehouse.committer import transaction_id
from serving.signature import Signature

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.tables import Snapshot, Tables

FORMAT = "onnx"

COLUMNS = {
    "model_id": "Id of the training.",
    "digest": "SHA-256 of the artifact.",
    "format": "Format of the artifact.",
    "artifact": "The model itself.",
    "signature": "JSON: inputs with ranges and medians of the training data, target, and the entities' feature table.",
    "threshold": "Probability from which the prediction is positive.",
    "metrics": "JSON: metrics on the test rows.",
    "baseline": "JSON: the same metrics for the base rate that the model must beat.",
    "checks": "JSON: result of each blocking check.",
    "accepted": "Whether every blocking check passed. Other versions are served only if requested by number.",
    "parameters": "JSON: algorithm, parameters, splits, seed and library versions.",
    "features_version": "Data version of the feature table that the model was trained on.",
    "trained_rows": "Number of rows that the model was trained on.",
    "trained_at": "Time of the training.",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained model before it's appended to its table."""

    model_id: str
    artifact: bytes
    signature: Signature
    threshold: float
    metrics: Mapping[str, Any]
    baseline: Mapping[str, Any]
    checks: Mapping[str, bool]
    parameters: Mapping[str, Any]
    features_version: str
    trained_rows: int
    trained_at: datetime

    @property
    def digest(self) -> str:
        """SHA-256 of the artifact, hexadecimal."""
        return hashlib.sha256(self.artifact).hexdigest()

    @property
    def accepted(self) -> bool:
        """Whether every blocking check passed."""
        return all(self.checks.values())

    def row(self) -> pa.Table:
        """Returns the table row as Arrow, with column comments."""
        import pyarrow as pa

        values = {
            "model_id": self.model_id,
            "digest": self.digest,
            "format": FORMAT,
            "artifact": self.artifact,
            "signature": self.signature.to_json(),
            "threshold": self.threshold,
            "metrics": json.dumps(self.metrics, sort_keys=True),
            "baseline": json.dumps(self.baseline, sort_keys=True),
            "checks": json.dumps(self.checks, sort_keys=True),
            "accepted": self.accepted,
            "parameters": json.dumps(self.parameters, sort_keys=True),
            "features_version": self.features_version,
            "trained_rows": self.trained_rows,
            "trained_at": self.trained_at,
        }
        return pa.Table.from_pylist([values], schema=model_schema())


def model_schema() -> pa.Schema:
    """Returns the columns of a model's table. Columns added in later releases must be nullable."""
    import pyarrow as pa

    types = {
        "artifact": pa.binary(),
        "threshold": pa.float64(),
        "accepted": pa.bool_(),
        "trained_rows": pa.int64(),
        "trained_at": pa.timestamp("us", "UTC"),
    }
    return pa.schema(
        [
            pa.field(name, types.get(name, pa.string()), nullable=False, metadata={"comment": comment})
            for name, comment in COLUMNS.items()
        ]
    )


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model version, without its artifact."""

    model: str
    version: int
    """Delta version whose commit contains this training."""
    data_version: str
    """Data version as lineage records it: `<table id>@<version>`."""
    model_id: str
    digest: str
    format: str
    signature: Signature
    threshold: float
    metrics: Mapping[str, Any]
    baseline: Mapping[str, Any]
    checks: Mapping[str, bool]
    accepted: bool
    parameters: Mapping[str, Any]
    features_version: str
    trained_rows: int
    trained_at: datetime


def find(tables: Tables, model: str, version: int | None = None) -> ModelRecord:
    """Finds a model version.

    Args:
        tables: the lakehouse.
        model: id of the model, which is the name of its table.
        version: table version: selects the newest training at that version, accepted or not. By default, the newest
            training that passed its blocking checks.

    Raises:
        UnknownTable, UnknownVersion: the model or version doesn't exist.
        NotFound: the table contains no training, or none that passed its checks.
    """

    snapshot = tables.snapshot(model, version=version)
    if missing := set(COLUMNS) - set(snapshot.schema.names):
        raise NotFound(f"{model} is a table but not a model: it has no column {', '.join(sorted(missing))}.")
    rows = snapshot.scan().select(name for name in COLUMNS if name != "artifact")
    if version is None:
        rows = rows.filter("accepted")
    newest = rows.sort("trained_at", "model_id").tail(1).collect()
    if newest.is_empty():
        raise NotFound(_no_training(snapshot, version))
    return _record(tables, snapshot, newest.row(0, named=True))


def artifact(tables: Tables, record: ModelRecord) -> bytes:
    """Reads the artifact of a model version and verifies its digest.

    Raises:
        TableDamaged: the bytes differ from those that were trained.
        UnknownVersion: the files of that version were vacuumed.
    """
    import polars as pl

    rows = tables.snapshot(record.model, version=record.version).scan()
    match = rows.filter(pl.col("model_id") == record.model_id).select("artifact").collect()
    if match.height != 1:
        raise UnknownVersion(f"{record.model} version {record.version} doesn't contain training {record.model_id}.")
    content = bytes(match.item())
    if hashlib.sha256(content).hexdigest() != record.digest:
        raise TableDamaged(
            f"The artifact of {record.model} version {record.version} was altered: its digest is not "
            f"{record.digest[:12]}..., the recorded one. Train the model again or restore an earlier version."
        )
    return content


def _record(tables: Tables, snapshot: Snapshot, row: Mapping[str, Any]) -> ModelRecord:
    version = _committed_at_version(tables, snapshot, row["model_id"])
    return ModelRecord(
        model=snapshot.table,
        version=version,
        data_version=f"{snapshot.table_id}@{version}",
        model_id=row["model_id"],
        digest=row["digest"],
        format=row["format"],
        signature=Signature.from_json(row["signature"]),
        threshold=row["threshold"],
        metrics=json.loads(row["metrics"]),
        baseline=json.loads(row["baseline"]),
        checks=json.loads(row["checks"]),
        accepted=row["accepted"],
        parameters=json.loads(row["parameters"]),
        features_version=row["features_version"],
        trained_rows=row["trained_rows"],
        trained_at=row["trained_at"],
    )


def _committed_at_version(tables: Tables, snapshot: Snapshot, model_id: str) -> int:
    # The newest training isn't always in the newest commit: maintenance also commits, and a training may have been
    # refused. A training is appended once per `model_id`, and its commit contains that id as a transaction.
    for entry in entries_backwards(tables.storage, snapshot.table, snapshot.version):
        if transaction_id(model_id) in entry.transactions:
            return entry.version
    return snapshot.version


def _no_training(snapshot: Snapshot, version: int | None) -> str:
    if version is None and snapshot.row_count:
        return (
            f"None of the {snapshot.row_count} trainings of {snapshot.table} passed its blocking checks. "
            "To use one anyway, request its version by number."
        )
    return f"{snapshot.table} contains no training at version {snapshot.version}. Materialize it."
