"""A model as a Delta table: each training appends one row, so a version of the model is a version of the table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.errors import NotFound, TableDamaged, UnknownVersion
from lakehouse.commits import transaction_id
from lakehouse.history import entries_down
from serving.signature import Signature

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.tables import Snapshot, Tables

FORMAT = "onnx"

COLUMNS = {
    "model_id": "Identifier of the training.",
    "digest": "SHA-256 of the artifact.",
    "format": "Format of the artifact.",
    "artifact": "The model itself.",
    "signature": "JSON: inputs with ranges and medians of the training data, target, and where entities are looked up.",
    "threshold": "Probability from which the prediction is positive.",
    "metrics": "JSON: how it did on the rows it was judged by.",
    "baseline": "JSON: the same metrics of the base rate it has to beat.",
    "checks": "JSON: verdict of each blocking check.",
    "accepted": "Whether every blocking check passed; others are served only when asked for by version.",
    "parameters": "JSON: algorithm, parameters, splits, seed and library versions.",
    "features_version": "Data version of the feature table it was trained on.",
    "trained_rows": "Number of rows it was trained on.",
    "trained_at": "When it was trained.",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained model, to be appended to its table."""

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
        """The table row, as Arrow, with column comments."""
        import pyarrow as pa

        types = {
            "artifact": pa.binary(),
            "threshold": pa.float64(),
            "accepted": pa.bool_(),
            "trained_rows": pa.int64(),
            "trained_at": pa.timestamp("us", "UTC"),
        }
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
        schema = pa.schema(
            [
                pa.field(name, types.get(name, pa.string()), nullable=False, metadata={"comment": comment})
                for name, comment in COLUMNS.items()
            ]
        )
        return pa.Table.from_pylist([values], schema=schema)


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One model version, without its artifact."""

    model: str
    version: int
    """Delta version whose commit holds this training."""
    data_version: str
    """The same as lineage names it: `<table id>@<version>`."""
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
        model: id of the model, which is its table's name.
        version: table version; the training that was newest then, accepted or not. Without it, the newest training
            that passed its blocking checks.

    Raises:
        UnknownTable, UnknownVersion: no such model or version.
        NotFound: the table holds no training, or none that passed its checks.
    """

    snapshot = tables.snapshot(model, version=version)
    if missing := set(COLUMNS) - set(snapshot.schema.names):
        raise NotFound(f"{model} is a table but no model: it has no column {', '.join(sorted(missing))}.")
    rows = snapshot.scan().select(name for name in COLUMNS if name != "artifact")
    if version is None:
        rows = rows.filter("accepted")
    newest = rows.sort("trained_at", "model_id").tail(1).collect()
    if newest.is_empty():
        raise NotFound(_nothing(tables, snapshot, version))
    return _record(tables, snapshot, newest.row(0, named=True))


def artifact(tables: Tables, record: ModelRecord) -> bytes:
    """Reads the artifact of a model version and verifies its digest.

    Raises:
        TableDamaged: the bytes are not those that were trained.
        UnknownVersion: the table's files of that version were vacuumed.
    """
    import polars as pl

    rows = tables.snapshot(record.model, version=record.version).scan()
    found = rows.filter(pl.col("model_id") == record.model_id).select("artifact").collect()
    if found.height != 1:
        raise UnknownVersion(f"{record.model} version {record.version} does not hold training {record.model_id}.")
    content = bytes(found.item())
    if hashlib.sha256(content).hexdigest() != record.digest:
        raise TableDamaged(
            f"The artifact of {record.model} version {record.version} does not have its recorded digest "
            f"{record.digest[:12]}...; it was altered. Train the model again or restore an earlier version."
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
    # The newest training need not stem from the newest commit: maintenance commits too, and a training may have
    # been refused. The commit names the training it holds, because it is appended once per `model_id`.
    for entry in entries_down(tables.storage, snapshot.table, snapshot.version):
        if transaction_id(model_id) in entry.transactions:
            return entry.version
    return snapshot.version


def _nothing(tables: Tables, snapshot: Snapshot, version: int | None) -> str:
    if version is None and snapshot.row_count:
        return (
            f"None of the {snapshot.row_count} trainings of {snapshot.table} passed its blocking checks. "
            "Ask for a version by number to use one all the same."
        )
    return f"{snapshot.table} holds no training yet at version {snapshot.version}. Materialize it."
