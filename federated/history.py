"""Rounds as rows of a Delta table: one row and one commit per round. Finds the round after which a training resumes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from federated.model import Scaling
from federated.outcomes import ClientRound, Metrics, Round, pack, unpack
from federated.spec import Federation

if TYPE_CHECKING:
    from lakehouse.tables import Snapshot

KEY = ("training", "round")
"""Key columns: each training has each round once."""

SCHEMA = pa.schema(
    [
        pa.field("training", pa.string(), metadata={"comment": "Id of the training; a restart creates a new one."}),
        pa.field("round", pa.int32(), metadata={"comment": "Number of the round, from 1."}),
        pa.field(
            "spec_digest", pa.string(), metadata={"comment": "SHA-256 of everything that determines the weights."}
        ),
        pa.field("spec", pa.string(), metadata={"comment": "The federation as JSON."}),
        pa.field("input_version", pa.string(), metadata={"comment": "Data versions that the clients read."}),
        pa.field("strategy", pa.string(), metadata={"comment": "Flower strategy."}),
        pa.field("features", pa.list_(pa.string()), metadata={"comment": "Meaning of the weights, in order."}),
        pa.field("arrays", pa.binary(), metadata={"comment": "Global weights and bias, safetensors, float64."}),
        pa.field("optimizer_state", pa.binary(), metadata={"comment": "The server's optimizer state, safetensors."}),
        pa.field("scaling", pa.binary(), metadata={"comment": "Mean and scale of each feature, safetensors."}),
        pa.field("clients_trained", pa.int32(), metadata={"comment": "Number of clients whose update was aggregated."}),
        pa.field("examples", pa.int64(), metadata={"comment": "Number of rows that the clients trained on."}),
        pa.field("train_loss", pa.float64(), metadata={"comment": "Mean log loss of the local models."}),
        pa.field("clients_judged", pa.int32(), metadata={"comment": "Number of clients that evaluated the model."}),
        pa.field("holdout_examples", pa.int64(), metadata={"comment": "Number of rows the model was evaluated on."}),
        pa.field("loss", pa.float64(), metadata={"comment": "Log loss on the holdouts."}),
        pa.field("brier", pa.float64(), metadata={"comment": "Brier score on the holdouts."}),
        pa.field("auc", pa.float64(), metadata={"comment": "Area under the ROC curve over the pooled holdouts."}),
        pa.field("client_metrics", pa.string(), metadata={"comment": "Results of each client, as a JSON list."}),
        pa.field("finished_at", pa.timestamp("us", tz="UTC"), metadata={"comment": "Time the round was complete."}),
    ]
)


def to_row(
    completed: Round, federation: Federation, training: str, input_version: str, finished_at: datetime
) -> pa.Table:
    """Converts a round to a table with one row."""
    row: dict[str, Any] = {
        "training": training,
        "round": completed.number,
        "spec_digest": federation.digest,
        "spec": federation.to_json(),
        "input_version": input_version,
        "strategy": federation.strategy,
        "features": list(federation.features),
        "arrays": pack(completed.weights),
        "optimizer_state": pack(completed.optimizer),
        "scaling": pack({"mean": completed.scaling.mean, "scale": completed.scaling.scale}),
        "client_metrics": json.dumps([asdict(client) for client in completed.clients]),
        "finished_at": finished_at,
        **asdict(completed.metrics),
    }
    return pa.Table.from_pylist([row], schema=SCHEMA)


def from_row(row: dict[str, Any]) -> Round:
    """Reads a round that `to_row` wrote."""
    scaling = unpack(row["scaling"])
    return Round(
        number=row["round"],
        weights=unpack(row["arrays"]),
        optimizer=unpack(row["optimizer_state"]),
        scaling=Scaling(scaling["mean"], scaling["scale"]),
        metrics=Metrics(**{name: row[name] for name in Metrics.__dataclass_fields__}),
        clients=tuple(ClientRound(**client) for client in json.loads(row["client_metrics"])),
    )


@dataclass(frozen=True, slots=True)
class Training:
    """The complete rounds of one training, from round 1 without gaps."""

    id: str
    rounds: tuple[Round, ...]


def latest_training(snapshot: Snapshot, federation: Federation, input_version: str) -> Training | None:
    """Returns the newest training with the same federation and the same data; None if there is none to resume."""
    same = (pl.col("spec_digest") == federation.digest) & (pl.col("input_version") == input_version)
    rows = snapshot.scan().filter(same).sort("training", "round").collect()
    if rows.is_empty():
        return None
    newest = rows["training"].max()  # ids sort by time
    stored = [from_row(row) for row in rows.filter(pl.col("training") == newest).iter_rows(named=True)]
    complete = [item for position, item in enumerate(stored, start=1) if item.number == position]
    return Training(str(newest), tuple(complete))
